// SPDX-License-Identifier: Apache-2.0
#include "services/registry/service_watch.h"

#include <algorithm>
#include <deque>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "grpccommon/registry/registry_proto.h"
#include "grpccommon/status/details.h"

namespace platform::registry {
namespace {

using grpccommon::Instance;
using grpccommon::InstanceSet;
using grpccommon::MutexLock;
using grpccommon::registry::v1::Position;
using grpccommon::registry::v1::WatchResponse;
using Message = std::shared_ptr<const WatchResponse>;

const Instance* Find(const std::vector<Instance>& instances,
                     std::string_view address) {
  const auto place =
      std::lower_bound(instances.begin(), instances.end(), address,
                       [](const Instance& instance, std::string_view a) {
                         return instance.address < a;
                       });
  return place != instances.end() && place->address == address ? &*place
                                                               : nullptr;
}

// The addresses at which two sorted sets differ.
std::vector<std::string> Difference(const std::vector<Instance>& before,
                                    const std::vector<Instance>& after) {
  std::vector<std::string> addresses;
  auto old = before.begin();
  auto fresh = after.begin();
  while (old != before.end() || fresh != after.end()) {
    if (fresh == after.end() ||
        (old != before.end() && old->address < fresh->address)) {
      addresses.push_back((old++)->address);
    } else if (old == before.end() || fresh->address < old->address) {
      addresses.push_back((fresh++)->address);
    } else {
      if (!(*old == *fresh)) addresses.push_back(fresh->address);
      ++old;
      ++fresh;
    }
  }
  return addresses;
}

}  // namespace

// One service: its state, what changed of late, and who watches.
class ServiceWatches::Topic
    : public std::enable_shared_from_this<ServiceWatches::Topic> {
 public:
  static constexpr std::int64_t kNothing = -1;

  struct State {
    std::vector<Instance> instances;
    std::int64_t revision = 0;
    bool complete = false;
    // As a snapshot; made when it is first wanted.
    std::vector<Message> parts;
  };

  // Guarded by the topic's lock, but for the writer.
  struct Watcher {
    std::shared_ptr<WatchWriter> writer;
    // What it was sent last; in parts of which there are more, `sending`.
    std::int64_t revision = kNothing;
    bool complete = true;
    bool greeted = false;
    std::shared_ptr<const State> sending;
    std::size_t next_part = 0;
    // Some thread sends to it, or its room is waited for.
    bool busy = false;
  };

  Topic(ServiceWatches& owner, bool complete)
      : owner_(owner), allowed_(complete) {}

  void Follow(std::unique_ptr<grpccommon::InstanceWatch> watch) {
    watch_ = std::move(watch);
  }

  std::shared_ptr<Watcher> Add(std::shared_ptr<WatchWriter> writer,
                               const std::optional<Position>& resume_after) {
    auto watcher = std::make_shared<Watcher>();
    watcher->writer = std::move(writer);
    if (resume_after.has_value() && resume_after->epoch() == owner_.epoch_) {
      watcher->revision = resume_after->revision();
    }
    const MutexLock lock(mutex_);
    watchers_.push_back(watcher);
    return watcher;
  }

  void Remove(const WatchWriter* writer) {
    std::shared_ptr<Watcher> removed;  // goes without the lock
    const MutexLock lock(mutex_);
    const auto place = std::find_if(
        watchers_.begin(), watchers_.end(),
        [writer](const auto& w) { return w->writer.get() == writer; });
    if (place == watchers_.end()) return;
    removed = std::move(*place);
    watchers_.erase(place);
  }

  // What the registry tells, or null: from now on it knows everything.
  void Change(const InstanceSet* set) {
    std::vector<std::shared_ptr<Watcher>> watchers;
    std::shared_ptr<const State> replaced;  // goes without the lock
    {
      const MutexLock lock(mutex_);
      if (set != nullptr) {
        answers_ = set->status.ok();
      } else {
        allowed_ = true;
        if (state_ == nullptr) return;
      }
      auto fresh = std::make_shared<State>();
      fresh->complete = allowed_ && answers_;
      if (state_ == nullptr) {
        fresh->instances = set->instances;
        fresh->revision = ++owner_.revision_;
        oldest_ = fresh->revision;
      } else {
        const std::vector<Instance>& instances =
            set != nullptr ? set->instances : state_->instances;
        std::vector<std::string> addresses =
            Difference(state_->instances, instances);
        if (addresses.empty() && fresh->complete == state_->complete) return;
        fresh->instances = instances;
        fresh->revision =
            addresses.empty() ? state_->revision : ++owner_.revision_;
        Remember(fresh->revision, std::move(addresses));
      }
      replaced = std::exchange(state_, std::move(fresh));
      delta_ = nullptr;
      watchers = watchers_;
    }
    for (const auto& watcher : watchers) Pump(watcher);
  }

  // Sends until the watcher is up to date or has no room.
  void Pump(const std::shared_ptr<Watcher>& watcher) {
    {
      const MutexLock lock(mutex_);
      if (std::exchange(watcher->busy, true)) return;
    }
    WatchWriter& writer = *watcher->writer;
    while (writer.room() > 0) {
      Message message;
      {
        const MutexLock lock(mutex_);
        message = NextLocked(*watcher);
        if (message == nullptr) {
          watcher->busy = false;
          return;
        }
      }
      // Fails when the client has gone; then there is no room any more.
      (void)writer.Write(std::move(message));
    }
    if (writer.closed()) return;
    writer.WhenWritable([self = shared_from_this(), watcher] {
      if (watcher->writer->closed()) return;
      {
        const MutexLock lock(self->mutex_);
        watcher->busy = false;
      }
      self->Pump(watcher);
    });
  }

  std::optional<InstanceSet> LastKnown() const {
    const MutexLock lock(mutex_);
    if (state_ == nullptr) return std::nullopt;
    return InstanceSet{
        .instances = state_->instances,
        .status = state_->complete
                      ? absl::OkStatus()
                      : absl::UnavailableError("not all instances are known")};
  }

  std::vector<std::shared_ptr<WatchWriter>> Writers() const {
    const MutexLock lock(mutex_);
    std::vector<std::shared_ptr<WatchWriter>> writers;
    writers.reserve(watchers_.size());
    for (const auto& watcher : watchers_) writers.push_back(watcher->writer);
    return writers;
  }

 private:
  struct Changes {
    std::int64_t revision;
    std::vector<std::string> addresses;
  };

  void Remember(std::int64_t revision, std::vector<std::string> addresses)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (addresses.empty()) return;
    kept_ += addresses.size();
    changes_.push_back(
        {.revision = revision, .addresses = std::move(addresses)});
    while (kept_ > owner_.options_.kept_changes) {
      kept_ -= changes_.front().addresses.size();
      oldest_ = changes_.front().revision;
      changes_.pop_front();
    }
  }

  // Null: it is up to date.
  Message NextLocked(Watcher& watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (state_ == nullptr) return nullptr;
    if (watcher.sending == nullptr) {
      if (watcher.greeted && watcher.revision == state_->revision &&
          watcher.complete == state_->complete) {
        return nullptr;
      }
      Message delta = DeltaLocked(watcher);
      if (delta != nullptr) {
        watcher.greeted = true;
        watcher.revision = state_->revision;
        watcher.complete = state_->complete;
        owner_.changes_.fetch_add(1, std::memory_order_relaxed);
        return delta;
      }
      MakePartsLocked(*state_);
      watcher.sending = state_;
      watcher.next_part = 0;
      owner_.snapshots_.fetch_add(1, std::memory_order_relaxed);
    }
    Message part = watcher.sending->parts[watcher.next_part++];
    if (watcher.next_part == watcher.sending->parts.size()) {
      watcher.greeted = true;
      watcher.revision = watcher.sending->revision;
      watcher.complete = watcher.sending->complete;
      watcher.sending = nullptr;
    }
    return part;
  }

  void Finish(WatchResponse& message, const State& state) const {
    message.set_complete(state.complete);
    if (!state.complete) return;
    message.mutable_position()->set_epoch(owner_.epoch_);
    message.mutable_position()->set_revision(state.revision);
  }

  // Null: it needs a snapshot.
  Message DeltaLocked(const Watcher& watcher)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::int64_t from = watcher.revision;
    if (from < oldest_ || from > state_->revision) return nullptr;
    if (state_->complete && !watcher.complete) return nullptr;
    if (delta_ != nullptr && delta_from_ == from) return delta_;

    std::set<std::string_view> addresses;
    const auto first = std::partition_point(
        changes_.begin(), changes_.end(),
        [from](const Changes& c) { return c.revision <= from; });
    for (auto change = first; change != changes_.end(); ++change) {
      addresses.insert(change->addresses.begin(), change->addresses.end());
      if (addresses.size() > owner_.options_.max_delta) return nullptr;
    }
    auto message = std::make_shared<WatchResponse>();
    for (const std::string_view address : addresses) {
      const Instance* const instance = Find(state_->instances, address);
      if (instance != nullptr) {
        *message->add_changed() = grpccommon::ToProto(*instance);
      } else {
        message->add_removed(std::string(address));
      }
    }
    if (message->ByteSizeLong() > owner_.options_.max_message_bytes) {
      return nullptr;
    }
    Finish(*message, *state_);
    delta_from_ = from;
    delta_ = std::move(message);
    return delta_;
  }

  void MakePartsLocked(State& state) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!state.parts.empty()) return;
    auto part = std::make_shared<WatchResponse>();
    std::size_t bytes = 0;
    for (const Instance& instance : state.instances) {
      auto proto = grpccommon::ToProto(instance);
      const std::size_t size = proto.ByteSizeLong() + 4;
      if (bytes > 0 && bytes + size > owner_.options_.max_message_bytes) {
        part->set_snapshot(true);
        part->set_more(true);
        state.parts.push_back(std::move(part));
        part = std::make_shared<WatchResponse>();
        bytes = 0;
      }
      bytes += size;
      *part->add_changed() = std::move(proto);
    }
    part->set_snapshot(true);
    Finish(*part, state);
    state.parts.push_back(std::move(part));
  }

  ServiceWatches& owner_;
  // Ends before the rest goes, since it calls back.
  mutable grpccommon::Mutex mutex_;
  bool allowed_ ABSL_GUARDED_BY(mutex_);
  bool answers_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<State> state_ ABSL_GUARDED_BY(mutex_);
  // Each revision after `oldest_`.
  std::deque<Changes> changes_ ABSL_GUARDED_BY(mutex_);
  std::size_t kept_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t oldest_ ABSL_GUARDED_BY(mutex_) = 0;
  // From a revision to the state; most watchers want the same one.
  std::int64_t delta_from_ ABSL_GUARDED_BY(mutex_) = 0;
  Message delta_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpccommon::InstanceWatch> watch_;
};

ServiceWatches::ServiceWatches(grpccommon::Registry& registry,
                               std::string epoch, ServiceWatchesOptions options)
    : registry_(registry),
      epoch_(std::move(epoch)),
      options_(options),
      complete_(options.complete) {}

ServiceWatches::~ServiceWatches() {
  std::map<std::string, std::shared_ptr<Topic>> topics;
  {
    const MutexLock lock(mutex_);
    topics.swap(topics_);
  }
  for (const auto& [service, topic] : topics) topic->Follow(nullptr);
}

absl::Status ServiceWatches::Add(const std::string& service,
                                 const std::optional<Position>& resume_after,
                                 const std::shared_ptr<WatchWriter>& writer) {
  std::shared_ptr<Topic> topic;
  std::shared_ptr<Topic::Watcher> watcher;
  {
    const MutexLock lock(mutex_);
    if (!closed_.ok()) return closed_;
    if (watchers_ >= options_.max_watchers) {
      return grpccommon::Exhausted("TOO_MANY_WATCHERS", "watchers",
                                   "too many streams are watched",
                                   std::chrono::seconds(5));
    }
    std::shared_ptr<Topic>& place = topics_[service];
    if (place == nullptr) {
      place = std::make_shared<Topic>(*this, complete_);
      // Its callback comes on another thread, and takes the topic's lock only.
      auto watch = registry_.Watch(
          service, [topic = place.get()](const InstanceSet& set) {
            topic->Change(&set);
          });
      if (!watch.ok()) {
        topics_.erase(service);
        return watch.status();
      }
      place->Follow(*std::move(watch));
    }
    ++watchers_;
    topic = place;
    watcher = topic->Add(writer, resume_after);
  }
  topic->Pump(watcher);
  // Without the lock, since it runs at once if the call is done.
  writer->WhenDone(
      [this, service, gone = writer.get()] { Remove(service, gone); });
  return absl::OkStatus();
}

void ServiceWatches::Remove(const std::string& service,
                            const WatchWriter* writer) {
  std::shared_ptr<Topic> unwatched;
  {
    const MutexLock lock(mutex_);
    --watchers_;
    const auto place = topics_.find(service);
    if (place == topics_.end()) return;
    place->second->Remove(writer);
    if (place->second->Writers().empty()) {
      unwatched = std::move(place->second);
      topics_.erase(place);
    }
  }
  // Waits for a running callback, so not under the lock.
  if (unwatched != nullptr) unwatched->Follow(nullptr);
}

void ServiceWatches::SetComplete() {
  std::vector<std::shared_ptr<Topic>> topics;
  {
    const MutexLock lock(mutex_);
    complete_ = true;
    for (const auto& [service, topic] : topics_) topics.push_back(topic);
  }
  for (const auto& topic : topics) topic->Change(nullptr);
}

std::optional<InstanceSet> ServiceWatches::LastKnown(
    const std::string& service) const {
  const MutexLock lock(mutex_);
  const auto place = topics_.find(service);
  if (place == topics_.end()) return std::nullopt;
  return place->second->LastKnown();
}

void ServiceWatches::Close(const absl::Status& status) {
  std::vector<std::shared_ptr<WatchWriter>> writers;
  {
    const MutexLock lock(mutex_);
    closed_ = status;
    for (const auto& [service, topic] : topics_) {
      for (auto& writer : topic->Writers()) writers.push_back(writer);
    }
  }
  for (const auto& writer : writers) writer->Finish(status);
}

ServiceWatches::Counts ServiceWatches::counts() const {
  const MutexLock lock(mutex_);
  return {.watchers = watchers_,
          .snapshots = snapshots_.load(std::memory_order_relaxed),
          .changes = changes_.load(std::memory_order_relaxed)};
}

}  // namespace platform::registry
