// SPDX-License-Identifier: Apache-2.0
// Attempts side by side, as gRFC A6 defines them.

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "grpccommon/retry/attempt_plan.h"
#include "grpccommon/retry/budget.h"
#include "grpccommon/testing/fake_clock.h"
#include "retry/counting_allowance.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using test::CountingAllowance;

class HedgingTest : public ::testing::Test {
 protected:
  HedgingTest() {
    policy_.idempotent = true;
    policy_.allowance = &allowance_;
    policy_.hedge_allowance = &hedge_allowance_;
    policy_.hedging = HedgingPolicy{.max_attempts = 4, .delay = 100ms};
  }

  // A call whose first attempt is on its way.
  AttemptPlan Started(std::optional<Clock::Duration> timeout = std::nullopt) {
    std::optional<Clock::TimePoint> deadline;
    if (timeout.has_value()) deadline = clock_.Now() + *timeout;
    AttemptPlan plan(policy_, random_, deadline);
    last_ = plan.Start(clock_.Now());
    EXPECT_TRUE(last_.send);
    EXPECT_FALSE(last_.finished);
    return plan;
  }
  void Timer(AttemptPlan& plan, Clock::Duration after) {
    clock_.Advance(after);
    last_ = plan.OnTimer(clock_.Now());
  }
  void End(AttemptPlan& plan, const AttemptEnd& end) {
    last_ = plan.OnAttemptEnd(end, clock_.Now());
  }
  void Fail(AttemptPlan& plan) { End(plan, {.code = StatusCode::UNAVAILABLE}); }
  void FailWith(AttemptPlan& plan, std::int64_t pushback_ms) {
    End(plan, {.code = StatusCode::UNAVAILABLE, .pushback_ms = pushback_ms});
  }

  void ExpectSends(std::optional<Clock::Duration> next) {
    EXPECT_TRUE(last_.send);
    EXPECT_FALSE(last_.finished);
    ExpectWake(next);
  }
  void ExpectWaits(std::optional<Clock::Duration> next = std::nullopt) {
    EXPECT_FALSE(last_.send);
    EXPECT_FALSE(last_.finished);
    ExpectWake(next);
  }
  void ExpectFinished(const AttemptPlan& plan, StopReason reason) {
    EXPECT_TRUE(last_.finished);
    EXPECT_FALSE(last_.send);
    EXPECT_FALSE(last_.wake.has_value());
    EXPECT_EQ(StopReasonName(plan.stop_reason()), StopReasonName(reason));
  }

  testing::FakeClock clock_;
  Random random_ = []() -> double {
    ADD_FAILURE() << "hedging is not left to chance";
    return 0;
  };
  CountingAllowance allowance_;
  CountingAllowance hedge_allowance_;
  AttemptPolicy policy_;
  PlanStep last_;

 private:
  void ExpectWake(std::optional<Clock::Duration> next) {
    ASSERT_EQ(last_.wake.has_value(), next.has_value());
    if (next.has_value()) {
      EXPECT_EQ((*last_.wake - clock_.Now()).count(), next->count());
    }
  }
};

TEST_F(HedgingTest, SendsAnAttemptWheneverTheDelayHasPassed) {
  AttemptPlan plan = Started();
  ExpectSends(100ms);
  Timer(plan, 100ms);
  ExpectSends(100ms);
  Timer(plan, 100ms);
  ExpectSends(100ms);
  Timer(plan, 100ms);
  ExpectSends(std::nullopt);  // the fourth is the last
  Timer(plan, 100ms);
  ExpectWaits();
  EXPECT_EQ(plan.attempts(), 4);
  EXPECT_EQ(plan.in_flight(), 4);
}

TEST_F(HedgingTest, TheFirstSuccessEndsTheCall) {
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  End(plan, {});
  ExpectFinished(plan, StopReason::kNone);
  EXPECT_EQ(plan.in_flight(), 1);  // to be cancelled
  EXPECT_EQ(allowance_.calls, 1);
  EXPECT_EQ(hedge_allowance_.calls, 1);
  EXPECT_EQ(allowance_.successes, 1);
}

TEST_F(HedgingTest, TheEndsOfCancelledAttemptsChangeNothing) {
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  Timer(plan, 100ms);
  End(plan, {});
  for (const StatusCode code : {StatusCode::CANCELLED, StatusCode::OK}) {
    End(plan, {.code = code});
    ExpectWaits();
  }
  EXPECT_EQ(plan.in_flight(), 0);
  EXPECT_EQ(plan.stop_reason(), StopReason::kNone);
  EXPECT_EQ(allowance_.successes, 1);
  EXPECT_EQ(allowance_.failures, 0);
}

TEST_F(HedgingTest, AFatalCodeEndsTheCall) {
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  End(plan, {.code = StatusCode::INVALID_ARGUMENT});
  ExpectFinished(plan, StopReason::kFatalCode);
  EXPECT_EQ(plan.in_flight(), 1);
}

TEST_F(HedgingTest, ANonFatalCodeSendsTheNextAtOnceAndRestartsTheDelay) {
  AttemptPlan plan = Started();
  clock_.Advance(60ms);
  Fail(plan);
  ExpectSends(100ms);
  Timer(plan, 40ms);  // the first timer, if it was not replaced
  ExpectWaits(60ms);
  Timer(plan, 60ms);
  ExpectSends(100ms);
  EXPECT_EQ(plan.attempts(), 3);
}

TEST_F(HedgingTest, AnAttemptThatTimedOutIsNotFatal) {
  AttemptPlan plan = Started(1s);
  clock_.Advance(60ms);
  End(plan, {.code = StatusCode::DEADLINE_EXCEEDED});
  ExpectSends(100ms);
}

TEST_F(HedgingTest, EndsWithTheLastFailure) {
  policy_.hedging->max_attempts = 2;
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  Fail(plan);
  ExpectWaits();
  Fail(plan);
  ExpectFinished(plan, StopReason::kAttempts);
  EXPECT_EQ(plan.in_flight(), 0);
  EXPECT_EQ(allowance_.failures, 2);
}

TEST_F(HedgingTest, NeverRetriesAfterwards) {
  policy_.hedging->max_attempts = 2;
  policy_.retry.max_attempts = 10;
  AttemptPlan plan = Started();
  Fail(plan);
  Fail(plan);
  ExpectFinished(plan, StopReason::kAttempts);
}

TEST_F(HedgingTest, APushbackSaysWhenTheNextIsSent) {
  AttemptPlan plan = Started();
  clock_.Advance(60ms);
  FailWith(plan, 500);
  ExpectWaits(500ms);
  Timer(plan, 40ms);
  ExpectWaits(460ms);
  Timer(plan, 460ms);
  ExpectSends(100ms);  // and then the delay counts again
}

TEST_F(HedgingTest, APushbackMakesAnUnlistedFailureNonFatal) {
  AttemptPlan plan = Started();
  End(plan, {.code = StatusCode::RESOURCE_EXHAUSTED, .pushback_ms = 30});
  ExpectWaits(30ms);
}

TEST_F(HedgingTest, APushbackOfZeroSendsAtOnce) {
  AttemptPlan plan = Started();
  FailWith(plan, 0);
  ExpectSends(100ms);
}

TEST_F(HedgingTest, ANegativePushbackStopsFurtherAttempts) {
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  FailWith(plan, -1);
  ExpectWaits();
  Timer(plan, 100ms);
  ExpectWaits();
  Fail(plan);
  ExpectFinished(plan, StopReason::kPushback);
  EXPECT_EQ(plan.attempts(), 2);
}

TEST_F(HedgingTest, ANegativePushbackLeavesTheOthersTheirChance) {
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  FailWith(plan, -1);
  End(plan, {});
  ExpectFinished(plan, StopReason::kNone);
}

TEST_F(HedgingTest, AnotherFailureDoesNotShortenAPushback) {
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  FailWith(plan, 500);
  ExpectWaits(500ms);
  Fail(plan);
  ExpectWaits();
  EXPECT_EQ(plan.in_flight(), 0);
  Timer(plan, 499ms);
  ExpectWaits(1ms);
  Timer(plan, 1ms);
  ExpectSends(100ms);
  EXPECT_EQ(allowance_.asked, 2);  // for the hedge, and for what followed once
}

TEST_F(HedgingTest, ALaterPushbackReplacesAnEarlierOne) {
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  FailWith(plan, 500);
  FailWith(plan, 200);
  ExpectWaits(200ms);
  Timer(plan, 200ms);
  ExpectSends(100ms);
}

TEST_F(HedgingTest, NothingIsSentAtOrAfterTheDeadline) {
  AttemptPlan plan = Started(200ms);
  ExpectSends(100ms);
  Timer(plan, 100ms);
  ExpectSends(std::nullopt);
  FailWith(plan, 100);
  ExpectWaits();
  End(plan, {.code = StatusCode::DEADLINE_EXCEEDED, .deadline_passed = true});
  ExpectFinished(plan, StopReason::kDeadline);
  EXPECT_EQ(plan.attempts(), 2);
}

TEST_F(HedgingTest, ATimerThatCameAfterTheDeadlineSendsNothing) {
  AttemptPlan plan = Started(150ms);
  Timer(plan, 150ms);
  ExpectWaits();
  EXPECT_EQ(plan.attempts(), 1);
  Fail(plan);
  ExpectFinished(plan, StopReason::kDeadline);
}

TEST_F(HedgingTest, APushbackWhoseTimerCameAfterTheDeadlineEndsTheCall) {
  AttemptPlan plan = Started(150ms);
  FailWith(plan, 100);
  ExpectWaits(100ms);
  Timer(plan, 150ms);
  ExpectFinished(plan, StopReason::kDeadline);
}

TEST_F(HedgingTest, CancelledEndsTheCall) {
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  End(plan, {.code = StatusCode::CANCELLED});
  ExpectFinished(plan, StopReason::kFatalCode);
}

TEST_F(HedgingTest, TheAllowanceBoundsEveryFurtherAttempt) {
  allowance_.allowed = 0;
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  ExpectWaits();
  Timer(plan, 100ms);
  ExpectWaits();
  EXPECT_EQ(allowance_.asked, 1);  // a call that may not hedge stops asking
  Fail(plan);
  ExpectFinished(plan, StopReason::kBudget);
  EXPECT_EQ(plan.attempts(), 1);
}

TEST_F(HedgingTest, ItsOwnBudgetBoundsWhatOnlyTimeCallsFor) {
  hedge_allowance_.allowed = 0;
  AttemptPlan plan = Started();
  Timer(plan, 100ms);
  ExpectWaits();
  EXPECT_EQ(allowance_.asked, 0);  // nothing taken from the shared one
  Fail(plan);                      // but what failed is replaced
  ExpectSends(std::nullopt);
  EXPECT_EQ(hedge_allowance_.asked, 1);
}

TEST_F(HedgingTest, ADelayOfZeroSendsThemAllAtOnce) {
  policy_.hedging->delay = 0ms;
  AttemptPlan plan = Started();
  for (int i = 0; i < 2; ++i) {
    ExpectSends(0ms);
    Timer(plan, 0ms);
  }
  ExpectSends(0ms);
  Timer(plan, 0ms);
  ExpectSends(std::nullopt);
  EXPECT_EQ(plan.in_flight(), 4);
}

TEST_F(HedgingTest, AMethodThatIsNotIdempotentIsNeverHedged) {
  policy_.idempotent = false;
  policy_.retry.retry_unsafe = true;  // allows retries, not this
  random_ = [] { return 0.5; };
  AttemptPlan plan = Started();
  ExpectSends(std::nullopt);
  Fail(plan);
  ExpectWaits(12'500us);  // a retry's backoff
}

class PercentileHedgingTest : public HedgingTest {
 protected:
  PercentileHedgingTest() {
    policy_.hedging->delay.reset();
    policy_.latency = latency_.get();
  }
  // As if so many calls had taken so long, some time ago.
  void Observe(Clock::Duration latency, int count) {
    for (int i = 0; i < count; ++i) latency_->Record(latency, clock_.Now());
    clock_.Advance(3s);
  }
  // What a call that does not hedge has taught.
  std::optional<std::chrono::nanoseconds> Learned() {
    clock_.Advance(3s);
    return latency_->Get(clock_.Now());
  }

  std::unique_ptr<LatencyPercentile> latency_ =
      *LatencyPercentile::Create({.min_samples = 1});
};

TEST_F(PercentileHedgingTest, NeverHedgesTheFirstCalls) {
  AttemptPlan plan = Started();
  ExpectSends(std::nullopt);
  clock_.Advance(60ms);
  Fail(plan);  // though a failure is followed by the next
  ExpectSends(std::nullopt);
}

TEST_F(PercentileHedgingTest, HedgesAfterThePercentile) {
  Observe(10ms, 100);
  Started();
  ASSERT_TRUE(last_.wake.has_value());
  EXPECT_GE(*last_.wake, clock_.Now() + 10ms);
  EXPECT_LE(*last_.wake, clock_.Now() + 10'350us);
}

TEST_F(PercentileHedgingTest, HedgesNoEarlierThanTheLeastDelay) {
  Observe(50us, 100);
  Started();
  ExpectSends(1ms);
  policy_.hedging->min_delay = 5ms;
  Started();
  ExpectSends(5ms);
}

TEST_F(PercentileHedgingTest, LearnsFromSuccessesTimeoutsAndSupersededCalls) {
  const struct {
    AttemptEnd end;
    bool hedged;
    bool learns;
  } cases[] = {
      {{}, false, true},
      {{}, true, true},  // the first attempt has taken so long at least
      {{.code = StatusCode::NOT_FOUND}, false, true},
      {{.code = StatusCode::DEADLINE_EXCEEDED}, false, true},
      {{.code = StatusCode::DEADLINE_EXCEEDED, .deadline_passed = true},
       false,
       true},
      {{.code = StatusCode::UNAVAILABLE}, false, false},
      {{.code = StatusCode::INTERNAL}, false, false},
      {{.code = StatusCode::CANCELLED}, false, false},
  };
  for (const auto& c : cases) {
    latency_ = *LatencyPercentile::Create({.min_samples = 1});
    policy_.latency = latency_.get();
    policy_.hedging->delay =
        c.hedged ? std::optional<Clock::Duration>(40ms) : std::nullopt;
    AttemptPlan plan = Started();
    latency_->Get(clock_.Now());
    if (c.hedged) Timer(plan, 40ms);
    clock_.Advance(c.hedged ? 60ms : 100ms);
    End(plan, c.end);
    const auto learned = Learned();
    ASSERT_EQ(learned.has_value(), c.learns) << static_cast<int>(c.end.code);
    if (c.learns) {
      EXPECT_GE(*learned, 100ms);
      EXPECT_LE(*learned, 104ms);
    }
  }
}

TEST_F(PercentileHedgingTest, LearnsNothingFromWhatFollowsAFailure) {
  AttemptPlan plan = Started();
  Fail(plan);
  clock_.Advance(100ms);
  End(plan, {});
  ExpectFinished(plan, StopReason::kNone);
  EXPECT_EQ(Learned(), std::nullopt);
}

TEST(HedgingPolicyTest, IsCheckedAsAWhole) {
  AttemptPolicy policy;
  policy.hedging = HedgingPolicy();
  policy.idempotent = true;
  EXPECT_EQ(CheckPolicy(policy).message(),
            "hedging.delay must be set where latency is not measured");
  policy.hedging->delay = 10ms;
  EXPECT_TRUE(CheckPolicy(policy).ok());
  policy.hedging->max_attempts = 6;
  EXPECT_EQ(CheckPolicy(policy).message(),
            "hedging.max_attempts must be in [2, 5], got 6");
  policy.hedging->max_attempts = 2;
  policy.idempotent = false;
  EXPECT_EQ(CheckPolicy(policy).message(),
            "hedging sends a request twice: the method must be idempotent");
}

// Whatever happens, in whatever order: the bounds hold and the call ends once.
TEST(HedgingPropertyTest, HoldsItsPromisesWhateverHappens) {
  std::mt19937_64 generator(1959);
  std::uniform_real_distribution<double> uniform;
  const Random random = [&] { return uniform(generator); };
  const auto chance = [&](double p) { return uniform(generator) < p; };
  std::set<StopReason> reasons;
  for (int round = 0; round < 20'000; ++round) {
    AttemptPolicy policy;
    policy.idempotent = true;
    policy.hedging =
        HedgingPolicy{.max_attempts = 2 + static_cast<int>(generator() % 4),
                      .delay = std::chrono::milliseconds(generator() % 200)};
    CountingAllowance allowance;
    CountingAllowance hedge_allowance;
    allowance.allowed = static_cast<int>(generator() % 6);
    hedge_allowance.allowed = static_cast<int>(generator() % 6);
    const int allowed = allowance.allowed;
    policy.allowance = &allowance;
    policy.hedge_allowance = &hedge_allowance;
    Clock::TimePoint now(std::chrono::hours(1));
    const Clock::TimePoint deadline = now + 500ms;

    AttemptPlan plan(policy, random, deadline);
    std::optional<Clock::TimePoint> wake;
    int in_flight = 0;
    bool finished = false;
    const auto follow = [&](const PlanStep& step) {
      in_flight += step.send;
      ASSERT_TRUE(!step.send || now < deadline);
      if (step.wake.has_value()) {
        ASSERT_LT(*step.wake, deadline);
        wake = step.wake;
      }
      if (step.finished) {
        ASSERT_FALSE(finished);
        ASSERT_FALSE(step.send);
        finished = true;
      }
      ASSERT_EQ(plan.in_flight(), in_flight);
      ASSERT_LE(plan.attempts(), policy.hedging->max_attempts);
      ASSERT_LE(plan.attempts(), 1 + allowed);
    };
    follow(plan.Start(now));
    for (int i = 0; !finished; ++i) {
      ASSERT_LT(i, 100);
      // Nothing in flight and nothing to wait for would be a call forgotten.
      ASSERT_TRUE(in_flight > 0 || wake.has_value());
      if (in_flight == 0 || (wake.has_value() && chance(0.5))) {
        ASSERT_TRUE(wake.has_value());
        now = std::max(now, *wake) +
              std::chrono::milliseconds(chance(0.1) ? 300 : 0);
        wake.reset();
        follow(plan.OnTimer(now));
        continue;
      }
      now += std::chrono::milliseconds(generator() % 50);
      AttemptEnd end;
      end.deadline_passed = now >= deadline;
      end.code = end.deadline_passed ? StatusCode::DEADLINE_EXCEEDED
                 : chance(0.8)       ? StatusCode::UNAVAILABLE
                               : static_cast<StatusCode>(generator() % 17);
      if (chance(0.3)) {
        end.pushback_ms = static_cast<std::int64_t>(generator() % 300) - 50;
      }
      --in_flight;
      follow(plan.OnAttemptEnd(end, now));
    }
    while (in_flight > 0) {
      --in_flight;
      follow(plan.OnAttemptEnd({.code = StatusCode::CANCELLED}, now));
    }
    reasons.insert(plan.stop_reason());
  }
  EXPECT_EQ(reasons.size(), 6U);  // all but kNotIdempotent
}

}  // namespace
}  // namespace grpccommon
