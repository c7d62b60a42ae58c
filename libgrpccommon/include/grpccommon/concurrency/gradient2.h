// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

struct Gradient2Options {
  /// Calls in flight, each in [1, 1e6], `min_limit` <= `initial_limit` <=
  /// `max_limit`.
  int initial_limit = 20;
  int min_limit = 20;
  int max_limit = 200;
  /// Calls that may queue without the limit shrinking, in [0, 1e4]: by what it
  /// grows while latency holds.
  int queue_size = 4;
  /// How many times the long-term latency may be exceeded before the limit
  /// shrinks, in [1, 10].
  double tolerance = 1.5;
  /// Share of the new limit in each step, in [0.01, 1].
  double smoothing = 0.2;
  /// Samples that the long-term latency averages over, in [10, 1e6].
  int long_window = 600;

  /// A step is taken once in so long, in [1 ms, 1 h] …
  std::chrono::nanoseconds window = std::chrono::seconds(1);
  /// … from the mean latency of the window's calls, if there were so many, in
  /// [1, 1e6].
  int min_samples = 10;
  /// Faster calls say nothing and do not count, in [0, 1 h]. A service whose
  /// calls are all faster never adapts: set it to 0 there.
  std::chrono::nanoseconds min_latency = std::chrono::microseconds(100);
};

/// A limit of calls in flight that follows latency: it grows slowly while calls
/// take as long as they did, and shrinks when they take longer, since then they
/// queue somewhere.
///
/// Not thread-safe; ConcurrencyLimiter feeds it, one window at a time.
/// Source: Netflix concurrency-limits, Gradient2Limit (the windows are its
/// WindowedLimit).
class GRPCCOMMON_EXPORT Gradient2 {
 public:
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<Gradient2> Create(const Gradient2Options& options);

  /// Takes in one sample, `latency` above zero, and returns the new limit.
  /// `in_flight` is the most calls there were during it: with less than half of
  /// the limit in use, nothing can be learnt about it.
  int Update(std::chrono::nanoseconds latency, int in_flight);

  int limit() const { return static_cast<int>(limit_); }

 private:
  explicit Gradient2(const Gradient2Options& options)
      : options_(options), limit_(options.initial_limit) {}

  double LongTermLatency(double latency);

  Gradient2Options options_;
  double limit_;
  // The mean of the first samples, an exponential average from then on.
  double long_latency_ = 0;
  double warm_up_sum_ = 0;
  int warm_up_count_ = 0;
};

}  // namespace grpccommon
