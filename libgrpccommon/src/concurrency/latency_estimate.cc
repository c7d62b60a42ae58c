// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/latency_estimate.h"

#include <algorithm>

#include "grpccommon/base/check_range.h"

namespace grpccommon {

absl::Status CheckOptions(const LatencyEstimateOptions& options) {
  absl::Status valid = CheckRange("quantile", options.quantile, 0.01, 0.99);
  valid.Update(CheckRange("min_samples", options.min_samples, 1, 1e6));
  valid.Update(CheckRange("max_age", options.max_age,
                          std::chrono::milliseconds(1), std::chrono::hours(1)));
  return valid;
}

bool LatencyEstimate::Stale(Clock::TimePoint now) const {
  return now.time_since_epoch().count() -
             last_ns_.load(std::memory_order_relaxed) >
         options_.max_age.count();
}

[[gnu::hot]] void LatencyEstimate::Record(std::chrono::nanoseconds latency,
                                          Clock::TimePoint now) {
  const auto sample =
      static_cast<double>(std::max<std::int64_t>(latency.count(), 1));
  const int samples = Stale(now) ? 0 : samples_.load(std::memory_order_relaxed);
  double estimate = sample;
  if (samples > 0) {
    estimate = nanoseconds_.load(std::memory_order_relaxed);
    // Large steps at first, to get away from a first sample that was unusual.
    const double step = std::clamp(2.0 / samples, 0.02, 0.25);
    estimate *= sample < estimate ? 1 - step * (1 - options_.quantile)
                                  : 1 + step * options_.quantile;
  }
  nanoseconds_.store(estimate, std::memory_order_relaxed);
  samples_.store(std::min(samples + 1, 1'000'000), std::memory_order_relaxed);
  last_ns_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
}

[[gnu::hot]] std::optional<std::chrono::nanoseconds> LatencyEstimate::Get(
    Clock::TimePoint now) const {
  if (samples_.load(std::memory_order_relaxed) < options_.min_samples ||
      Stale(now)) {
    return std::nullopt;
  }
  return std::chrono::nanoseconds(
      static_cast<std::int64_t>(nanoseconds_.load(std::memory_order_relaxed)));
}

}  // namespace grpccommon
