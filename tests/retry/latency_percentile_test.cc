// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/latency_percentile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

class LatencyPercentileTest : public ::testing::Test {
 protected:
  void Create(const LatencyPercentileOptions& options) {
    percentile_ = *LatencyPercentile::Create(options);
  }
  void Record(nanoseconds latency, int count = 1) {
    for (int i = 0; i < count; ++i) percentile_->Record(latency, clock_.Now());
  }
  std::optional<nanoseconds> Get() { return percentile_->Get(clock_.Now()); }

  testing::FakeClock clock_;
  std::unique_ptr<LatencyPercentile> percentile_ =
      *LatencyPercentile::Create({});
};

void ExpectJustAbove(std::optional<nanoseconds> value, nanoseconds exact) {
  ASSERT_TRUE(value.has_value());
  EXPECT_GE(*value, exact);
  EXPECT_LE(static_cast<double>(value->count()),
            static_cast<double>(exact.count()) * 1.032 + 16'384);
}

TEST_F(LatencyPercentileTest, SaysNothingInTheFirstRefresh) {
  Create({.min_samples = 1});
  Record(10ms, 1000);
  EXPECT_EQ(Get(), std::nullopt);
  clock_.Advance(3s - 1ns);
  EXPECT_EQ(Get(), std::nullopt);
  clock_.Advance(1ns);
  ExpectJustAbove(Get(), 10ms);
}

TEST_F(LatencyPercentileTest, SaysNothingFromTooFewLatencies) {
  Record(10ms, 19);
  clock_.Advance(3s);
  EXPECT_EQ(Get(), std::nullopt);
  Record(10ms);
  EXPECT_EQ(Get(), std::nullopt);
  clock_.Advance(3s);
  ExpectJustAbove(Get(), 10ms);
}

TEST_F(LatencyPercentileTest, ChangesOnceInARefresh) {
  Record(10ms, 100);
  clock_.Advance(3s);
  ExpectJustAbove(Get(), 10ms);
  Record(1s, 10'000);
  clock_.Advance(3s - 1ns);
  ExpectJustAbove(Get(), 10ms);
  clock_.Advance(1ns);
  ExpectJustAbove(Get(), 1s);
}

TEST_F(LatencyPercentileTest, ForgetsAfterTenRefreshes) {
  Record(1s, 1000);
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(3s);
    Record(10ms, 50);
    ExpectJustAbove(Get(), 1s);
  }
  clock_.Advance(3s);
  ExpectJustAbove(Get(), 10ms);
}

TEST_F(LatencyPercentileTest, ForgetsEverythingInAPause) {
  Record(1s, 1000);
  clock_.Advance(3s);
  ExpectJustAbove(Get(), 1s);
  clock_.Advance(24h);
  EXPECT_EQ(Get(), std::nullopt);
  Record(10ms, 100);
  clock_.Advance(3s);
  ExpectJustAbove(Get(), 10ms);
}

TEST_F(LatencyPercentileTest, CountsWhatFellIntoAPauseFromItsEnd) {
  Record(1s, 100);
  clock_.Advance(3s + 15s);  // five slices went by with nobody looking
  ExpectJustAbove(Get(), 1s);
  clock_.Advance(27s);
  ExpectJustAbove(Get(), 1s);
  clock_.Advance(3s);
  EXPECT_EQ(Get(), std::nullopt);
}

TEST_F(LatencyPercentileTest, FindsTheQuantileWithinItsPrecision) {
  std::mt19937_64 random(3);
  std::lognormal_distribution<double> distribution(std::log(20e6), 1.5);
  for (const double quantile : {0.01, 0.5, 0.9, 0.95, 0.99, 0.999}) {
    Create({.quantile = quantile});
    std::vector<nanoseconds> latencies;
    for (int i = 0; i < 20'000; ++i) {
      latencies.emplace_back(static_cast<std::int64_t>(distribution(random)));
      Record(latencies.back());
    }
    std::sort(latencies.begin(), latencies.end());
    clock_.Advance(3s);
    ExpectJustAbove(
        Get(),
        latencies[static_cast<std::size_t>(std::ceil(quantile * 20'000)) - 1]);
  }
}

TEST_F(LatencyPercentileTest, RoundsEveryLatencyUpALittle) {
  Create({.quantile = 0.5, .min_samples = 1});
  Record(1ms);
  clock_.Advance(30s + 3s);
  for (std::int64_t ns = 16'384; ns < 137'000'000'000; ns += ns / 73) {
    Record(nanoseconds(ns));
    clock_.Advance(3s);
    ExpectJustAbove(Get(), nanoseconds(ns));
    clock_.Advance(30s);
    ASSERT_EQ(Get(), std::nullopt);
  }
}

TEST_F(LatencyPercentileTest, SurvivesLatenciesOfAnyLength) {
  Create({.min_samples = 1});
  EXPECT_EQ(Get(), std::nullopt);
  Record(nanoseconds::max());
  clock_.Advance(3s);
  EXPECT_GE(*Get(), 130s);
  EXPECT_LE(*Get(), 140s);
  clock_.Advance(60s);
  EXPECT_EQ(Get(), std::nullopt);
  Record(nanoseconds::min());
  Record(0ns);
  clock_.Advance(3s);
  EXPECT_EQ(*Get(), 16'384ns);
}

TEST_F(LatencyPercentileTest, RefusesOptionsOutOfRangeByName) {
  const auto message = [](const LatencyPercentileOptions& options) {
    return std::string(LatencyPercentile::Create(options).status().message());
  };
  EXPECT_EQ(message({.quantile = 1}),
            "quantile must be in [0.01, 0.999], got 1");
  EXPECT_NE(message({.quantile = 0}), "");
  EXPECT_NE(message({.quantile = std::nan("")}), "");
  EXPECT_NE(message({.refresh = 0s}), "");
  EXPECT_NE(message({.refresh = 61s}), "");
  EXPECT_EQ(message({.min_samples = 0}),
            "min_samples must be in [1, 1e+06], got 0");
}

// Each thread's latencies keep the percentile where it is only if all count.
TEST_F(LatencyPercentileTest, LosesNothingWhileItIsRefreshed) {
  Create({.quantile = 0.5, .refresh = 10s, .min_samples = 40'000});
  EXPECT_EQ(Get(), std::nullopt);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10'000; ++i) {
        if (t == 0 && i % 2000 == 1999) clock_.Advance(10s);
        Record(i % 2 == 0 ? 10ms : 1s);
        (void)Get();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  clock_.Advance(10s);
  ExpectJustAbove(Get(), 10ms);
}

}  // namespace
}  // namespace grpccommon
