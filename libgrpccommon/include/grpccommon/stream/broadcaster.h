// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/status/details.h"
#include "grpccommon/stream/writer.h"

namespace grpccommon {

struct BroadcasterOptions {
  /// Streams that may watch at a time, at least 1.
  std::size_t max_watchers = 10'000;
};

/// One publisher, many watchers: each message goes to every stream whose filter
/// wants it, through that stream's own queue and policy, without a copy. A slow
/// watcher therefore holds up nobody.
///
/// Thread-safe. All watchers get the messages in one order, that in which
/// `Publish` was called. `Publish` costs a queue operation for each watcher,
/// and a call into gRPC for each one that is idle.
///
/// Filters look at a `Subject`, where what they need is not in the message
/// itself.
template <typename Message, typename Subject = Message>
class Broadcaster {
 public:
  using Writer = StreamWriter<Message>;
  /// Runs on the publisher's thread, under a lock: quick, and not calling the
  /// broadcaster. The same holds for the `key` of the writer's options. What it
  /// throws ends that watcher's stream with INTERNAL.
  using Filter = std::function<bool(const Subject&)>;

  explicit Broadcaster(BroadcasterOptions options = {})
      : state_(std::make_shared<State>()), options_(options) {}
  /// Ends what is still watched with UNAVAILABLE.
  ~Broadcaster() { Close(absl::UnavailableError("the publisher has ended")); }

  Broadcaster(const Broadcaster&) = delete;
  Broadcaster& operator=(const Broadcaster&) = delete;

  /// Adds a stream; it gets what is published from here on, until it ends.
  /// Errors: kResourceExhausted at `max_watchers`, the status of `Close` after
  /// that. The stream is left as it is; end it with the error.
  absl::Status Subscribe(const std::shared_ptr<Writer>& writer,
                         Filter filter = nullptr) {
    bool hooked = false;
    {
      const MutexLock lock(state_->mutex);
      if (!state_->closed.ok()) return state_->closed;
      if (state_->watchers.size() >= options_.max_watchers) {
        return Exhausted("TOO_MANY_WATCHERS", "watchers",
                         "too many streams are watched",
                         std::chrono::seconds(5));
      }
      if (!state_->places.try_emplace(writer.get(), state_->watchers.size())
               .second) {
        return absl::AlreadyExistsError("the stream is subscribed");
      }
      state_->watchers.push_back({writer, std::move(filter)});
      hooked = !state_->hooked.insert(writer.get()).second;
    }
    if (hooked) return absl::OkStatus();
    // Without the lock, since it runs at once if the call is done.
    auto hook = std::make_shared<Hook>(state_, writer.get());
    writer->WhenDone([hook = std::move(hook)] { hook->Run(); });
    return absl::OkStatus();
  }

  /// Stops sending to a stream, which goes on.
  void Unsubscribe(const Writer& writer) { state_->Remove(&writer); }

  /// Queues a message for every watcher whose filter wants its subject, and
  /// returns for how many it did. `subject` is not kept.
  std::size_t Publish(std::shared_ptr<const Message> message,
                      const Subject& subject) {
    std::vector<std::pair<std::shared_ptr<Writer>, Step>> steps;
    std::vector<Watcher> removed;  // die without the lock
    std::size_t taken = 0;
    std::size_t bytes = 0;
    {
      const MutexLock lock(state_->mutex);
      for (std::size_t i = 0; i < state_->watchers.size();) {
        const Watcher& watcher = state_->watchers[i];
        Step step;
        absl::Status status =
            Offer(watcher, message, subject, bytes, step, taken);
        if (step.kind != Step::Kind::kNone) {
          steps.emplace_back(watcher.writer, std::move(step));
        }
        // Full, but going on: SlowReader::kPushBack.
        if (status.ok() || !watcher.writer->closed()) {
          ++i;
        } else {
          removed.push_back(state_->RemoveAt(i));
        }
      }
    }
    for (auto& [writer, step] : steps) writer->Perform(std::move(step));
    return taken;
  }
  std::size_t Publish(std::shared_ptr<const Message> message) requires
      std::same_as<Message, Subject> {
    const Message& subject = *message;
    return Publish(std::move(message), subject);
  }
  std::size_t Publish(Message message) requires std::same_as<Message, Subject> {
    return Publish(std::make_shared<const Message>(std::move(message)));
  }

  /// Finishes every stream, after what is queued for it; new ones may come.
  void FinishAll(const absl::Status& status) {
    for (const Watcher& watcher : TakeAll(absl::OkStatus())) {
      watcher.writer->Finish(status);
    }
  }
  /// Finishes every stream, after what is queued for it, and refuses new ones
  /// with the same status, which must not be OK.
  void Close(const absl::Status& status) {
    for (const Watcher& watcher : TakeAll(status)) {
      watcher.writer->Finish(status);
    }
  }
  /// Close that does not wait for clients to read (StreamWriter::Cut). Streams
  /// that it finished before, or that were too slow, are not its any more.
  void Cut(const absl::Status& status) {
    for (const Watcher& watcher : TakeAll(status)) watcher.writer->Cut(status);
  }

  std::size_t watchers() const {
    const MutexLock lock(state_->mutex);
    return state_->watchers.size();
  }

 private:
  using Step = typename internal::StreamSender<Message>::Step;

  struct Watcher {
    std::shared_ptr<Writer> writer;
    Filter filter;
  };

  struct State {
    Mutex mutex;
    std::vector<Watcher> watchers ABSL_GUARDED_BY(mutex);
    std::unordered_map<const Writer*, std::size_t> places
        ABSL_GUARDED_BY(mutex);
    // Streams that have a hook, whether or not they watch: one each, however
    // often they come and go.
    std::unordered_set<const Writer*> hooked ABSL_GUARDED_BY(mutex);
    absl::Status closed ABSL_GUARDED_BY(mutex);

    void Remove(const Writer* writer) {
      Watcher removed;  // dies without the lock
      const MutexLock lock(mutex);
      const auto place = places.find(writer);
      if (place == places.end()) return;
      removed = RemoveAt(place->second);
    }
    // The last one takes the place.
    Watcher RemoveAt(std::size_t place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      places.erase(watchers[place].writer.get());
      Watcher removed = std::move(watchers[place]);
      if (place + 1 < watchers.size()) {
        watchers[place] = std::move(watchers.back());
        places[watchers[place].writer.get()] = place;
      }
      watchers.pop_back();
      return removed;
    }
  };

  // Every watcher, none of which stays, and what new ones get.
  std::vector<Watcher> TakeAll(const absl::Status& closed) {
    std::vector<Watcher> watchers;
    const MutexLock lock(state_->mutex);
    if (state_->closed.ok()) state_->closed = closed;
    watchers.swap(state_->watchers);
    state_->places.clear();
    return watchers;
  }

  // What a stream keeps of the broadcaster, which may go before it does. Runs
  // when the call is done, or dies with a stream that gRPC never got.
  class Hook {
   public:
    Hook(std::weak_ptr<State> state, const Writer* watcher)
        : state_(std::move(state)), watcher_(watcher) {}
    ~Hook() { Run(); }
    Hook(const Hook&) = delete;
    Hook& operator=(const Hook&) = delete;

    void Run() {
      const std::shared_ptr<State> state = state_.lock();
      // Once: another stream may come to have this address.
      state_.reset();
      if (state == nullptr) return;
      {
        const MutexLock lock(state->mutex);
        state->hooked.erase(watcher_);
      }
      state->Remove(watcher_);
    }

   private:
    std::weak_ptr<State> state_;
    const Writer* const watcher_;
  };

  static absl::Status Offer(const Watcher& watcher,
                            const std::shared_ptr<const Message>& message,
                            const Subject& subject, std::size_t& bytes,
                            Step& step, std::size_t& taken) {
    try {
      if (watcher.filter != nullptr && !watcher.filter(subject)) {
        return absl::OkStatus();
      }
    } catch (...) {
      return watcher.writer->Thrown("filter", step);
    }
    absl::Status status = watcher.writer->Enqueue(message, bytes, step);
    if (status.ok()) ++taken;
    return status;
  }

  const std::shared_ptr<State> state_;
  const BroadcasterOptions options_;
};

}  // namespace grpccommon
