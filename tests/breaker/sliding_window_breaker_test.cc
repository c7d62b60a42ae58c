// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/sliding_window_breaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using State = BreakerState;
using Permit = CircuitBreaker::Permit;
using Options = SlidingWindowBreakerOptions;
using Change = std::pair<State, State>;

class SlidingWindowBreakerTest : public ::testing::Test {
 protected:
  std::unique_ptr<CircuitBreaker> Create(Options options) {
    options.on_change = [this](State from, State to) {
      changes_.emplace_back(from, to);
    };
    return *CreateSlidingWindowBreaker(options, clock_,
                                       [this] { return random_; });
  }

  static void Call(CircuitBreaker& breaker, Outcome outcome, int count = 1,
                   Clock::Duration latency = 1ms) {
    for (int i = 0; i < count; ++i) {
      Permit permit = breaker.TryAcquire();
      ASSERT_TRUE(permit) << "call " << i;
      permit.Record(outcome, latency);
    }
  }

  static void Fail(CircuitBreaker& breaker, int count = 1) {
    Call(breaker, Outcome::kFailure, count);
  }
  static void Succeed(CircuitBreaker& breaker, int count = 1) {
    Call(breaker, Outcome::kSuccess, count);
  }

  FakeClock clock_;
  double random_ = 0.5;  // no jitter
  std::vector<Change> changes_;
};

TEST_F(SlidingWindowBreakerTest, OpensRefusesTriesAndCloses) {
  const auto breaker = Create({});
  Fail(*breaker, 20);
  EXPECT_EQ(breaker->state(), State::kOpen);
  EXPECT_FALSE(breaker->TryAcquire());
  EXPECT_EQ(breaker->RetryAfter(), 5s);
  clock_.Advance(5s - 1ns);
  EXPECT_EQ(breaker->RetryAfter(), 1ns);
  EXPECT_FALSE(breaker->TryAcquire());
  clock_.Advance(1ns);
  EXPECT_EQ(breaker->RetryAfter(), 0ns);
  EXPECT_EQ(breaker->state(), State::kOpen);  // until somebody asks
  Succeed(*breaker, 4);
  EXPECT_EQ(breaker->state(), State::kHalfOpen);
  Succeed(*breaker);
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_THAT(changes_, ElementsAre(Change(State::kClosed, State::kOpen),
                                    Change(State::kOpen, State::kHalfOpen),
                                    Change(State::kHalfOpen, State::kClosed)));
  EXPECT_EQ(breaker->stats().opened_total, 1u);
  EXPECT_EQ(breaker->stats().refused_total, 2u);
}

// The following hold for both windows.
class AnyWindowTest
    : public SlidingWindowBreakerTest,
      public ::testing::WithParamInterface<decltype(Options::window)> {};

INSTANTIATE_TEST_SUITE_P(Windows, AnyWindowTest,
                         ::testing::Values(TimeWindow{},
                                           CountWindow{.calls = 1000}),
                         [](const auto& window) {
                           return window.param.index() == 0 ? "Time" : "Count";
                         });

TEST_P(AnyWindowTest, OpensAtTheFailureRateAndNotBelow) {
  const auto breaker =
      Create({.window = GetParam(), .failure_rate = 0.3, .min_calls = 10});
  Succeed(*breaker, 8);
  Fail(*breaker, 3);  // 3 of 11
  EXPECT_EQ(breaker->state(), State::kClosed);
  Succeed(*breaker, 2);
  Fail(*breaker);  // 4 of 14
  EXPECT_EQ(breaker->state(), State::kClosed);
  Fail(*breaker);  // 5 of 15
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_P(AnyWindowTest, MeetsTheFailureRateExactly) {
  const auto breaker =
      Create({.window = GetParam(), .failure_rate = 0.3, .min_calls = 10});
  Succeed(*breaker, 7);
  Fail(*breaker, 3);
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_P(AnyWindowTest, TakesTheSmallestRateForOneFailure) {
  const auto breaker =
      Create({.window = GetParam(), .failure_rate = 1e-300, .min_calls = 1});
  Succeed(*breaker, 500);
  EXPECT_EQ(breaker->state(), State::kClosed);
  Fail(*breaker);
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_P(AnyWindowTest, DoesNotJudgeBeforeThereAreEnoughCalls) {
  const auto breaker = Create({.window = GetParam(), .min_calls = 10});
  Fail(*breaker, 9);
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_EQ(breaker->stats().failures, 9u);
  Succeed(*breaker);  // the tenth call: nine of ten have failed
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_P(AnyWindowTest, OpensAtTheSlowCallRate) {
  const auto breaker = Create({.window = GetParam(),
                               .slow_call = 100ms,
                               .slow_call_rate = 0.5,
                               .min_calls = 4});
  Call(*breaker, Outcome::kSuccess, 3, 100ms);  // not longer than that
  Call(*breaker, Outcome::kSuccess, 2, 100ms + 1ns);
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_EQ(breaker->stats().slow_calls, 2u);
  Call(*breaker, Outcome::kSuccess, 1, 1s);
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_P(AnyWindowTest, CountsASlowFailureAsBoth) {
  const auto breaker = Create({.window = GetParam(), .slow_call = 100ms});
  Call(*breaker, Outcome::kFailure, 3, 1s);
  EXPECT_EQ(breaker->stats().calls, 3u);
  EXPECT_EQ(breaker->stats().failures, 3u);
  EXPECT_EQ(breaker->stats().slow_calls, 3u);
}

TEST_P(AnyWindowTest, KnowsNoSlowCallsByDefault) {
  const auto breaker = Create({.window = GetParam(), .min_calls = 1});
  Call(*breaker, Outcome::kSuccess, 10, 1h);
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_EQ(breaker->stats().slow_calls, 0u);
}

TEST_P(AnyWindowTest, DoesNotCountIgnoredCallsOrDroppedPermits) {
  const auto breaker =
      Create({.window = GetParam(), .slow_call = 1ms, .min_calls = 1});
  Call(*breaker, Outcome::kIgnored, 10, 1s);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(breaker->TryAcquire());
  EXPECT_EQ(breaker->stats().calls, 0u);
  EXPECT_EQ(breaker->state(), State::kClosed);
}

TEST_P(AnyWindowTest, ClosesWithAnEmptyWindow) {
  const auto breaker = Create({.window = GetParam(), .min_calls = 20});
  Fail(*breaker, 20);
  clock_.Advance(5s);
  Succeed(*breaker, 5);
  ASSERT_EQ(breaker->state(), State::kClosed);
  EXPECT_EQ(breaker->stats().calls, 0u);
  Fail(*breaker, 19);
  EXPECT_EQ(breaker->state(), State::kClosed);
  Fail(*breaker);
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_P(AnyWindowTest, IgnoresResultsOfAnEarlierGeneration) {
  const auto breaker = Create({.window = GetParam(), .min_calls = 1});
  std::vector<Permit> late;
  for (int i = 0; i < 8; ++i) late.push_back(breaker->TryAcquire());
  Fail(*breaker);
  ASSERT_EQ(breaker->state(), State::kOpen);
  late[0].Record(Outcome::kSuccess, 1ms);  // while open
  clock_.Advance(5s);
  Permit trial = breaker->TryAcquire();
  ASSERT_EQ(breaker->state(), State::kHalfOpen);
  late[1].Record(Outcome::kFailure, 1ms);  // while half-open
  late[2].Record(Outcome::kIgnored, 1ms);
  { const Permit dropped = std::move(late[3]); }
  EXPECT_EQ(breaker->stats().calls, 0u);
  Succeed(*breaker, 4);
  EXPECT_FALSE(breaker->TryAcquire()) << "more than five trials";
  trial.Record(Outcome::kSuccess, 1ms);
  ASSERT_EQ(breaker->state(), State::kClosed);
  late[4].Record(Outcome::kFailure, 1ms);  // closed, but another time
  EXPECT_EQ(breaker->stats().calls, 0u);
  EXPECT_EQ(breaker->state(), State::kClosed);
}

TEST_P(AnyWindowTest, ObeysTheOperator) {
  const auto breaker = Create({.window = GetParam(), .min_calls = 1});
  breaker->ForceOpen();
  EXPECT_EQ(breaker->state(), State::kForcedOpen);
  EXPECT_FALSE(breaker->TryAcquire());
  EXPECT_EQ(breaker->RetryAfter(), 5s);
  EXPECT_EQ(breaker->stats().rejection_probability, 1);
  clock_.Advance(1h);
  EXPECT_FALSE(breaker->TryAcquire());

  breaker->Disable();
  Fail(*breaker, 100);
  EXPECT_EQ(breaker->state(), State::kDisabled);
  EXPECT_EQ(breaker->stats().calls, 0u);

  breaker->MetricsOnly();
  Fail(*breaker, 100);
  EXPECT_EQ(breaker->state(), State::kMetricsOnly);
  EXPECT_EQ(breaker->stats().calls, 100u);
  EXPECT_EQ(breaker->stats().failures, 100u);
  EXPECT_EQ(breaker->RetryAfter(), 0ns);

  breaker->Reset();
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_EQ(breaker->stats().calls, 0u);
  Succeed(*breaker);
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_THAT(changes_,
              ElementsAre(Change(State::kClosed, State::kForcedOpen),
                          Change(State::kForcedOpen, State::kDisabled),
                          Change(State::kDisabled, State::kMetricsOnly),
                          Change(State::kMetricsOnly, State::kClosed)));
  EXPECT_EQ(breaker->stats().opened_total, 0u);
}

TEST_P(AnyWindowTest, ResetEndsAnyState) {
  const auto breaker = Create({.window = GetParam(), .min_calls = 1});
  Fail(*breaker);
  breaker->Reset();
  EXPECT_EQ(breaker->state(), State::kClosed);
  Fail(*breaker);
  clock_.Advance(5s);
  Permit trial = breaker->TryAcquire();
  breaker->Reset();
  trial.Record(Outcome::kFailure, 1ms);  // of the trials, which are over
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_EQ(breaker->stats().calls, 0u);
  changes_.clear();
  breaker->Reset();
  EXPECT_THAT(changes_, IsEmpty()) << "closed as before";
}

TEST_P(AnyWindowTest, ShowsWhatItOpenedFor) {
  const auto breaker =
      Create({.window = GetParam(), .slow_call = 10ms, .min_calls = 4});
  const auto start = clock_.Now();
  EXPECT_EQ(breaker->stats().since, start);
  clock_.Advance(1s);
  Succeed(*breaker, 2);
  EXPECT_EQ(breaker->stats().since, start);
  Call(*breaker, Outcome::kFailure, 2, 20ms);
  clock_.Advance(1s);
  const BreakerStats open = breaker->stats();
  EXPECT_EQ(open.state, State::kOpen);
  EXPECT_EQ(open.since, start + 1s);
  EXPECT_EQ(open.calls, 4u);
  EXPECT_EQ(open.failures, 2u);
  EXPECT_EQ(open.slow_calls, 2u);
  EXPECT_EQ(open.rejection_probability, 1);
  clock_.Advance(4s);
  EXPECT_EQ(breaker->stats().rejection_probability, 0);
  Fail(*breaker, 2);
  EXPECT_EQ(breaker->stats().calls, 2u);  // the trials
  EXPECT_EQ(breaker->stats().rejection_probability, 0);
  Fail(*breaker, 3);
  EXPECT_EQ(breaker->state(), State::kOpen);
  EXPECT_EQ(breaker->stats().calls, 5u);
  EXPECT_EQ(breaker->stats().opened_total, 2u);
}

TEST_F(SlidingWindowBreakerTest, TimeWindowForgetsByBuckets) {
  const auto breaker = Create(
      {.window = TimeWindow{.length = 10s, .buckets = 10}, .min_calls = 100});
  Fail(*breaker, 3);
  clock_.Advance(1s);
  Succeed(*breaker, 2);
  clock_.Advance(8s);
  EXPECT_EQ(breaker->stats().calls, 5u);
  clock_.Advance(1s);
  EXPECT_EQ(breaker->stats().calls, 2u);
  EXPECT_EQ(breaker->stats().failures, 0u);
  clock_.Advance(1s);
  EXPECT_EQ(breaker->stats().calls, 0u);
}

TEST_F(SlidingWindowBreakerTest, TimeWindowJudgesAgainWhenGoodCallsLeaveIt) {
  const auto breaker = Create({.min_calls = 10});
  Succeed(*breaker, 100);
  clock_.Advance(9s);
  Fail(*breaker, 30);  // of 130
  ASSERT_EQ(breaker->state(), State::kClosed);
  clock_.Advance(1s);  // of 30
  Succeed(*breaker);
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_F(SlidingWindowBreakerTest, TimeWindowOpensAfterALongSilence) {
  const auto breaker = Create({.min_calls = 2});
  Succeed(*breaker, 100);
  clock_.Advance(24h * 365);
  Fail(*breaker, 2);
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_F(SlidingWindowBreakerTest, CountWindowForgetsTheOldestCall) {
  const auto breaker = Create({.window = CountWindow{.calls = 4},
                               .failure_rate = 0.75,
                               .slow_call = 10ms,
                               .min_calls = 100});  // that is, four
  Call(*breaker, Outcome::kFailure, 2, 20ms);
  Succeed(*breaker, 2);
  EXPECT_EQ(breaker->stats().failures, 2u);
  Succeed(*breaker);
  EXPECT_EQ(breaker->stats().calls, 4u);
  EXPECT_EQ(breaker->stats().failures, 1u);
  EXPECT_EQ(breaker->stats().slow_calls, 1u);
  clock_.Advance(24h);  // time alone changes nothing
  EXPECT_EQ(breaker->stats().failures, 1u);
  Fail(*breaker);  // pushes the other one out
  EXPECT_EQ(breaker->stats().failures, 1u);
  EXPECT_EQ(breaker->stats().slow_calls, 0u);
  Fail(*breaker);
  EXPECT_EQ(breaker->state(), State::kClosed);
  Fail(*breaker);
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_F(SlidingWindowBreakerTest, CountWindowJudgesWhenItIsFull) {
  const auto breaker =
      Create({.window = CountWindow{.calls = 5}, .min_calls = 100});
  Fail(*breaker, 4);
  EXPECT_EQ(breaker->state(), State::kClosed);
  Fail(*breaker);
  EXPECT_EQ(breaker->state(), State::kOpen);
}

class HalfOpenTest : public SlidingWindowBreakerTest {
 protected:
  // A breaker whose next call is a trial.
  std::unique_ptr<CircuitBreaker> CreateOpen(Options options) {
    options.min_calls = 1;
    auto breaker = Create(std::move(options));
    Fail(*breaker);
    clock_.Advance(5s);
    changes_.clear();
    return breaker;
  }
};

TEST_F(HalfOpenTest, GrantsJustItsTrials) {
  const auto breaker = CreateOpen({.half_open_calls = 3});
  std::vector<Permit> trials;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(breaker->RetryAfter(), 0ns);
    trials.push_back(breaker->TryAcquire());
    EXPECT_TRUE(trials.back());
  }
  EXPECT_FALSE(breaker->TryAcquire());
  EXPECT_EQ(breaker->RetryAfter(), 100ms);
  EXPECT_EQ(breaker->stats().rejection_probability, 1);
  trials[0].Record(Outcome::kSuccess, 1ms);
  EXPECT_FALSE(breaker->TryAcquire()) << "one that has ended is not free";
}

TEST_F(HalfOpenTest, DecidesWhenAllTrialsHaveEnded) {
  const auto breaker = CreateOpen({.half_open_calls = 4});
  Fail(*breaker, 3);
  EXPECT_EQ(breaker->state(), State::kHalfOpen);
  Succeed(*breaker);
  EXPECT_EQ(breaker->state(), State::kOpen);
  EXPECT_EQ(breaker->RetryAfter(), 5s);
}

TEST_F(HalfOpenTest, OpensAtTheRateAndClosesBelow) {
  const auto at = CreateOpen({.failure_rate = 0.5, .half_open_calls = 4});
  Succeed(*at, 2);
  Fail(*at, 2);
  EXPECT_EQ(at->state(), State::kOpen);
  const auto below = CreateOpen({.failure_rate = 0.5, .half_open_calls = 5});
  Succeed(*below, 3);
  Fail(*below, 2);
  EXPECT_EQ(below->state(), State::kClosed);
}

TEST_F(HalfOpenTest, OpensForSlowTrials) {
  const auto breaker = CreateOpen({.slow_call = 10ms, .half_open_calls = 2});
  Call(*breaker, Outcome::kSuccess, 2, 11ms);
  EXPECT_EQ(breaker->state(), State::kOpen);
}

TEST_F(HalfOpenTest, GrantsAnewWhatWasIgnoredOrDropped) {
  const auto breaker = CreateOpen({.half_open_calls = 2});
  for (int i = 0; i < 100; ++i) {
    Call(*breaker, Outcome::kIgnored);
    EXPECT_TRUE(breaker->TryAcquire());  // and dropped
  }
  EXPECT_EQ(breaker->state(), State::kHalfOpen);
  Permit first = breaker->TryAcquire();
  Permit second = breaker->TryAcquire();
  EXPECT_FALSE(breaker->TryAcquire());
  first.Record(Outcome::kSuccess, 1ms);
  second.Record(Outcome::kSuccess, 1ms);
  EXPECT_EQ(breaker->state(), State::kClosed);
}

TEST_F(HalfOpenTest, GivesUpTrialsThatDoNotEnd) {
  const auto breaker = CreateOpen({.half_open_calls = 2, .trial_timeout = 1s});
  Permit first = breaker->TryAcquire();
  clock_.Advance(900ms);
  Permit second = breaker->TryAcquire();
  clock_.Advance(1s - 1ns);
  EXPECT_FALSE(breaker->TryAcquire());
  EXPECT_EQ(breaker->state(), State::kHalfOpen);
  clock_.Advance(1ns);
  EXPECT_FALSE(breaker->TryAcquire());
  EXPECT_EQ(breaker->state(), State::kOpen);
  EXPECT_EQ(breaker->RetryAfter(), 5s);
  first.Record(Outcome::kSuccess, 2s);
  second.Record(Outcome::kSuccess, 2s);
  EXPECT_EQ(breaker->state(), State::kOpen);
  clock_.Advance(5s);
  EXPECT_TRUE(breaker->TryAcquire());
}

TEST_F(HalfOpenTest, WaitsAsLongAsTrialsAreFree) {
  const auto breaker = CreateOpen({.half_open_calls = 2, .trial_timeout = 1s});
  Succeed(*breaker);
  clock_.Advance(1h);
  EXPECT_EQ(breaker->state(), State::kHalfOpen);
  Succeed(*breaker);
  EXPECT_EQ(breaker->state(), State::kClosed);
}

TEST_F(SlidingWindowBreakerTest, SpreadsHowLongItStaysOpen) {
  const std::vector<std::tuple<double, double, Clock::Duration>> cases = {
      {0.2, 0.0, 8s},  {0.2, 0.5, 10s}, {0.2, 0.75, 11s},
      {0.0, 0.9, 10s}, {1.0, 0.25, 5s}, {1.0, 0.0, 0s}};
  for (const auto& [jitter, random, expected] : cases) {
    random_ = random;
    const auto breaker =
        Create({.min_calls = 1, .open_duration = 10s, .open_jitter = jitter});
    Fail(*breaker);
    EXPECT_EQ(breaker->RetryAfter(), expected) << jitter << " " << random;
  }
}

TEST_F(SlidingWindowBreakerTest, TellsChangesWithoutALockHeld) {
  CircuitBreaker* breaker = nullptr;
  std::vector<std::string> told;
  const auto owner = *CreateSlidingWindowBreaker(
      {.min_calls = 1,
       .on_change =
           [&](State from, State to) {
             told.push_back(std::string(BreakerStateName(from)) + ">" +
                            std::string(BreakerStateName(to)));
             (void)breaker->stats();
             if (to == State::kOpen) breaker->Disable();  // told afterwards
             told.emplace_back("done");
           }},
      clock_);
  breaker = owner.get();
  Fail(*breaker);
  EXPECT_THAT(told,
              ElementsAre("CLOSED>OPEN", "done", "OPEN>DISABLED", "done"));
  EXPECT_EQ(breaker->state(), State::kDisabled);
}

TEST_F(SlidingWindowBreakerTest, OutlivesAnObserverThatThrows) {
  int told = 0;
  const auto breaker =
      *CreateSlidingWindowBreaker({.min_calls = 1,
                                   .on_change =
                                       [&](State, State) {
                                         ++told;
                                         throw std::runtime_error("no");
                                       }},
                                  clock_);
  Fail(*breaker);
  breaker->Reset();
  EXPECT_EQ(told, 2);
}

TEST(SlidingWindowBreakerOptionsTest, AreCheckedAtTheirBounds) {
  const std::vector<std::pair<Options, std::string>> wrong = {
      {{.window = TimeWindow{.length = 100ms - 1ns}}, "window.length"},
      {{.window = TimeWindow{.length = 10min + 1ns}}, "window.length"},
      {{.window = TimeWindow{.buckets = 0}}, "window.buckets"},
      {{.window = TimeWindow{.buckets = 61}}, "window.buckets"},
      {{.window = TimeWindow{.length = 100ms, .buckets = 11}}, "buckets"},
      {{.window = CountWindow{.calls = 0}}, "window.calls"},
      {{.window = CountWindow{.calls = 1'000'001}}, "window.calls"},
      {{.failure_rate = 0}, "failure_rate"},
      {{.failure_rate = std::nextafter(1.0, 2.0)}, "failure_rate"},
      {{.failure_rate = std::nan("")}, "failure_rate"},
      {{.slow_call = -1ns}, "slow_call"},
      {{.slow_call = 1h + 1ns}, "slow_call"},
      {{.slow_call_rate = 0}, "slow_call_rate"},
      {{.slow_call_rate = 1.5}, "slow_call_rate"},
      {{.min_calls = 0}, "min_calls"},
      {{.min_calls = 1'000'001}, "min_calls"},
      {{.open_duration = 1ms - 1ns}, "open_duration"},
      {{.open_duration = 1h + 1ns}, "open_duration"},
      {{.open_jitter = -0.1}, "open_jitter"},
      {{.open_jitter = 1.1}, "open_jitter"},
      {{.half_open_calls = 0}, "half_open_calls"},
      {{.half_open_calls = 1'000'001}, "half_open_calls"},
      {{.trial_timeout = 1ms - 1ns}, "trial_timeout"},
      {{.trial_timeout = 1h + 1ns}, "trial_timeout"},
  };
  for (const auto& [options, name] : wrong) {
    EXPECT_THAT(CreateSlidingWindowBreaker(options),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(name))));
  }
  EXPECT_THAT(CreateSlidingWindowBreaker(
                  {.window = TimeWindow{.length = 100ms, .buckets = 10},
                   .failure_rate = 1e-300,
                   .slow_call_rate = 1e-300,
                   .min_calls = 1,
                   .open_duration = 1ms,
                   .open_jitter = 0,
                   .half_open_calls = 1,
                   .trial_timeout = 1ms}),
              IsOk());
  EXPECT_THAT(CreateSlidingWindowBreaker(
                  {.window = TimeWindow{.length = 10min, .buckets = 60},
                   .failure_rate = 1,
                   .slow_call = 1h,
                   .slow_call_rate = 1,
                   .min_calls = 1'000'000,
                   .open_duration = 1h,
                   .open_jitter = 1,
                   .half_open_calls = 1'000'000,
                   .trial_timeout = 1h}),
              IsOk());
  EXPECT_THAT(
      CreateSlidingWindowBreaker({.window = CountWindow{.calls = 1'000'000}}),
      IsOk());
  EXPECT_THAT(CreateSlidingWindowBreaker({.window = CountWindow{.calls = 1}}),
              IsOk());
}

// What the breaker is to do, said as simply as can be: all calls in a list.
class Model {
 public:
  explicit Model(const Options& options) : options_(options) {}

  struct Counts {
    std::uint64_t calls = 0;
    std::uint64_t failures = 0;
    std::uint64_t slow_calls = 0;
  };

  bool TryAcquire(Clock::TimePoint now) {
    if (state == State::kOpen && now >= open_until) {
      Enter(State::kHalfOpen, now);
    } else if (state == State::kHalfOpen && trials_free == 0 &&
               now >= last_trial + options_.trial_timeout) {
      Enter(State::kOpen, now);
    }
    if (state == State::kOpen || state == State::kForcedOpen) return false;
    if (state != State::kHalfOpen) return true;
    if (trials_free == 0) return false;
    --trials_free;
    last_trial = now;
    return true;
  }

  void Record(int of_generation, Outcome outcome, Clock::Duration latency,
              Clock::TimePoint now) {
    if (of_generation != generation) return;
    if (outcome == Outcome::kIgnored) {
      if (state == State::kHalfOpen) ++trials_free;
      return;
    }
    if (state == State::kDisabled || state == State::kForcedOpen) return;
    calls_.push_back(
        {now, outcome == Outcome::kFailure,
         options_.slow_call > 0ns && latency > options_.slow_call});
    const Counts counts = Count(now);
    const bool above =
        static_cast<double>(counts.failures) >=
            options_.failure_rate * static_cast<double>(counts.calls) ||
        static_cast<double>(counts.slow_calls) >=
            options_.slow_call_rate * static_cast<double>(counts.calls);
    if (state == State::kClosed) {
      auto least = static_cast<std::uint64_t>(options_.min_calls);
      if (const auto* const window =
              std::get_if<CountWindow>(&options_.window)) {
        least = std::min(least, static_cast<std::uint64_t>(window->calls));
      }
      if (counts.calls >= least && above) Enter(State::kOpen, now);
    } else if (state == State::kHalfOpen &&
               counts.calls ==
                   static_cast<std::uint64_t>(options_.half_open_calls)) {
      Enter(above ? State::kOpen : State::kClosed, now);
    }
  }

  void Enter(State to, Clock::TimePoint now) {
    state = to;
    ++generation;
    calls_.clear();
    if (to == State::kOpen) open_until = now + options_.open_duration;
    if (to == State::kHalfOpen) trials_free = options_.half_open_calls;
  }

  Counts Count(Clock::TimePoint now) const {
    Counts counts;
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      if (state != State::kHalfOpen && !InWindow(i, now)) continue;
      ++counts.calls;
      counts.failures += calls_[i].failed;
      counts.slow_calls += calls_[i].slow;
    }
    return counts;
  }

  State state = State::kClosed;
  int generation = 0;
  int trials_free = 0;
  Clock::TimePoint open_until;
  Clock::TimePoint last_trial;

 private:
  struct Ended {
    Clock::TimePoint at;
    bool failed;
    bool slow;
  };

  bool InWindow(std::size_t i, Clock::TimePoint now) const {
    if (const auto* const window = std::get_if<CountWindow>(&options_.window)) {
      return i + static_cast<std::size_t>(window->calls) >= calls_.size();
    }
    const auto& window = std::get<TimeWindow>(options_.window);
    const auto bucket = [&window](Clock::TimePoint at) {
      return at.time_since_epoch() / (window.length / window.buckets);
    };
    return bucket(calls_[i].at) > bucket(now) - window.buckets;
  }

  Options options_;
  std::vector<Ended> calls_;
};

class ModelTest : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, ::testing::Range(0, 40));

TEST_P(ModelTest, BreakerDoesAsTheModelDoes) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto pick = [&random](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  // Quarters and powers of two, so that the model's products are exact, too.
  Options options{.failure_rate = pick(1, 4) / 4.0,
                  .slow_call = pick(0, 1) * 10ms,
                  .slow_call_rate = pick(1, 4) / 4.0,
                  .min_calls = pick(1, 30),
                  .open_duration = pick(1, 3000) * 1ms,
                  .open_jitter = 0.5,
                  .half_open_calls = pick(1, 6),
                  .trial_timeout = pick(1, 2000) * 1ms};
  if (pick(0, 1) == 0) {
    options.window =
        TimeWindow{.length = pick(10, 40) * 100ms, .buckets = pick(1, 20)};
  } else {
    options.window = CountWindow{.calls = pick(1, 50)};
  }
  FakeClock clock;
  const auto breaker =
      *CreateSlidingWindowBreaker(options, clock, [] { return 0.5; });
  Model model(options);

  std::vector<std::pair<Permit, int>> pending;
  // How often something fails or is slow changes now and then.
  int failing = 0;
  int slow = 0;
  for (int step = 0; step < 4000; ++step) {
    if (step % 100 == 0) {
      failing = pick(0, 100);
      slow = pick(0, 100);
    }
    const int action = pick(0, 999);
    if (action < 450) {
      Permit permit = breaker->TryAcquire();
      ASSERT_EQ(static_cast<bool>(permit), model.TryAcquire(clock.Now()))
          << step;
      if (permit) pending.emplace_back(std::move(permit), model.generation);
    } else if (action < 850 && !pending.empty()) {
      const auto which = static_cast<std::size_t>(
          pick(0, static_cast<int>(pending.size()) - 1));
      std::swap(pending[which], pending.back());
      auto [permit, generation] = std::move(pending.back());
      pending.pop_back();
      const Clock::Duration latency = pick(0, 99) < slow ? 11ms : 10ms;
      Outcome outcome =
          pick(0, 99) < failing ? Outcome::kFailure : Outcome::kSuccess;
      if (pick(0, 9) == 0) outcome = Outcome::kIgnored;
      if (outcome == Outcome::kIgnored && pick(0, 1) == 0) {
        const Permit dropped = std::move(permit);
      } else {
        permit.Record(outcome, latency);
      }
      model.Record(generation, outcome, latency, clock.Now());
    } else if (action < 997) {
      clock.Advance(pick(0, 30) * (pick(0, 50) == 0 ? 100ms : 1ms));
    } else {
      const auto to =
          std::array{State::kForcedOpen, State::kDisabled, State::kMetricsOnly,
                     State::kClosed}[static_cast<std::size_t>(pick(0, 3))];
      for (const State state : {to, State::kClosed}) {
        model.Enter(state, clock.Now());
        if (state == State::kForcedOpen) breaker->ForceOpen();
        if (state == State::kDisabled) breaker->Disable();
        if (state == State::kMetricsOnly) breaker->MetricsOnly();
        if (state == State::kClosed) breaker->Reset();
        if (pick(0, 1) == 0) break;
      }
    }
    ASSERT_EQ(breaker->state(), model.state) << step;
    if (model.state != State::kOpen) {
      const BreakerStats stats = breaker->stats();
      const Model::Counts counts = model.Count(clock.Now());
      ASSERT_EQ(stats.calls, counts.calls) << step;
      ASSERT_EQ(stats.failures, counts.failures) << step;
      ASSERT_EQ(stats.slow_calls, counts.slow_calls) << step;
    } else {
      ASSERT_EQ(breaker->RetryAfter(), std::max(Clock::Duration::zero(),
                                                model.open_until - clock.Now()))
          << step;
    }
  }
}

void RunThreads(int count, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

constexpr int kThreads = 8;

TEST(SlidingWindowBreakerStressTest, LosesNoCall) {
  constexpr int kCalls = 20'000;
  for (const decltype(Options::window)& window :
       {decltype(Options::window)(TimeWindow{}),
        decltype(Options::window)(CountWindow{.calls = kThreads * kCalls})}) {
    FakeClock clock;
    const auto breaker = *CreateSlidingWindowBreaker(
        {.window = window, .slow_call = 1ms}, clock);
    breaker->MetricsOnly();
    RunThreads(kThreads, [&](int) {
      for (int i = 0; i < kCalls; ++i) {
        breaker->TryAcquire().Record(
            i % 4 == 0 ? Outcome::kFailure : Outcome::kSuccess,
            i % 2 == 0 ? 2ms : 1ms);
      }
    });
    const BreakerStats stats = breaker->stats();
    EXPECT_EQ(stats.calls, std::uint64_t{kThreads} * kCalls);
    EXPECT_EQ(stats.failures, std::uint64_t{kThreads} * kCalls / 4);
    EXPECT_EQ(stats.slow_calls, std::uint64_t{kThreads} * kCalls / 2);
  }
}

// Whichever call comes last finds enough calls and the rate at its threshold.
TEST(SlidingWindowBreakerStressTest, NeverMissesThatItIsToOpen) {
  constexpr int kRounds = 200;
  constexpr int kCalls = 4;
  for (int round = 0; round < kRounds; ++round) {
    FakeClock clock;
    int opened = 0;
    const auto breaker = *CreateSlidingWindowBreaker(
        {.min_calls = kThreads * kCalls,
         .on_change = [&opened](State, State) { ++opened; }},
        clock);
    std::atomic<int> ready{0};
    RunThreads(kThreads, [&](int thread) {
      ++ready;
      while (ready < kThreads) std::this_thread::yield();
      for (int i = 0; i < kCalls; ++i) {
        breaker->TryAcquire().Record(
            (thread + i) % 2 == 0 ? Outcome::kFailure : Outcome::kSuccess, 1ms);
      }
    });
    ASSERT_EQ(breaker->state(), State::kOpen) << round;
    ASSERT_EQ(opened, 1);
  }
}

// The same with two calls that meet as closely as can be: a bad one that is too
// early, and the good one that makes it enough.
TEST(SlidingWindowBreakerStressTest, NeverMissesTheCallThatMakesItEnough) {
  constexpr int kRounds = 8000;
  FakeClock clock;
  const auto breaker = *CreateSlidingWindowBreaker(
      {.failure_rate = 1.0 / 3, .min_calls = 3}, clock);
  std::atomic<int> round{0};
  std::atomic<int> done{0};
  int missed = 0;
  RunThreads(3, [&](int thread) {
    if (thread == 2) {
      for (int i = 1; i <= kRounds; ++i) {
        breaker->Reset();
        breaker->TryAcquire().Record(Outcome::kSuccess, 1ms);
        round = i;
        while (done < 2 * i) std::this_thread::yield();
        missed += breaker->state() != State::kOpen;
      }
      return;
    }
    for (int i = 1; i <= kRounds; ++i) {
      while (round < i) std::this_thread::yield();
      breaker->TryAcquire().Record(
          thread == 0 ? Outcome::kFailure : Outcome::kSuccess, 1ms);
      ++done;
    }
  });
  EXPECT_EQ(missed, 0);
}

// Each thread has two good calls behind it before a bad one, so there never is
// a moment at which more than a third have failed.
TEST(SlidingWindowBreakerStressTest, NeverOpensForARateThatThereWasNot) {
  FakeClock clock;
  const auto breaker = *CreateSlidingWindowBreaker(
      {.failure_rate = 0.334, .min_calls = 1}, clock);
  RunThreads(kThreads, [&](int) {
    for (int i = 0; i < 20'000; ++i) {
      breaker->TryAcquire().Record(
          i % 3 == 2 ? Outcome::kFailure : Outcome::kSuccess, 1ms);
    }
  });
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_EQ(breaker->stats().opened_total, 0u);
}

// Once open it never closes again here, so every permit is a trial.
TEST(SlidingWindowBreakerStressTest, GrantsNoMoreTrialsThanItMayAndLeaksNone) {
  constexpr int kTrials = 3;
  FakeClock clock;
  std::mutex mutex;
  std::vector<Change> changes;
  const auto breaker =
      *CreateSlidingWindowBreaker({.min_calls = 1,
                                   .open_duration = 1ms,
                                   .half_open_calls = kTrials,
                                   .trial_timeout = 1h,
                                   .on_change =
                                       [&](State from, State to) {
                                         const std::lock_guard lock(mutex);
                                         changes.emplace_back(from, to);
                                       }},
                                  clock);
  breaker->TryAcquire().Record(Outcome::kFailure, 1ms);
  std::atomic<int> outstanding{0};
  std::atomic<int> most{0};
  std::atomic<std::uint64_t> granted{0};
  std::atomic<std::uint64_t> refused{0};
  RunThreads(kThreads, [&](int thread) {
    std::mt19937 random(static_cast<unsigned>(thread));
    for (int i = 0; i < 20'000; ++i) {
      if (i % 16 == 0) clock.Advance(100us);
      Permit permit = breaker->TryAcquire();
      if (!permit) {
        ++refused;
        continue;
      }
      ++granted;
      const int now = outstanding.fetch_add(1) + 1;
      int seen = most.load();
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      if (random() % 4 == 0) std::this_thread::yield();
      --outstanding;
      if (random() % 3 == 0) continue;  // dropped
      permit.Record(random() % 3 == 0 ? Outcome::kIgnored : Outcome::kFailure,
                    1ms);
    }
  });
  EXPECT_LE(most, kTrials);
  EXPECT_GT(granted, 0u);
  EXPECT_EQ(breaker->stats().refused_total, refused);

  // In order, each once, and each from where the last one led.
  ASSERT_GT(changes.size(), 2u);
  for (std::size_t i = 1; i < changes.size(); ++i) {
    ASSERT_EQ(changes[i].first, changes[i - 1].second) << i;
  }
  EXPECT_EQ(changes.back().second, breaker->state());

  // All trials are there: so many successes close it.
  clock.Advance(1s);
  if (breaker->state() == State::kHalfOpen) {
    while (breaker->state() == State::kHalfOpen) {
      Permit permit = breaker->TryAcquire();
      ASSERT_TRUE(permit);
      permit.Record(Outcome::kFailure, 1ms);
    }
    clock.Advance(1s);
  }
  for (int i = 0; i < kTrials; ++i) {
    breaker->TryAcquire().Record(Outcome::kSuccess, 1ms);
  }
  EXPECT_EQ(breaker->state(), State::kClosed);
}

// All threads want the only trial, and nobody keeps it.
TEST(SlidingWindowBreakerStressTest, NeverGrantsOneTrialTwice) {
  FakeClock clock;
  const auto breaker = *CreateSlidingWindowBreaker(
      {.min_calls = 1, .open_jitter = 0, .half_open_calls = 1}, clock);
  breaker->TryAcquire().Record(Outcome::kFailure, 1ms);
  clock.Advance(5s);
  std::atomic<int> outstanding{0};
  std::atomic<int> twice{0};
  RunThreads(kThreads, [&](int) {
    for (int i = 0; i < 150'000; ++i) {
      const Permit permit = breaker->TryAcquire();
      if (!permit) continue;
      twice += outstanding.fetch_add(1) != 0;
      --outstanding;
    }
  });
  EXPECT_EQ(twice, 0);
  breaker->TryAcquire().Record(Outcome::kSuccess, 1ms);
  EXPECT_EQ(breaker->state(), State::kClosed);
}

// Everything at once; what holds at the end is that it still works.
TEST(SlidingWindowBreakerStressTest, WorksWithTheOperatorAtWork) {
  FakeClock clock;
  std::atomic<int> told{0};
  const auto breaker = *CreateSlidingWindowBreaker(
      {.min_calls = 5,
       .open_duration = 1ms,
       .on_change = [&told](State from, State to) { told += from != to; }},
      clock);
  RunThreads(kThreads, [&](int thread) {
    std::mt19937 random(static_cast<unsigned>(thread));
    std::vector<Permit> pending;
    for (int i = 0; i < 10'000; ++i) {
      if (Permit permit = breaker->TryAcquire()) {
        pending.push_back(std::move(permit));
      }
      if (pending.size() > 5) {
        pending.front().Record(
            random() % 2 == 0 ? Outcome::kFailure : Outcome::kSuccess, 1ms);
        pending.erase(pending.begin());
      }
      switch (random() % 200) {
        case 0:
          breaker->ForceOpen();
          break;
        case 1:
          breaker->MetricsOnly();
          break;
        case 2:
          breaker->Disable();
          break;
        case 3:
          clock.Advance(1ms);
          break;
        default:
          if (random() % 20 == 0) breaker->Reset();
      }
      (void)breaker->stats();
      (void)breaker->RetryAfter();
    }
  });
  EXPECT_GT(told, 0);
  breaker->Reset();
  for (int i = 0; i < 5; ++i) {
    breaker->TryAcquire().Record(Outcome::kFailure, 1ms);
  }
  EXPECT_EQ(breaker->state(), State::kOpen);
  EXPECT_EQ(breaker->stats().calls, 5u);
}

}  // namespace
}  // namespace grpccommon
