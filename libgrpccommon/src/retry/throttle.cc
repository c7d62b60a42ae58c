// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/throttle.h"

#include <algorithm>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"

namespace grpccommon {
namespace {

constexpr std::int64_t kToken = 1000;

// In binary, 1.001 is a little less than 1001 thousandths.
constexpr double kRoundingError = 1e-6;

}  // namespace

absl::StatusOr<std::unique_ptr<RetryThrottle>> RetryThrottle::Create(
    const RetryThrottleOptions& options) {
  absl::Status valid = CheckRange("max_tokens", options.max_tokens, 1, 1000);
  valid.Update(CheckRange("token_ratio", options.token_ratio, 0.001, 1000));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new RetryThrottle(options));
}

RetryThrottle::RetryThrottle(const RetryThrottleOptions& options)
    : max_(options.max_tokens * kToken),
      ratio_(static_cast<std::int64_t>(
          options.token_ratio * static_cast<double>(kToken) + kRoundingError)),
      tokens_(max_) {}

bool RetryThrottle::TryRetry(Clock::TimePoint /*now*/) {
  return 2 * tokens_.load(std::memory_order_relaxed) > max_;
}

void RetryThrottle::OnSuccess() {
  std::int64_t seen = tokens_.load(std::memory_order_relaxed);
  while (seen < max_ &&
         !tokens_.compare_exchange_weak(seen, std::min(seen + ratio_, max_),
                                        std::memory_order_relaxed)) {
  }
}

void RetryThrottle::OnFailure() {
  std::int64_t seen = tokens_.load(std::memory_order_relaxed);
  while (seen > 0 && !tokens_.compare_exchange_weak(
                         seen, std::max<std::int64_t>(seen - kToken, 0),
                         std::memory_order_relaxed)) {
  }
}

double RetryThrottle::tokens() const {
  return static_cast<double>(tokens_.load(std::memory_order_relaxed)) /
         static_cast<double>(kToken);
}

}  // namespace grpccommon
