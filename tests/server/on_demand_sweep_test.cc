// SPDX-License-Identifier: Apache-2.0
#include "server/on_demand_sweep.h"

#include <gtest/gtest.h>

#include <vector>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;

class OnDemandSweepTest : public ::testing::Test {
 protected:
  testing::FakeClock clock_;
  testing::FakeScheduler scheduler_{clock_};
  OnDemandSweep::Next next_;
  // When the sweeps ran.
  std::vector<Clock::Duration> swept_;
  const Clock::TimePoint begin_ = clock_.Now();
  OnDemandSweep sweep_{scheduler_, [this] {
                         swept_.push_back(clock_.Now() - begin_);
                         return next_;
                       }};
};

TEST_F(OnDemandSweepTest, NothingIsPlannedUntilSomebodyAsks) {
  EXPECT_EQ(scheduler_.pending(), 0u);
  sweep_.Ask(10ms);
  EXPECT_EQ(scheduler_.pending(), 1u);
}

TEST_F(OnDemandSweepTest, WhoAsksMeanwhileIsMetByTheSameSweep) {
  sweep_.Ask(10ms);
  clock_.Advance(5ms);
  sweep_.Ask(10ms);
  clock_.Advance(20ms);
  EXPECT_EQ(swept_, std::vector<Clock::Duration>{10ms});
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(OnDemandSweepTest, ItComesAgainWhileItFindsSomething) {
  next_ = 20ms;
  sweep_.Ask(10ms);
  clock_.Advance(49ms);
  next_.reset();
  clock_.Advance(100ms);
  EXPECT_EQ(swept_, (std::vector<Clock::Duration>{10ms, 30ms, 50ms}));
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(OnDemandSweepTest, WhoeverIsInAHurryDoesNotWaitForALongPlan) {
  sweep_.Ask(1s);
  sweep_.Ask(10ms);
  clock_.Advance(2s);
  // The long plan finds that it was overtaken.
  EXPECT_EQ(swept_, std::vector<Clock::Duration>{10ms});
}

}  // namespace
}  // namespace grpccommon::internal
