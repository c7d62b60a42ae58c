// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"

namespace grpccommon {

struct LatencyPercentileOptions {
  /// Which part of the latencies is shorter, in [0.01, 0.999]. For hedging, 1
  /// less the share of calls that may be hedged.
  double quantile = 0.95;
  /// How often the value changes, in [1 ms, 1 min]. Latencies count for ten
  /// times as long.
  std::chrono::nanoseconds refresh = std::chrono::seconds(3);
  /// No value from fewer than so many latencies, in [1, 1e6]. Of twenty, the
  /// percentile 95 is the second longest.
  int min_samples = 20;
};

/// A percentile of the latencies of the last half minute, exact to 3.2 %
/// (rounded up), between 16 µs and two minutes.
///
/// Thread-safe. `Record` adds one to a counter that few threads share; once in
/// a `refresh` one caller adds all up, which takes it a few microseconds, and
/// nobody waits for it. About 36 KiB. Source: Finagle's
/// WindowedPercentileHistogram and BackupRequestFilter.
class GRPCCOMMON_EXPORT LatencyPercentile {
 public:
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<LatencyPercentile>> Create(
      const LatencyPercentileOptions& options = {});

  /// Counts a call that ended now. For hedging that is one that succeeded,
  /// timed out, or was still running when another attempt won; not one that
  /// failed at once, which would make a failing server look fast.
  void Record(std::chrono::nanoseconds latency, Clock::TimePoint now);

  /// None during the first `refresh`, and while there are too few latencies.
  std::optional<std::chrono::nanoseconds> Get(Clock::TimePoint now);

 private:
  // Units of 16 µs, one by one up to 32, then 32 to each doubling.
  static constexpr int kUnitBits = 14;
  static constexpr int kStepBits = 5;
  static constexpr int kMostBits = 37;
  static constexpr std::size_t kBuckets =
      static_cast<std::size_t>(kMostBits - kUnitBits - kStepBits + 1)
      << kStepBits;
  static constexpr std::size_t kSlices = 10;

  template <typename Count>
  using Histogram = std::array<Count, kBuckets>;
  struct alignas(kCacheLineBytes) Shard {
    Histogram<std::atomic<std::uint32_t>> counts{};
  };

  explicit LatencyPercentile(const LatencyPercentileOptions& options);

  static std::size_t BucketOf(std::chrono::nanoseconds latency);
  static std::chrono::nanoseconds UpperEnd(std::size_t bucket);
  void RefreshIfDue(Clock::TimePoint now);
  void Refresh(std::int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const LatencyPercentileOptions options_;

  // Read by every call, written once in a refresh; 0 for none.
  std::atomic<std::int64_t> value_ns_{0};
  std::atomic<std::int64_t> refresh_at_ns_{0};

  std::array<Shard, 4> shards_;

  Mutex mutex_;
  std::array<Histogram<std::uint32_t>, kSlices> slices_
      ABSL_GUARDED_BY(mutex_){};
  std::size_t next_slice_ ABSL_GUARDED_BY(mutex_) = 0;
  Histogram<std::uint32_t> total_ ABSL_GUARDED_BY(mutex_){};  // of all slices
};

}  // namespace grpccommon
