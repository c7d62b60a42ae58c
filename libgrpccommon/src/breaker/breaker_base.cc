// SPDX-License-Identifier: Apache-2.0
#include "breaker/breaker_base.h"

namespace grpccommon::internal {

void BreakerBase::Enter(BreakerState to) {
  Prepare(to);
  Publish(GenerationOf(phase()) + 1, to);
}

void BreakerBase::Mark(BreakerState to) { Publish(GenerationOf(phase()), to); }

void BreakerBase::Publish(std::uint64_t generation, BreakerState to) {
  const BreakerState from = state();
  phase_.store(generation << 8 | static_cast<Phase>(to));
  if (from == to) return;
  since_ns_.store(clock_.Now().time_since_epoch().count(),
                  std::memory_order_relaxed);
  if (to == BreakerState::kOpen) {
    opened_.fetch_add(1, std::memory_order_relaxed);
  }
  if (on_change_) untold_.emplace_back(from, to);
}

void BreakerBase::Operate(BreakerState to) {
  {
    const MutexLock lock(mutex_);
    Enter(to);
  }
  Notify();
}

void BreakerBase::Notify() {
  mutex_.Lock();
  // Whoever is at it will tell of ours as well, in order; that may be this
  // thread, further up.
  if (!notifying_) {
    notifying_ = true;
    while (!untold_.empty()) {
      const auto [from, to] = untold_.front();
      untold_.erase(untold_.begin());
      mutex_.Unlock();
      try {
        on_change_(from, to);
      } catch (...) {
        // The observer's trouble is not the call's.
      }
      mutex_.Lock();
    }
    notifying_ = false;
  }
  mutex_.Unlock();
}

BreakerStats BreakerBase::CommonStats() const {
  BreakerStats stats;
  stats.state = state();
  stats.since = Clock::TimePoint(
      Clock::Duration(since_ns_.load(std::memory_order_relaxed)));
  for (const Counter& shard : refused_) {
    stats.refused_total += shard.count.load(std::memory_order_relaxed);
  }
  stats.opened_total = opened_.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace grpccommon::internal
