// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/concurrency_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::unique_ptr<ConcurrencyLimiter> Fixed(int limit) {
  return *ConcurrencyLimiter::Create({.limit = FixedLimitOptions{limit}});
}

// How many calls of a class fit into an empty limiter.
int Room(ConcurrencyLimiter& limiter, CallPriority priority) {
  int count = 0;
  while (limiter.TryEnter(priority)) ++count;
  for (int i = 0; i < count; ++i) limiter.Leave();
  return count;
}

TEST(ConcurrencyLimiterTest, RefusesAboveTheLimitAndAdmitsAgainBelow) {
  const auto limiter = Fixed(2);
  EXPECT_TRUE(limiter->TryEnter());
  EXPECT_TRUE(limiter->TryEnter());
  EXPECT_FALSE(limiter->TryEnter());
  EXPECT_EQ(limiter->in_flight(), 2);
  EXPECT_EQ(limiter->rejected(), 1u);
  limiter->Leave();
  EXPECT_TRUE(limiter->TryEnter());
  EXPECT_EQ(limiter->limit(), 2);
}

TEST(ConcurrencyLimiterTest, KeepsRoomForWhatMatters) {
  const auto limiter = Fixed(100);
  EXPECT_EQ(Room(*limiter, CallPriority::kCritical), 100);
  EXPECT_EQ(Room(*limiter, CallPriority::kNormal), 90);
  EXPECT_EQ(Room(*limiter, CallPriority::kSheddable), 70);
  for (int i = 0; i < 90; ++i) {
    ASSERT_TRUE(limiter->TryEnter(CallPriority::kNormal));
  }
  EXPECT_FALSE(limiter->TryEnter(CallPriority::kNormal));
  EXPECT_FALSE(limiter->TryEnter(CallPriority::kSheddable));
  EXPECT_TRUE(limiter->TryEnter(CallPriority::kCritical));
}

TEST(ConcurrencyLimiterTest, LeavesEachClassAtLeastOnePlace) {
  const auto limiter = Fixed(1);
  EXPECT_EQ(Room(*limiter, CallPriority::kSheddable), 1);
  const auto two = Fixed(2);
  EXPECT_EQ(Room(*two, CallPriority::kNormal), 2);     // 1.8
  EXPECT_EQ(Room(*two, CallPriority::kSheddable), 1);  // 1.4
}

TEST(ConcurrencyLimiterTest, AdmitsExactlyTheLimitToManyThreads) {
  const auto limiter = Fixed(1000);
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) admitted += limiter->TryEnter() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1000);
  EXPECT_EQ(limiter->rejected(), 3000u);
}

TEST(ConcurrencyLimiterTest, NeverHoldsMoreThanTheLimit) {
  const auto limiter = Fixed(3);
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        if (!limiter->TryEnter()) continue;
        const int now = ++inside;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        --inside;
        limiter->Leave();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 3);
  EXPECT_EQ(limiter->in_flight(), 0);
}

class AdaptiveLimiterTest : public ::testing::Test {
 protected:
  void Enter(int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(limiter_->TryEnter());
  }
  void Leave(int count, std::chrono::nanoseconds latency) {
    for (int i = 0; i < count; ++i) limiter_->Leave(latency, clock_.Now());
  }

  testing::FakeClock clock_;
  // Grows by a tenth of its start in each step: 100 * 0.8 + 150 * 0.2.
  const std::unique_ptr<ConcurrencyLimiter> limiter_ =
      *ConcurrencyLimiter::Create(
          {.limit = Gradient2Options{.initial_limit = 100, .queue_size = 50}});
};

TEST_F(AdaptiveLimiterTest, StepsOnceInAWindow) {
  EXPECT_TRUE(limiter_->adaptive());
  EXPECT_FALSE(Fixed(1)->adaptive());
  Enter(100);
  Leave(20, 100ms);  // the first opens the window
  clock_.Advance(1s);
  Leave(1, 100ms);
  EXPECT_EQ(limiter_->limit(), 100);
  clock_.Advance(1ns);
  Leave(1, 100ms);
  EXPECT_EQ(limiter_->limit(), 110);
  Leave(70, 100ms);
  EXPECT_EQ(limiter_->limit(), 110);
}

TEST_F(AdaptiveLimiterTest, MovesTheClassesAlong) {
  Enter(100);
  Leave(20, 100ms);
  clock_.Advance(1001ms);
  Leave(1, 100ms);
  Leave(79, 100ms);
  EXPECT_EQ(Room(*limiter_, CallPriority::kCritical), 110);
  EXPECT_EQ(Room(*limiter_, CallPriority::kNormal), 99);
  EXPECT_EQ(Room(*limiter_, CallPriority::kSheddable), 77);
}

TEST_F(AdaptiveLimiterTest, UsesTheMeanAndTheMostInFlight) {
  Enter(100);
  Leave(10, 100ms);
  clock_.Advance(1001ms);
  Leave(1, 100ms);  // 110: the long-term latency is 100 ms
  Leave(5, 100ms);
  // (5 * 100 + 6 * 1000) / 11 = 590.9 ms against a mean of 345.5: a gradient of
  // 0.877. The window saw 89 in flight at most, more than 55:
  // 110 * 0.8 + (96.46 + 50) * 0.2 = 117.3.
  Leave(5, 1000ms);
  clock_.Advance(1001ms);
  Leave(1, 1000ms);
  EXPECT_EQ(limiter_->limit(), 117);
}

TEST_F(AdaptiveLimiterTest, DropsWindowsWithFewSamples) {
  Enter(100);
  Leave(8, 100ms);
  clock_.Advance(1001ms);
  Leave(1, 100ms);  // the ninth closes it
  EXPECT_EQ(limiter_->limit(), 100);
  Leave(5, 100ms);  // these do not add to the nine
  clock_.Advance(1001ms);
  Leave(1, 100ms);
  EXPECT_EQ(limiter_->limit(), 100);
}

TEST_F(AdaptiveLimiterTest, DropsSamplesThatAreTooFast) {
  Enter(100);
  Leave(1, 100us);
  Leave(20, 100us - 1ns);
  clock_.Advance(1001ms);
  Leave(1, 100us);
  EXPECT_EQ(limiter_->limit(), 100);
  EXPECT_EQ(limiter_->in_flight(), 78);
}

TEST_F(AdaptiveLimiterTest, LearnsNothingFromALeaveWithoutLatency) {
  Enter(100);
  for (int i = 0; i < 50; ++i) limiter_->Leave();
  clock_.Advance(1001ms);
  Leave(1, 100ms);
  clock_.Advance(1001ms);
  Leave(1, 100ms);
  EXPECT_EQ(limiter_->limit(), 100);
}

TEST_F(AdaptiveLimiterTest, TakesSamplesFromManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        if (limiter_->TryEnter()) limiter_->Leave(100ms, clock_.Now());
        if (i % 100 == 0) clock_.Advance(100ms);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(limiter_->in_flight(), 0);
  // Eight in flight are less than half of the limit.
  EXPECT_EQ(limiter_->limit(), 100);
}

TEST(ConcurrencyLimiterOptionsTest, RefusesWhatIsOutOfRange) {
  const auto code = [](const ConcurrencyLimiterOptions& options) {
    return ConcurrencyLimiter::Create(options).status().code();
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code({.limit = FixedLimitOptions{0}}), invalid);
  EXPECT_EQ(code({.normal_share = 0}), invalid);
  EXPECT_EQ(code({.sheddable_share = 1.1}), invalid);
  EXPECT_EQ(code({.limit = Gradient2Options{.min_limit = 0}}), invalid);
}

TEST(ConcurrencyLimiterOptionsTest, RefusesSheddableCallsMoreThanNormalOnes) {
  const absl::Status refused =
      ConcurrencyLimiter::Create({.normal_share = 0.5, .sheddable_share = 0.6})
          .status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("sheddable_share"), HasSubstr("normal_share")));
  EXPECT_TRUE(
      ConcurrencyLimiter::Create({.normal_share = 0.5, .sheddable_share = 0.5})
          .ok());
}

}  // namespace
}  // namespace grpccommon
