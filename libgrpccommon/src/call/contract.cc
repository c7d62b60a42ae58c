// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/contract.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/v1/options.pb.h"

namespace grpccommon {
namespace {

using google::protobuf::MethodOptions;
using std::chrono::nanoseconds;

constexpr nanoseconds kLongestTimeout = std::chrono::hours(24);

// A duration of the contract; the nearest that fits, so that a nonsensical one
// still fails its range check instead of overflowing into it.
nanoseconds ToNanoseconds(const google::protobuf::Duration& duration) {
  constexpr std::int64_t kMostSeconds = 1'000'000'000;
  return std::chrono::seconds(std::clamp<std::int64_t>(
             duration.seconds(), -kMostSeconds, kMostSeconds)) +
         nanoseconds(duration.nanos());
}

absl::Status ReadAccess(const v1::Access& access, AccessRule& rule) {
  switch (access.rule_case()) {
    case v1::Access::kPublic:
      if (!access.public_()) break;
      rule.kind = AccessRule::Kind::kPublic;
      return absl::OkStatus();
    case v1::Access::kAuthenticated:
      if (!access.authenticated()) break;
      rule.kind = AccessRule::Kind::kAuthenticated;
      return absl::OkStatus();
    case v1::Access::kAnyOf:
      rule.kind = AccessRule::Kind::kAnyOf;
      rule.roles.assign(access.any_of().roles().begin(),
                        access.any_of().roles().end());
      rule.scopes.assign(access.any_of().scopes().begin(),
                         access.any_of().scopes().end());
      if (!rule.roles.empty() || !rule.scopes.empty()) return absl::OkStatus();
      return absl::InvalidArgumentError(
          "access.any_of names no role and no scope, so nobody could call");
    case v1::Access::RULE_NOT_SET:
      break;
  }
  // `public: false` could mean anything; who may call is never guessed.
  return absl::InvalidArgumentError(
      "access must say one of `public: true`, `authenticated: true`, any_of");
}

absl::Status ReadRateLimit(const v1::RateLimit& limit, RateLimitRule& rule) {
  rule.rate = limit.rate();
  absl::Status valid = CheckRange("rate_limit.rate", rule.rate, 0.001, 1e6);
  // A rate out of range, or none at all (NaN), need not fit an integer.
  if (!valid.ok()) return valid;
  rule.burst =
      limit.burst() != 0
          ? limit.burst()
          : std::max<std::int64_t>(1, static_cast<std::int64_t>(rule.rate));
  switch (limit.key()) {
    case v1::RateLimit::KEY_PEER:
      rule.key = RateLimitKey::kPeer;
      break;
    case v1::RateLimit::KEY_METHOD:
      rule.key = RateLimitKey::kMethod;
      break;
    default:
      rule.key = RateLimitKey::kPrincipal;
  }
  return CheckRange("rate_limit.burst", static_cast<double>(rule.burst), 1,
                    1e6);
}

absl::Status ReadRetry(const v1::RetryPolicy& retry, RetryRule& rule) {
  rule.max_attempts = static_cast<int>(retry.max_attempts());
  rule.initial_backoff = ToNanoseconds(retry.initial_backoff());
  rule.max_backoff = ToNanoseconds(retry.max_backoff());
  rule.attempt_timeout = ToNanoseconds(retry.attempt_timeout());
  rule.codes.assign(retry.codes().begin(), retry.codes().end());
  absl::Status valid =
      CheckRange("retry.max_attempts", rule.max_attempts, 1, 10);
  const nanoseconds none{0};
  valid.Update(CheckRange("retry.initial_backoff", rule.initial_backoff, none,
                          kLongestTimeout));
  valid.Update(CheckRange("retry.max_backoff", rule.max_backoff,
                          retry.has_max_backoff() ? rule.initial_backoff : none,
                          kLongestTimeout));
  valid.Update(CheckRange("retry.attempt_timeout", rule.attempt_timeout, none,
                          kLongestTimeout));
  for (const int code : rule.codes) {
    valid.Update(CheckRange("retry.codes", code, 2, 16));
  }
  return valid;
}

absl::Status Apply(const v1::MethodContract& contract, MethodPolicy& policy) {
  absl::Status valid;
  if (contract.has_access()) {
    policy.access = AccessRule();
    valid.Update(ReadAccess(contract.access(), policy.access));
  }
  if (contract.has_rate_limit()) {
    valid.Update(
        ReadRateLimit(contract.rate_limit(), policy.rate_limit.emplace()));
  }
  if (contract.has_timeout()) {
    policy.timeout = ToNanoseconds(contract.timeout());
    valid.Update(CheckRange("timeout", *policy.timeout, nanoseconds(1),
                            kLongestTimeout));
  }
  if (contract.has_retry()) {
    valid.Update(ReadRetry(contract.retry(), policy.retry.emplace()));
  }
  if (contract.max_request_bytes() != 0) {
    policy.max_request_bytes = contract.max_request_bytes();
  }
  if (contract.handler_checks_messages()) {
    policy.handler_checks_messages = true;
  }
  switch (contract.priority()) {
    case v1::PRIORITY_CRITICAL:
      policy.priority = CallPriority::kCritical;
      break;
    case v1::PRIORITY_NORMAL:
      policy.priority = CallPriority::kNormal;
      break;
    case v1::PRIORITY_SHEDDABLE:
      policy.priority = CallPriority::kSheddable;
      break;
    default:
      break;
  }
  return valid;
}

}  // namespace

absl::StatusOr<MethodPolicy> CompilePolicy(
    const google::protobuf::MethodDescriptor& method) {
  MethodPolicy policy;
  const v1::MethodContract& defaults =
      method.service()->options().GetExtension(v1::defaults);
  absl::Status valid = Apply(defaults, policy);
  if (defaults.handler_checks_messages()) {
    // False and absent are the same on the wire.
    valid.Update(absl::InvalidArgumentError(
        "handler_checks_messages in the service's defaults: set it on the "
        "methods whose handlers do, for no method could say otherwise"));
  }
  valid.Update(Apply(method.options().GetExtension(v1::method), policy));
  if (!valid.ok()) {
    return absl::Status(
        valid.code(),
        absl::StrCat("contract of ", ToAbsl(ToStd(method.full_name())), ": ",
                     valid.message()));
  }
  switch (method.options().idempotency_level()) {
    case MethodOptions::NO_SIDE_EFFECTS:
      policy.idempotency = Idempotency::kNoSideEffects;
      break;
    case MethodOptions::IDEMPOTENT:
      policy.idempotency = Idempotency::kIdempotent;
      break;
    default:
      break;
  }
  return policy;
}

}  // namespace grpccommon
