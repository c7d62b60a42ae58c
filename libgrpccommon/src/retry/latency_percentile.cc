// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/latency_percentile.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"

namespace grpccommon {

using std::chrono::nanoseconds;

absl::StatusOr<std::unique_ptr<LatencyPercentile>> LatencyPercentile::Create(
    const LatencyPercentileOptions& options) {
  absl::Status valid = CheckRange("quantile", options.quantile, 0.01, 0.999);
  valid.Update(CheckRange("refresh", options.refresh,
                          std::chrono::milliseconds(1),
                          std::chrono::minutes(1)));
  valid.Update(CheckRange("min_samples", options.min_samples, 1, 1e6));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new LatencyPercentile(options));
}

LatencyPercentile::LatencyPercentile(const LatencyPercentileOptions& options)
    : options_(options) {}

std::size_t LatencyPercentile::BucketOf(nanoseconds latency) {
  constexpr std::int64_t kMost = (std::int64_t{1} << kMostBits) - 1;
  const auto units = static_cast<std::uint64_t>(
      std::clamp<std::int64_t>(latency.count(), 0, kMost) >> kUnitBits);
  // The doublings beyond the first 32 units; each begins at its 33rd step, as
  // the first 32 would repeat the one before.
  const int doublings =
      std::max(0, static_cast<int>(std::bit_width(units)) - kStepBits - 1);
  return (static_cast<std::size_t>(doublings) << kStepBits) +
         static_cast<std::size_t>(units >> doublings);
}

nanoseconds LatencyPercentile::UpperEnd(std::size_t bucket) {
  constexpr std::size_t kSteps = std::size_t{1} << kStepBits;
  const std::size_t doublings = bucket < kSteps ? 0 : bucket / kSteps - 1;
  const std::size_t steps = bucket - doublings * kSteps;
  return nanoseconds(static_cast<std::int64_t>(steps + 1)
                     << (doublings + kUnitBits));
}

void LatencyPercentile::Record(nanoseconds latency, Clock::TimePoint now) {
  shards_[ThreadSlot() % shards_.size()].counts[BucketOf(latency)].fetch_add(
      1, std::memory_order_relaxed);
  RefreshIfDue(now);
}

std::optional<nanoseconds> LatencyPercentile::Get(Clock::TimePoint now) {
  RefreshIfDue(now);
  const std::int64_t value = value_ns_.load(std::memory_order_relaxed);
  if (value == 0) return std::nullopt;
  return nanoseconds(value);
}

void LatencyPercentile::RefreshIfDue(Clock::TimePoint now) {
  const std::int64_t now_ns = now.time_since_epoch().count();
  if (now_ns < refresh_at_ns_.load(std::memory_order_relaxed)) return;
  // One thread does it; the others go on with the old value.
  if (!mutex_.TryLock()) return;
  if (now_ns >= refresh_at_ns_.load(std::memory_order_relaxed)) Refresh(now_ns);
  mutex_.Unlock();
}

void LatencyPercentile::Refresh(std::int64_t now_ns) {
  const std::int64_t due = refresh_at_ns_.load(std::memory_order_relaxed);
  refresh_at_ns_.store(now_ns + options_.refresh.count(),
                       std::memory_order_relaxed);
  if (due == 0) return;  // the first call: there is nothing yet

  const auto forget_oldest = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Histogram<std::uint32_t>& slice = slices_[next_slice_];
    for (std::size_t i = 0; i < kBuckets; ++i) total_[i] -= slice[i];
    slice.fill(0);
  };
  // What happened in the time since `due` without a call has slices too.
  const std::int64_t idle = std::min<std::int64_t>(
      (now_ns - due) / options_.refresh.count(), kSlices);
  for (std::int64_t i = 0; i < idle; ++i) {
    forget_oldest();
    next_slice_ = (next_slice_ + 1) % kSlices;
  }
  forget_oldest();
  Histogram<std::uint32_t>& slice = slices_[next_slice_];
  next_slice_ = (next_slice_ + 1) % kSlices;
  for (Shard& shard : shards_) {
    for (std::size_t i = 0; i < kBuckets; ++i) {
      if (shard.counts[i].load(std::memory_order_relaxed) == 0) continue;
      slice[i] += shard.counts[i].exchange(0, std::memory_order_relaxed);
    }
  }
  std::uint64_t samples = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    total_[i] += slice[i];
    samples += total_[i];
  }

  std::int64_t value = 0;
  if (samples >= static_cast<std::uint64_t>(options_.min_samples)) {
    auto shorter = static_cast<std::uint64_t>(
        std::ceil(options_.quantile * static_cast<double>(samples)));
    std::size_t bucket = 0;
    while (bucket + 1 < kBuckets && total_[bucket] < shorter) {
      shorter -= total_[bucket++];
    }
    value = UpperEnd(bucket).count();
  }
  value_ns_.store(value, std::memory_order_relaxed);
}

}  // namespace grpccommon
