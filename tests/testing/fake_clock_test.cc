// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/fake_clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace grpccommon::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

class FakeClockTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  const Clock::TimePoint start_ = clock_.Now();
};

TEST_F(FakeClockTest, StartsAtAnHourOfUptimeOnNewYearsDay) {
  EXPECT_EQ(clock_.Now().time_since_epoch(), 1h);
  EXPECT_EQ(clock_.WallNow().time_since_epoch(), 1767225600s);
}

TEST_F(FakeClockTest, MovesBothClocksAndOnlyWhenTold) {
  EXPECT_EQ(clock_.Now(), start_);
  clock_.Advance(90s + 1ns);
  EXPECT_EQ(clock_.Now() - start_, 90s + 1ns);
  EXPECT_EQ(clock_.WallNow().time_since_epoch(), 1767225690s + 1ns);
}

TEST_F(FakeClockTest, TheCalendarCanBeSetAloneAndGoesOnFromThere) {
  clock_.Advance(5s);
  clock_.SetWall(Clock::WallTime(1000s));
  EXPECT_EQ(clock_.WallNow().time_since_epoch(), 1000s);
  EXPECT_EQ(clock_.Now() - start_, 5s);
  clock_.Advance(1s);
  EXPECT_EQ(clock_.WallNow().time_since_epoch(), 1001s);
}

class FakeSchedulerTest : public FakeClockTest {
 protected:
  FakeScheduler scheduler_{clock_};
};

TEST_F(FakeSchedulerTest, RunsEachTaskAtItsOwnTimeInOrder) {
  std::vector<Clock::Duration> ran;
  for (const auto delay : {3s, 1s, 2s, 9s}) {
    scheduler_.RunAfter(delay, [&] { ran.push_back(clock_.Now() - start_); });
  }
  clock_.Advance(5s);
  EXPECT_THAT(ran, ElementsAre(1s, 2s, 3s));
  EXPECT_EQ(clock_.Now() - start_, 5s);
  EXPECT_EQ(scheduler_.pending(), 1u);
}

TEST_F(FakeSchedulerTest, RunsNothingWhileTheClockStands) {
  int runs = 0;
  scheduler_.RunAfter(0s, [&] { ++runs; });
  EXPECT_EQ(runs, 0);
  clock_.Advance(0s);
  EXPECT_EQ(runs, 1);
}

TEST_F(FakeSchedulerTest, RunsWhatATaskPlansWithinTheSameAdvance) {
  std::vector<Clock::Duration> ran;
  scheduler_.RunAfter(1s, [&] {
    scheduler_.RunAfter(1s, [&] { ran.push_back(clock_.Now() - start_); });
  });
  clock_.Advance(5s);
  EXPECT_THAT(ran, ElementsAre(2s));
}

TEST_F(FakeSchedulerTest, ACancelledTaskDoesNotRun) {
  const auto id = scheduler_.RunAfter(1s, [] { FAIL(); });
  EXPECT_TRUE(scheduler_.Cancel(id));
  EXPECT_FALSE(scheduler_.Cancel(id));
  EXPECT_EQ(scheduler_.pending(), 0u);
  clock_.Advance(2s);
}

TEST_F(FakeSchedulerTest, ATaskThatHasRunCannotBeCancelled) {
  const auto id = scheduler_.RunAfter(1s, [] {});
  clock_.Advance(1s);
  EXPECT_FALSE(scheduler_.Cancel(id));
}

TEST_F(FakeSchedulerTest, ATaskMayCancelAnotherThatIsDueAtTheSameTime) {
  Scheduler::TaskId second = 0;
  scheduler_.RunAfter(1s, [&] { EXPECT_TRUE(scheduler_.Cancel(second)); });
  second = scheduler_.RunAfter(1s, [] { FAIL(); });
  clock_.Advance(1s);
}

}  // namespace
}  // namespace grpccommon::testing
