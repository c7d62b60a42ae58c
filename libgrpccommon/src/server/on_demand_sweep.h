// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "grpccommon/base/scheduler.h"

namespace grpccommon::internal {

/// A sweep over what is being watched, for as long as there is something: wakes
/// nobody while nothing is.
///
/// Thread-safe; the sweep runs on the scheduler's thread.
class OnDemandSweep {
 public:
  /// After how long what the sweep has met is to be met again, if anything.
  using Next = std::optional<Clock::Duration>;

  /// `scheduler` is borrowed, and must drop its tasks before this is destroyed.
  OnDemandSweep(Scheduler& scheduler, std::function<Next()> sweep)
      : scheduler_(scheduler), sweep_(std::move(sweep)) {}

  /// Something has come, which is to be met within `interval`, more than none.
  [[gnu::hot]] void Ask(Clock::Duration interval) {
    // In one order with how it came and how a sweep looks, if both are atomics:
    // either that sweep meets it, or here is seen that the sweep has begun.
    std::int64_t planned = planned_ns_.load();
    while (planned == 0 || planned > interval.count()) {
      if (planned_ns_.compare_exchange_weak(planned, interval.count())) {
        Plan(interval);
        return;
      }
    }
  }

 private:
  void Plan(Clock::Duration interval) {
    scheduler_.RunAfter(interval, [this, interval] {
      // Before the look: what comes from now on asks again if this one does not
      // meet it.
      // Another one has been planned for sooner if this is not the plan.
      std::int64_t mine = interval.count();
      if (!planned_ns_.compare_exchange_strong(mine, 0)) return;
      if (const Next next = sweep_()) Ask(*next);
    });
  }

  Scheduler& scheduler_;
  const std::function<Next()> sweep_;
  // From the plan to the sweep; none is zero.
  std::atomic<std::int64_t> planned_ns_{0};
};

}  // namespace grpccommon::internal
