// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/retry/backoff.h"
#include "grpcpp/support/status_code_enum.h"

namespace grpccommon {

/// A set of status codes, in one word. What is no code of gRPC's is never in.
class CodeSet {
 public:
  constexpr CodeSet() = default;
  constexpr CodeSet(std::initializer_list<grpc::StatusCode> codes) {
    for (const grpc::StatusCode code : codes) Insert(code);
  }

  constexpr void Insert(grpc::StatusCode code) { bits_ |= Bit(code); }
  constexpr bool Contains(grpc::StatusCode code) const {
    return (bits_ & Bit(code)) != 0;
  }
  constexpr bool empty() const { return bits_ == 0; }

  friend constexpr bool operator==(CodeSet, CodeSet) = default;

 private:
  static constexpr std::uint32_t Bit(grpc::StatusCode code) {
    const int number = static_cast<int>(code);
    return number >= 0 && number <= 16 ? std::uint32_t{1} << number : 0;
  }
  std::uint32_t bits_ = 0;
};

/// What is done when an attempt failed: another one, after a while.
struct RetryPolicy {
  /// The first one included, in [1, 10]; 1: no retries.
  int max_attempts = 3;
  BackoffOptions backoff;
  /// For which codes; neither OK nor CANCELLED. RESOURCE_EXHAUSTED is retried
  /// only when the server says when to come again, in the set or not: without
  /// that, more of the same makes it worse.
  CodeSet codes = {grpc::StatusCode::UNAVAILABLE};
  /// One attempt may take so long, in [1 ns, 24 h]; none: as long as the call.
  std::optional<std::chrono::nanoseconds> attempt_timeout;
  /// Retries a method whose contract does not say that it is idempotent even
  /// if the server may have done what was asked. Otherwise such a method is
  /// retried only when it was certainly not processed.
  bool retry_unsafe = false;
};

/// What is done while an attempt takes long: another one beside it, and the
/// first answer counts (gRFC A6; Dean and Barroso, "The Tail at Scale").
struct HedgingPolicy {
  /// The first one included, in [2, 5].
  int max_attempts = 2;
  /// When to send the next one, in [0, 1 h] after the one before. None: when a
  /// share of `1 - max_extra` of the calls would have ended
  /// (LatencyPercentile), and not while that is unknown.
  std::optional<std::chrono::nanoseconds> delay;
  /// The least a percentile's delay may be, in [0, 1 h].
  std::chrono::nanoseconds min_delay = std::chrono::milliseconds(1);
  /// After these the next attempt is sent at once; after any other the call
  /// ends. Neither OK nor CANCELLED.
  CodeSet non_fatal_codes = {grpc::StatusCode::UNAVAILABLE};
  /// Hedges for each call, in [0.001, 1]: the budget's share, and what the
  /// percentile comes from.
  double max_extra = 0.05;
};

/// Errors: kInvalidArgument, naming the field that is out of range, as
/// "retry.backoff.initial" or "hedging.max_extra".
GRPCCOMMON_EXPORT absl::Status CheckPolicy(const RetryPolicy& policy);
GRPCCOMMON_EXPORT absl::Status CheckPolicy(const HedgingPolicy& policy);

/// The policy of a method whose contract has a retry rule; what the rule leaves
/// open (0 or empty) is as in `defaults`, bent to what the rule says: a rule's
/// `initial_backoff` raises a `max` that was not given, and a `max_backoff`
/// lowers an `initial`.
/// Errors: as CheckPolicy.
GRPCCOMMON_EXPORT absl::StatusOr<RetryPolicy> CompileRetryPolicy(
    const RetryRule& rule, const RetryPolicy& defaults = {});

}  // namespace grpccommon
