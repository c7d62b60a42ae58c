// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/adaptive_breaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
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

using State = BreakerState;
using Permit = CircuitBreaker::Permit;
using Options = AdaptiveBreakerOptions;

class AdaptiveBreakerTest : public ::testing::Test {
 protected:
  std::unique_ptr<CircuitBreaker> Create(Options options) {
    options.on_change = [this](State from, State to) {
      changes_.emplace_back(from, to);
    };
    return *CreateAdaptiveBreaker(options, clock_, [this] {
      ++draws_;
      return random_;
    });
  }

  static void Call(CircuitBreaker& breaker, Outcome outcome, int count) {
    for (int i = 0; i < count; ++i) {
      Permit permit = breaker.TryAcquire();
      ASSERT_TRUE(permit) << "call " << i;
      permit.Record(outcome, 1ms);
    }
  }

  static double Probability(const CircuitBreaker& breaker) {
    return breaker.stats().rejection_probability;
  }

  FakeClock clock_;
  double random_ = 0.999'999;  // refuses nothing
  int draws_ = 0;
  std::vector<std::pair<State, State>> changes_;
};

TEST_F(AdaptiveBreakerTest, RefusesByTheFormula) {
  const auto breaker = Create({.k = 2, .max_rejection = 1});
  Call(*breaker, Outcome::kSuccess, 10);
  Call(*breaker, Outcome::kFailure, 10);
  EXPECT_EQ(Probability(*breaker), 0);  // 20 - 2 * 10
  Call(*breaker, Outcome::kFailure, 1);
  EXPECT_DOUBLE_EQ(Probability(*breaker), 1.0 / 22);
  Call(*breaker, Outcome::kFailure, 9);
  EXPECT_DOUBLE_EQ(Probability(*breaker), 10.0 / 31);
  Call(*breaker, Outcome::kSuccess, 4);
  EXPECT_DOUBLE_EQ(Probability(*breaker), 6.0 / 35);
}

TEST_F(AdaptiveBreakerTest, RefusesJustBelowTheProbability) {
  const auto breaker = Create({.k = 2, .min_calls = 1, .max_rejection = 1});
  Call(*breaker, Outcome::kFailure, 3);  // 3 of 4
  random_ = 0.75;
  EXPECT_TRUE(breaker->TryAcquire());  // and ignored, so it stays 3 of 4
  ASSERT_DOUBLE_EQ(Probability(*breaker), 0.75);
  random_ = std::nextafter(0.75, 0.0);
  EXPECT_FALSE(breaker->TryAcquire());
}

TEST_F(AdaptiveBreakerTest, CountsRefusedCallsAsRequests) {
  const auto breaker = Create({.min_calls = 1, .max_rejection = 1});
  Call(*breaker, Outcome::kFailure, 1);
  random_ = 0;
  for (int refused = 0; refused < 5; ++refused) {
    EXPECT_DOUBLE_EQ(Probability(*breaker), (1.0 + refused) / (2 + refused));
    EXPECT_FALSE(breaker->TryAcquire());
  }
  EXPECT_EQ(breaker->stats().refused_total, 5u);
  EXPECT_EQ(breaker->stats().calls, 1u);
}

TEST_F(AdaptiveBreakerTest, CountsRequestsWhenTheyStart) {
  const auto breaker = Create({.min_calls = 1, .max_rejection = 1});
  Call(*breaker, Outcome::kFailure, 1);
  std::vector<Permit> on_their_way;
  for (int i = 0; i < 8; ++i) on_their_way.push_back(breaker->TryAcquire());
  EXPECT_DOUBLE_EQ(Probability(*breaker), 9.0 / 10);
  // Started within the window, so the end finds its start still counted.
  clock_.Advance(8s);
  for (Permit& permit : on_their_way) permit.Record(Outcome::kSuccess, 8s);
  EXPECT_EQ(Probability(*breaker), 0);  // 9 - 2 * 8
  EXPECT_EQ(breaker->stats().calls, 9u);
}

TEST_F(AdaptiveBreakerTest, RefusesNothingBeforeEnoughCallsHaveEnded) {
  const auto breaker = Create({.min_calls = 10, .max_rejection = 1});
  random_ = 0;
  std::vector<Permit> on_their_way;
  for (int i = 0; i < 100; ++i) on_their_way.push_back(breaker->TryAcquire());
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(on_their_way.back());
    on_their_way.back().Record(Outcome::kFailure, 1ms);
    on_their_way.pop_back();
    EXPECT_EQ(Probability(*breaker), 0);
  }
  on_their_way.back().Record(Outcome::kFailure, 1ms);
  EXPECT_DOUBLE_EQ(Probability(*breaker), 100.0 / 101);
}

TEST_F(AdaptiveBreakerTest, RefusesNothingWhileNothingHasFailed) {
  const auto breaker = Create({.min_calls = 1, .max_rejection = 1});
  random_ = 0;
  std::vector<Permit> on_their_way;
  for (int i = 0; i < 1000; ++i) {
    on_their_way.push_back(breaker->TryAcquire());
    ASSERT_TRUE(on_their_way.back());
  }
  Call(*breaker, Outcome::kSuccess, 5);
  EXPECT_EQ(Probability(*breaker), 0);
  EXPECT_EQ(draws_, 0);
  on_their_way.back().Record(Outcome::kFailure, 1ms);
  EXPECT_GT(Probability(*breaker), 0.9);
}

TEST_F(AdaptiveBreakerTest, DrawsNoChanceWhileAllIsWell) {
  const auto breaker = Create({});
  for (int i = 0; i < 1000; ++i) {
    Call(*breaker, i % 3 == 0 ? Outcome::kFailure : Outcome::kSuccess, 1);
  }
  EXPECT_EQ(draws_, 0);
}

TEST_F(AdaptiveBreakerTest, KeepsLettingTrialsThrough) {
  const auto breaker = Create({.max_rejection = 0.9});
  Call(*breaker, Outcome::kFailure, 500);
  EXPECT_EQ(Probability(*breaker), 0.9);
  random_ = 0.9;
  EXPECT_TRUE(breaker->TryAcquire());
  random_ = 0.89;
  EXPECT_FALSE(breaker->TryAcquire());
}

TEST_F(AdaptiveBreakerTest, TakesIgnoredCallsOutAgain) {
  const auto breaker = Create({.min_calls = 1, .max_rejection = 1});
  Call(*breaker, Outcome::kFailure, 1);
  Call(*breaker, Outcome::kSuccess, 1);
  Call(*breaker, Outcome::kIgnored, 50);
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(breaker->TryAcquire());  // dropped
  EXPECT_EQ(Probability(*breaker), 0);
  Call(*breaker, Outcome::kFailure, 1);
  EXPECT_DOUBLE_EQ(Probability(*breaker), 1.0 / 4);
  EXPECT_EQ(breaker->stats().calls, 3u);
}

TEST_F(AdaptiveBreakerTest, BearsMoreIgnoredCallsThanRequestsInTheWindow) {
  const auto breaker = Create({.window = 1s, .min_calls = 1});
  std::vector<Permit> old;
  for (int i = 0; i < 20; ++i) old.push_back(breaker->TryAcquire());
  clock_.Advance(2s);
  Call(*breaker, Outcome::kFailure, 1);
  old.clear();
  EXPECT_EQ(Probability(*breaker), 0);
  EXPECT_TRUE(breaker->TryAcquire());
}

TEST_F(AdaptiveBreakerTest, ForgetsWithTheWindow) {
  const auto breaker = Create({.window = 10s, .buckets = 10});
  Call(*breaker, Outcome::kFailure, 50);
  clock_.Advance(10s - 1ns);
  EXPECT_EQ(breaker->stats().calls, 50u);
  EXPECT_GT(Probability(*breaker), 0.9);
  clock_.Advance(1ns);
  EXPECT_EQ(breaker->stats().calls, 0u);
  EXPECT_EQ(breaker->RetryAfter(), 0ns);
  random_ = 0;
  EXPECT_TRUE(breaker->TryAcquire());
}

TEST_F(AdaptiveBreakerTest, NoticesInTheNextBucketThatCallsDoNotEnd) {
  const auto breaker = Create({.max_rejection = 1});
  Call(*breaker, Outcome::kFailure, 1);
  Call(*breaker, Outcome::kSuccess, 99);
  std::vector<Permit> hanging;
  for (int i = 0; i < 300; ++i) hanging.push_back(breaker->TryAcquire());
  random_ = 0;
  clock_.Advance(1s);
  EXPECT_FALSE(breaker->TryAcquire());  // 400 - 2 * 99
}

TEST_F(AdaptiveBreakerTest, SaysWhenItBeginsAndCeasesToRefuse) {
  const auto breaker = Create({.min_calls = 1, .max_rejection = 1});
  Call(*breaker, Outcome::kSuccess, 50);
  Call(*breaker, Outcome::kFailure, 60);
  ASSERT_DOUBLE_EQ(Probability(*breaker), 10.0 / 111);
  EXPECT_TRUE(breaker->TryAcquire());
  EXPECT_EQ(breaker->state(), State::kClosed);  // below 0.1
  EXPECT_EQ(breaker->RetryAfter(), 1s);         // a bucket
  Call(*breaker, Outcome::kFailure, 2);
  ASSERT_GT(Probability(*breaker), 0.1);
  EXPECT_TRUE(breaker->TryAcquire());
  EXPECT_EQ(breaker->state(), State::kHalfOpen);
  EXPECT_EQ(breaker->RetryAfter(), 1s);
  Call(*breaker, Outcome::kSuccess, 11);
  ASSERT_LT(Probability(*breaker), 0.1);
  EXPECT_EQ(breaker->state(), State::kHalfOpen);
  Call(*breaker, Outcome::kSuccess, 20);
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_EQ(breaker->RetryAfter(), 0ns);
  EXPECT_THAT(changes_,
              ElementsAre(std::pair(State::kClosed, State::kHalfOpen),
                          std::pair(State::kHalfOpen, State::kClosed)));
  EXPECT_EQ(breaker->stats().opened_total, 0u);
}

TEST_F(AdaptiveBreakerTest, CountsOnWhenItsStateChanges) {
  const auto breaker = Create({.min_calls = 1, .max_rejection = 1});
  Permit early = breaker->TryAcquire();
  Call(*breaker, Outcome::kFailure, 10);
  ASSERT_EQ(breaker->state(), State::kHalfOpen);
  early.Record(Outcome::kSuccess, 1ms);
  EXPECT_DOUBLE_EQ(Probability(*breaker), 9.0 / 12);
}

TEST_F(AdaptiveBreakerTest, ObeysTheOperator) {
  const auto breaker = Create({.min_calls = 1});
  Permit early = breaker->TryAcquire();
  breaker->ForceOpen();
  EXPECT_FALSE(breaker->TryAcquire());
  EXPECT_EQ(breaker->RetryAfter(), 10s);
  EXPECT_EQ(Probability(*breaker), 1);
  random_ = 0;
  breaker->Disable();
  Call(*breaker, Outcome::kFailure, 100);
  EXPECT_EQ(breaker->stats().calls, 0u);
  breaker->MetricsOnly();
  Call(*breaker, Outcome::kFailure, 100);
  EXPECT_EQ(breaker->stats().calls, 100u);
  EXPECT_EQ(Probability(*breaker), 0);
  EXPECT_EQ(breaker->RetryAfter(), 0ns);
  breaker->Reset();
  EXPECT_EQ(breaker->stats().calls, 0u);
  early.Record(Outcome::kFailure, 1ms);  // of an earlier generation
  EXPECT_EQ(breaker->stats().calls, 0u);
  Call(*breaker, Outcome::kSuccess, 1);
  EXPECT_THAT(changes_,
              ElementsAre(std::pair(State::kClosed, State::kForcedOpen),
                          std::pair(State::kForcedOpen, State::kDisabled),
                          std::pair(State::kDisabled, State::kMetricsOnly),
                          std::pair(State::kMetricsOnly, State::kClosed)));
}

TEST_F(AdaptiveBreakerTest, RefusesOptionsThatAreOutOfRange) {
  const std::vector<std::pair<Options, std::string>> wrong = {
      {{.k = 0.99}, "k must"},
      {{.k = 100.1}, "k must"},
      {{.k = std::nan("")}, "k must"},
      {{.window = 100ms - 1ns}, "window"},
      {{.window = 10min + 1ns}, "window"},
      {{.buckets = 0}, "buckets"},
      {{.buckets = 61}, "buckets"},
      {{.window = 100ms, .buckets = 11}, "window / buckets"},
      {{.min_calls = 0}, "min_calls"},
      {{.min_calls = 1'000'001}, "min_calls"},
      {{.max_rejection = 0}, "max_rejection"},
      {{.max_rejection = 1.01}, "max_rejection"},
  };
  for (const auto& [options, name] : wrong) {
    EXPECT_THAT(CreateAdaptiveBreaker(options),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(name))));
  }
  EXPECT_THAT(CreateAdaptiveBreaker({.k = 1,
                                     .window = 100ms,
                                     .buckets = 10,
                                     .min_calls = 1,
                                     .max_rejection = 1e-300}),
              IsOk());
  EXPECT_THAT(CreateAdaptiveBreaker({.k = 100,
                                     .window = 10min,
                                     .buckets = 60,
                                     .min_calls = 1'000'000,
                                     .max_rejection = 1}),
              IsOk());
}

// A back end that accepts so many calls a second: all of these are sent, and
// k times as many in total.
TEST_F(AdaptiveBreakerTest, RefusesTheShareThatTheFormulaGives) {
  struct Case {
    double k;
    int capacity;  // calls a second that the back end accepts
  };
  constexpr int kRate = 1000;
  for (const Case& c :
       {Case{2, 100}, Case{2, 300}, Case{1.5, 400}, Case{2, 600}}) {
    FakeClock clock;
    std::mt19937_64 bits(42);
    std::uniform_real_distribution<double> uniform(0, 1);
    const auto breaker = *CreateAdaptiveBreaker(
        {.k = c.k, .max_rejection = 1}, clock, [&] { return uniform(bits); });
    int refused = 0;
    int asked = 0;
    for (int second = 0; second < 40; ++second) {
      double tokens = 0;
      for (int i = 0; i < kRate; ++i) {
        clock.Advance(1s / kRate);
        tokens = std::min(10.0, tokens + c.capacity / double{kRate});
        Permit permit = breaker->TryAcquire();
        if (second >= 20) {
          ++asked;
          refused += !permit;
        }
        if (!permit) continue;
        const bool accepted = tokens >= 1;
        if (accepted) tokens -= 1;
        permit.Record(accepted ? Outcome::kSuccess : Outcome::kFailure, 1ms);
      }
    }
    const double expected = std::max(0.0, 1 - c.k * c.capacity / kRate);
    EXPECT_NEAR(static_cast<double>(refused) / asked, expected, 0.01)
        << c.k << " " << c.capacity;
  }
}

// The share of refusals against the probability itself.
TEST_F(AdaptiveBreakerTest, RefusesWithTheProbabilityItShows) {
  std::mt19937_64 bits(7);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (const int accepted : {0, 1000, 3000, 4500}) {
    FakeClock clock;
    const auto breaker = *CreateAdaptiveBreaker({.max_rejection = 1}, clock,
                                                [&] { return uniform(bits); });
    for (int i = 0; i < 10'000; ++i) {
      breaker->TryAcquire().Record(
          i < accepted ? Outcome::kSuccess : Outcome::kFailure, 1ms);
    }
    EXPECT_DOUBLE_EQ(Probability(*breaker), (10'000 - 2.0 * accepted) / 10'001);
    // What passes is dropped, so only the refused ones change it a little.
    int refused = 0;
    double expected = 0;
    double variance = 0;
    for (int i = 0; i < 1000; ++i) {
      const double probability = Probability(*breaker);
      expected += probability;
      variance += probability * (1 - probability);
      refused += !breaker->TryAcquire();
    }
    EXPECT_NEAR(refused, expected, 4 * std::sqrt(variance) + 1) << accepted;
  }
}

// The formula over a list of all that happened.
class AdaptiveModelTest : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Seeds, AdaptiveModelTest, ::testing::Range(0, 20));

TEST_P(AdaptiveModelTest, BreakerDoesAsTheModelDoes) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto pick = [&random](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  const Options options{.k = pick(4, 12) / 4.0,
                        .window = pick(10, 40) * 100ms,
                        .buckets = pick(1, 20),
                        .min_calls = pick(1, 30),
                        .max_rejection = pick(1, 4) / 4.0};
  FakeClock clock;
  double draw = 0;
  const auto breaker =
      *CreateAdaptiveBreaker(options, clock, [&draw] { return draw; });

  enum Event { kGranted, kRefused, kAccepted, kFailed, kIgnored };
  std::vector<std::pair<Clock::TimePoint, Event>> events;
  const auto count = [&](Event event) {
    const auto bucket = [&](Clock::TimePoint at) {
      return at.time_since_epoch() / (options.window / options.buckets);
    };
    return static_cast<double>(
        std::count_if(events.begin(), events.end(), [&](const auto& e) {
          return e.second == event &&
                 bucket(e.first) > bucket(clock.Now()) - options.buckets;
        }));
  };
  const auto probability = [&] {
    const double ended = count(kAccepted) + count(kFailed) + count(kRefused);
    if (ended < options.min_calls || count(kFailed) == 0) return 0.0;
    const double requests =
        std::max(0.0, count(kGranted) + count(kRefused) - count(kIgnored));
    return std::clamp(
        (requests - options.k * count(kAccepted)) / (requests + 1), 0.0,
        options.max_rejection);
  };

  std::vector<Permit> pending;
  int failing = 0;
  for (int step = 0; step < 2000; ++step) {
    if (step % 100 == 0) {
      failing = pick(0, 100);
      std::erase_if(events, [&](const auto& event) {
        return event.first < clock.Now() - options.window;
      });
    }
    const int action = pick(0, 99);
    if (action < 45 && pending.size() < 5) {
      draw = pick(0, 999) / 1000.0;
      const bool granted = draw >= probability();
      Permit permit = breaker->TryAcquire();
      ASSERT_EQ(static_cast<bool>(permit), granted) << step;
      events.emplace_back(clock.Now(), granted ? kGranted : kRefused);
      if (permit) pending.push_back(std::move(permit));
    } else if (action < 90 && !pending.empty()) {
      const int what = pick(0, 99);
      if (pick(0, 9) == 0) {
        events.emplace_back(clock.Now(), kIgnored);
      } else if (what < failing) {
        pending.back().Record(Outcome::kFailure, 1ms);
        events.emplace_back(clock.Now(), kFailed);
      } else {
        pending.back().Record(Outcome::kSuccess, 1ms);
        events.emplace_back(clock.Now(), kAccepted);
      }
      pending.pop_back();
    } else {
      clock.Advance(pick(0, 30) * (pick(0, 50) == 0 ? 100ms : 1ms));
    }
    ASSERT_DOUBLE_EQ(breaker->stats().rejection_probability, probability())
        << step;
  }
}

TEST(AdaptiveBreakerStressTest, LosesNoCall) {
  constexpr int kThreads = 8;
  constexpr int kCalls = 20'000;
  FakeClock clock;
  std::atomic<int> changes{0};
  const auto breaker = *CreateAdaptiveBreaker(
      {.max_rejection = 0.5,
       .on_change = [&changes](State from,
                               State to) { changes += from != to; }},
      clock, UniformRandom);
  std::atomic<std::uint64_t> granted{0};
  std::atomic<std::uint64_t> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kCalls; ++i) {
        Permit permit = breaker->TryAcquire();
        ++(permit ? granted : refused);
        permit.Record(i % 4 == 0 ? Outcome::kSuccess : Outcome::kFailure, 1ms);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const BreakerStats stats = breaker->stats();
  EXPECT_EQ(granted + refused, std::uint64_t{kThreads} * kCalls);
  EXPECT_EQ(stats.calls, granted);
  EXPECT_EQ(stats.refused_total, refused);
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(stats.state, State::kHalfOpen);
  EXPECT_EQ(changes % 2, 1);
}

}  // namespace
}  // namespace grpccommon
