// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/circuit_breaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::HasReason;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A breaker of an application's own.
class RecordingBreaker : public CircuitBreaker {
 public:
  using Result = std::tuple<std::uint64_t, Outcome, Clock::Duration>;

  Permit TryAcquire() override { return Grant(++tickets_); }
  Clock::Duration RetryAfter() const override { return retry_after; }
  BreakerState state() const override { return current; }
  void ForceOpen() override {}
  void Disable() override {}
  void MetricsOnly() override {}
  void Reset() override {}
  BreakerStats stats() const override { return {}; }

  BreakerState current = BreakerState::kClosed;
  Clock::Duration retry_after = 0ns;
  std::vector<Result> results;

 private:
  void Record(std::uint64_t ticket, Outcome outcome,
              Clock::Duration latency) override {
    results.emplace_back(ticket, outcome, latency);
  }

  std::uint64_t tickets_ = 0;
};

TEST(PermitTest, TellsItsBreakerHowTheAttemptEndedOnce) {
  RecordingBreaker breaker;
  {
    CircuitBreaker::Permit permit = breaker.TryAcquire();
    ASSERT_TRUE(permit);
    permit.Record(Outcome::kFailure, 3ms);
    EXPECT_FALSE(permit);
    permit.Record(Outcome::kSuccess, 4ms);
  }
  EXPECT_THAT(breaker.results,
              ElementsAre(RecordingBreaker::Result{1, Outcome::kFailure, 3ms}));
}

TEST(PermitTest, IsGivenBackAsIgnoredWhenDestroyed) {
  RecordingBreaker breaker;
  std::ignore = breaker.TryAcquire();
  EXPECT_THAT(breaker.results,
              ElementsAre(RecordingBreaker::Result{1, Outcome::kIgnored, 0ms}));
}

TEST(PermitTest, MovesAndGivesBackWhatItReplaces) {
  RecordingBreaker breaker;
  {
    CircuitBreaker::Permit first = breaker.TryAcquire();
    CircuitBreaker::Permit second = breaker.TryAcquire();
    CircuitBreaker::Permit moved(std::move(first));
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): is empty
    moved = std::move(second);
    EXPECT_THAT(breaker.results, ElementsAre(RecordingBreaker::Result{
                                     1, Outcome::kIgnored, 0ms}));
    CircuitBreaker::Permit& same = moved;
    moved = std::move(same);
    ASSERT_TRUE(moved);
    moved.Record(Outcome::kSuccess, 1ms);
    breaker.results.erase(breaker.results.begin());
  }
  EXPECT_THAT(breaker.results,
              ElementsAre(RecordingBreaker::Result{2, Outcome::kSuccess, 1ms}));
}

TEST(PermitTest, RefusesByDefaultAndRecordsNothing) {
  CircuitBreaker::Permit permit;
  EXPECT_FALSE(permit);
  permit.Record(Outcome::kFailure, 1ms);
  EXPECT_FALSE(permit);
}

TEST(PermitTest, IsSmall) { EXPECT_LE(sizeof(CircuitBreaker::Permit), 16u); }

TEST(BreakerStateTest, HasANameForEachState) {
  std::vector<std::string> names;
  for (int i = 0; i <= 6; ++i) {
    names.emplace_back(BreakerStateName(static_cast<BreakerState>(i)));
  }
  EXPECT_THAT(names, ElementsAre("CLOSED", "OPEN", "HALF_OPEN", "FORCED_OPEN",
                                 "DISABLED", "METRICS_ONLY", "UNKNOWN"));
}

TEST(CircuitOpenTest, SaysWhichBreakerRefusesAndUntilWhen) {
  RecordingBreaker breaker;
  breaker.current = BreakerState::kOpen;
  breaker.retry_after = 1234500us;
  const absl::Status status = CircuitOpen("users.UserService/Get", breaker);
  EXPECT_THAT(status, AllOf(StatusIs(absl::StatusCode::kUnavailable),
                            HasReason("CIRCUIT_OPEN"),
                            MessageIs(HasSubstr("users.UserService/Get")),
                            MessageIs(HasSubstr("1235 ms"))));
  EXPECT_EQ(RetryDelayOf(status), 1234500us);
}

TEST(CircuitOpenTest, SaysWhyItRefuses) {
  RecordingBreaker breaker;
  breaker.retry_after = 100ms;
  breaker.current = BreakerState::kForcedOpen;
  EXPECT_THAT(CircuitOpen("users", breaker), MessageIs(HasSubstr("operator")));
  breaker.current = BreakerState::kHalfOpen;
  EXPECT_THAT(CircuitOpen("users", breaker), MessageIs(HasSubstr("a part")));
  // As an adaptive breaker does at times.
  breaker.current = BreakerState::kClosed;
  EXPECT_THAT(CircuitOpen("users", breaker), MessageIs(HasSubstr("100 ms")));
}

TEST(CircuitOpenTest, SaysThatCallsPassAgainWhenTheyDo) {
  RecordingBreaker breaker;
  for (const BreakerState state :
       {BreakerState::kClosed, BreakerState::kOpen, BreakerState::kHalfOpen}) {
    breaker.current = state;
    const absl::Status status = CircuitOpen("users", breaker);
    EXPECT_THAT(status, AllOf(StatusIs(absl::StatusCode::kUnavailable),
                              MessageIs(HasSubstr("pass again"))));
    EXPECT_EQ(RetryDelayOf(status), 0ns);
  }
}

}  // namespace
}  // namespace grpccommon
