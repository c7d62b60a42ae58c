// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/ratelimit/gcra.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

class GcraTest : public ::testing::Test {
 protected:
  // The vectors of redis-cell: five at once, one a second.
  testing::FakeClock clock_;
  Gcra five_{*GcraRate::Create({.rate = 1, .burst = 5}), clock_};
};

TEST_F(GcraTest, AdmitsTheBurstAndRefusesTheNext) {
  for (int i = 1; i <= 5; ++i) {
    const GcraDecision decision = five_.TryTake();
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.retry_after, std::nullopt);
    EXPECT_EQ(decision.remaining, 5 - i);
    EXPECT_EQ(decision.reset_after, i * 1s);
    EXPECT_EQ(decision.limit, 5);
  }
  const GcraDecision refused = five_.TryTake();
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.retry_after, 1s);
  EXPECT_EQ(refused.remaining, 0);
  EXPECT_EQ(refused.reset_after, 5s);
}

TEST_F(GcraTest, AdmitsAfterTheReturnedWaitAndNotBefore) {
  ASSERT_TRUE(five_.TryTake(5).allowed);
  EXPECT_EQ(five_.TryTake(2).retry_after, 2s);
  clock_.Advance(2s - 1ns);
  EXPECT_EQ(five_.TryTake(2).retry_after, 1ns);
  clock_.Advance(1ns);
  EXPECT_TRUE(five_.TryTake(2).allowed);
}

TEST_F(GcraTest, NeverAdmitsMoreThanTheBurst) {
  const GcraDecision decision = five_.TryTake(6);
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.retry_after, std::nullopt);
  EXPECT_EQ(decision.remaining, 5);
  EXPECT_FALSE(five_.TryTake(std::numeric_limits<std::int64_t>::max()).allowed);
  EXPECT_EQ(five_.TryTake(0).remaining, 5);
}

TEST_F(GcraTest, LooksWithoutTaking) {
  EXPECT_TRUE(five_.TryTake(0).allowed);
  ASSERT_TRUE(five_.TryTake(5).allowed);
  const GcraDecision look = five_.TryTake(0);
  EXPECT_TRUE(look.allowed);
  EXPECT_EQ(look.remaining, 0);
  EXPECT_EQ(look.reset_after, 5s);
}

TEST_F(GcraTest, ChangesNothingWhenItRefuses) {
  ASSERT_TRUE(five_.TryTake(4).allowed);
  for (int i = 0; i < 10; ++i) ASSERT_FALSE(five_.TryTake(2).allowed);
  EXPECT_TRUE(five_.TryTake(1).allowed);
}

TEST_F(GcraTest, SavesUpNoMoreThanOneBurst) {
  clock_.Advance(1000h);
  EXPECT_TRUE(five_.TryTake(5).allowed);
  EXPECT_FALSE(five_.TryTake(1).allowed);
}

TEST_F(GcraTest, RefusesOptionsOutOfRange) {
  for (const GcraOptions& options :
       {GcraOptions{.rate = 0}, GcraOptions{.rate = 2e6},
        GcraOptions{.rate = std::numeric_limits<double>::quiet_NaN()},
        GcraOptions{.rate = -1}, GcraOptions{.burst = 0},
        GcraOptions{.burst = 1'000'001}}) {
    EXPECT_EQ(GcraRate::Create(options).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(GcraTest, SurvivesItsExtremes) {
  Gcra slowest(*GcraRate::Create({.rate = 0.001, .burst = 1'000'000}), clock_);
  clock_.Advance(std::chrono::hours(24 * 365 * 50));
  EXPECT_TRUE(slowest.TryTake(1'000'000).allowed);
  const GcraDecision refused = slowest.TryTake(1'000'000);
  EXPECT_EQ(refused.retry_after, 1'000'000 * 1000s);
  EXPECT_EQ(slowest.TryTake().retry_after, 1000s);

  Gcra fastest(*GcraRate::Create({.rate = 1e6, .burst = 1}), clock_);
  EXPECT_TRUE(fastest.TryTake().allowed);
  EXPECT_EQ(fastest.TryTake().retry_after, 1us);
}

// The definition, in whole nanoseconds of refill: min(burst, level + elapsed).
TEST_F(GcraTest, AdmitsWhatATokenBucketAdmits) {
  std::mt19937_64 random(20260101);
  for (int round = 0; round < 50; ++round) {
    const std::int64_t burst = std::uniform_int_distribution<>(1, 20)(random);
    const std::int64_t interval =
        std::uniform_int_distribution<>(1'000, 5'000'000)(random);
    const GcraRate rate = *GcraRate::Create(
        {.rate = 1e9 / static_cast<double>(interval), .burst = burst});
    Gcra gcra(rate, clock_);
    const std::int64_t full = burst * interval;
    std::int64_t level = full;
    for (int step = 0; step < 1000; ++step) {
      const std::int64_t elapsed =
          std::uniform_int_distribution<std::int64_t>(0, 2 * interval)(random);
      clock_.Advance(std::chrono::nanoseconds(elapsed));
      level = std::min(full, level + elapsed);
      const std::int64_t quantity =
          std::uniform_int_distribution<std::int64_t>(0, burst + 1)(random);
      const bool fits = quantity * interval <= level;
      const GcraDecision decision = gcra.TryTake(quantity);
      ASSERT_EQ(decision.allowed, fits);
      if (fits) {
        level -= quantity * interval;
      } else if (quantity <= burst) {
        ASSERT_EQ(decision.retry_after->count(), quantity * interval - level);
      }
      ASSERT_EQ(decision.remaining, level / interval);
      ASSERT_EQ(decision.reset_after.count(), full - level);
    }
  }
}

TEST_F(GcraTest, AdmitsExactlyTheBurstToManyThreads) {
  Gcra gcra(*GcraRate::Create({.rate = 1, .burst = 1000}), clock_);
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) admitted += gcra.TryTake().allowed ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1000);
}

}  // namespace
}  // namespace grpccommon
