// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/metric.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "metrics/cell_arena.h"

namespace grpccommon {
namespace internal {

MetricCell* CellArena::Take(std::size_t count) {
  assert(count <= kMetricShardCells);
  const MutexLock lock(mutex_);
  if (kMetricShardCells - used_ < count) {
    blocks_.push_back(std::make_unique<Block>());
    used_ = 0;
  }
  MetricCell* const first = blocks_.back()->cells + used_;
  used_ += count;
  return first;
}

namespace {

std::uint64_t Total(const MetricCell* first) {
  std::uint64_t total = 0;
  for (std::size_t shard = 0; shard < kMetricShards; ++shard) {
    total += first[shard * kMetricShardStride].load(std::memory_order_relaxed);
  }
  return total;
}

}  // namespace
}  // namespace internal

Counter::Counter(internal::CellArena& arena) : cell_(arena.Take(1)) {}

std::uint64_t Counter::Value() const { return internal::Total(cell_); }

UpDownCounter::UpDownCounter(internal::CellArena& arena)
    : cell_(arena.Take(1)) {}

// A shard on which more calls end than begin wraps around, and so does the sum,
// back to the true total.
std::int64_t UpDownCounter::Value() const {
  return static_cast<std::int64_t>(internal::Total(cell_));
}

Gauge::Gauge(internal::CellArena& /*arena*/) {}

Histogram::Histogram(internal::CellArena& arena, std::vector<double> bounds)
    : bounds_(std::move(bounds)), cells_(arena.Take(bounds_.size() + 2)) {
  assert(CheckBuckets(bounds_).ok());
}

[[gnu::hot]] void Histogram::Observe(double value) {
  if (!std::isfinite(value)) return;
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  internal::MetricCell* const cells = internal::MyShard(cells_);
  cells[1 + (bound - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
  // Nobody else writes this shard just then, so the first try succeeds.
  std::uint64_t sum = cells[0].load(std::memory_order_relaxed);
  while (!cells[0].compare_exchange_weak(
      sum, std::bit_cast<std::uint64_t>(std::bit_cast<double>(sum) + value),
      std::memory_order_relaxed)) {
  }
}

HistogramValue Histogram::Value() const {
  HistogramValue value{.counts = std::vector<std::uint64_t>(bounds_.size() + 1),
                       .sum = 0.0,
                       .count = 0};
  for (std::size_t shard = 0; shard < internal::kMetricShards; ++shard) {
    const internal::MetricCell* const cells =
        cells_ + shard * internal::kMetricShardStride;
    value.sum +=
        std::bit_cast<double>(cells[0].load(std::memory_order_relaxed));
    for (std::size_t i = 0; i < value.counts.size(); ++i) {
      const std::uint64_t count = cells[1 + i].load(std::memory_order_relaxed);
      value.counts[i] += count;
      value.count += count;
    }
  }
  return value;
}

const std::vector<double>& DefaultLatencyBuckets() {
  static const auto* const buckets =
      new std::vector<double>{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                              0.1,    0.25,  0.5,    1.0,   2.5,  5.0,   10.0};
  return *buckets;
}

absl::Status CheckBuckets(std::span<const double> buckets) {
  absl::Status valid = CheckRange("number of buckets",
                                  static_cast<double>(buckets.size()), 1, 200);
  for (std::size_t i = 0; valid.ok() && i < buckets.size(); ++i) {
    if (!std::isfinite(buckets[i]) || (i > 0 && buckets[i] <= buckets[i - 1])) {
      valid = absl::InvalidArgumentError(
          absl::StrCat("buckets must be finite and ascending, got ", buckets[i],
                       " at index ", i));
    }
  }
  return valid;
}

}  // namespace grpccommon
