// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/random.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

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

// The first numbers that a child of this thread draws, and then its own child.
std::vector<std::uint64_t> DrawInChildren() {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto draw = [&ends] {
      std::array<std::uint64_t, 100> drawn;
      for (std::uint64_t& bits : drawn) bits = RandomBits();
      return write(ends[1], drawn.data(), sizeof(drawn)) ==
             static_cast<ssize_t>(sizeof(drawn));
    };
    bool good = draw();
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(draw() ? 0 : 1);
    int result = 1;
    good = good && waitpid(grandchild, &result, 0) == grandchild && result == 0;
    _exit(good ? 0 : 1);
  }
  close(ends[1]);
  std::vector<std::uint64_t> drawn;
  std::uint64_t bits = 0;
  while (read(ends[0], &bits, sizeof(bits)) ==
         static_cast<ssize_t>(sizeof(bits))) {
    drawn.push_back(bits);
  }
  close(ends[0]);
  int result = 1;
  EXPECT_EQ(waitpid(child, &result, 0), child);
  EXPECT_EQ(result, 0);
  return drawn;
}

TEST(RandomTest, AForkedChildDoesNotRepeatItsParent) {
  std::set<std::uint64_t> seen;
  // From the main thread, which has drawn before, and from one that has not.
  const auto check = [&seen](bool draw_first) {
    if (draw_first) (void)RandomBits();
    std::vector<std::uint64_t> drawn = DrawInChildren();
    EXPECT_EQ(drawn.size(), 200u);
    for (int i = 0; i < 100; ++i) drawn.push_back(RandomBits());
    for (const std::uint64_t bits : drawn) {
      EXPECT_TRUE(seen.insert(bits).second);
    }
  };
  check(true);
  check(true);
  std::thread(check, true).join();
  std::thread(check, false).join();
}

}  // namespace
}  // namespace grpccommon
