// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/attempt_plan.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <limits>
#include <utility>

#include "grpccommon/status/outcome.h"

namespace grpccommon {
namespace {

using grpc::StatusCode;

constexpr std::int64_t kMostPushbackMs =
    std::numeric_limits<std::int32_t>::max();

bool ForbidsRetry(const AttemptEnd& end) {
  return end.pushback_ms.has_value() &&
         (*end.pushback_ms < 0 || *end.pushback_ms > kMostPushbackMs);
}

std::optional<Clock::Duration> Pushback(const AttemptEnd& end) {
  if (!end.pushback_ms.has_value() || ForbidsRetry(end)) return std::nullopt;
  return std::chrono::milliseconds(*end.pushback_ms);
}

// The attempt's own time was up; the call's was not.
bool AttemptTimedOut(const AttemptEnd& end) {
  return end.code == StatusCode::DEADLINE_EXCEEDED && !end.deadline_passed;
}

}  // namespace

absl::Status CheckPolicy(const AttemptPolicy& policy) {
  absl::Status valid = CheckPolicy(policy.retry);
  if (!policy.hedging.has_value()) return valid;
  valid.Update(CheckPolicy(*policy.hedging));
  if (!policy.idempotent) {
    valid.Update(absl::InvalidArgumentError(
        "hedging sends a request twice: the method must be idempotent"));
  }
  if (!policy.hedging->delay.has_value() && policy.latency == nullptr) {
    valid.Update(absl::InvalidArgumentError(
        "hedging.delay must be set where latency is not measured"));
  }
  return valid;
}

std::string_view StopReasonName(StopReason reason) {
  switch (reason) {
    case StopReason::kNone:
      return "none";
    case StopReason::kFatalCode:
      return "fatal_code";
    case StopReason::kAttempts:
      return "attempts";
    case StopReason::kNotIdempotent:
      return "not_idempotent";
    case StopReason::kPushback:
      return "pushback";
    case StopReason::kDeadline:
      return "deadline";
    case StopReason::kBudget:
      return "budget";
    case StopReason::kNotRepeatable:
      return "not_repeatable";
  }
  return "none";
}

std::int64_t ParseRetryPushback(std::string_view value) {
  const char* const end = value.data() + value.size();
  std::int64_t milliseconds = 0;
  const auto [stop, error] = std::from_chars(value.data(), end, milliseconds);
  if (error != std::errc() || stop != end || milliseconds < 0 ||
      milliseconds > kMostPushbackMs) {
    return -1;
  }
  return milliseconds;
}

AttemptPlan::AttemptPlan(const AttemptPolicy& policy, const Random& random,
                         std::optional<Clock::TimePoint> deadline)
    : policy_(&policy),
      random_(&random),
      deadline_(deadline),
      backoff_(policy.retry.backoff),
      hedging_(policy.hedging.has_value() && policy.idempotent) {}

PlanStep AttemptPlan::Start(Clock::TimePoint now) {
  assert(attempts_ == 0);
  started_at_ = now;
  if (policy_->allowance != nullptr) policy_->allowance->OnCall(now);
  if (hedging_) {
    if (policy_->hedge_allowance != nullptr) {
      policy_->hedge_allowance->OnCall(now);
    }
    hedge_delay_ = policy_->hedging->delay;
    if (!hedge_delay_.has_value() && policy_->latency != nullptr) {
      hedge_delay_ = policy_->latency->Get(now);
      if (hedge_delay_.has_value()) {
        hedge_delay_ = std::max(*hedge_delay_, policy_->hedging->min_delay);
      }
    }
  }
  return Send(now);
}

PlanStep AttemptPlan::OnTimer(Clock::TimePoint now) {
  if (finished_ || pending_ == Pending::kNothing) return {};
  if (now < wake_at_) return {.wake = wake_at_};
  const Pending due = std::exchange(pending_, Pending::kNothing);
  if (TooLate(now)) {  // the timer was
    held_back_ = StopReason::kDeadline;
    return in_flight_ == 0 ? Finish(StopReason::kDeadline) : PlanStep{};
  }
  if (due == Pending::kHedge && !TryHedge(now)) {
    hedge_delay_.reset();
    return {};
  }
  return Send(now);
}

PlanStep AttemptPlan::OnAttemptEnd(const AttemptEnd& end,
                                   Clock::TimePoint now) {
  assert(in_flight_ > 0);
  --in_flight_;
  if (finished_) return {};
  Learn(end, now);
  if (end.code == StatusCode::OK) return Finish(StopReason::kNone);
  if (end.deadline_passed) return Finish(StopReason::kDeadline);
  if (!Retryable(end)) return Finish(StopReason::kFatalCode);
  return hedging_ ? Hedge(end, now) : Retry(end, now);
}

std::optional<Clock::TimePoint> AttemptPlan::AttemptDeadline(
    Clock::TimePoint now) const {
  if (!policy_->retry.attempt_timeout.has_value()) return deadline_;
  const Clock::TimePoint own = now + *policy_->retry.attempt_timeout;
  return deadline_.has_value() ? std::min(own, *deadline_) : own;
}

bool AttemptPlan::Retryable(const AttemptEnd& end) const {
  if (end.code == StatusCode::CANCELLED) return false;
  if (AttemptTimedOut(end)) return true;
  // An answer is not asked for again, whatever comes with it.
  if (end.pushback_ms.has_value() && OutcomeOf(end.code) == Outcome::kFailure) {
    return true;
  }
  if (hedging_) return policy_->hedging->non_fatal_codes.Contains(end.code);
  return end.code != StatusCode::RESOURCE_EXHAUSTED &&
         policy_->retry.codes.Contains(end.code);
}

void AttemptPlan::Learn(const AttemptEnd& end, Clock::TimePoint now) {
  if (policy_->allowance != nullptr) {
    if (end.code == StatusCode::OK) {
      policy_->allowance->OnSuccess();
    } else if (!end.deadline_passed && (Retryable(end) || ForbidsRetry(end))) {
      policy_->allowance->OnFailure();
    }
  }
  // The first to end says how long the first attempt took, or has taken when a
  // later one won; a failure says nothing, nor does what comes after it.
  if (!hedging_ || policy_->latency == nullptr || learned_) return;
  learned_ = true;
  if (OutcomeOf(end.code) == Outcome::kSuccess ||
      end.code == StatusCode::DEADLINE_EXCEEDED) {
    policy_->latency->Record(now - started_at_, now);
  }
}

PlanStep AttemptPlan::Retry(const AttemptEnd& end, Clock::TimePoint now) {
  if (ForbidsRetry(end)) return Finish(StopReason::kPushback);
  if (attempts_ >= policy_->retry.max_attempts) {
    return Finish(StopReason::kAttempts);
  }
  if (!policy_->idempotent && !policy_->retry.retry_unsafe &&
      !end.certainly_not_processed) {
    return Finish(StopReason::kNotIdempotent);
  }
  if (!end.repeatable) return Finish(StopReason::kNotRepeatable);
  Clock::Duration delay;
  if (const std::optional<Clock::Duration> pushback = Pushback(end)) {
    delay = *pushback;
    backoff_.Restart();
  } else {
    delay = backoff_.Next(*random_);
  }
  if (TooLate(now + delay)) return Finish(StopReason::kDeadline);
  if (!TryRetry(now)) return Finish(StopReason::kBudget);
  if (delay == Clock::Duration::zero()) return Send(now);
  return WakeAt(now + delay, Pending::kRetry);
}

PlanStep AttemptPlan::Hedge(const AttemptEnd& end, Clock::TimePoint now) {
  const Clock::Duration delay = Pushback(end).value_or(Clock::Duration::zero());
  if (held_back_ == StopReason::kNone) {
    if (ForbidsRetry(end)) {
      held_back_ = StopReason::kPushback;
    } else if (attempts_ >= policy_->hedging->max_attempts) {
      held_back_ = StopReason::kAttempts;
    } else if (TooLate(now + delay)) {
      held_back_ = StopReason::kDeadline;
    } else if (pending_ != Pending::kRetry && !TryRetry(now)) {
      held_back_ = StopReason::kBudget;
    }
  }
  if (held_back_ != StopReason::kNone) {
    pending_ = Pending::kNothing;
    return in_flight_ == 0 ? Finish(held_back_) : PlanStep{};
  }
  if (end.pushback_ms.has_value() && delay > Clock::Duration::zero()) {
    return WakeAt(now + delay, Pending::kRetry);
  }
  // Another attempt's pushback shortens no wait, but is not shortened either.
  if (pending_ == Pending::kRetry && !end.pushback_ms.has_value()) return {};
  return Send(now);
}

bool AttemptPlan::TryRetry(Clock::TimePoint now) {
  return policy_->allowance == nullptr || policy_->allowance->TryRetry(now);
}

bool AttemptPlan::TryHedge(Clock::TimePoint now) {
  return (policy_->hedge_allowance == nullptr ||
          policy_->hedge_allowance->TryRetry(now)) &&
         TryRetry(now);
}

PlanStep AttemptPlan::Send(Clock::TimePoint now) {
  ++attempts_;
  ++in_flight_;
  pending_ = Pending::kNothing;
  PlanStep step;
  if (hedge_delay_.has_value() && attempts_ < policy_->hedging->max_attempts &&
      !TooLate(now + *hedge_delay_)) {
    step = WakeAt(now + *hedge_delay_, Pending::kHedge);
  }
  step.send = true;
  return step;
}

PlanStep AttemptPlan::WakeAt(Clock::TimePoint at, Pending what) {
  pending_ = what;
  wake_at_ = at;
  return {.wake = at};
}

PlanStep AttemptPlan::Finish(StopReason reason) {
  finished_ = true;
  pending_ = Pending::kNothing;
  stop_reason_ = reason;
  return {.finished = true};
}

}  // namespace grpccommon
