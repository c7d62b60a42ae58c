// SPDX-License-Identifier: Apache-2.0
#include "breaker/sharded_window.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;

using Window = ShardedWindow<2>;

constexpr Clock::TimePoint kStart{1h};

TEST(ShardedWindowTest, CountsWhatItsBucketsHold) {
  Window window(1s, 10);
  const auto at = [&](Clock::Duration since) {
    return window.TagAt(1, kStart + since);
  };
  window.Add(at(0ms), 0);
  window.Add(at(99ms), 0);
  window.Add(at(100ms), 0);
  window.Add(at(100ms), 1);
  EXPECT_EQ(window.Sum(at(0ms), 0), 2u);  // the next bucket is not in it yet
  EXPECT_EQ(window.SumAll(at(199ms)), (Window::Counts{3, 1}));
  EXPECT_EQ(window.SumAll(at(999ms)), (Window::Counts{3, 1}));
  EXPECT_EQ(window.SumAll(at(1000ms)), (Window::Counts{1, 1}));
  EXPECT_EQ(window.SumAll(at(1100ms)), (Window::Counts{0, 0}));
}

TEST(ShardedWindowTest, ReusesABucketThatHasPassed) {
  Window window(1s, 10);
  for (int round = 0; round < 30; ++round) {
    const auto tag = window.TagAt(0, kStart + round * 1s);
    window.Add(tag, 0);
    EXPECT_EQ(window.Sum(tag, 0), 1u) << round;
  }
}

TEST(ShardedWindowTest, DropsAnEventWhoseBucketIsTakenByALaterOne) {
  Window window(1s, 10);
  const auto early = window.TagAt(0, kStart);
  const auto late = window.TagAt(0, kStart + 1s);
  window.Add(late, 0);
  window.Add(early, 0);
  EXPECT_EQ(window.Sum(late, 0), 1u);
  EXPECT_EQ(window.Sum(early, 0), 0u);
}

TEST(ShardedWindowTest, KeepsGenerationsApart) {
  Window window(1s, 10);
  const auto first = window.TagAt(255, kStart);
  const auto second = window.TagAt(0, kStart);  // the one after 255
  window.Add(first, 0);
  EXPECT_EQ(window.Sum(second, 0), 0u);
  window.Add(second, 0);
  window.Add(second, 0);
  EXPECT_EQ(window.Sum(second, 0), 2u);
  window.Add(first, 0);  // too late
  EXPECT_EQ(window.Sum(second, 0), 2u);
}

// After 2^32 buckets, which is 136 years of them by default, and more than one
// year of the shortest.
TEST(ShardedWindowTest, CountsOnWhenTheNumbersOfBucketsGoRound) {
  Window window(600ms, 60);
  const Clock::TimePoint end{
      10ms * std::int64_t{std::numeric_limits<std::uint32_t>::max()}};
  const auto add_and_sum = [&](int bucket) {
    const auto tag = window.TagAt(0, end + bucket * 10ms);
    window.Add(tag, 0);
    return window.Sum(tag, 0);
  };
  for (int i = -59; i <= 0; ++i) {
    EXPECT_EQ(add_and_sum(i), static_cast<std::uint64_t>(i + 60));
  }
  // Some places in the ring are used too early once.
  for (int i = 1; i <= 60; ++i) EXPECT_LE(add_and_sum(i), 60u);
  for (int i = 61; i <= 200; ++i) EXPECT_EQ(add_and_sum(i), 60u);
  const auto before = window.TagAt(0, end);
  const auto after = window.TagAt(0, end + 10ms);
  EXPECT_EQ(Window::Later(before, after), after);
  EXPECT_EQ(Window::Later(after, before), after);
}

TEST(ShardedWindowTest, ForgetsEverything) {
  Window window(1s, 10);
  const auto tag = window.TagAt(3, kStart);
  window.Add(tag, 0);
  window.Add(tag, 1);
  window.Clear();
  EXPECT_EQ(window.SumAll(tag), (Window::Counts{0, 0}));
  window.Add(tag, 1);
  EXPECT_EQ(window.SumAll(tag), (Window::Counts{0, 1}));
}

TEST(ShardedWindowTest, LosesNothingBetweenThreads) {
  constexpr int kThreads = 16;  // two for each copy
  constexpr std::uint64_t kEach = 20'000;
  Window window(1s, 10);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&window] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        const auto tag = window.TagAt(0, kStart + 50ms * (i * 20 / kEach));
        window.Add(tag, 0);
        if (i % 2 == 0) window.Add(tag, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(window.SumAll(window.TagAt(0, kStart + 950ms)),
            (Window::Counts{kThreads * kEach, kThreads * kEach / 2}));
}

// What the thread that is ahead has counted, those behind leave alone.
TEST(ShardedWindowTest, KeepsWhatIsNewerThanALateEvent) {
  constexpr int kThreads = 16;
  Window window(1s, 10);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&window] {
      for (int i = 0; i < 20'000; ++i) {
        window.Add(window.TagAt(0, kStart + (i % 7) * 1s), 0);
      }
      window.Add(window.TagAt(0, kStart + 9s), 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(window.Sum(window.TagAt(0, kStart + 9s), 0), 16u);
}

}  // namespace
}  // namespace grpccommon::internal
