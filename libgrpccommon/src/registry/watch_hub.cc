// SPDX-License-Identifier: Apache-2.0
#include "registry/watch_hub.h"

#include <algorithm>
#include <cassert>
#include <deque>
#include <exception>
#include <map>
#include <thread>
#include <utility>

#include "grpccommon/base/mutex.h"

namespace grpccommon::internal {
namespace {

struct Published {
  InstanceSet set;
  std::uint64_t revision = 0;
};

bool SameSet(const InstanceSet& a, const InstanceSet& b) {
  return a.status == b.status && a.instances == b.instances;
}

struct Topic;

// Guarded by the hub's lock but for `on_change`, which the delivering thread
// calls without it.
struct Entry {
  explicit Entry(WatchHub::OnChange callback)
      : on_change(std::move(callback)) {}

  WatchHub::OnChange on_change;
  Topic* topic = nullptr;  // none once the watch has ended
  bool queued = false;
  std::shared_ptr<const Published> delivered;
};

struct Topic {
  std::shared_ptr<const Published> last;  // none while nothing is known
  std::vector<std::shared_ptr<Entry>> entries;
};

}  // namespace

struct WatchHub::State {
  State(Scheduler& s, Logger l, OnDemand d)
      : scheduler(s), logger(std::move(l)), on_demand(std::move(d)) {}

  void Enqueue(const std::shared_ptr<State>& self,
               const std::shared_ptr<Entry>& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!entry->queued) {
      entry->queued = true;
      queue.push_back(entry);
    }
    if (!delivering) Plan(self);
  }

  void Plan(const std::shared_ptr<State>& self)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (ended) return;
    delivering = true;
    task = scheduler.RunAfter(Clock::Duration::zero(),
                              [self] { self->Deliver(self); });
  }

  void Replace(const std::shared_ptr<State>& self, Topic& topic,
               std::shared_ptr<const Published>& fresh)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    topic.last.swap(fresh);
    for (const auto& entry : topic.entries) Enqueue(self, entry);
  }

  // One round: what is published meanwhile waits until the scheduler's other
  // tasks have had their turn.
  void Deliver(const std::shared_ptr<State>& self) {
    mutex.Lock();
    std::deque<std::shared_ptr<Entry>> round;
    round.swap(queue);
    for (const std::shared_ptr<Entry>& entry : round) {
      if (ended) break;
      entry->queued = false;
      if (entry->topic == nullptr) continue;
      // Held until the call returns, whatever is published meanwhile.
      const std::shared_ptr<const Published> fresh = entry->topic->last;
      if (fresh == nullptr || fresh == entry->delivered) continue;
      std::shared_ptr<const Published> before =
          std::exchange(entry->delivered, fresh);
      running = entry.get();
      running_on = std::this_thread::get_id();
      mutex.Unlock();
      // Two changes that arrive as one may cancel each other out.
      if (before == nullptr || !SameSet(before->set, fresh->set)) {
        Call(*entry, *fresh);
      }
      before.reset();  // perhaps ten thousand instances: not under the lock
      mutex.Lock();
      running = nullptr;
      done.NotifyAll();
    }
    delivering = false;
    if (!queue.empty()) Plan(self);
    mutex.Unlock();
  }

  void Call(const Entry& entry, const Published& fresh) const {
    try {
      entry.on_change(fresh.set, fresh.revision);
    } catch (const std::exception& error) {
      logger.Error("a registry's watcher threw", {{"error", error.what()}});
    } catch (...) {
      logger.Error("a registry's watcher threw");
    }
  }

  Scheduler& scheduler;
  const Logger logger;
  const OnDemand on_demand;

  Mutex mutex;
  CondVar done;
  std::map<std::string, Topic> topics ABSL_GUARDED_BY(mutex);
  std::deque<std::shared_ptr<Entry>> queue ABSL_GUARDED_BY(mutex);
  // From the planning of a delivery until its end, so that there is one only.
  bool delivering ABSL_GUARDED_BY(mutex) = false;
  bool ended ABSL_GUARDED_BY(mutex) = false;
  Scheduler::TaskId task ABSL_GUARDED_BY(mutex) = 0;
  const Entry* running ABSL_GUARDED_BY(mutex) = nullptr;
  std::thread::id running_on ABSL_GUARDED_BY(mutex);
};

class WatchHub::Handle : public InstanceWatch {
 public:
  Handle(std::shared_ptr<State> state, std::string service,
         std::shared_ptr<Entry> entry)
      : state_(std::move(state)),
        service_(std::move(service)),
        entry_(std::move(entry)) {}

  ~Handle() override {
    bool last = false;
    OnChange gone;
    {
      const MutexLock lock(state_->mutex);
      std::vector<std::shared_ptr<Entry>>& entries = entry_->topic->entries;
      entries.erase(std::find(entries.begin(), entries.end(), entry_));
      entry_->topic = nullptr;
      last = entries.empty();
      if (last) state_->topics.erase(service_);
      // A callback that ends its own watch, though it must not, would wait for
      // itself here.
      const bool own = state_->running == entry_.get() &&
                       state_->running_on == std::this_thread::get_id();
      while (!own && state_->running == entry_.get()) {
        state_->done.Wait(state_->mutex);
      }
      // What the callback holds goes with the watch and not some time later.
      if (!own) gone = std::exchange(entry_->on_change, nullptr);
    }
    if (last) state_->on_demand(service_);
  }

 private:
  const std::shared_ptr<State> state_;
  const std::string service_;
  const std::shared_ptr<Entry> entry_;
};

WatchHub::WatchHub(Scheduler& scheduler, Logger logger, OnDemand on_demand)
    : state_(std::make_shared<State>(scheduler, std::move(logger),
                                     std::move(on_demand))) {}

WatchHub::~WatchHub() {
  Scheduler::TaskId task = 0;
  {
    const MutexLock lock(state_->mutex);
    assert(state_->topics.empty());
    state_->ended = true;
    task = state_->task;
  }
  // Not under the lock, for which a running delivery may wait.
  if (task != 0) state_->scheduler.Cancel(task);
}

std::unique_ptr<InstanceWatch> WatchHub::Watch(std::string service,
                                               OnChange on_change) {
  auto entry = std::make_shared<Entry>(std::move(on_change));
  auto handle = std::make_unique<Handle>(state_, service, entry);
  bool first = false;
  {
    const MutexLock lock(state_->mutex);
    // A map, for its elements stay where they are.
    const auto place = state_->topics.try_emplace(service).first;
    Topic& topic = place->second;
    first = topic.entries.empty();
    entry->topic = &topic;
    topic.entries.push_back(entry);
    if (topic.last != nullptr) state_->Enqueue(state_, entry);
  }
  if (first) state_->on_demand(service);
  return handle;
}

std::unique_ptr<InstanceWatch> WatchHub::Watch(std::string service,
                                               Registry::OnChange on_change) {
  return Watch(std::move(service),
               OnChange([call = std::move(on_change)](
                            const InstanceSet& set,
                            std::uint64_t /*revision*/) { call(set); }));
}

bool WatchHub::IsWatched(const std::string& service) const {
  const MutexLock lock(state_->mutex);
  return state_->topics.contains(service);
}

std::vector<std::string> WatchHub::Watched() const {
  const MutexLock lock(state_->mutex);
  std::vector<std::string> services;
  services.reserve(state_->topics.size());
  for (const auto& [service, topic] : state_->topics) {
    services.push_back(service);
  }
  return services;
}

void WatchHub::Publish(const std::string& service,
                       std::vector<Instance> instances, std::uint64_t revision,
                       absl::Status status) {
  auto fresh = std::make_shared<Published>();
  fresh->set.instances = std::move(instances);
  fresh->set.status = std::move(status);
  fresh->revision = revision;
  // Freed after the lock, as is what it replaces.
  std::shared_ptr<const Published> replaced = std::move(fresh);
  const MutexLock lock(state_->mutex);
  const auto topic = state_->topics.find(service);
  if (topic == state_->topics.end()) return;
  const std::shared_ptr<const Published>& last = topic->second.last;
  if (last != nullptr && SameSet(last->set, replaced->set)) return;
  state_->Replace(state_, topic->second, replaced);
}

void WatchHub::MarkAway(const std::string& service,
                        const absl::Status& status) {
  assert(!status.ok());
  std::shared_ptr<const Published> replaced;
  const MutexLock lock(state_->mutex);
  const auto topic = state_->topics.find(service);
  if (topic == state_->topics.end()) return;
  const std::shared_ptr<const Published>& last = topic->second.last;
  if (last != nullptr && last->set.status == status) return;
  auto fresh = last == nullptr ? std::make_shared<Published>()
                               : std::make_shared<Published>(*last);
  fresh->set.status = status;
  replaced = std::move(fresh);
  state_->Replace(state_, topic->second, replaced);
}

void WatchHub::MarkAllAway(const absl::Status& status) {
  for (const std::string& service : Watched()) MarkAway(service, status);
}

}  // namespace grpccommon::internal
