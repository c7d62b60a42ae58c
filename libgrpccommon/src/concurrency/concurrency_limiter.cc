// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/concurrency_limiter.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"

namespace grpccommon {
namespace {

// Before the first sample there is no window.
constexpr std::int64_t kNoWindow = std::numeric_limits<std::int64_t>::min();

}  // namespace

absl::StatusOr<std::unique_ptr<ConcurrencyLimiter>> ConcurrencyLimiter::Create(
    const ConcurrencyLimiterOptions& options) {
  absl::Status valid =
      CheckRange("normal_share", options.normal_share, 0.01, 1);
  valid.Update(CheckRange("sheddable_share", options.sheddable_share, 0.01, 1));
  if (options.sheddable_share > options.normal_share) {
    valid.Update(absl::InvalidArgumentError(
        absl::StrCat("sheddable_share must not be above normal_share, got ",
                     options.sheddable_share, " and ", options.normal_share)));
  }
  std::optional<Adaptive> adaptive;
  int limit = 0;
  if (const auto* const fixed =
          std::get_if<FixedLimitOptions>(&options.limit)) {
    limit = fixed->limit;
    valid.Update(CheckRange("limit", limit, 1, 1e6));
  } else {
    const auto& gradient2 = std::get<Gradient2Options>(options.limit);
    absl::StatusOr<Gradient2> algorithm = Gradient2::Create(gradient2);
    valid.Update(algorithm.status());
    if (algorithm.ok()) {
      limit = algorithm->limit();
      adaptive = Adaptive{gradient2, *algorithm};
    }
  }
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new ConcurrencyLimiter(options, adaptive, limit));
}

ConcurrencyLimiter::ConcurrencyLimiter(const ConcurrencyLimiterOptions& options,
                                       const std::optional<Adaptive>& adaptive,
                                       int limit)
    : normal_share_(options.normal_share),
      sheddable_share_(options.sheddable_share),
      adaptive_(adaptive),
      window_end_ns_(kNoWindow) {
  SetLimit(limit);
}

void ConcurrencyLimiter::SetLimit(int limit) {
  const auto set = [this](CallPriority priority, double value) {
    limits_[static_cast<std::size_t>(priority)].store(
        std::max(1, static_cast<int>(std::lround(value))),
        std::memory_order_relaxed);
  };
  set(CallPriority::kCritical, limit);
  set(CallPriority::kNormal, limit * normal_share_);
  set(CallPriority::kSheddable, limit * sheddable_share_);
}

bool ConcurrencyLimiter::TryEnter(CallPriority priority) {
  const int most = LimitOf(priority);
  int seen = in_flight_.load(std::memory_order_relaxed);
  // Compared before it is counted: a refused call must not, for a moment, take
  // the place of one that fits.
  while (seen < most) {
    if (in_flight_.compare_exchange_weak(seen, seen + 1,
                                         std::memory_order_relaxed)) {
      return true;
    }
  }
  rejected_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void ConcurrencyLimiter::Leave() {
  [[maybe_unused]] const int before =
      in_flight_.fetch_sub(1, std::memory_order_relaxed);
  assert(before > 0);
}

void ConcurrencyLimiter::Leave(std::chrono::nanoseconds latency,
                               Clock::TimePoint now) {
  const int in_flight = in_flight_.fetch_sub(1, std::memory_order_relaxed);
  assert(in_flight > 0);
  if (!adaptive_.has_value() || latency < adaptive_->options.min_latency) {
    return;
  }
  {
    Window& window = windows_[ThreadSlot() % windows_.size()];
    const MutexLock lock(window.mutex);
    window.latency_sum += latency.count();
    ++window.samples;
    window.in_flight = std::max(window.in_flight, in_flight);
  }
  const std::int64_t now_ns = now.time_since_epoch().count();
  std::int64_t end = window_end_ns_.load(std::memory_order_relaxed);
  if (end == kNoWindow) {
    window_end_ns_.compare_exchange_strong(
        end, now_ns + adaptive_->options.window.count(),
        std::memory_order_relaxed);
  } else if (now_ns > end) {
    CloseWindow(now);
  }
}

void ConcurrencyLimiter::CloseWindow(Clock::TimePoint now) {
  // One thread does it; the others go on.
  if (!update_mutex_.TryLock()) return;
  const std::int64_t now_ns = now.time_since_epoch().count();
  if (now_ns > window_end_ns_.load(std::memory_order_relaxed)) {
    window_end_ns_.store(now_ns + adaptive_->options.window.count(),
                         std::memory_order_relaxed);
    std::int64_t latency_sum = 0;
    std::int64_t samples = 0;
    int in_flight = 0;
    for (Window& window : windows_) {
      const MutexLock lock(window.mutex);
      latency_sum += std::exchange(window.latency_sum, 0);
      samples += std::exchange(window.samples, 0);
      in_flight = std::max(in_flight, std::exchange(window.in_flight, 0));
    }
    if (samples >= adaptive_->options.min_samples) {
      SetLimit(adaptive_->algorithm.Update(
          std::chrono::nanoseconds(latency_sum / samples), in_flight));
    }
  }
  update_mutex_.Unlock();
}

}  // namespace grpccommon
