// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/retry_policy.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {
namespace {

using std::chrono::nanoseconds;

absl::Status CheckCodes(std::string_view field, CodeSet codes) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::OK, grpc::StatusCode::CANCELLED}) {
    if (codes.Contains(code)) {
      return absl::InvalidArgumentError(
          absl::StrCat(ToAbsl(field), " must not contain ",
                       code == grpc::StatusCode::OK ? "OK" : "CANCELLED",
                       ", which ends a call"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPolicy(const RetryPolicy& policy) {
  absl::Status valid =
      CheckRange("retry.max_attempts", policy.max_attempts, 1, 10);
  valid.Update(CheckOptions(policy.backoff, "retry.backoff."));
  if (policy.codes.empty()) {
    valid.Update(absl::InvalidArgumentError(
        "retry.codes must not be empty; max_attempts = 1 turns retries off"));
  }
  valid.Update(CheckCodes("retry.codes", policy.codes));
  if (policy.attempt_timeout.has_value()) {
    valid.Update(CheckRange("retry.attempt_timeout", *policy.attempt_timeout,
                            nanoseconds(1), std::chrono::hours(24)));
  }
  return valid;
}

absl::Status CheckPolicy(const HedgingPolicy& policy) {
  constexpr nanoseconds kNone{0};
  constexpr nanoseconds kLongest = std::chrono::hours(1);
  absl::Status valid =
      CheckRange("hedging.max_attempts", policy.max_attempts, 2, 5);
  if (policy.delay.has_value()) {
    valid.Update(CheckRange("hedging.delay", *policy.delay, kNone, kLongest));
  }
  valid.Update(
      CheckRange("hedging.min_delay", policy.min_delay, kNone, kLongest));
  valid.Update(CheckCodes("hedging.non_fatal_codes", policy.non_fatal_codes));
  valid.Update(CheckRange("hedging.max_extra", policy.max_extra, 0.001, 1));
  return valid;
}

absl::StatusOr<RetryPolicy> CompileRetryPolicy(const RetryRule& rule,
                                               const RetryPolicy& defaults) {
  constexpr nanoseconds kUnset{0};
  RetryPolicy policy = defaults;
  policy.max_attempts = rule.max_attempts;
  if (rule.max_backoff != kUnset) {
    policy.backoff.max = rule.max_backoff;
    policy.backoff.initial = std::min(policy.backoff.initial, rule.max_backoff);
  }
  if (rule.initial_backoff != kUnset) {
    policy.backoff.initial = rule.initial_backoff;
    if (rule.max_backoff == kUnset) {
      policy.backoff.max = std::max(policy.backoff.max, rule.initial_backoff);
    }
  }
  if (!rule.codes.empty()) {
    policy.codes = {};
    for (const int code : rule.codes) {
      const absl::Status valid = CheckRange("retry.codes", code, 2, 16);
      if (!valid.ok()) return valid;
      policy.codes.Insert(static_cast<grpc::StatusCode>(code));
    }
  }
  if (rule.attempt_timeout != kUnset) {
    policy.attempt_timeout = rule.attempt_timeout;
  }
  const absl::Status valid = CheckPolicy(policy);
  if (!valid.ok()) return valid;
  return policy;
}

}  // namespace grpccommon
