// SPDX-License-Identifier: Apache-2.0
#include "server/deadline_watch.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "grpc/grpc.h"

namespace grpccommon::internal {

struct alignas(kCacheLineBytes) DeadlineWatch::Shard {
  Mutex mutex;
  Entry* first ABSL_GUARDED_BY(mutex) = nullptr;
};

DeadlineWatch::DeadlineWatch(const Clock& clock, Scheduler& scheduler)
    : clock_(clock),
      shards_(std::make_unique<std::array<Shard, 16>>()),
      sweep_(scheduler, [this] { return Sweep(); }) {}

DeadlineWatch::~DeadlineWatch() = default;

[[gnu::hot]] DeadlineWatch::Entry::~Entry() {
  if (shard_ == nullptr) return;
  const MutexLock lock(shard_->mutex);
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    shard_->first = next_;
  }
  if (next_ != nullptr) next_->previous_ = previous_;
}

void DeadlineWatch::Watch(Entry& entry, grpc_call* call,
                          Clock::TimePoint deadline, Clock::Duration timeout) {
  Shard& shard = (*shards_)[ThreadSlot() % shards_->size()];
  entry.shard_ = &shard;
  entry.call_ = call;
  entry.deadline_ = deadline;
  {
    const MutexLock lock(shard.mutex);
    entry.next_ = shard.first;
    if (shard.first != nullptr) shard.first->previous_ = &entry;
    shard.first = &entry;
  }
  const std::int64_t interval = std::max<std::int64_t>(
      timeout.count() / 10,
      Clock::Duration(std::chrono::milliseconds(10)).count());
  std::int64_t shortest = interval_ns_.load(std::memory_order_relaxed);
  while ((shortest == 0 || interval < shortest) &&
         !interval_ns_.compare_exchange_weak(shortest, interval)) {
  }
  sweep_.Ask(Clock::Duration(interval_ns_.load()));
}

OnDemandSweep::Next DeadlineWatch::Sweep() {
  const Clock::TimePoint now = clock_.Now();
  bool any = false;
  std::vector<grpc_call*> late;
  for (Shard& shard : *shards_) {
    const MutexLock lock(shard.mutex);
    for (Entry* entry = shard.first; entry != nullptr; entry = entry->next_) {
      if (entry->call_ == nullptr) continue;
      if (entry->deadline_ > now) {
        any = true;
        continue;
      }
      grpc_call_ref(entry->call_);
      late.push_back(std::exchange(entry->call_, nullptr));
    }
  }
  // Not under the lock: what a cancellation sets off may end the call, and so
  // come back for it.
  for (grpc_call* const call : late) {
    grpc_call_cancel_with_status(call, GRPC_STATUS_DEADLINE_EXCEEDED,
                                 "the method's timeout has passed", nullptr);
    grpc_call_unref(call);
  }
  if (!any) return {};
  return Clock::Duration(interval_ns_.load());
}

}  // namespace grpccommon::internal
