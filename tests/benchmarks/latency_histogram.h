// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace grpccommon::bench {

/// Counts durations in buckets that are 1.6 % wide at every magnitude, from
/// nanoseconds to hours.
///
/// Not thread-safe; one for each caller, added up at the end.
/// Source: the log-linear buckets of HdrHistogram (G. Tene).
class LatencyHistogram {
 public:
  void Record(std::chrono::nanoseconds latency) {
    ++counts_[IndexOf(static_cast<std::uint64_t>(
        std::max<std::int64_t>(latency.count(), 0)))];
    ++total_;
  }

  void Add(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
  }

  std::uint64_t total() const { return total_; }

  /// The upper end of the bucket in which `share` of all, in [0, 1], is
  /// reached; zero if nothing was recorded.
  std::chrono::nanoseconds Quantile(double share) const {
    const auto wanted = static_cast<std::uint64_t>(
        std::ceil(share * static_cast<double>(total_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen >= wanted && seen > 0) {
        return std::chrono::nanoseconds(UpperEnd(i));
      }
    }
    return std::chrono::nanoseconds(0);
  }

 private:
  static constexpr int kLinearBits = 6;
  static constexpr std::size_t kLinear = std::size_t{1} << kLinearBits;
  static constexpr int kLargestBits = 44;  // nearly five hours
  static constexpr std::size_t kBuckets =
      (kLargestBits - kLinearBits + 1) * kLinear;

  // Values below kLinear have a bucket each; above, the bits behind the first
  // say which of kLinear buckets of its power of two it is.
  static std::size_t IndexOf(std::uint64_t value) {
    if (value < kLinear) return value;
    const int shift = static_cast<int>(std::bit_width(value)) - 1 - kLinearBits;
    if (shift >= kLargestBits - kLinearBits) return kBuckets - 1;
    return (static_cast<std::size_t>(shift) << kLinearBits) +
           static_cast<std::size_t>(value >> shift);
  }
  static std::int64_t UpperEnd(std::size_t index) {
    if (index < kLinear) return static_cast<std::int64_t>(index);
    const std::size_t shift = (index >> kLinearBits) - 1;
    const std::size_t place = index - (shift << kLinearBits);
    return static_cast<std::int64_t>(((place + 1) << shift) - 1);
  }

  std::array<std::uint32_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
};

}  // namespace grpccommon::bench
