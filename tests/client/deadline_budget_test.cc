// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/client/deadline_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::HasReason;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::MessageIs;
using testing::StatusIs;

constexpr Clock::Duration kUnbounded = Clock::Duration::max();

TEST(DeadlineBudgetTest, IsTheDefaultWhereNobodySaysAnything) {
  EXPECT_THAT(DeadlineBudget({}), IsOkAndHolds(15s));
  EXPECT_THAT(DeadlineBudget({}, {.default_timeout = 3s}), IsOkAndHolds(3s));
}

TEST(DeadlineBudgetTest, TakesTheCallersWishThenTheContracts) {
  EXPECT_THAT(DeadlineBudget({.contract_timeout = 2s}), IsOkAndHolds(2s));
  EXPECT_THAT(DeadlineBudget({.timeout = 1s, .contract_timeout = 2s}),
              IsOkAndHolds(1s));
  EXPECT_THAT(DeadlineBudget({.timeout = 20s, .contract_timeout = 2s}),
              IsOkAndHolds(20s));
}

TEST(DeadlineBudgetTest, StreamsHaveADefaultOfTheirOwn) {
  EXPECT_THAT(DeadlineBudget({.stream = true}), IsOkAndHolds(1h));
  EXPECT_THAT(DeadlineBudget({.stream = true}, {.default_stream_timeout = 3h}),
              IsOkAndHolds(3h));
  EXPECT_THAT(DeadlineBudget({.contract_timeout = 2s, .stream = true}),
              IsOkAndHolds(2s));
  EXPECT_THAT(CheckOptions({.default_stream_timeout = 25h}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(DeadlineBudgetTest, AStreamIsUnboundedOnlyIfAskedForByName) {
  EXPECT_THAT(DeadlineBudget({.stream = true, .unbounded = true}),
              IsOkAndHolds(kUnbounded));
  EXPECT_THAT(DeadlineBudget(
                  {.contract_timeout = 2s, .stream = true, .unbounded = true}),
              IsOkAndHolds(kUnbounded));
  EXPECT_THAT(DeadlineBudget(
                  {.parent_remaining = 10s, .stream = true, .unbounded = true}),
              IsOkAndHolds(10s - 10ms));
  EXPECT_THAT(DeadlineBudget({.unbounded = true}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      DeadlineBudget({.timeout = 1s, .stream = true, .unbounded = true}),
      StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(DeadlineBudgetTest, KeepsATwentiethOfTheParentsTimeUpToTenMilliseconds) {
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 100ms}), IsOkAndHolds(95ms));
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 200ms}), IsOkAndHolds(190ms));
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 200ms - 20ns}),
              IsOkAndHolds(190ms - 19ns));
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 200ms + 20ns}),
              IsOkAndHolds(190ms + 20ns));
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 10s}),
              IsOkAndHolds(10s - 10ms));
}

TEST(DeadlineBudgetTest, NeverOutlivesTheParent) {
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 2s, .timeout = 5s}),
              IsOkAndHolds(2s - 10ms));
  EXPECT_THAT(
      DeadlineBudget({.parent_remaining = 2s, .timeout = 2s - 10ms - 1ns}),
      IsOkAndHolds(2s - 10ms - 1ns));
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 2s, .contract_timeout = 5s}),
              IsOkAndHolds(2s - 10ms));
}

TEST(DeadlineBudgetTest, RefusesWhenNothingUsefulIsLeft) {
  // The largest time that does not leave a millisecond, and the next.
  constexpr Clock::Duration kEnough = 1'052'631ns;
  EXPECT_THAT(DeadlineBudget({.parent_remaining = kEnough}), IsOkAndHolds(1ms));
  for (const Clock::Duration remaining :
       {kEnough - 1ns, Clock::Duration(0ns), Clock::Duration(-1ns),
        Clock::Duration(-5s), Clock::Duration::min()}) {
    EXPECT_THAT(DeadlineBudget({.parent_remaining = remaining, .timeout = 1s}),
                AllOf(StatusIs(absl::StatusCode::kDeadlineExceeded),
                      HasReason("PARENT_DEADLINE_TOO_NEAR"),
                      MessageIs(HasSubstr("nothing useful is left"))))
        << remaining.count();
  }
}

TEST(DeadlineBudgetTest, ReserveAndLeastUsefulTimeCanBeChosen) {
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 10s}, {.max_reserve = 0ns}),
              IsOkAndHolds(10s));
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 1s}, {.max_reserve = 50ms}),
              IsOkAndHolds(950ms));
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 1s},
                             {.max_reserve = 0ns, .min_useful = 1s}),
              IsOkAndHolds(1s));
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 1s - 1ns},
                             {.max_reserve = 0ns, .min_useful = 1s}),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 0ns}, {.min_useful = 0ns}),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(DeadlineBudgetTest, OptionsOutOfRangeAreNamed) {
  EXPECT_THAT(CheckOptions(DeadlineBudgetOptions()), IsOk());
  EXPECT_THAT(CheckOptions({.default_timeout = 0ns}),
              MessageIs(HasSubstr("deadline.default_timeout must be in")));
  EXPECT_THAT(CheckOptions({.max_reserve = 1s + 1ns}),
              MessageIs(HasSubstr("deadline.max_reserve must be in")));
  EXPECT_THAT(CheckOptions({.min_useful = -1ns}),
              MessageIs(HasSubstr("deadline.min_useful must be in")));
}

TEST(DeadlineBudgetTest, LetsACallerWantLessThanIsUseful) {
  EXPECT_THAT(DeadlineBudget({.parent_remaining = 1s, .timeout = 1ns}),
              IsOkAndHolds(1ns));
}

TEST(DeadlineBudgetTest, RefusesTimeoutsOutOfRange) {
  EXPECT_THAT(DeadlineBudget({.timeout = 24h}), IsOkAndHolds(24h));
  for (const Clock::Duration timeout :
       {Clock::Duration(0), Clock::Duration(-1ns), 24h + 1ns, kUnbounded,
        Clock::Duration::min()}) {
    EXPECT_THAT(DeadlineBudget({.timeout = timeout}),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr("timeout must be in"))))
        << timeout.count();
  }
}

}  // namespace
}  // namespace grpccommon
