// SPDX-License-Identifier: Apache-2.0
// Retries, one attempt at a time; hedging is in attempt_plan_hedging_test.cc.

#include "grpccommon/retry/attempt_plan.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <set>
#include <string>

#include "grpccommon/retry/budget.h"
#include "grpccommon/retry/throttle.h"
#include "grpccommon/testing/fake_clock.h"
#include "retry/counting_allowance.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using test::CountingAllowance;

class AttemptPlanTest : public ::testing::Test {
 protected:
  AttemptPlanTest() {
    policy_.idempotent = true;
    policy_.allowance = &allowance_;
    policy_.retry.backoff = {.initial = 100ms, .max = 1s};
  }

  AttemptPlan Started(std::optional<Clock::Duration> timeout = std::nullopt) {
    std::optional<Clock::TimePoint> deadline;
    if (timeout.has_value()) deadline = clock_.Now() + *timeout;
    AttemptPlan plan(policy_, random_, deadline);
    const PlanStep step = plan.Start(clock_.Now());
    EXPECT_TRUE(step.send);
    EXPECT_FALSE(step.wake.has_value());
    EXPECT_FALSE(step.finished);
    return plan;
  }

  PlanStep End(AttemptPlan& plan, const AttemptEnd& end) {
    return plan.OnAttemptEnd(end, clock_.Now());
  }
  PlanStep Fail(AttemptPlan& plan) {
    return End(plan, {.code = StatusCode::UNAVAILABLE});
  }

  void ExpectFinished(const PlanStep& step, const AttemptPlan& plan,
                      StopReason reason) {
    EXPECT_TRUE(step.finished);
    EXPECT_FALSE(step.send);
    EXPECT_FALSE(step.wake.has_value());
    EXPECT_TRUE(plan.finished());
    EXPECT_EQ(StopReasonName(plan.stop_reason()), StopReasonName(reason));
  }
  void ExpectWake(const PlanStep& step, Clock::Duration delay) {
    EXPECT_FALSE(step.finished);
    EXPECT_FALSE(step.send);
    ASSERT_TRUE(step.wake.has_value());
    EXPECT_EQ((*step.wake - clock_.Now()).count(), delay.count());
  }
  // Lets the delay pass, after which the next attempt is to be sent.
  void ExpectSendAfter(Clock::Duration delay, AttemptPlan& plan) {
    clock_.Advance(delay);
    const PlanStep step = plan.OnTimer(clock_.Now());
    EXPECT_TRUE(step.send);
    EXPECT_FALSE(step.wake.has_value());
    EXPECT_FALSE(step.finished);
  }

  testing::FakeClock clock_;
  double chance_ = 0.5;
  int drawn_ = 0;
  Random random_ = [this] {
    ++drawn_;
    return chance_;
  };
  CountingAllowance allowance_;
  AttemptPolicy policy_;
};

TEST_F(AttemptPlanTest, ASuccessEndsTheCall) {
  AttemptPlan plan = Started(1s);
  EXPECT_EQ(plan.attempts(), 1);
  EXPECT_EQ(plan.in_flight(), 1);
  ExpectFinished(End(plan, {}), plan, StopReason::kNone);
  EXPECT_EQ(plan.in_flight(), 0);
  EXPECT_EQ(drawn_, 0);
  EXPECT_EQ(allowance_.calls, 1);
  EXPECT_EQ(allowance_.successes, 1);
  EXPECT_EQ(allowance_.asked, 0);
}

TEST_F(AttemptPlanTest, WhatCannotBeSentAgainIsNot) {
  AttemptPlan plan = Started();
  ExpectFinished(End(plan, {.code = StatusCode::UNAVAILABLE,
                            .certainly_not_processed = true,
                            .repeatable = false}),
                 plan, StopReason::kNotRepeatable);
  EXPECT_EQ(allowance_.asked, 0);
}

TEST_F(AttemptPlanTest, AFailureIsRetriedAfterTheBackoff) {
  AttemptPlan plan = Started();
  ExpectWake(Fail(plan), 50ms);
  EXPECT_EQ(plan.in_flight(), 0);
  ExpectSendAfter(50ms, plan);
  EXPECT_EQ(plan.attempts(), 2);
  EXPECT_EQ(plan.in_flight(), 1);
  ExpectWake(Fail(plan), 100ms);
  ExpectSendAfter(100ms, plan);
  ExpectFinished(End(plan, {}), plan, StopReason::kNone);
  EXPECT_EQ(plan.attempts(), 3);
  EXPECT_EQ(allowance_.calls, 1);
  EXPECT_EQ(allowance_.asked, 2);
  EXPECT_EQ(allowance_.failures, 2);
  EXPECT_EQ(allowance_.successes, 1);
}

TEST_F(AttemptPlanTest, ABackoffOfZeroIsNoWait) {
  chance_ = 0;
  AttemptPlan plan = Started();
  const PlanStep step = Fail(plan);
  EXPECT_TRUE(step.send);
  EXPECT_FALSE(step.wake.has_value());
}

TEST_F(AttemptPlanTest, StopsWhenItsAttemptsAreMade) {
  chance_ = 0;
  AttemptPlan plan = Started();
  EXPECT_TRUE(Fail(plan).send);
  EXPECT_TRUE(Fail(plan).send);
  ExpectFinished(Fail(plan), plan, StopReason::kAttempts);
  EXPECT_EQ(plan.attempts(), 3);
  EXPECT_EQ(allowance_.asked, 2);
}

TEST_F(AttemptPlanTest, OneAttemptMeansNoRetries) {
  policy_.retry.max_attempts = 1;
  policy_.idempotent = false;
  AttemptPlan plan = Started();
  ExpectFinished(Fail(plan), plan, StopReason::kAttempts);
  EXPECT_EQ(drawn_, 0);
}

TEST_F(AttemptPlanTest, OnlyTheNamedCodesAreRetried) {
  policy_.retry.codes = {StatusCode::UNAVAILABLE, StatusCode::ABORTED};
  for (int code = 1; code <= 16; ++code) {
    AttemptPlan plan = Started();
    const auto status = static_cast<StatusCode>(code);
    const PlanStep step = End(plan, {.code = status, .deadline_passed = false});
    if (policy_.retry.codes.Contains(status) ||
        status == StatusCode::DEADLINE_EXCEEDED) {
      ExpectWake(step, 50ms);
    } else {
      ExpectFinished(step, plan, StopReason::kFatalCode);
    }
  }
}

TEST_F(AttemptPlanTest, ACodeThatGrpcDoesNotKnowIsFatal) {
  for (const int code : {-1, 17, 31}) {
    AttemptPlan plan = Started();
    ExpectFinished(End(plan, {.code = static_cast<StatusCode>(code)}), plan,
                   StopReason::kFatalCode);
  }
}

TEST_F(AttemptPlanTest, CancelledIsNeverRetried) {
  policy_.retry.codes.Insert(StatusCode::CANCELLED);
  AttemptPlan plan = Started();
  ExpectFinished(End(plan, {.code = StatusCode::CANCELLED,
                            .pushback_ms = 0,
                            .certainly_not_processed = true}),
                 plan, StopReason::kFatalCode);
}

TEST_F(AttemptPlanTest, NothingIsRetriedAfterTheCallsDeadline) {
  policy_.retry.codes.Insert(StatusCode::DEADLINE_EXCEEDED);
  for (const StatusCode code :
       {StatusCode::DEADLINE_EXCEEDED, StatusCode::UNAVAILABLE}) {
    AttemptPlan plan = Started();
    ExpectFinished(End(plan, {.code = code,
                              .pushback_ms = 0,
                              .certainly_not_processed = true,
                              .deadline_passed = true}),
                   plan, StopReason::kDeadline);
  }
  EXPECT_EQ(allowance_.failures, 0);
}

TEST_F(AttemptPlanTest, AnAttemptThatTimedOutIsRetriedIfIdempotent) {
  const AttemptEnd end = {.code = StatusCode::DEADLINE_EXCEEDED};
  AttemptPlan safe = Started();
  ExpectWake(End(safe, end), 50ms);
  policy_.idempotent = false;
  AttemptPlan unsafe = Started();
  ExpectFinished(End(unsafe, end), unsafe, StopReason::kNotIdempotent);
}

TEST_F(AttemptPlanTest, AMethodThatIsNotIdempotentIsRetriedOnlyIfNotProcessed) {
  policy_.idempotent = false;
  AttemptPlan maybe = Started();
  ExpectFinished(Fail(maybe), maybe, StopReason::kNotIdempotent);
  EXPECT_EQ(allowance_.asked, 0);

  const AttemptEnd refused = {.code = StatusCode::UNAVAILABLE,
                              .certainly_not_processed = true};
  AttemptPlan certainly = Started();
  ExpectWake(End(certainly, refused), 50ms);
  ExpectSendAfter(50ms, certainly);
  ExpectFinished(Fail(certainly), certainly, StopReason::kNotIdempotent);
}

TEST_F(AttemptPlanTest, NotProcessedIsNoReasonToRetryAFatalCode) {
  AttemptPlan plan = Started();
  ExpectFinished(End(plan, {.code = StatusCode::PERMISSION_DENIED,
                            .certainly_not_processed = true}),
                 plan, StopReason::kFatalCode);
}

TEST_F(AttemptPlanTest, APushbackIsNoProofThatNothingWasProcessed) {
  policy_.idempotent = false;
  AttemptPlan plan = Started();
  ExpectFinished(
      End(plan, {.code = StatusCode::UNAVAILABLE, .pushback_ms = 10}), plan,
      StopReason::kNotIdempotent);
}

TEST_F(AttemptPlanTest, RetryUnsafeRetriesWhatIsNotIdempotent) {
  policy_.idempotent = false;
  policy_.retry.retry_unsafe = true;
  AttemptPlan plan = Started();
  ExpectWake(Fail(plan), 50ms);
}

TEST_F(AttemptPlanTest, APushbackReplacesTheDelayAndRestartsTheBackoff) {
  policy_.retry.max_attempts = 10;
  AttemptPlan plan = Started();
  ExpectWake(Fail(plan), 50ms);
  ExpectSendAfter(50ms, plan);
  ExpectWake(Fail(plan), 100ms);
  ExpectSendAfter(100ms, plan);
  ExpectWake(End(plan, {.code = StatusCode::UNAVAILABLE, .pushback_ms = 777}),
             777ms);
  ExpectSendAfter(777ms, plan);
  ExpectWake(Fail(plan), 50ms);
  ExpectSendAfter(50ms, plan);
  ExpectWake(Fail(plan), 100ms);
}

TEST_F(AttemptPlanTest, APushbackOfZeroMeansAtOnce) {
  AttemptPlan plan = Started();
  EXPECT_TRUE(
      End(plan, {.code = StatusCode::UNAVAILABLE, .pushback_ms = 0}).send);
}

TEST_F(AttemptPlanTest, ANegativePushbackStops) {
  for (const std::int64_t pushback :
       {std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(),
        std::int64_t{1} << 31, std::numeric_limits<std::int64_t>::max()}) {
    AttemptPlan plan = Started();
    ExpectFinished(
        End(plan, {.code = StatusCode::UNAVAILABLE, .pushback_ms = pushback}),
        plan, StopReason::kPushback);
  }
}

TEST_F(AttemptPlanTest, ResourceExhaustedIsRetriedOnlyWithAPushback) {
  for (const bool listed : {false, true}) {
    if (listed) policy_.retry.codes.Insert(StatusCode::RESOURCE_EXHAUSTED);
    AttemptPlan without = Started();
    ExpectFinished(End(without, {.code = StatusCode::RESOURCE_EXHAUSTED}),
                   without, StopReason::kFatalCode);
    AttemptPlan with = Started();
    ExpectWake(
        End(with, {.code = StatusCode::RESOURCE_EXHAUSTED, .pushback_ms = 30}),
        30ms);
  }
  policy_.idempotent = false;
  AttemptPlan refused = Started();
  ExpectWake(End(refused, {.code = StatusCode::RESOURCE_EXHAUSTED,
                           .pushback_ms = 30,
                           .certainly_not_processed = true}),
             30ms);
}

TEST_F(AttemptPlanTest, AnAnswerIsNotAskedForAgainWhateverItsPushback) {
  for (const StatusCode code :
       {StatusCode::NOT_FOUND, StatusCode::INVALID_ARGUMENT,
        StatusCode::PERMISSION_DENIED, StatusCode::UNAUTHENTICATED}) {
    AttemptPlan plan = Started();
    ExpectFinished(End(plan, {.code = code, .pushback_ms = 0}), plan,
                   StopReason::kFatalCode);
  }
}

TEST_F(AttemptPlanTest, AWaitThatReachesTheDeadlineEndsTheCallAtOnce) {
  AttemptPlan plan = Started(50ms);
  ExpectFinished(Fail(plan), plan, StopReason::kDeadline);
  EXPECT_EQ(allowance_.asked, 0);  // and costs nothing

  AttemptPlan longer = Started(50ms + 1ns);
  ExpectWake(Fail(longer), 50ms);
}

TEST_F(AttemptPlanTest, APushbackBeyondTheDeadlineEndsTheCallAtOnce) {
  AttemptPlan plan = Started(10s);
  ExpectFinished(
      End(plan, {.code = StatusCode::UNAVAILABLE, .pushback_ms = 10'000}), plan,
      StopReason::kDeadline);
}

TEST_F(AttemptPlanTest, ATimerThatCameAfterTheDeadlineEndsTheCall) {
  AttemptPlan plan = Started(100ms);
  ExpectWake(Fail(plan), 50ms);
  clock_.Advance(100ms);
  ExpectFinished(plan.OnTimer(clock_.Now()), plan, StopReason::kDeadline);
  EXPECT_EQ(plan.attempts(), 1);
}

TEST_F(AttemptPlanTest, ATimerThatCameEarlyIsSetAgain) {
  AttemptPlan plan = Started();
  const PlanStep wait = Fail(plan);
  clock_.Advance(50ms - 1ns);
  const PlanStep early = plan.OnTimer(clock_.Now());
  EXPECT_FALSE(early.send);
  EXPECT_EQ(early.wake, wait.wake);
  ExpectSendAfter(1ns, plan);
}

TEST_F(AttemptPlanTest, ATimerThatNobodySetDoesNothing) {
  AttemptPlan plan = Started();
  const auto expect_nothing = [&](const PlanStep& step) {
    EXPECT_FALSE(step.send);
    EXPECT_FALSE(step.wake.has_value());
    EXPECT_FALSE(step.finished);
  };
  expect_nothing(plan.OnTimer(clock_.Now()));
  Fail(plan);
  ExpectSendAfter(50ms, plan);
  expect_nothing(plan.OnTimer(clock_.Now()));
  End(plan, {});
  expect_nothing(plan.OnTimer(clock_.Now()));
  EXPECT_EQ(plan.attempts(), 2);
}

TEST_F(AttemptPlanTest, TheAllowanceIsAskedLastAndRefuses) {
  allowance_.allowed = 1;
  AttemptPlan plan = Started();
  ExpectWake(Fail(plan), 50ms);
  ExpectSendAfter(50ms, plan);
  ExpectFinished(Fail(plan), plan, StopReason::kBudget);
}

TEST_F(AttemptPlanTest, WithoutAnAllowanceRetriesAreUnlimited) {
  policy_.allowance = nullptr;
  AttemptPlan plan = Started();
  ExpectWake(Fail(plan), 50ms);
}

// gRFC A6: failures whose code is retryable, and those with the word not to.
TEST_F(AttemptPlanTest, TheAllowanceHearsOfFailuresThatMatter) {
  const struct {
    AttemptEnd end;
    int failures;
  } cases[] = {
      {{.code = StatusCode::UNAVAILABLE}, 1},
      {{.code = StatusCode::DEADLINE_EXCEEDED}, 1},
      {{.code = StatusCode::NOT_FOUND}, 0},
      {{.code = StatusCode::NOT_FOUND, .pushback_ms = 10}, 0},
      {{.code = StatusCode::NOT_FOUND, .pushback_ms = -1}, 1},
      {{.code = StatusCode::RESOURCE_EXHAUSTED}, 0},
      {{.code = StatusCode::RESOURCE_EXHAUSTED, .pushback_ms = 10}, 1},
      {{.code = StatusCode::CANCELLED}, 0},
  };
  for (const auto& c : cases) {
    allowance_.failures = 0;
    AttemptPlan plan = Started();
    End(plan, c.end);
    EXPECT_EQ(allowance_.failures, c.failures) << static_cast<int>(c.end.code);
    EXPECT_EQ(allowance_.successes, 0);
  }
}

TEST_F(AttemptPlanTest, WorksWithTheThrottleOfGrpc) {
  const auto throttle = *RetryThrottle::Create();
  policy_.allowance = throttle.get();
  policy_.retry.max_attempts = 10;
  chance_ = 0;
  AttemptPlan plan = Started();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Fail(plan).send);
  ExpectFinished(Fail(plan), plan, StopReason::kBudget);
}

TEST_F(AttemptPlanTest, WorksWithTheBudget) {
  const auto budget =
      *RetryBudget::Create({.retry_share = 0.2, .min_retries_per_second = 0});
  policy_.allowance = budget.get();
  chance_ = 0;
  for (int i = 0; i < 4; ++i) {
    AttemptPlan plan = Started();
    ExpectFinished(Fail(plan), plan, StopReason::kBudget);
  }
  AttemptPlan plan = Started();  // the fifth call
  EXPECT_TRUE(Fail(plan).send);
  ExpectFinished(Fail(plan), plan, StopReason::kBudget);
}

TEST_F(AttemptPlanTest, AnAttemptEndsNoLaterThanTheCall) {
  const Clock::TimePoint now = clock_.Now();
  EXPECT_EQ(Started().AttemptDeadline(now), std::nullopt);
  EXPECT_EQ(Started(1s).AttemptDeadline(now), now + 1s);
  policy_.retry.attempt_timeout = 200ms;
  EXPECT_EQ(Started().AttemptDeadline(now), now + 200ms);
  EXPECT_EQ(Started(1s).AttemptDeadline(now), now + 200ms);
  EXPECT_EQ(Started(1s).AttemptDeadline(now + 900ms), now + 1s);
}

TEST_F(AttemptPlanTest, ChecksThePolicyAsAWhole) {
  EXPECT_TRUE(CheckPolicy(AttemptPolicy()).ok());
  EXPECT_TRUE(CheckPolicy(policy_).ok());
  policy_.retry.max_attempts = 11;
  EXPECT_EQ(CheckPolicy(policy_).message(),
            "retry.max_attempts must be in [1, 10], got 11");
}

TEST(StopReasonNameTest, NamesEachReasonOnce) {
  std::set<std::string_view> names;
  for (int reason = 0; reason <= static_cast<int>(StopReason::kNotRepeatable);
       ++reason) {
    names.insert(StopReasonName(static_cast<StopReason>(reason)));
  }
  EXPECT_EQ(names, std::set<std::string_view>(
                       {"none", "fatal_code", "attempts", "not_idempotent",
                        "pushback", "deadline", "budget", "not_repeatable"}));
}

TEST(ParseRetryPushbackTest, TakesMillisecondsAndNothingElse) {
  EXPECT_EQ(ParseRetryPushback("0"), 0);
  EXPECT_EQ(ParseRetryPushback("1500"), 1500);
  EXPECT_EQ(ParseRetryPushback("007"), 7);
  EXPECT_EQ(ParseRetryPushback("2147483647"), 2147483647);
  for (const std::string_view value :
       {"", "-1", "-0x", "+1", " 1", "1 ", "1ms", "1.5", "1e3", "0x10",
        "2147483648", "99999999999999999999", "-99999999999999999999", "ten",
        "١"}) {
    EXPECT_EQ(ParseRetryPushback(value), -1) << value;
  }
  EXPECT_EQ(ParseRetryPushback(std::string_view("1\0", 2)), -1);
  EXPECT_EQ(ParseRetryPushback({}), -1);
}

// Whatever happens: attempts and time are bounded, waits within their bounds,
// one thing in flight or one thing to wait for, and one end.
TEST(AttemptPlanPropertyTest, HoldsItsPromisesWhateverHappens) {
  std::mt19937_64 generator(2026);
  std::uniform_real_distribution<double> uniform;
  const Random random = [&] { return uniform(generator); };
  const auto chance = [&](double p) { return uniform(generator) < p; };
  std::set<StopReason> reasons;
  for (int round = 0; round < 20'000; ++round) {
    AttemptPolicy policy;
    policy.retry.max_attempts = 1 + static_cast<int>(generator() % 10);
    policy.retry.backoff.kind = static_cast<BackoffKind>(generator() % 4);
    policy.idempotent = chance(0.7);
    const auto budget =
        *RetryBudget::Create({.min_retries_per_second = chance(0.8) ? 5 : 0});
    policy.allowance = budget.get();
    Clock::TimePoint now(std::chrono::hours(1));
    const Clock::TimePoint deadline =
        now + std::chrono::milliseconds(1 + generator() % 5000);

    AttemptPlan plan(policy, random, deadline);
    ASSERT_TRUE(plan.Start(now).send);
    std::optional<std::int64_t> pushback;
    bool processed = false;
    for (int i = 0;; ++i) {
      ASSERT_LT(i, 10);
      now += std::chrono::milliseconds(generator() % 300);
      AttemptEnd end;
      end.code = chance(0.7) ? StatusCode::UNAVAILABLE
                             : static_cast<StatusCode>(generator() % 17);
      end.certainly_not_processed = chance(0.5);
      if (chance(0.2)) {
        end.pushback_ms = static_cast<std::int64_t>(generator() % 2000) - 50;
      }
      end.deadline_passed = now >= deadline;
      processed |= !end.certainly_not_processed;
      pushback = end.pushback_ms;
      const PlanStep step = plan.OnAttemptEnd(end, now);
      ASSERT_EQ(step.send + step.wake.has_value() + step.finished, 1);
      if (step.finished) {
        if (end.code == StatusCode::OK) {
          ASSERT_EQ(plan.stop_reason(), StopReason::kNone);
        }
        break;
      }
      ASSERT_TRUE(policy.idempotent || !processed);
      ASSERT_FALSE(pushback.has_value() && *pushback < 0);
      if (step.wake.has_value()) {
        ASSERT_LT(*step.wake, deadline);
        ASSERT_LE(*step.wake - now, pushback.has_value() ? 2s : 1200ms);
        if (pushback.has_value()) {
          ASSERT_EQ(*step.wake, now + std::chrono::milliseconds(*pushback));
        }
        now = *step.wake;
        ASSERT_TRUE(plan.OnTimer(now).send);
      }
      ASSERT_LT(now, deadline);
      ASSERT_EQ(plan.in_flight(), 1);
      ASSERT_LE(plan.attempts(), policy.retry.max_attempts);
    }
    ASSERT_EQ(plan.in_flight(), 0);
    reasons.insert(plan.stop_reason());
  }
  EXPECT_EQ(reasons.size(), 7U);  // every way out was taken
}

}  // namespace
}  // namespace grpccommon
