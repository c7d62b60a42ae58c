// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/retry/backoff.h"
#include "grpccommon/retry/latency_percentile.h"
#include "grpccommon/retry/retry_allowance.h"
#include "grpccommon/retry/retry_policy.h"
#include "grpcpp/support/status_code_enum.h"

namespace grpccommon {

/// What one method does about failures, compiled once and shared by its calls;
/// immutable but for what it borrows, which is thread-safe.
struct AttemptPolicy {
  RetryPolicy retry;
  /// If set, attempts run side by side and `retry` plays no part (gRFC A6).
  /// Takes effect for idempotent methods only.
  std::optional<HedgingPolicy> hedging;
  /// From the contract: Idempotency::kIdempotent or kNoSideEffects.
  bool idempotent = false;
  /// Asked before each further attempt. Borrowed; null: unlimited.
  RetryAllowance* allowance = nullptr;
  /// Asked first before an attempt that nothing has called for but time: a
  /// RetryBudget with `max_extra` and without a minimum. Borrowed; null:
  /// unlimited.
  RetryAllowance* hedge_allowance = nullptr;
  /// Gives and learns the delay of percentile hedging. Borrowed; needed where
  /// `hedging` has no delay.
  LatencyPercentile* latency = nullptr;
};

/// Errors: kInvalidArgument, naming what is out of range, or does not go
/// together: hedging a method that is not idempotent, or by a percentile that
/// nobody measures.
GRPCCOMMON_EXPORT absl::Status CheckPolicy(const AttemptPolicy& policy);

/// How an attempt ended.
struct AttemptEnd {
  grpc::StatusCode code = grpc::StatusCode::OK;
  /// The server's `grpc-retry-pushback-ms` (ParseRetryPushback); negative or
  /// unparsable: -1.
  std::optional<std::int64_t> pushback_ms;
  /// Refused before any handler, or never sent.
  bool certainly_not_processed = false;
  /// The whole call's, not just the attempt's own.
  bool deadline_passed = false;
  /// What was sent is still at hand; not so for a stream that has sent much.
  bool repeatable = true;
};

/// What to do now.
struct PlanStep {
  /// Start one more attempt.
  bool send = false;
  /// Call `OnTimer` at that time; replaces an earlier one. Without it an
  /// earlier one stands. A timer that is late, early or needless does no harm.
  std::optional<Clock::TimePoint> wake;
  /// The call ends as the attempt did that was reported last; cancel the
  /// others, if any are in flight. Said once.
  bool finished = false;
};

/// Why a failed call was not tried once more; for logs, metrics and messages.
enum class StopReason : std::uint8_t {
  /// It goes on, or it succeeded.
  kNone,
  /// The code is not one to be retried.
  kFatalCode,
  /// All attempts allowed have been made; with one attempt, retries are off.
  kAttempts,
  /// The server may have done what was asked, and doing it twice is not safe.
  kNotIdempotent,
  /// The server said not to come again.
  kPushback,
  /// The wait would have gone past the deadline, or that has passed.
  kDeadline,
  /// The allowance has been used up.
  kBudget,
  /// What was sent cannot be sent again.
  kNotRepeatable,
};

/// "fatal_code", "budget" …: a closed set of label values.
GRPCCOMMON_EXPORT std::string_view StopReasonName(StopReason reason);

/// The value of `grpc-retry-pushback-ms`: milliseconds in [0, 2^31 - 1], or -1,
/// "do not retry", for everything else (gRFC A6).
GRPCCOMMON_EXPORT std::int64_t ParseRetryPushback(std::string_view value);

/// Decides when a call's attempts start and when the call ends; sends nothing
/// and waits for nothing itself, so that blocking and callback callers share
/// it.
///
/// A call starts with `Start`; then each end of an attempt and each timer is
/// reported, one at a time, and the answer is what to do. After `finished`,
/// the ends of cancelled attempts may still be reported and change nothing.
///
/// Retries, one attempt at a time. A failed one is followed by another if
/// 1. its code is in `retry.codes` (RESOURCE_EXHAUSTED: and it has a pushback),
///    or it is a failure (OutcomeOf) with a pushback, or the attempt timed out
///    before the call did;
/// 2. the pushback is not negative, attempts are left, and the method is
///    idempotent, or the attempt was certainly not processed, or
///    `retry.retry_unsafe` says so, and what was sent is repeatable;
/// 3. the wait ends before the deadline: the pushback exactly, after which the
///    backoff starts anew, or the next one of the backoff;
/// 4. the allowance agrees.
/// CANCELLED ends the call, and so does whatever comes after the deadline.
///
/// Hedging (gRFC A6). Another attempt is sent whenever the delay has passed;
/// one that failed with a non-fatal code, or timed out, is followed by the next
/// at once, or when its pushback says, and the delay starts anew from there; a
/// negative pushback or an exhausted allowance stops further ones. The first
/// success or fatal code ends the call, or the last failure.
///
/// A value for the stack or a call's state; not thread-safe, never allocates,
/// and draws no random number until something failed.
class GRPCCOMMON_EXPORT AttemptPlan {
 public:
  /// `policy` is valid (`CheckPolicy`). All but `deadline` is borrowed and
  /// outlives this.
  AttemptPlan(const AttemptPolicy& policy, const Random& random,
              std::optional<Clock::TimePoint> deadline);

  /// Begins the call: always sends. Once, first.
  PlanStep Start(Clock::TimePoint now);
  /// The time of a `wake` has come. May send or finish.
  PlanStep OnTimer(Clock::TimePoint now);
  /// An attempt has ended, or could not be sent in the first place
  /// (`certainly_not_processed`). May send or finish.
  PlanStep OnAttemptEnd(const AttemptEnd& end, Clock::TimePoint now);

  /// When an attempt that starts now has to end: `attempt_timeout` from now,
  /// not after the call's deadline. None: unbounded.
  std::optional<Clock::TimePoint> AttemptDeadline(Clock::TimePoint now) const;

  /// Sent so far.
  int attempts() const { return attempts_; }
  /// Sent and not reported to have ended.
  int in_flight() const { return in_flight_; }
  bool finished() const { return finished_; }
  /// kNone until it has finished.
  StopReason stop_reason() const { return stop_reason_; }

 private:
  // What the timer is for.
  enum class Pending : std::uint8_t {
    kNothing,
    kRetry,  // the allowance has been asked
    kHedge,  // it has not
  };

  bool Retryable(const AttemptEnd& end) const;
  void Learn(const AttemptEnd& end, Clock::TimePoint now);
  PlanStep Retry(const AttemptEnd& end, Clock::TimePoint now);
  PlanStep Hedge(const AttemptEnd& end, Clock::TimePoint now);
  bool TooLate(Clock::TimePoint at) const {
    return deadline_.has_value() && at >= *deadline_;
  }
  bool TryRetry(Clock::TimePoint now);
  bool TryHedge(Clock::TimePoint now);
  PlanStep Send(Clock::TimePoint now);
  PlanStep WakeAt(Clock::TimePoint at, Pending what);
  PlanStep Finish(StopReason reason);

  const AttemptPolicy* policy_;
  const Random* random_;
  std::optional<Clock::TimePoint> deadline_;
  Backoff backoff_;
  // Between hedges; none: no more of those that only time calls for.
  std::optional<Clock::Duration> hedge_delay_;
  Clock::TimePoint started_at_;
  Clock::TimePoint wake_at_;
  int attempts_ = 0;
  int in_flight_ = 0;
  Pending pending_ = Pending::kNothing;
  // Why hedging sends nothing more while attempts are still in flight.
  StopReason held_back_ = StopReason::kNone;
  StopReason stop_reason_ = StopReason::kNone;
  bool hedging_;
  bool learned_ = false;
  bool finished_ = false;
};

}  // namespace grpccommon
