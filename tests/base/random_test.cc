// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace grpccommon {
namespace {

TEST(RandomTest, IsInTheHalfOpenUnitInterval) {
  for (int i = 0; i < 100000; ++i) {
    const double value = UniformRandom();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
  }
}

TEST(RandomTest, IsUniform) {
  // Chi-squared over 16 cells, 15 degrees of freedom: above 61 once in a
  // million runs.
  constexpr int kDraws = 160000;
  std::array<int, 16> cells{};
  for (int i = 0; i < kDraws; ++i) {
    ++cells[static_cast<std::size_t>(UniformRandom() * 16)];
  }
  double chi_squared = 0;
  for (const int count : cells) {
    const double off = count - kDraws / 16.0;
    chi_squared += off * off / (kDraws / 16.0);
  }
  EXPECT_LT(chi_squared, 61);
}

TEST(RandomTest, SetsEveryBit) {
  std::uint64_t ones = 0;
  std::uint64_t zeros = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t bits = RandomBits();
    ones |= bits;
    zeros |= ~bits;
  }
  EXPECT_EQ(ones, ~std::uint64_t{0});
  EXPECT_EQ(zeros, ~std::uint64_t{0});
}

TEST(RandomTest, ThreadsDoNotRepeatEachOther) {
  std::mutex mutex;
  std::set<std::uint64_t> seen;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        const std::uint64_t bits = RandomBits();
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(seen.insert(bits).second);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace grpccommon
