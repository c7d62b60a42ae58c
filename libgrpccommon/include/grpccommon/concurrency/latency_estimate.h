// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

struct LatencyEstimateOptions {
  /// Which quantile of the latencies is estimated, in [0.01, 0.99].
  double quantile = 0.1;
  /// No estimate before so many samples, in [1, 1e6] …
  int min_samples = 100;
  /// … nor when the last one is older than this, in [1 ms, 1 h]: then it starts
  /// anew.
  std::chrono::nanoseconds max_age = std::chrono::seconds(10);
};

/// Errors: kInvalidArgument, naming the option that is out of range.
GRPCCOMMON_EXPORT absl::Status CheckOptions(
    const LatencyEstimateOptions& options);

/// Follows a quantile of latencies in constant memory: each sample pulls the
/// estimate by a small factor, the more upwards the higher the quantile.
///
/// Thread-safe, lock-free; samples that arrive at the same moment may be lost.
/// Source: Robbins and Monro, "A stochastic approximation method", 1951, on a
/// logarithmic scale.
class GRPCCOMMON_EXPORT LatencyEstimate {
 public:
  /// Requires options that pass `CheckOptions`.
  explicit LatencyEstimate(const LatencyEstimateOptions& options)
      : options_(options) {}

  void Record(std::chrono::nanoseconds latency, Clock::TimePoint now);

  std::optional<std::chrono::nanoseconds> Get(Clock::TimePoint now) const;

 private:
  bool Stale(Clock::TimePoint now) const;

  const LatencyEstimateOptions options_;
  std::atomic<double> nanoseconds_{0};
  std::atomic<int> samples_{0};
  std::atomic<std::int64_t> last_ns_{0};
};

}  // namespace grpccommon
