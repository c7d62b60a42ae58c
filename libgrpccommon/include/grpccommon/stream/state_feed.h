// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/status/details.h"
#include "grpccommon/stream/writer.h"

namespace grpccommon {

struct StateFeedOptions {
  /// Streams that may watch at a time, at least 1.
  std::size_t max_watchers = 10'000;
};

/// One state, many watchers, each at its own pace: a stream whose last message
/// has left gets what has changed since, and nothing is queued meanwhile. So a
/// slow watcher gets several changes in one message and always the latest
/// state, and holds up nobody; memory does not grow with the changes.
///
///   StateFeed<BoardUpdate> feed([&](std::int64_t from) { return Since(from);
///   }); feed.Subscribe(writer, StateFeed<BoardUpdate>::kNothing); …
///   feed.Advance(board.version());
///
/// The state has a version, a number that grows with each change. A message
/// that brings watchers from one version on is made once for all that have that
/// version, when the first of them can take it, and shared by them.
///
/// For events of which each has to arrive there is Broadcaster.
/// Thread-safe.
template <typename Message>
class StateFeed {
 public:
  using Writer = StreamWriter<Message>;

  /// The version of a watcher that has nothing yet.
  static constexpr std::int64_t kNothing = -1;

  struct Update {
    /// Null if the watcher needs no message to have `version`.
    std::shared_ptr<const Message> message;
    /// What the watcher has after it: more than before. If that is less than
    /// the feed's version, as where a state is sent in parts, the next one
    /// follows.
    std::int64_t version = 0;
  };
  /// What brings a watcher on that has version `from`. Runs under a lock on
  /// the threads of `Advance`, `Subscribe` and gRPC: quick, and not calling the
  /// feed. What it throws ends the watcher's stream with INTERNAL, and so does
  /// a version that is not above `from`.
  using Make = std::function<Update(std::int64_t from)>;

  /// With nothing to tell until the first `Advance`.
  explicit StateFeed(Make make, StateFeedOptions options = {})
      : state_(std::make_shared<State>(std::move(make))), options_(options) {}
  /// Ends what is still watched with UNAVAILABLE. `make` runs no more.
  ~StateFeed() { Close(absl::UnavailableError("the publisher has ended")); }

  StateFeed(const StateFeed&) = delete;
  StateFeed& operator=(const StateFeed&) = delete;

  /// Adds a stream that has version `from`, and to which nothing has been
  /// written; nobody else writes to it from here on.
  /// Errors: kResourceExhausted at `max_watchers`, the status of `Close` after
  /// that. The stream is left as it is; end it with the error.
  absl::Status Subscribe(const std::shared_ptr<Writer>& writer,
                         std::int64_t from = kNothing) {
    {
      const MutexLock lock(state_->mutex);
      if (!state_->closed.ok()) return state_->closed;
      if (state_->watchers.size() >= options_.max_watchers) {
        return Exhausted("TOO_MANY_WATCHERS", "watchers",
                         "too many streams are watched",
                         std::chrono::seconds(5));
      }
      state_->watchers.try_emplace(writer.get(),
                                   Watcher{.writer = writer, .has = from});
    }
    // Without the lock, since both may run at once. The state may go before the
    // stream does.
    const std::weak_ptr<State> weak = state_;
    writer->WhenIdle([weak, watcher = writer.get()] {
      if (const auto alive = weak.lock()) alive->Sent(watcher);
    });
    writer->WhenDone([weak, watcher = writer.get()] {
      if (const auto alive = weak.lock()) alive->Remove(watcher);
    });
    state_->Sent(writer.get());
    return absl::OkStatus();
  }

  /// The state has reached `version`: every watcher that is not busy gets what
  /// it lacks, the others as soon as they can take it. A version that is not
  /// above the one before changes nothing.
  void Advance(std::int64_t version) {
    std::vector<std::pair<std::shared_ptr<Writer>, Step>> steps;
    {
      const MutexLock lock(state_->mutex);
      if (version <= state_->version) return;
      state_->version = version;
      state_->made.clear();
      for (auto& [key, watcher] : state_->watchers) {
        if (!watcher.idle) continue;
        Step step = state_->NextLocked(watcher);
        if (step.kind != Step::Kind::kNone) {
          steps.emplace_back(watcher.writer, std::move(step));
        }
      }
    }
    for (auto& [writer, step] : steps) writer->Perform(std::move(step));
  }

  /// Finishes every stream, after what gRPC has of it, and refuses new ones
  /// with the same status, which must not be OK.
  void Close(absl::Status status) {
    std::unordered_map<const Writer*, Watcher> watchers;
    {
      const MutexLock lock(state_->mutex);
      if (state_->closed.ok()) state_->closed = status;
      watchers.swap(state_->watchers);
    }
    for (const auto& [key, watcher] : watchers) watcher.writer->Finish(status);
  }

  std::size_t watchers() const {
    const MutexLock lock(state_->mutex);
    return state_->watchers.size();
  }

 private:
  using Step = typename internal::StreamSender<Message>::Step;

  struct Watcher {
    std::shared_ptr<Writer> writer;
    // What it has once its last message has arrived.
    std::int64_t has = kNothing;
    // Whether that has left.
    bool idle = false;
  };

  struct State {
    explicit State(Make m) : make(std::move(m)) {}

    const Make make;
    Mutex mutex;
    std::int64_t version ABSL_GUARDED_BY(mutex) = kNothing;
    std::unordered_map<const Writer*, Watcher> watchers ABSL_GUARDED_BY(mutex);
    // By the version that they start from, for the version that there is.
    std::unordered_map<std::int64_t, Update> made ABSL_GUARDED_BY(mutex);
    absl::Status closed ABSL_GUARDED_BY(mutex);

    void Sent(const Writer* key) {
      std::shared_ptr<Writer> writer;
      Step step;
      {
        const MutexLock lock(mutex);
        const auto watcher = watchers.find(key);
        if (watcher == watchers.end()) return;
        writer = watcher->second.writer;
        watcher->second.idle = true;
        step = NextLocked(watcher->second);
      }
      writer->Perform(std::move(step));
    }

    Step NextLocked(Watcher& watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      Step step;
      while (watcher.has < version) {
        auto update = made.find(watcher.has);
        if (update == made.end()) {
          try {
            Update next = make(watcher.has);
            // It would be made again and again, for ever, under the lock.
            if (next.version <= watcher.has) {
              throw std::logic_error("the update's version is not a later one");
            }
            update = made.emplace(watcher.has, std::move(next)).first;
          } catch (...) {
            watcher.has = version;
            (void)watcher.writer->Thrown("make", step);
            return step;
          }
        }
        watcher.has = update->second.version;
        if (update->second.message == nullptr) continue;
        watcher.idle = false;
        // Fails when the client has gone; the stream's end removes it then.
        std::size_t bytes = 0;
        (void)watcher.writer->Enqueue(update->second.message, bytes, step);
        return step;
      }
      return step;
    }

    void Remove(const Writer* key) {
      Watcher removed;  // dies without the lock
      const MutexLock lock(mutex);
      const auto watcher = watchers.find(key);
      if (watcher == watchers.end()) return;
      removed = std::move(watcher->second);
      watchers.erase(watcher);
    }
  };

  const std::shared_ptr<State> state_;
  const StateFeedOptions options_;
};

}  // namespace grpccommon
