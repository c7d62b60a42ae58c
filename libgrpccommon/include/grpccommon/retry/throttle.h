// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/retry/retry_allowance.h"

namespace grpccommon {

struct RetryThrottleOptions {
  /// Tokens at the start and at most, in [1, 1000].
  int max_tokens = 10;
  /// Tokens that a success gives back, in [0.001, 1000]; what is finer than
  /// thousandths is dropped.
  double token_ratio = 0.1;
};

/// Stops all retries while too many attempts fail: a failure costs one token, a
/// success gives `token_ratio` back, and retries are allowed while more than
/// half of the tokens are there. With the defaults, from the fifth failure in a
/// row until failures are less than one in eleven.
///
/// Takes nothing for a retry itself, and looks at no clock. Lock-free; while
/// everything succeeds it writes nothing.
/// Source: gRFC A6, "Throttling Retry Attempts and Hedged RPCs".
class GRPCCOMMON_EXPORT RetryThrottle : public RetryAllowance {
 public:
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<RetryThrottle>> Create(
      const RetryThrottleOptions& options = {});

  void OnCall(Clock::TimePoint /*now*/) override {}
  [[nodiscard]] bool TryRetry(Clock::TimePoint now) override;
  void OnSuccess() override;
  void OnFailure() override;

  /// For metrics, in tokens.
  double tokens() const;

 private:
  explicit RetryThrottle(const RetryThrottleOptions& options);

  // All in thousandths of a token.
  const std::int64_t max_;
  const std::int64_t ratio_;
  std::atomic<std::int64_t> tokens_;
};

}  // namespace grpccommon
