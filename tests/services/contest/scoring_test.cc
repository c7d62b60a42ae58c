// SPDX-License-Identifier: Apache-2.0
#include "services/contest/scoring.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;

WallTime At(Duration time) { return WallTime(time); }

TEST(ScoringTest, NothingIsWorthNothing) { EXPECT_EQ(Score({}), Cell()); }

TEST(ScoringTest, CountsTheWrongOnesBeforeTheAcceptedOne) {
  const Cell cell = Score({{At(1min), 1, Verdict::kWrongAnswer},
                           {At(2min), 2, Verdict::kTimeLimit},
                           {At(3min), 3, Verdict::kAccepted},
                           {At(4min), 4, Verdict::kWrongAnswer},
                           {At(5min), 5, Verdict::kAccepted},
                           {At(6min), 6, std::nullopt}});
  EXPECT_EQ(cell.solved, (Cell::Solution{At(3min), 3}));
  EXPECT_EQ(cell.wrong, 2);
  EXPECT_EQ(cell.pending, 0);
}

TEST(ScoringTest, EveryKindOfFailureOfTheProgramIsWrong) {
  for (const Verdict verdict :
       {Verdict::kWrongAnswer, Verdict::kTimeLimit, Verdict::kMemoryLimit,
        Verdict::kOutputLimit, Verdict::kRuntimeError}) {
    EXPECT_EQ(Score({{At(1min), 1, verdict}}).wrong, 1);
  }
}

TEST(ScoringTest, CompilersAndOurOwnFailuresCountNothing) {
  for (const Verdict verdict : {Verdict::kCompileError, Verdict::kInternal}) {
    EXPECT_EQ(Score({{At(1min), 1, verdict}}), Cell());
  }
}

TEST(ScoringTest, WhatIsNotJudgedIsPending) {
  const Cell cell = Score({{At(1min), 1, std::nullopt},
                           {At(2min), 2, Verdict::kWrongAnswer},
                           {At(3min), 3, Verdict::kAccepted},
                           {At(4min), 4, std::nullopt}});
  EXPECT_EQ(cell.solved, (Cell::Solution{At(3min), 3}));
  EXPECT_EQ(cell.wrong, 1);
  EXPECT_EQ(cell.pending, 1) << "one that came before may still count";
}

TEST(ScoringTest, TheFreezeHidesResultsButNotThatThereAreSome) {
  const std::vector<Attempt> attempts = {
      {At(1min), 1, Verdict::kWrongAnswer},
      {At(10min) - 1ns, 2, Verdict::kWrongAnswer},
      {At(10min), 3, Verdict::kWrongAnswer},
      {At(11min), 4, Verdict::kAccepted},
      {At(12min), 5, std::nullopt}};
  EXPECT_EQ(Score(attempts, At(10min)), (Cell{.wrong = 2, .pending = 3}));
  EXPECT_EQ(Score(attempts),
            (Cell{.solved = Cell::Solution{At(11min), 4}, .wrong = 3}));
}

TEST(ScoringTest, AtOneTimeTheNumberDecides) {
  const Cell cell = Score({{At(1min), 2, Verdict::kWrongAnswer},
                           {At(1min), 1, Verdict::kAccepted}});
  EXPECT_EQ(cell.solved, (Cell::Solution{At(1min), 1}));
  EXPECT_EQ(cell.wrong, 0);
}

TEST(ScoringTest, TheOrderInWhichAttemptsAreGivenDoesNotMatter) {
  std::vector<Attempt> attempts = {{At(1min), 1, Verdict::kWrongAnswer},
                                   {At(2min), 2, Verdict::kCompileError},
                                   {At(3min), 3, std::nullopt},
                                   {At(4min), 4, Verdict::kAccepted},
                                   {At(5min), 5, Verdict::kAccepted}};
  const Cell expected = Score(attempts);
  const auto earlier = [](const Attempt& a, const Attempt& b) {
    return a.number < b.number;
  };
  while (std::next_permutation(attempts.begin(), attempts.end(), earlier)) {
    ASSERT_EQ(Score(attempts), expected);
  }
}

}  // namespace
}  // namespace platform::contest
