// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/clock.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace grpccommon {
namespace {

// Alone in its program, for the clock is not to be used before.
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

}  // namespace
}  // namespace grpccommon
