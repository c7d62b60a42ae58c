// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/ratelimit/keyed_limiter.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

class KeyedLimiterTest : public ::testing::Test {
 protected:
  std::unique_ptr<KeyedLimiter> Make(std::int64_t max_keys) {
    return *KeyedLimiter::Create({.max_keys = max_keys}, clock_);
  }

  testing::FakeClock clock_;
  const GcraRate rate_ = *GcraRate::Create({.rate = 1, .burst = 5});
};

TEST_F(KeyedLimiterTest, GivesEachKeyItsOwnBudget) {
  const auto limiter = Make(100);
  EXPECT_TRUE(limiter->TryTake(rate_, 1, "ada", 5).allowed);
  EXPECT_FALSE(limiter->TryTake(rate_, 1, "ada").allowed);
  EXPECT_TRUE(limiter->TryTake(rate_, 1, "bob", 5).allowed);
  EXPECT_EQ(limiter->keys(), 2u);
}

TEST_F(KeyedLimiterTest, GivesOneKeyABudgetInEachScope) {
  const auto limiter = Make(100);
  EXPECT_TRUE(limiter->TryTake(rate_, 1, "ada", 5).allowed);
  EXPECT_TRUE(limiter->TryTake(rate_, 2, "ada", 5).allowed);
  EXPECT_FALSE(limiter->TryTake(rate_, 1, "ada").allowed);
}

TEST_F(KeyedLimiterTest, TakesAnyKey) {
  const auto limiter = Make(100);
  const std::string zeros(2, '\0');
  EXPECT_TRUE(limiter->TryTake(rate_, 1, "", 5).allowed);
  EXPECT_TRUE(limiter->TryTake(rate_, 1, {}, 0).allowed);
  EXPECT_TRUE(limiter->TryTake(rate_, 1, zeros.substr(1), 5).allowed);
  EXPECT_TRUE(limiter->TryTake(rate_, 1, zeros, 5).allowed);
  EXPECT_TRUE(limiter->TryTake(rate_, 1, std::string(1 << 20, 'k'), 5).allowed);
  EXPECT_EQ(limiter->keys(), 4u);
}

TEST_F(KeyedLimiterTest, RemembersNothingOfALookOrARefusal) {
  const auto limiter = Make(100);
  EXPECT_EQ(limiter->TryTake(rate_, 1, "ada", 0).remaining, 5);
  EXPECT_FALSE(limiter->TryTake(rate_, 1, "ada", 6).allowed);
  EXPECT_EQ(limiter->keys(), 0u);
}

TEST_F(KeyedLimiterTest, ForgetsKeysThatAreFullAgainWhenItNeedsTheirPlace) {
  const auto limiter = Make(16);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 16; ++i) {
      const std::string key = std::to_string(round) + "/" + std::to_string(i);
      ASSERT_TRUE(limiter->TryTake(rate_, 1, key, 5).allowed);
    }
    clock_.Advance(5s);
  }
  EXPECT_EQ(limiter->displaced(), 0u);
  EXPECT_LE(limiter->keys(), 16u);
}

TEST_F(KeyedLimiterTest, DisplacesTheKeyThatIsNearestToFull) {
  const auto limiter = Make(16);
  for (int i = 0; i < 15; ++i) {
    ASSERT_TRUE(limiter->TryTake(rate_, 1, std::to_string(i), 5).allowed);
  }
  ASSERT_TRUE(limiter->TryTake(rate_, 1, "light", 1).allowed);
  ASSERT_TRUE(limiter->TryTake(rate_, 1, "new", 3).allowed);
  EXPECT_EQ(limiter->displaced(), 1u);
  EXPECT_EQ(limiter->keys(), 16u);
  EXPECT_EQ(limiter->TryTake(rate_, 1, "light", 0).remaining, 5);
  EXPECT_EQ(limiter->TryTake(rate_, 1, "new", 0).remaining, 2);
  for (int i = 0; i < 15; ++i) {
    EXPECT_FALSE(limiter->TryTake(rate_, 1, std::to_string(i)).allowed) << i;
  }
}

TEST_F(KeyedLimiterTest, StaysWithinItsBoundUnderAFloodOfKeys) {
  const auto limiter = Make(10'000);
  for (int i = 0; i < 30'000; ++i) {
    ASSERT_TRUE(limiter->TryTake(rate_, 1, std::to_string(i)).allowed);
  }
  const std::size_t memory = limiter->memory_bytes();
  EXPECT_GE(limiter->keys(), 10'000u);
  EXPECT_LE(limiter->keys(), 13'000u);
  EXPECT_EQ(limiter->keys() + limiter->displaced(), 30'000u);
  for (int i = 30'000; i < 60'000; ++i) {
    limiter->TryTake(rate_, 1, std::to_string(i));
  }
  EXPECT_EQ(limiter->memory_bytes(), memory);
}

TEST_F(KeyedLimiterTest, WorksWithASinglePlace) {
  const auto limiter = Make(1);
  EXPECT_TRUE(limiter->TryTake(rate_, 1, "ada", 5).allowed);
  EXPECT_FALSE(limiter->TryTake(rate_, 1, "ada").allowed);
  EXPECT_TRUE(limiter->TryTake(rate_, 1, "bob", 5).allowed);
  EXPECT_FALSE(limiter->TryTake(rate_, 1, "bob").allowed);
  EXPECT_EQ(limiter->keys(), 1u);
  EXPECT_EQ(limiter->displaced(), 1u);
}

// Against one Gcra for each key, while tables grow, shrink and close gaps.
TEST_F(KeyedLimiterTest, DecidesAsOneLimiterPerKey) {
  const auto limiter = Make(4096);
  std::unordered_map<std::string, Gcra> model;
  std::mt19937_64 random(7);
  for (int step = 0; step < 200'000; ++step) {
    const std::string key =
        std::to_string(std::uniform_int_distribution<>(0, 3999)(random));
    const std::int64_t quantity = std::uniform_int_distribution<>(0, 6)(random);
    const GcraDecision expected =
        model.try_emplace(key, rate_, clock_).first->second.TryTake(quantity);
    const GcraDecision actual = limiter->TryTake(rate_, 1, key, quantity);
    ASSERT_EQ(actual.allowed, expected.allowed);
    ASSERT_EQ(actual.retry_after, expected.retry_after);
    ASSERT_EQ(actual.remaining, expected.remaining);
    ASSERT_EQ(actual.reset_after, expected.reset_after);
    // Now and then nearly everything is full again.
    clock_.Advance(step % 50'000 == 0 ? 4s : 1ms);
  }
  EXPECT_EQ(limiter->displaced(), 0u);
}

TEST_F(KeyedLimiterTest, KeepsAMillionKeysInFortyMebibytes) {
  const auto limiter = Make(1'000'000);
  EXPECT_LT(limiter->memory_bytes(), std::size_t{1} << 20);
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    const std::string_view key(reinterpret_cast<const char*>(&i), sizeof(i));
    ASSERT_TRUE(limiter->TryTake(rate_, 1, key).allowed);
  }
  EXPECT_EQ(limiter->keys(), 1'000'000u);
  EXPECT_EQ(limiter->displaced(), 0u);
  EXPECT_LE(limiter->memory_bytes(), std::size_t{40} << 20);
}

TEST_F(KeyedLimiterTest, RefusesOptionsOutOfRange) {
  EXPECT_FALSE(KeyedLimiter::Create({.max_keys = 0}, clock_).ok());
  EXPECT_FALSE(KeyedLimiter::Create({.max_keys = 200'000'000}, clock_).ok());
}

TEST_F(KeyedLimiterTest, AdmitsExactlyTheBurstsToManyThreads) {
  const auto limiter = Make(10'000);
  const GcraRate rate = *GcraRate::Create({.rate = 1, .burst = 300});
  std::array<std::atomic<int>, 4> admitted{};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 1000; ++i) {
        const std::size_t key = i % admitted.size();
        if (limiter->TryTake(rate, 1, std::to_string(key)).allowed) {
          ++admitted[key];
        }
        // Others come and make the tables grow meanwhile.
        limiter->TryTake(rate, 2 + static_cast<std::uint64_t>(t),
                         std::to_string(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& count : admitted) EXPECT_EQ(count, 300);
}

}  // namespace
}  // namespace grpccommon
