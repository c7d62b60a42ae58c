// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/check_range.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

TEST(CheckRangeTest, AcceptsTheBoundsAndWhatIsBetween) {
  EXPECT_TRUE(CheckRange("rate", 1.0, 1.0, 2.0).ok());
  EXPECT_TRUE(CheckRange("rate", 1.5, 1.0, 2.0).ok());
  EXPECT_TRUE(CheckRange("rate", 2.0, 1.0, 2.0).ok());
}

TEST(CheckRangeTest, RefusesWhatIsOutsideAndSaysWhatIsWrong) {
  EXPECT_EQ(CheckRange("rate", 0.5, 1, 20),
            absl::InvalidArgumentError("rate must be in [1, 20], got 0.5"));
  EXPECT_EQ(CheckRange("rate", 21, 1, 20),
            absl::InvalidArgumentError("rate must be in [1, 20], got 21"));
}

TEST(CheckRangeTest, RefusesWhatIsNoNumber) {
  EXPECT_FALSE(CheckRange("rate", std::nan(""), -1e300, 1e300).ok());
  EXPECT_FALSE(
      CheckRange("rate", std::numeric_limits<double>::infinity(), 0, 1e300)
          .ok());
}

TEST(CheckRangeTest, ChecksDurationsToTheNanosecondAndPrintsSeconds) {
  EXPECT_TRUE(CheckRange("interval", 1ms, 1ms, 2s).ok());
  EXPECT_TRUE(CheckRange("interval", 2s, 1ms, 2s).ok());
  EXPECT_FALSE(CheckRange("interval", 1ms - 1ns, 1ms, 2s).ok());
  EXPECT_EQ(CheckRange("interval", 2500ms, 1ms, 2s),
            absl::InvalidArgumentError(
                "interval must be in [0.001 s, 2 s], got 2.5 s"));
}

}  // namespace
}  // namespace grpccommon
