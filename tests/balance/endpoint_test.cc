// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/balance/endpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

class EndpointTest : public ::testing::Test {
 protected:
  // One call from start to end, during which the clock moves.
  int Call(Clock::Duration rtt, Outcome outcome = Outcome::kSuccess) {
    endpoint_.OnStart(clock_.Now());
    clock_.Advance(rtt);
    return endpoint_.OnEnd(outcome, rtt, clock_.Now());
  }
  double Cost() const { return endpoint_.Cost(clock_.Now()); }
  void ExpectLatency(Clock::Duration expected) const {
    EXPECT_NEAR(static_cast<double>(endpoint_.Latency(clock_.Now()).count()),
                static_cast<double>(expected.count()), 1);
  }

  testing::FakeClock clock_;
  Endpoint endpoint_{{.address = "10.0.0.1:443"}};
};

TEST_F(EndpointTest, CostsNothingUntilSomebodyTriesAndThenVeryMuch) {
  EXPECT_EQ(Cost(), 0);
  endpoint_.OnStart(clock_.Now());
  EXPECT_EQ(Cost(), 1e15 + 1);
  endpoint_.OnStart(clock_.Now());
  EXPECT_EQ(Cost(), 1e15 + 2);
  clock_.Advance(4ms);
  endpoint_.OnEnd(Outcome::kSuccess, 4ms, clock_.Now());
  EXPECT_EQ(Cost(), 8e6);
}

TEST_F(EndpointTest, RisesToAPeakAtOnce) {
  Call(1ms);
  ExpectLatency(1ms);
  Call(50ms);
  ExpectLatency(50ms);
}

TEST_F(EndpointTest, FallsWithItsTimeConstant) {
  Call(100ms);
  clock_.Advance(5s - 1ms);
  Call(1ms);
  // 5 s later: w = exp(-0.5).
  const double w = std::exp(-0.5);
  EXPECT_NEAR(Cost(), 100e6 * w + 1e6 * (1 - w), 1);
}

TEST_F(EndpointTest, DecaysOnReadToo) {
  Call(100ms);
  clock_.Advance(10s);
  EXPECT_NEAR(Cost(), 100e6 * std::exp(-1.0), 1);
  // Reading changes nothing: the next reading decays from the sample again.
  EXPECT_NEAR(Cost(), 100e6 * std::exp(-1.0), 1);
  clock_.Advance(10s);
  EXPECT_NEAR(Cost(), 100e6 * std::exp(-2.0), 1);
}

TEST_F(EndpointTest, KeepsToItsOwnTimeConstant) {
  Endpoint quick({.address = "a", .load = {.decay = 600ms}});
  quick.OnStart(clock_.Now());
  quick.OnEnd(Outcome::kSuccess, 100ms, clock_.Now());
  EXPECT_NEAR(quick.Cost(clock_.Now() + 600ms), 100e6 * std::exp(-1.0), 1);
}

TEST_F(EndpointTest, IsAsNewOnceNothingIsLeftOfItsAverage) {
  Call(1ms);
  clock_.Advance(138s);  // 1e6 ns x exp(-13.8) = 1.01 ns
  EXPECT_GT(Cost(), 0);
  clock_.Advance(1s);
  EXPECT_EQ(Cost(), 0);
  endpoint_.OnStart(clock_.Now());
  EXPECT_EQ(Cost(), 1e15 + 1);
}

TEST_F(EndpointTest, CostsInProportionToCallsInFlight) {
  Call(1ms);
  for (int i = 1; i <= 10; ++i) {
    endpoint_.OnStart(clock_.Now());
    EXPECT_EQ(endpoint_.in_flight(), i);
    EXPECT_NEAR(Cost(), 1e6 * (i + 1), 1);
  }
  for (int i = 9; i >= 0; --i) {
    endpoint_.OnEnd(Outcome::kSuccess, 1ms, clock_.Now());
    EXPECT_NEAR(Cost(), 1e6 * (i + 1), 1);
  }
}

TEST_F(EndpointTest, CostsLessTheMoreItWeighs) {
  Call(1ms);
  endpoint_.set_weight(4);
  EXPECT_NEAR(Cost(), 1e6 / 4, 1);
  Endpoint light({.address = "a", .weight = 0.5});
  light.OnStart(clock_.Now());
  light.OnEnd(Outcome::kSuccess, 1ms, clock_.Now());
  EXPECT_NEAR(light.Cost(clock_.Now()), 2e6, 1);
}

TEST_F(EndpointTest, CostsAsMuchAsItHasBeenSilentWhileCallsWait) {
  Call(1ms);
  endpoint_.OnStart(clock_.Now());
  clock_.Advance(1ms);
  endpoint_.OnStart(clock_.Now());
  clock_.Advance(99ms);
  EXPECT_NEAR(Cost(), 100e6 * 3, 1);
  // An answer ends the silence; nobody knows for how long the other has waited.
  endpoint_.OnEnd(Outcome::kSuccess, 1ms, clock_.Now());
  EXPECT_NEAR(Cost(), 1e6 * 2, 2e4);
  clock_.Advance(3ms);
  EXPECT_NEAR(Cost(), 3e6 * 2, 1);
  endpoint_.OnEnd(Outcome::kSuccess, 1ms, clock_.Now());
  clock_.Advance(50ms);
  EXPECT_NEAR(Cost(), 1e6, 2e4);
}

TEST_F(EndpointTest, AStreamThatDeliversIsNotSilent) {
  endpoint_.OnStart(clock_.Now());
  clock_.Advance(2ms);
  endpoint_.OnFirstMessage(2ms, clock_.Now());
  EXPECT_EQ(endpoint_.successes(), 0u);
  clock_.Advance(10ms);
  EXPECT_NEAR(Cost(), 2e6 * std::exp(-0.001) * 2, 1);
  // How long it lasted is no sample.
  EXPECT_EQ(endpoint_.OnStreamEnd(Outcome::kSuccess), 0);
  EXPECT_EQ(endpoint_.in_flight(), 0);
  EXPECT_EQ(endpoint_.successes(), 1u);
  EXPECT_NEAR(Cost(), 2e6 * std::exp(-0.001), 1);

  endpoint_.OnStart(clock_.Now());
  endpoint_.OnFirstMessage(2ms, clock_.Now());
  EXPECT_EQ(endpoint_.OnStreamEnd(Outcome::kFailure), 1);
  EXPECT_EQ(endpoint_.failures(), 1u);
}

TEST_F(EndpointTest, ChargesAFailureThatIsFaster) {
  Call(1ms);
  Call(10us, Outcome::kFailure);
  ExpectLatency(1s);
}

TEST_F(EndpointTest, ChargesTwiceTheAverageForAnotherFailureUpToTheMost) {
  for (const auto charged : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    endpoint_.OnStart(clock_.Now());
    endpoint_.OnEnd(Outcome::kFailure, 0ns, clock_.Now());
    ExpectLatency(charged);
  }
}

TEST_F(EndpointTest, ChargesAFailureWhatItLasted) {
  Call(5s, Outcome::kFailure);
  ExpectLatency(5s);
}

TEST_F(EndpointTest, ChargesAFailureAtMostThirtySeconds) {
  Call(1000s, Outcome::kFailure);
  ExpectLatency(30s);
}

TEST_F(EndpointTest, ChargesAFailureNothingMoreIfTold) {
  Endpoint lenient({.address = "a", .load = {.failure_penalty = 0ns}});
  lenient.OnStart(clock_.Now());
  lenient.OnEnd(Outcome::kFailure, 3ms, clock_.Now());
  EXPECT_EQ(lenient.Latency(clock_.Now()), 3ms);
}

TEST_F(EndpointTest, ACallGivenUpSaysOnlyThatItWouldHaveLastedLonger) {
  Call(10ms);
  Call(1ms, Outcome::kIgnored);
  EXPECT_EQ(endpoint_.in_flight(), 0);
  EXPECT_NEAR(Cost(), 10e6 * std::exp(-0.0001), 1);
  Call(40ms, Outcome::kIgnored);
  ExpectLatency(40ms);
  EXPECT_EQ(endpoint_.successes(), 1u);
  EXPECT_EQ(endpoint_.failures(), 0u);
}

TEST_F(EndpointTest, CountsFailuresInARow) {
  EXPECT_EQ(Call(1ms, Outcome::kFailure), 1);
  EXPECT_EQ(Call(1ms, Outcome::kFailure), 2);
  EXPECT_EQ(Call(1ms, Outcome::kIgnored), 0);
  EXPECT_EQ(Call(1ms, Outcome::kFailure), 3);
  EXPECT_EQ(Call(1ms, Outcome::kSuccess), 0);
  EXPECT_EQ(endpoint_.failures_in_a_row(), 0);
  EXPECT_EQ(Call(1ms, Outcome::kFailure), 1);
  EXPECT_EQ(endpoint_.failures(), 4u);
  EXPECT_EQ(endpoint_.successes(), 1u);
}

TEST_F(EndpointTest, ForgetsWhenItBecomesReady) {
  Call(1s, Outcome::kFailure);
  endpoint_.OnReady(clock_.Now());
  EXPECT_EQ(Cost(), 0);
  EXPECT_EQ(endpoint_.failures_in_a_row(), 1);
}

TEST_F(EndpointTest, StartsSlowly) {
  EXPECT_EQ(endpoint_.SlowStartShare(clock_.Now()), 1);
  endpoint_.OnReady(clock_.Now());
  EXPECT_DOUBLE_EQ(endpoint_.SlowStartShare(clock_.Now()), 0.1);
  endpoint_.OnStart(clock_.Now());
  endpoint_.OnEnd(Outcome::kSuccess, 1ms, clock_.Now());
  EXPECT_NEAR(Cost(), 10e6, 1);
  clock_.Advance(1s);
  EXPECT_DOUBLE_EQ(endpoint_.SlowStartShare(clock_.Now()), 0.1);
  clock_.Advance(4s);
  EXPECT_DOUBLE_EQ(endpoint_.SlowStartShare(clock_.Now()), 0.5);
  clock_.Advance(5s - 1ns);
  EXPECT_LT(endpoint_.SlowStartShare(clock_.Now()), 1);
  clock_.Advance(1ns);
  EXPECT_EQ(endpoint_.SlowStartShare(clock_.Now()), 1);
}

TEST_F(EndpointTest, StartsAsSlowlyAsTold) {
  Endpoint eager(
      {.address = "a",
       .slow_start = {
           .window = 4s, .aggression = 2, .min_weight_share = 0.25}});
  eager.OnReady(clock_.Now());
  // (1 s / 4 s) ^ (1 / 2)
  EXPECT_DOUBLE_EQ(eager.SlowStartShare(clock_.Now()), 0.5);
  Endpoint late(
      {.address = "a",
       .slow_start = {
           .window = 4s, .aggression = 0.5, .min_weight_share = 0.25}});
  late.OnReady(clock_.Now());
  EXPECT_DOUBLE_EQ(late.SlowStartShare(clock_.Now()), 0.25);
  EXPECT_DOUBLE_EQ(late.SlowStartShare(clock_.Now() + 3s), 9.0 / 16);
  // A window under a second is over within its first second.
  Endpoint brief({.address = "a", .slow_start = {.window = 500ms}});
  brief.OnReady(clock_.Now());
  EXPECT_EQ(brief.SlowStartShare(clock_.Now()), 1);
  Endpoint off({.address = "a", .slow_start = {.window = 0s}});
  off.OnReady(clock_.Now());
  EXPECT_EQ(off.SlowStartShare(clock_.Now()), 1);
}

TEST_F(EndpointTest, LosesNoDecayAndNoCallHoweverManyEndTogether) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 20'000;
  const Clock::TimePoint start = clock_.Now();
  Call(1s);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < kCalls; ++i) {
        endpoint_.OnStart(clock_.Now());
        clock_.Advance(100us);
        endpoint_.Cost(clock_.Now());
        endpoint_.OnEnd(i % 4 == 0 ? Outcome::kIgnored : Outcome::kSuccess, 1ns,
                        clock_.Now());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(endpoint_.in_flight(), 0);
  EXPECT_EQ(endpoint_.successes(), 1 + kThreads * kCalls * 3 / 4);
  EXPECT_EQ(clock_.Now() - start, 9s);
  // Samples of nothing: what is left is the decay of 8 s.
  EXPECT_NEAR(Cost(), 1e9 * std::exp(-0.8), 1e9 * 1e-6);
}

TEST(EndpointOptionsTest, AreChecked) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(CheckEndpointOptions({.address = "a"}).ok());
  for (const EndpointOptions& options : {
           EndpointOptions{},
           EndpointOptions{.address = "a", .weight = 0},
           EndpointOptions{.address = "a", .weight = -1},
           EndpointOptions{.address = "a", .weight = 1001},
           EndpointOptions{.address = "a", .weight = nan},
           EndpointOptions{.address = "a", .load = {.decay = 0s}},
           EndpointOptions{.address = "a", .load = {.failure_penalty = -1ns}},
           EndpointOptions{.address = "a", .load = {.failure_penalty = 31s}},
           EndpointOptions{.address = "a", .load = {.max_penalty = 0s}},
           EndpointOptions{.address = "a", .slow_start = {.window = -1s}},
           EndpointOptions{.address = "a", .slow_start = {.aggression = 0}},
           EndpointOptions{.address = "a", .slow_start = {.aggression = nan}},
           EndpointOptions{.address = "a",
           .slow_start = {.min_weight_share = 0}},
           EndpointOptions{.address = "a",
           .slow_start = {.min_weight_share = 1.1}},
       }) {
    EXPECT_EQ(CheckEndpointOptions(options).code(),
              absl::StatusCode::kInvalidArgument)
        << options.address << " " << options.weight;
  }
}

}  // namespace
}  // namespace grpccommon
