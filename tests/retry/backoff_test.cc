// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/backoff.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr double kAlmostOne = 1 - 0x1.0p-53;

Random Always(double value) {
  return [value] { return value; };
}

BackoffOptions Options(BackoffKind kind, nanoseconds initial, nanoseconds max,
                       double multiplier = 2) {
  return {
      .kind = kind, .initial = initial, .max = max, .multiplier = multiplier};
}

TEST(BackoffTest, FullJitterDrawsFromZeroToTheCap) {
  const BackoffOptions options =
      Options(BackoffKind::kFullJitter, 100ms, 1500ms);
  Backoff lowest(options);
  Backoff middle(options);
  Backoff highest(options);
  for (const nanoseconds cap : {100ms, 200ms, 400ms, 800ms, 1500ms, 1500ms}) {
    EXPECT_EQ(lowest.Next(Always(0)), 0ns);
    EXPECT_EQ(middle.Next(Always(0.5)), cap / 2);
    EXPECT_EQ(highest.Next(Always(kAlmostOne)), cap - 1ns);
  }
}

TEST(BackoffTest, EqualJitterDrawsFromTheCapsUpperHalf) {
  const BackoffOptions options =
      Options(BackoffKind::kEqualJitter, 100ms, 350ms);
  Backoff lowest(options);
  Backoff middle(options);
  for (const nanoseconds cap : {100ms, 200ms, 350ms, 350ms}) {
    EXPECT_EQ(lowest.Next(Always(0)), cap / 2);
    EXPECT_EQ(middle.Next(Always(0.5)), cap * 3 / 4);
  }
}

TEST(BackoffTest, DecorrelatedDrawsFromInitialToThreeTimesThePrevious) {
  const BackoffOptions options = Options(BackoffKind::kDecorrelated, 100ms, 1s);
  Backoff backoff(options);
  EXPECT_EQ(backoff.Next(Always(0)), 100ms);
  EXPECT_EQ(backoff.Next(Always(0.5)), 200ms);  // U[100, 300]
  EXPECT_EQ(backoff.Next(Always(0.5)), 350ms);  // U[100, 600]
  EXPECT_EQ(backoff.Next(Always(0.8)), 860ms);  // U[100, 1050]
  EXPECT_EQ(backoff.Next(Always(0.9)), 1s);     // U[100, 2580], cut off
  EXPECT_EQ(backoff.Next(Always(0)), 100ms);
}

TEST(BackoffTest, GrpcJittersAFifthAroundTheCapAndMayExceedTheMaximum) {
  const BackoffOptions options = Options(BackoffKind::kGrpc, 100ms, 1s, 3);
  Backoff lowest(options);
  Backoff middle(options);
  Backoff highest(options);
  for (const nanoseconds cap : {100ms, 300ms, 900ms, 1000ms, 1000ms}) {
    EXPECT_EQ(lowest.Next(Always(0)), cap * 4 / 5);
    EXPECT_EQ(middle.Next(Always(0.5)), cap);
    EXPECT_GE(highest.Next(Always(kAlmostOne)), cap * 6 / 5 - 1ns);
  }
}

TEST(BackoffTest, RestartBeginsAtTheInitialDelay) {
  for (const BackoffKind kind :
       {BackoffKind::kFullJitter, BackoffKind::kEqualJitter,
        BackoffKind::kDecorrelated, BackoffKind::kGrpc}) {
    const BackoffOptions options = Options(kind, 10ms, 10s);
    Backoff backoff(options);
    const nanoseconds first = backoff.Next(Always(0.75));
    EXPECT_GT(backoff.Next(Always(0.75)), first);
    backoff.Restart();
    EXPECT_EQ(backoff.Next(Always(0.75)), first);
  }
}

TEST(BackoffTest, StaysWithinItsBoundsForeverWithoutOverflow) {
  std::mt19937_64 generator(7);
  std::uniform_real_distribution<double> uniform;
  const Random random = [&] { return uniform(generator); };
  for (const BackoffKind kind :
       {BackoffKind::kFullJitter, BackoffKind::kEqualJitter,
        BackoffKind::kDecorrelated, BackoffKind::kGrpc}) {
    for (const double multiplier : {1.0, 1.5, 2.0, 100.0}) {
      const BackoffOptions options = Options(kind, 24h - 1ns, 24h, multiplier);
      ASSERT_TRUE(CheckOptions(options).ok());
      Backoff backoff(options);
      for (int i = 0; i < 200; ++i) {
        const nanoseconds delay = backoff.Next(random);
        ASSERT_GE(delay, 0ns);
        ASSERT_LE(delay,
                  kind == BackoffKind::kGrpc ? nanoseconds(24h) * 6 / 5 : 24h);
      }
    }
  }
}

TEST(BackoffTest, SpreadsEvenly) {
  std::mt19937_64 generator(7);
  std::uniform_real_distribution<double> uniform;
  const Random random = [&] { return uniform(generator); };
  const BackoffOptions options =
      Options(BackoffKind::kFullJitter, 100ms, 100ms);
  Backoff backoff(options);
  int tenths[10] = {};
  for (int i = 0; i < 10'000; ++i) ++tenths[backoff.Next(random) / 10ms];
  for (const int count : tenths) EXPECT_NEAR(count, 1000, 150);
}

TEST(BackoffTest, RefusesOptionsOutOfRangeByName) {
  const auto message = [](const BackoffOptions& options) {
    return std::string(CheckOptions(options, "retry.").message());
  };
  EXPECT_TRUE(CheckOptions({}).ok());
  EXPECT_TRUE(CheckOptions({.initial = 1ns, .max = 1ns}).ok());
  EXPECT_EQ(message({.initial = 0ns}),
            "retry.initial must be in [1e-09 s, 86400 s], got 0 s");
  EXPECT_NE(message({.initial = -1s}), "");
  EXPECT_EQ(message({.initial = 2s, .max = 1s}),
            "retry.max must be in [2 s, 86400 s], got 1 s");
  EXPECT_NE(message({.max = 25h}), "");
  EXPECT_EQ(message({.multiplier = 0.5}),
            "retry.multiplier must be in [1, 100], got 0.5");
  EXPECT_NE(message({.multiplier = std::numeric_limits<double>::quiet_NaN()}),
            "");
  EXPECT_NE(message({.multiplier = 101}), "");
  EXPECT_EQ(message({.kind = static_cast<BackoffKind>(4)}),
            "retry.kind must be in [0, 3], got 4");
}

}  // namespace
}  // namespace grpccommon
