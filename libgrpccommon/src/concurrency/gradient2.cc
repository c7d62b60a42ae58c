// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/gradient2.h"

#include <algorithm>

#include "grpccommon/base/check_range.h"

namespace grpccommon {
namespace {

constexpr int kWarmUp = 10;

}  // namespace

absl::StatusOr<Gradient2> Gradient2::Create(const Gradient2Options& options) {
  using std::chrono::nanoseconds;
  constexpr nanoseconds kHour = std::chrono::hours(1);
  absl::Status valid = CheckRange("min_limit", options.min_limit, 1, 1e6);
  valid.Update(
      CheckRange("max_limit", options.max_limit, options.min_limit, 1e6));
  valid.Update(CheckRange("initial_limit", options.initial_limit,
                          options.min_limit, options.max_limit));
  valid.Update(CheckRange("queue_size", options.queue_size, 0, 1e4));
  valid.Update(CheckRange("tolerance", options.tolerance, 1, 10));
  valid.Update(CheckRange("smoothing", options.smoothing, 0.01, 1));
  valid.Update(CheckRange("long_window", options.long_window, kWarmUp, 1e6));
  valid.Update(CheckRange("window", options.window,
                          std::chrono::milliseconds(1), kHour));
  valid.Update(CheckRange("min_samples", options.min_samples, 1, 1e6));
  valid.Update(
      CheckRange("min_latency", options.min_latency, nanoseconds(0), kHour));
  if (!valid.ok()) return valid;
  return Gradient2(options);
}

double Gradient2::LongTermLatency(double latency) {
  if (warm_up_count_ < kWarmUp) {
    ++warm_up_count_;
    warm_up_sum_ += latency;
    long_latency_ = warm_up_sum_ / warm_up_count_;
  } else {
    const double factor = 2.0 / (options_.long_window + 1);
    long_latency_ = long_latency_ * (1 - factor) + latency * factor;
  }
  return long_latency_;
}

int Gradient2::Update(std::chrono::nanoseconds latency, int in_flight) {
  const auto short_latency =
      static_cast<double>(std::max<std::int64_t>(latency.count(), 1));
  const double long_latency = LongTermLatency(short_latency);
  // After a slow time the average comes down faster than it went up.
  if (long_latency / short_latency > 2) long_latency_ *= 0.95;
  if (in_flight < limit_ / 2) return limit();

  const double gradient =
      std::clamp(options_.tolerance * long_latency / short_latency, 0.5, 1.0);
  const double target = limit_ * gradient + options_.queue_size;
  limit_ = std::clamp(
      limit_ * (1 - options_.smoothing) + target * options_.smoothing,
      static_cast<double>(options_.min_limit),
      static_cast<double>(options_.max_limit));
  return limit();
}

}  // namespace grpccommon
