// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/ratelimit/gcra.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "grpccommon/base/check_range.h"

namespace grpccommon {

absl::StatusOr<GcraRate> GcraRate::Create(const GcraOptions& options) {
  absl::Status valid = CheckRange("rate", options.rate, 0.001, 1e6);
  valid.Update(CheckRange("burst", static_cast<double>(options.burst), 1, 1e6));
  if (!valid.ok()) return valid;
  // At most 1e12 ns times 1e6: with any time of a clock added, nothing below
  // overflows.
  const auto interval =
      static_cast<std::int64_t>(std::llround(1e9 / options.rate));
  return GcraRate(interval, options.burst);
}

[[gnu::hot]] GcraDecision GcraRate::Decide(std::int64_t& tat, std::int64_t now,
                                           std::int64_t quantity) const {
  assert(quantity >= 0 && now >= 0);
  GcraDecision decision;
  decision.limit = limit_;
  const std::int64_t start = std::max(now, tat);
  // How far the burst is used up; at most `burst_`, unless the state was made
  // by a larger rate.
  std::int64_t used = start - now;
  if (quantity <= limit_) {
    const std::int64_t wait = used + interval_ * quantity - burst_;
    if (quantity == 0) {
      decision.allowed = true;
    } else if (wait <= 0) {
      decision.allowed = true;
      used += interval_ * quantity;
      tat = now + used;
    } else {
      decision.retry_after = std::chrono::nanoseconds(wait);
    }
  }
  decision.remaining = std::max<std::int64_t>(0, burst_ - used) / interval_;
  decision.reset_after = std::chrono::nanoseconds(used);
  return decision;
}

GcraDecision Gcra::TryTake(std::int64_t quantity) {
  // A thread that is overtaken between the clock and the exchange decides by a
  // slightly older time, and so only more strictly.
  const std::int64_t now = clock_.Now().time_since_epoch().count();
  std::int64_t seen = tat_.load(std::memory_order_relaxed);
  while (true) {
    std::int64_t tat = seen;
    const GcraDecision decision = rate_.Decide(tat, now, quantity);
    if (tat == seen ||
        tat_.compare_exchange_weak(seen, tat, std::memory_order_relaxed)) {
      return decision;
    }
  }
}

}  // namespace grpccommon
