// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/sliding_window_breaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
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
using Options = SlidingWindowBreakerOptions;

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
  std::vector<std::pair<State, State>> changes_;
};

TEST_F(SlidingWindowBreakerTest, OpensRefusesTriesAndCloses) {
  const auto breaker = Create({});
  Fail(*breaker, 20);
  EXPECT_EQ(breaker->state(), State::kOpen);
  EXPECT_FALSE(breaker->TryAcquire());
  EXPECT_EQ(breaker->RetryAfter(), 5s);
  clock_.Advance(5s - 1ns);
  EXPECT_FALSE(breaker->TryAcquire());
  clock_.Advance(1ns);
  EXPECT_EQ(breaker->RetryAfter(), 0ns);
  Succeed(*breaker, 4);
  EXPECT_EQ(breaker->state(), State::kHalfOpen);
  Succeed(*breaker);
  EXPECT_EQ(breaker->state(), State::kClosed);
  EXPECT_THAT(changes_,
              ElementsAre(std::pair(State::kClosed, State::kOpen),
                          std::pair(State::kOpen, State::kHalfOpen),
                          std::pair(State::kHalfOpen, State::kClosed)));
}

TEST_F(SlidingWindowBreakerTest, OpensAtTheThresholdAndNotBelow) {
  const auto breaker = Create({.failure_rate = 0.3, .min_calls = 10});
  Succeed(*breaker, 8);
  Fail(*breaker, 2);
  Succeed(*breaker);
  Fail(*breaker);  // 3 of 12
  Fail(*breaker);  // 4 of 13
  EXPECT_EQ(breaker->state(), State::kOpen);
}

}  // namespace
}  // namespace grpccommon
