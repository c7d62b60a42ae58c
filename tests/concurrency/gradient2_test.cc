// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/gradient2.h"

#include <gtest/gtest.h>

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

// Starts where nothing is clamped.
constexpr Gradient2Options kHundred = {.initial_limit = 100};

TEST(Gradient2Test, GrowsByAFifthOfTheQueueWhileLatencyHolds) {
  Gradient2 limit = *Gradient2::Create({});
  EXPECT_EQ(limit.limit(), 20);
  EXPECT_EQ(limit.Update(100ms, 20), 20);  // 20 * 0.8 + 24 * 0.2 = 20.8
  EXPECT_EQ(limit.Update(100ms, 20), 21);  // 21.6
  EXPECT_EQ(limit.Update(100ms, 20), 22);  // 22.4
  EXPECT_EQ(limit.Update(100ms, 20), 23);  // 23.2
}

TEST(Gradient2Test, ShrinksWhenCallsTakeLonger) {
  Gradient2 limit = *Gradient2::Create(kHundred);
  for (int i = 0; i < 9; ++i) limit.Update(100ms, 100);
  EXPECT_EQ(limit.limit(), 107);  // 107.2
  // The tenth sample ends the warm-up: the mean is 130 ms, the gradient 0.4875,
  // held at 0.5; 107.2 * 0.8 + (53.6 + 4) * 0.2 = 97.28.
  EXPECT_EQ(limit.Update(400ms, 100), 97);
  // From here on the average moves by 2/601: 130.5657 ms, gradient 0.6528;
  // 97.28 * 0.8 + (63.5072 + 4) * 0.2 = 91.3254.
  EXPECT_EQ(limit.Update(300ms, 100), 91);
}

TEST(Gradient2Test, ToleratesHalfAsMuchAgain) {
  Gradient2 limit = *Gradient2::Create(kHundred);
  for (int i = 0; i < 9; ++i) limit.Update(100ms, 100);
  // Mean 104.9, gradient clamped to 1: 107.2 + 0.8.
  EXPECT_EQ(limit.Update(149ms, 100), 108);
}

TEST(Gradient2Test, ForgetsASlowTimeQuickly) {
  Gradient2 limit = *Gradient2::Create(kHundred);
  for (int i = 0; i < 10; ++i) limit.Update(100ms, 100);
  // 99.8003 ms is more than twice 40: it decays to 94.8103.
  limit.Update(40ms, 100);
  // 95.1604 ms, gradient 0.7137; 108.8 * 0.8 + (77.6509 + 4) * 0.2 = 103.37.
  // Without the decay it would be 104.18.
  EXPECT_EQ(limit.Update(200ms, 100), 103);
}

TEST(Gradient2Test, LearnsNothingWhileHalfOfItIsUnused) {
  Gradient2 limit = *Gradient2::Create(kHundred);
  EXPECT_EQ(limit.Update(100ms, 49), 100);
  EXPECT_EQ(limit.Update(100s, 49), 100);
  EXPECT_EQ(limit.Update(100s, 50), 100);  // grows: 100.8
  for (int i = 0; i < 4; ++i) limit.Update(100s, 60);
  EXPECT_EQ(limit.limit(), 104);
}

TEST(Gradient2Test, StaysBetweenItsBounds) {
  Gradient2 limit = *Gradient2::Create(
      {.initial_limit = 20, .min_limit = 10, .max_limit = 30});
  for (int i = 0; i < 100; ++i) limit.Update(1ms, 1000);
  EXPECT_EQ(limit.limit(), 30);
  for (int i = 0; i < 20; ++i) limit.Update(std::chrono::hours(1 << i), 1000);
  EXPECT_EQ(limit.limit(), 10);
}

TEST(Gradient2Test, SurvivesALatencyOfZero) {
  Gradient2 limit = *Gradient2::Create(kHundred);
  EXPECT_EQ(limit.Update(0ns, 100), 100);
  // A mean of half a second: 100.8 * 0.8 + (75.6 + 4) * 0.2 = 96.56.
  EXPECT_EQ(limit.Update(1s, 100), 96);
}

TEST(Gradient2Test, RefusesOptionsOutOfRange) {
  for (const Gradient2Options& options :
       {Gradient2Options{.min_limit = 0}, Gradient2Options{.max_limit = 19},
        Gradient2Options{.initial_limit = 19},
        Gradient2Options{.initial_limit = 201},
        Gradient2Options{.queue_size = -1}, Gradient2Options{.tolerance = 0.9},
        Gradient2Options{.smoothing = 0}, Gradient2Options{.long_window = 9},
        Gradient2Options{.window = 0ns}, Gradient2Options{.min_samples = 0},
        Gradient2Options{.min_latency = -1ns}}) {
    EXPECT_EQ(Gradient2::Create(options).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace grpccommon
