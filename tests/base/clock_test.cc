// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

namespace grpccommon {
namespace {

// First in its program, for the clock is not to be used before.
TEST(SteadyClockDeathTest, TellsTheTimeUntilTheProcessHasEnded) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const auto last = [] {
          std::_Exit(SteadyClock().Now() > Clock::TimePoint() ? 0 : 1);
        };
        // Runs after the destructors of all that was made since.
        if (std::atexit(last) == 0) SteadyClock().Now();
        std::exit(2);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(SteadyClockTest, CoarseIsALittleBehindAndNeverGoesBack) {
  const Clock& clock = SteadyClock();
  Clock::TimePoint last;
  for (int i = 0; i < 1000; ++i) {
    const Clock::TimePoint coarse = clock.Coarse();
    EXPECT_GE(coarse, last);
    EXPECT_LE(coarse, clock.Now());
    last = coarse;
  }
  // Ahead of the next look by no more than a tick, whenever that look comes.
  const Clock::TimePoint before = clock.Now();
  EXPECT_GE(clock.Coarse(), before - std::chrono::milliseconds(10));
}

}  // namespace
}  // namespace grpccommon
