// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/latency_estimate.h"

#include <gtest/gtest.h>

#include <random>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

class LatencyEstimateTest : public ::testing::Test {
 protected:
  // Latencies between `low` and `high`, as many as `count`.
  void Record(std::chrono::nanoseconds low, std::chrono::nanoseconds high,
              int count) {
    std::uniform_int_distribution<std::int64_t> between(low.count(),
                                                        high.count());
    for (int i = 0; i < count; ++i) {
      estimate_.Record(std::chrono::nanoseconds(between(random_)),
                       clock_.Now());
    }
  }

  std::optional<std::chrono::nanoseconds> Get() const {
    return estimate_.Get(clock_.Now());
  }

  testing::FakeClock clock_;
  std::mt19937_64 random_{42};
  LatencyEstimate estimate_{LatencyEstimateOptions{}};
};

TEST_F(LatencyEstimateTest, SaysNothingBeforeEnoughSamples) {
  EXPECT_EQ(Get(), std::nullopt);
  Record(10ms, 10ms, 99);
  EXPECT_EQ(Get(), std::nullopt);
  Record(10ms, 10ms, 1);
  EXPECT_NE(Get(), std::nullopt);
}

TEST_F(LatencyEstimateTest, FindsTheQuantile) {
  Record(100ms, 200ms, 5000);
  EXPECT_GT(*Get(), 104ms);
  EXPECT_LT(*Get(), 118ms);
}

TEST_F(LatencyEstimateTest, GetsAwayFromAnUnusualFirstSample) {
  Record(60s, 60s, 1);
  Record(100ms, 110ms, 200);
  EXPECT_LT(*Get(), 200ms);
}

TEST_F(LatencyEstimateTest, FollowsAServiceThatChanges) {
  Record(100ms, 110ms, 1000);
  Record(10ms, 11ms, 1000);
  EXPECT_LT(*Get(), 12ms);
  Record(100ms, 110ms, 5000);
  EXPECT_GT(*Get(), 90ms);
}

TEST_F(LatencyEstimateTest, ForgetsWhatIsOld) {
  Record(10ms, 10ms, 1000);
  clock_.Advance(10s);
  EXPECT_NE(Get(), std::nullopt);
  clock_.Advance(1ns);
  EXPECT_EQ(Get(), std::nullopt);
  Record(10ms, 10ms, 99);
  EXPECT_EQ(Get(), std::nullopt);
  Record(10ms, 10ms, 1);
  EXPECT_NE(Get(), std::nullopt);
}

TEST_F(LatencyEstimateTest, SurvivesLatenciesOfZeroAndLess) {
  Record(0ns, 0ns, 1000);
  Record(-1s, -1s, 1000);
  EXPECT_GE(*Get(), 0ns);
  EXPECT_LE(*Get(), 2ns);
}

TEST_F(LatencyEstimateTest, ChecksItsOptions) {
  EXPECT_TRUE(CheckOptions({}).ok());
  EXPECT_FALSE(CheckOptions({.quantile = 0}).ok());
  EXPECT_FALSE(CheckOptions({.quantile = 1}).ok());
  EXPECT_FALSE(CheckOptions({.min_samples = 0}).ok());
  EXPECT_FALSE(CheckOptions({.max_age = 0ns}).ok());
}

}  // namespace
}  // namespace grpccommon
