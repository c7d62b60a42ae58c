// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/throttle.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

namespace grpccommon {
namespace {

constexpr Clock::TimePoint kNow;

std::unique_ptr<RetryThrottle> Create(int max_tokens, double token_ratio) {
  return *RetryThrottle::Create(
      {.max_tokens = max_tokens, .token_ratio = token_ratio});
}

TEST(RetryThrottleTest, AllowsRetriesOnlyAboveHalfOfItsTokens) {
  const auto throttle = Create(10, 0.1);
  for (int failures = 0; failures < 5; ++failures) {
    EXPECT_TRUE(throttle->TryRetry(kNow)) << failures;
    throttle->OnFailure();
  }
  EXPECT_EQ(throttle->tokens(), 5);
  EXPECT_FALSE(throttle->TryRetry(kNow));
  throttle->OnSuccess();
  EXPECT_DOUBLE_EQ(throttle->tokens(), 5.1);
  EXPECT_TRUE(throttle->TryRetry(kNow));
}

TEST(RetryThrottleTest, AnOddNumberOfTokensHasAHalfTooMany) {
  const auto throttle = Create(3, 0.5);
  throttle->OnFailure();
  EXPECT_TRUE(throttle->TryRetry(kNow));  // 2 > 1.5
  throttle->OnFailure();
  throttle->OnSuccess();
  EXPECT_FALSE(throttle->TryRetry(kNow));  // 1.5
}

TEST(RetryThrottleTest, StaysBetweenZeroAndItsMaximum) {
  const auto throttle = Create(2, 1.5);
  throttle->OnSuccess();
  EXPECT_EQ(throttle->tokens(), 2);
  for (int i = 0; i < 5; ++i) throttle->OnFailure();
  EXPECT_EQ(throttle->tokens(), 0);
  EXPECT_FALSE(throttle->TryRetry(kNow));
  throttle->OnSuccess();
  EXPECT_EQ(throttle->tokens(), 1.5);
  throttle->OnSuccess();
  EXPECT_EQ(throttle->tokens(), 2);
}

TEST(RetryThrottleTest, ARetryItselfTakesNothing) {
  const auto throttle = Create(10, 0.1);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(throttle->TryRetry(kNow));
  for (int i = 0; i < 100; ++i) throttle->OnCall(kNow);
  EXPECT_EQ(throttle->tokens(), 10);
}

// Ten successes for each failure are just what keeps it level.
TEST(RetryThrottleTest, HoldsWhereFailuresAreOneInEleven) {
  const auto throttle = Create(10, 0.1);
  throttle->OnFailure();
  for (int round = 0; round < 1000; ++round) {
    throttle->OnFailure();
    EXPECT_EQ(throttle->tokens(), 8);
    for (int i = 0; i < 10; ++i) throttle->OnSuccess();
    EXPECT_EQ(throttle->tokens(), 9);
  }
}

TEST(RetryThrottleTest, KeepsThreeDecimalsOfTheRatio) {
  const struct {
    double ratio;
    double kept;
  } cases[] = {{0.001, 0.001}, {0.29, 0.29}, {0.1239, 0.123}, {1.001, 1.001}};
  for (const auto& [ratio, kept] : cases) {
    const auto throttle = Create(2, ratio);
    throttle->OnFailure();
    throttle->OnFailure();
    throttle->OnSuccess();
    EXPECT_DOUBLE_EQ(throttle->tokens(), kept) << ratio;
  }
}

TEST(RetryThrottleTest, RefusesOptionsOutOfRangeByName) {
  const auto message = [](const RetryThrottleOptions& options) {
    return std::string(RetryThrottle::Create(options).status().message());
  };
  EXPECT_EQ(message({.max_tokens = 0}),
            "max_tokens must be in [1, 1000], got 0");
  EXPECT_NE(message({.max_tokens = 1001}), "");
  EXPECT_EQ(message({.token_ratio = 0.0005}),
            "token_ratio must be in [0.001, 1000], got 0.0005");
  EXPECT_NE(message({.token_ratio = -1}), "");
  EXPECT_NE(message({.token_ratio = std::nan("")}), "");
}

TEST(RetryThrottleTest, LosesNothingBetweenThreads) {
  const auto throttle = Create(1000, 0.001);
  for (int i = 0; i < 500; ++i) throttle->OnFailure();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        throttle->OnFailure();
        for (int j = 0; j < 1000; ++j) throttle->OnSuccess();
        throttle->OnFailure();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(throttle->tokens(), 100);
}

}  // namespace
}  // namespace grpccommon
