// SPDX-License-Identifier: Apache-2.0
#include "services/seed/standings.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace platform::seed {
namespace {

using contest::v1::Leaderboard;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::int64_t kMinute = 60'000'000'000;
constexpr auto kRight = execution::v1::VERDICT_ACCEPTED;
constexpr auto kWrong = execution::v1::VERDICT_WRONG_ANSWER;
constexpr auto kBroken = execution::v1::VERDICT_COMPILE_ERROR;

const Rules kRules{.labels = {"A", "B"}, .starts_at = 0};

// Worked out by hand from the rules of the ICPC.
TEST(StandingsTest, CountSolutionsThenPenaltyThenTheLastSolution) {
  const Leaderboard board = ExpectedBoard(
      {"one", "two", "three", "four", "none"}, kRules,
      {{"one", 0, 3 * kMinute, kWrong},
       {"one", 0, 5 * kMinute + 1, kRight},
       {"one", 0, 6 * kMinute, kWrong},  // after it, does not count
       {"two", 0, 25 * kMinute, kRight},
       {"two", 1, 1, kBroken},
       {"three", 0, 10 * kMinute, kRight},
       {"three", 1, 15 * kMinute, kRight},
       {"four", 1, 2 * kMinute, kWrong}});
  ASSERT_EQ(board.rows_size(), 5);
  EXPECT_EQ(board.rows(0).team_name(), "three");
  EXPECT_EQ(board.rows(0).solved(), 2);
  EXPECT_EQ(board.rows(0).penalty_minutes(), 25);
  EXPECT_TRUE(board.rows(0).cells(1).first());
  // 5 + 20 and 25: the earlier last solution is better.
  EXPECT_EQ(board.rows(1).team_name(), "one");
  EXPECT_EQ(board.rows(1).penalty_minutes(), 25);
  EXPECT_EQ(board.rows(1).cells(0).wrong(), 1);
  EXPECT_TRUE(board.rows(1).cells(0).first());
  EXPECT_EQ(board.rows(2).team_name(), "two");
  EXPECT_EQ(board.rows(2).rank(), 3);
  EXPECT_EQ(board.rows(2).cells(1).wrong(), 0);
  EXPECT_EQ(board.rows(3).rank(), 4);
  EXPECT_EQ(board.rows(4).rank(), 4);
  EXPECT_EQ(board.rows(3).penalty_minutes(), 0);
}

TEST(StandingsTest, AFrozenBoardHidesWhatCameLater) {
  Rules rules = kRules;
  rules.frozen_at = 10 * kMinute;
  const Leaderboard board = ExpectedBoard({"one"}, rules,
                                          {{"one", 0, 9 * kMinute, kWrong},
                                           {"one", 0, 10 * kMinute, kRight},
                                           {"one", 1, 10 * kMinute - 1, kRight},
                                           {"one", 1, 11 * kMinute, kRight}});
  EXPECT_FALSE(board.rows(0).cells(0).solved());
  EXPECT_EQ(board.rows(0).cells(0).wrong(), 1);
  EXPECT_EQ(board.rows(0).cells(0).pending(), 1);
  EXPECT_TRUE(board.rows(0).cells(1).solved());
  EXPECT_EQ(board.rows(0).cells(1).pending(), 0);
}

TEST(StandingsTest, DifferencesAreFound) {
  const Leaderboard board =
      ExpectedBoard({"one", "two"}, kRules, {{"one", 0, kMinute, kRight}});
  EXPECT_THAT(Differences(board, board), IsEmpty());
  Leaderboard other = board;
  other.mutable_rows(0)->set_user_id("id");
  other.set_sequence(7);
  EXPECT_THAT(Differences(board, other), IsEmpty());
  other.mutable_rows(0)->mutable_cells(1)->set_pending(1);
  EXPECT_THAT(Differences(board, other), HasSubstr("pending"));
  other = board;
  other.mutable_rows()->RemoveLast();
  EXPECT_THAT(Differences(board, other), HasSubstr("two is missing"));
  EXPECT_THAT(Differences(other, board), HasSubstr("two should not"));
  other = board;
  *other.add_rows() = board.rows(1);
  EXPECT_THAT(Differences(board, other), HasSubstr("two is there twice"));
  other = board;
  other.mutable_rows()->SwapElements(0, 1);
  EXPECT_THAT(Differences(board, other), HasSubstr("not in order"));
}

TEST(StandingsTest, ATableHasALineForEachTeam) {
  const std::string table = TableOf(ExpectedBoard(
      {"one", "twelve"}, kRules,
      {{"one", 0, kMinute, kRight}, {"twelve", 1, kMinute, kWrong}}));
  EXPECT_THAT(table, HasSubstr("   1  one       1     1   ★      ·"));
  EXPECT_THAT(table, HasSubstr("   2  twelve    0     0   ·      -1"));
  EXPECT_THAT(table, Not(HasSubstr("?")));
}

}  // namespace
}  // namespace platform::seed
