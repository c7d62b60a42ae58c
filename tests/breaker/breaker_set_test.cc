// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/breaker_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> KeysOf(const BreakerSet& set) {
  std::vector<std::string> keys;
  for (const BreakerSet::Entry& entry : set.List()) keys.push_back(entry.first);
  return keys;
}

TEST(BreakerSetTest, GivesEachKeyItsOwnBreaker) {
  const auto set = *BreakerSet::Create();
  const auto b = *set->Get("b");
  const auto a = *set->Get("a");
  EXPECT_NE(a, b);
  EXPECT_EQ(*set->Get("b"), b);
  EXPECT_EQ(set->Find("b"), b);
  EXPECT_EQ(set->Find("c"), nullptr);
  EXPECT_THAT(KeysOf(*set), ElementsAre("a", "b"));
  EXPECT_EQ(set->size(), 2u);
  b->ForceOpen();
  EXPECT_FALSE(b->TryAcquire());
  EXPECT_TRUE(a->TryAcquire());
}

TEST(BreakerSetTest, ForgetsARemovedKeyWhoseBreakerGoesOn) {
  const auto set = *BreakerSet::Create();
  const auto old = *set->Get("a");
  EXPECT_TRUE(set->Remove("a"));
  EXPECT_FALSE(set->Remove("a"));
  EXPECT_EQ(set->size(), 0u);
  EXPECT_TRUE(old->TryAcquire());
  EXPECT_NE(*set->Get("a"), old);
}

TEST(BreakerSetTest, IsBounded) {
  const auto set = *BreakerSet::Create({.max_breakers = 2});
  ASSERT_THAT(set->Get("a"), IsOk());
  ASSERT_THAT(set->Get("b"), IsOk());
  EXPECT_THAT(set->Get("c"),
              AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                    MessageIs(AllOf(HasSubstr("c"), HasSubstr("max_breakers"),
                                    HasSubstr("2")))));
  EXPECT_THAT(set->Get("a"), IsOk());
  EXPECT_TRUE(set->Remove("a"));
  EXPECT_THAT(set->Get("c"), IsOk());
}

TEST(BreakerSetTest, NamesTheKeyOfEachChange) {
  std::vector<std::tuple<std::string, BreakerState, BreakerState>> changes;
  int own = 0;
  auto set = *BreakerSet::Create(
      {.breaker =
           SlidingWindowBreakerOptions{
               .on_change = [&](BreakerState, BreakerState) { ++own; }},
       .on_change = [&](std::string_view key, BreakerState from,
                        BreakerState to) {
         changes.emplace_back(key, from, to);
       }});
  const auto breaker = *set->Get("users");
  breaker->ForceOpen();
  (*set->Get("tasks"))->Disable();
  set.reset();  // the breaker outlives it
  breaker->Reset();
  EXPECT_THAT(
      changes,
      ElementsAre(
          std::tuple("users", BreakerState::kClosed, BreakerState::kForcedOpen),
          std::tuple("tasks", BreakerState::kClosed, BreakerState::kDisabled),
          std::tuple("users", BreakerState::kForcedOpen,
                     BreakerState::kClosed)));
  EXPECT_EQ(own, 3);
}

TEST(BreakerSetTest, PassesClockAndChanceOn) {
  FakeClock clock;
  const auto set = *BreakerSet::Create(
      {.breaker =
           SlidingWindowBreakerOptions{
               .min_calls = 1, .open_duration = 10s, .open_jitter = 0.5}},
      clock, [] { return 0.75; });
  const auto breaker = *set->Get("a");
  breaker->TryAcquire().Record(Outcome::kFailure, 1ms);
  EXPECT_EQ(breaker->RetryAfter(), 12500ms);
}

TEST(BreakerSetTest, MakesAdaptiveBreakersAsWell) {
  FakeClock clock;
  const auto set = *BreakerSet::Create(
      {.breaker = AdaptiveBreakerOptions{.min_calls = 1, .max_rejection = 1}},
      clock, [] { return 0.0; });
  const auto breaker = *set->Get("a");
  breaker->TryAcquire().Record(Outcome::kFailure, 1ms);
  EXPECT_FALSE(breaker->TryAcquire());
  EXPECT_EQ(breaker->state(), BreakerState::kHalfOpen);
}

TEST(BreakerSetTest, RefusesOptionsThatAreOutOfRange) {
  for (const std::int64_t max_breakers : {0, 1'000'001}) {
    EXPECT_THAT(BreakerSet::Create({.max_breakers = max_breakers}),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr("max_breakers"))));
  }
  EXPECT_THAT(BreakerSet::Create(
                  {.breaker = SlidingWindowBreakerOptions{.failure_rate = 0}}),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs(HasSubstr("failure_rate"))));
  EXPECT_THAT(BreakerSet::Create({.breaker = AdaptiveBreakerOptions{.k = 0.5}}),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs(HasSubstr("k must be"))));
}

TEST(BreakerSetTest, GivesAllThreadsTheSameBreakers) {
  const auto set = *BreakerSet::Create({.max_breakers = 10});
  std::vector<std::vector<CircuitBreaker*>> seen(8);
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&set, &mine] {
      for (int i = 0; i < 10; ++i) {
        mine.push_back(set->Get(std::to_string(i))->get());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : seen) EXPECT_EQ(mine, seen.front());
  EXPECT_EQ(set->size(), 10u);
}

}  // namespace
}  // namespace grpccommon
