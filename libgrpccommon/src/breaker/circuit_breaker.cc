// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/circuit_breaker.h"

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"

namespace grpccommon {

std::string_view BreakerStateName(BreakerState state) {
  switch (state) {
    case BreakerState::kClosed:
      return "CLOSED";
    case BreakerState::kOpen:
      return "OPEN";
    case BreakerState::kHalfOpen:
      return "HALF_OPEN";
    case BreakerState::kForcedOpen:
      return "FORCED_OPEN";
    case BreakerState::kDisabled:
      return "DISABLED";
    case BreakerState::kMetricsOnly:
      return "METRICS_ONLY";
  }
  return "UNKNOWN";
}

absl::Status CircuitOpen(std::string_view key, const CircuitBreaker& breaker) {
  const Clock::Duration retry_after = breaker.RetryAfter();
  const auto milliseconds =
      std::chrono::ceil<std::chrono::milliseconds>(retry_after).count();
  std::string message =
      absl::StrCat("the circuit breaker of ", ToAbsl(key), " ");
  const BreakerState state = breaker.state();
  if (state == BreakerState::kForcedOpen) {
    absl::StrAppend(&message, "is held open by the operator");
  } else if (milliseconds == 0) {
    // It has changed since it refused.
    absl::StrAppend(&message, "refused the call; calls pass again");
  } else if (state == BreakerState::kOpen) {
    absl::StrAppend(&message, "is open after too many failed or slow calls;",
                    " it lets trials through in ", milliseconds, " ms");
  } else {
    absl::StrAppend(&message, "lets only a part of the calls through;",
                    " try again in ", milliseconds, " ms");
  }
  return WithRetryDelay(
      WithReason(absl::UnavailableError(message), "CIRCUIT_OPEN", kErrorDomain,
                 {{"breaker", key}}),
      retry_after);
}

}  // namespace grpccommon
