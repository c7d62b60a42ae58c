// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"

namespace grpccommon::internal {

/// What is kept back of the parent's time, so that its handler can still turn
/// our failure into an answer of its own: a twentieth, since a fixed reserve
/// would eat short budgets up, but no more than sending an answer takes.
inline constexpr int kReserveDivisor = 20;
inline constexpr Clock::Duration kMaxReserve = std::chrono::milliseconds(10);

/// With less than this no call across a network is likely to be answered.
inline constexpr Clock::Duration kMinUsefulTime = std::chrono::milliseconds(1);

inline constexpr Clock::Duration kMaxTimeout = std::chrono::hours(24);

struct TimeWanted {
  /// As ServerCall::remaining gives it; without a parent, the largest.
  Clock::Duration parent_remaining = Clock::Duration::max();
  /// The caller's own wish, in (0, 24 h]; goes before the contract's.
  std::optional<Clock::Duration> timeout;
  std::optional<Clock::Duration> contract_timeout;
  /// Where neither says anything: no call is ever unbounded.
  Clock::Duration default_timeout = std::chrono::seconds(15);
};

/// How long a call may take: what is wanted, but never beyond the parent's
/// deadline less the reserve.
/// Errors: kDeadlineExceeded, reason PARENT_DEADLINE_TOO_NEAR, when the parent
/// leaves less than kMinUsefulTime; kInvalidArgument for a timeout out of
/// range.
absl::StatusOr<Clock::Duration> DeadlineBudget(const TimeWanted& wanted);

}  // namespace grpccommon::internal
