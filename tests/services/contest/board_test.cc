// SPDX-License-Identifier: Apache-2.0
#include "services/contest/board.h"

#include <algorithm>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr WallTime kStart = WallTime(1000h);

class BoardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* const team : {"a", "b", "c"}) board_.SetTeam(team, team);
    board_.Rank(++version_);
  }

  void Solve(const std::string& team, std::size_t problem, Duration time,
             int wrong = 0) {
    board_.SetCell(
        team, problem,
        {.solved = Cell::Solution{kStart + time, ++number_}, .wrong = wrong});
  }
  // "1a 2:45" for rank, team, solved and penalty of each row.
  std::vector<std::string> Rows() {
    board_.Rank(++version_);
    std::vector<std::string> rows;
    for (const Board::Row* const row : board_.rows()) {
      rows.push_back(absl::StrCat(row->rank, row->user_id, " ", row->solved,
                                  ":", row->penalty_minutes));
    }
    return rows;
  }
  std::vector<std::string> ChangedRows() {
    board_.Rank(++version_);
    std::vector<std::string> rows;
    for (const Board::Row* const row : board_.rows()) {
      if (row->changed == version_) rows.push_back(row->user_id);
    }
    return rows;
  }

  Board board_{{.starts_at = kStart, .penalty = 20min, .problems = 3}};
  std::int64_t version_ = 0;
  std::int64_t number_ = 0;
};

TEST_F(BoardTest, TeamsWithoutASolutionShareTheFirstRank) {
  EXPECT_THAT(Rows(), ElementsAre("1a 0:0", "1b 0:0", "1c 0:0"));
}

TEST_F(BoardTest, MoreSolvedBeatsLessPenalty) {
  Solve("c", 0, 100min, 5);
  Solve("c", 1, 200min);
  Solve("b", 0, 1min);
  EXPECT_THAT(Rows(), ElementsAre("1c 2:400", "2b 1:1", "3a 0:0"));
}

TEST_F(BoardTest, CountsWholeMinutesAndThePenaltyOfWrongOnes) {
  Solve("b", 0, 10min + 59s, 2);
  EXPECT_THAT(Rows(), ElementsAre("1b 1:50", "2a 0:0", "2c 0:0"));
}

TEST_F(BoardTest, WrongOnesOfAProblemThatIsNotSolvedCostNothing) {
  board_.SetCell("a", 0, {.wrong = 7});
  EXPECT_THAT(Rows(), ElementsAre("1a 0:0", "1b 0:0", "1c 0:0"));
}

TEST_F(BoardTest, TheEarlierLastSolutionBreaksATieAndElseTheRankIsShared) {
  Solve("a", 0, 10min);
  Solve("a", 1, 40min);
  Solve("b", 0, 20min);
  Solve("b", 1, 30min);
  Solve("c", 0, 20min + 59s);
  Solve("c", 2, 30min + 10s);
  EXPECT_THAT(Rows(), ElementsAre("1b 2:50", "1c 2:50", "3a 2:50"));
}

TEST_F(BoardTest, TheFirstToSolveAProblemIsMarked) {
  const auto first = [&](std::size_t problem) {
    std::string teams;
    for (const Board::Row* const row : board_.rows()) {
      if (row->cells[problem].first) teams += row->user_id;
    }
    return teams;
  };
  Solve("b", 0, 20min);
  EXPECT_EQ(first(0), "b");
  Solve("a", 0, 10min);  // judged later, submitted earlier
  EXPECT_EQ(first(0), "a");
  EXPECT_EQ(first(1), "");
  board_.SetCell("a", 0, {.wrong = 1});
  EXPECT_EQ(first(0), "b");
}

TEST_F(BoardTest, OnlyRowsThatLookDifferentChange) {
  Solve("c", 0, 10min);
  EXPECT_THAT(ChangedRows(), ElementsAre("c", "a", "b"))
      << "the others lost a rank";
  EXPECT_THAT(ChangedRows(), IsEmpty());
  board_.SetCell("b", 1, {.pending = 1});
  EXPECT_THAT(ChangedRows(), ElementsAre("b"));
  board_.SetCell("b", 1, {.pending = 1});
  board_.SetTeam("a", "a");
  EXPECT_THAT(ChangedRows(), IsEmpty());
  board_.SetTeam("a", "new name");
  EXPECT_THAT(ChangedRows(), ElementsAre("a"));
  Solve("b", 0, 5min);
  EXPECT_THAT(ChangedRows(), ElementsAre("b", "c", "a"))
      << "c is not the first to solve it any more, a lost a rank";
}

TEST_F(BoardTest, APlaceStaysWhenRowsMove) {
  board_.SetTeam("d", "d");
  Solve("b", 0, 10min);
  Solve("c", 0, 20min);
  ASSERT_THAT(Rows(), ElementsAre("1b 1:10", "2c 1:20", "3a 0:0", "3d 0:0"));
  const auto after = [&](const Board::Place& place) {
    std::vector<std::string> users;
    for (const Board::Row* const row : board_.RowsAfter(place)) {
      users.push_back(row->user_id);
    }
    return users;
  };
  const Board::Place c = Board::PlaceOf(*board_.rows()[1]);
  const Board::Place a = Board::PlaceOf(*board_.rows()[2]);
  EXPECT_THAT(after(c), ElementsAre("a", "d"));
  EXPECT_THAT(after(a), ElementsAre("d"));
  EXPECT_THAT(after(Board::PlaceOf(*board_.rows()[3])), IsEmpty());
  Solve("d", 0, 5min);
  Solve("c", 1, 30min);
  ASSERT_THAT(Rows(), ElementsAre("1c 2:50", "2d 1:5", "3b 1:10", "4a 0:0"));
  EXPECT_THAT(after(c), ElementsAre("a")) << "where c was";
  EXPECT_THAT(after(a), IsEmpty());
}

TEST_F(BoardTest, APlaceOrdersAsTheRanksDo) {
  // By penalty beyond any, by the last solution, by name.
  const std::vector<Board::Row> rows = {
      {.team_name = "z", .solved = 31},
      {.team_name = "z", .solved = 2, .penalty_minutes = 90},
      {.team_name = "a",
       .solved = 2,
       .penalty_minutes = 100,
       .last_minutes = 44640},
      {.team_name = "a", .solved = 2, .penalty_minutes = 101},
      {.team_name = "a", .solved = 2, .penalty_minutes = 1LL << 50},
      {.team_name = "b", .solved = 1},
      {.team_name = "a", .solved = 1, .last_minutes = 1},
      {.user_id = "1", .team_name = "b", .solved = 1, .last_minutes = 1},
      {.user_id = "2", .team_name = "b", .solved = 1, .last_minutes = 1},
      {.team_name = "b"}};
  for (std::size_t i = 1; i < rows.size(); ++i) {
    EXPECT_LT(Board::PlaceOf(rows[i - 1]), Board::PlaceOf(rows[i])) << i;
  }
}

TEST_F(BoardTest, IgnoresCellsOfWhoIsNoTeam) {
  Solve("nobody", 0, 10min);
  EXPECT_THAT(Rows(), ElementsAre("1a 0:0", "1b 0:0", "1c 0:0"));
}

// What a team sees, computed anew from all submissions, by other means.
struct Submission {
  int team;
  std::size_t problem;
  Attempt attempt;
};

std::string Recomputed(const std::vector<Submission>& all, int teams,
                       std::size_t problems,
                       std::optional<WallTime> hidden_from) {
  struct Line {
    int team;
    int solved = 0;
    long penalty = 0;
    long last = 0;
    std::string cells;
  };
  const auto visible = [&](const Submission& s) {
    return s.attempt.verdict.has_value() &&
           (!hidden_from.has_value() || s.attempt.submitted_at < hidden_from);
  };
  std::vector<Line> lines;
  for (int team = 0; team < teams; ++team) {
    Line line{.team = team};
    for (std::size_t problem = 0; problem < problems; ++problem) {
      const Submission* solution = nullptr;
      bool first = true;
      for (const Submission& s : all) {
        if (s.team == team && s.problem == problem && visible(s) &&
            s.attempt.verdict == Verdict::kAccepted &&
            (solution == nullptr ||
             s.attempt.number < solution->attempt.number)) {
          solution = &s;
        }
      }
      int wrong = 0;
      int pending = 0;
      for (const Submission& s : all) {
        if (s.problem != problem) continue;
        const bool before =
            solution == nullptr || s.attempt.number < solution->attempt.number;
        if (s.team != team) {
          if (before && visible(s) && s.attempt.verdict == Verdict::kAccepted) {
            first = false;
          }
          continue;
        }
        if (!before) continue;
        if (!visible(s)) {
          ++pending;
        } else if (s.attempt.verdict != Verdict::kCompileError &&
                   s.attempt.verdict != Verdict::kInternal) {
          ++wrong;
        }
      }
      if (solution != nullptr) {
        const long minutes = (solution->attempt.submitted_at - kStart) / 1min;
        ++line.solved;
        line.penalty += minutes + 20L * wrong;
        line.last = std::max(line.last, minutes);
        absl::StrAppend(&line.cells, first ? " *" : " +", minutes);
      } else {
        absl::StrAppend(&line.cells, " -");
      }
      absl::StrAppend(&line.cells, "/", wrong, "/", pending);
    }
    lines.push_back(line);
  }
  const auto better = [](const Line& a, const Line& b) {
    if (a.solved != b.solved) return a.solved > b.solved;
    if (a.penalty != b.penalty) return a.penalty < b.penalty;
    return a.last < b.last;
  };
  std::stable_sort(lines.begin(), lines.end(), better);
  std::string text;
  for (const Line& line : lines) {
    const auto ahead =
        std::count_if(lines.begin(), lines.end(),
                      [&](const Line& other) { return better(other, line); });
    absl::StrAppend(&text, ahead + 1, " team", line.team, " ", line.solved, " ",
                    line.penalty, line.cells, "\n");
  }
  return text;
}

std::string Shown(const Board& board) {
  std::string text;
  for (const Board::Row* const row : board.rows()) {
    absl::StrAppend(&text, row->rank, " ", row->team_name, " ", row->solved,
                    " ", row->penalty_minutes);
    for (const Board::ShownCell& cell : row->cells) {
      if (cell.score.solved.has_value()) {
        absl::StrAppend(&text, cell.first ? " *" : " +", cell.solved_minutes);
      } else {
        absl::StrAppend(&text, " -");
      }
      absl::StrAppend(&text, "/", cell.score.wrong, "/", cell.score.pending);
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

// Whatever is submitted and in whatever order it is judged: the board that was
// kept up to date cell by cell is the one computed from all submissions, and
// rows that are not reported as changed look as before.
TEST(BoardPropertyTest, EqualsARecomputationAtAnyTime) {
  constexpr int kTeams = 6;
  constexpr std::size_t kProblems = 3;
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const auto draw = [&](int below) {
      return static_cast<int>(random() % static_cast<unsigned>(below));
    };
    std::optional<WallTime> hidden_from;
    if (seed % 2 == 1) hidden_from = kStart + 30min;
    Board board({.starts_at = kStart, .penalty = 20min, .problems = kProblems});
    for (int team = 0; team < kTeams; ++team) {
      const std::string name = absl::StrCat("team", team);
      board.SetTeam(name, name);
    }
    std::vector<Submission> all;
    std::vector<std::size_t> unjudged;
    Duration now = 0s;
    std::map<std::string, std::string> known;
    for (std::int64_t step = 1; step <= 120; ++step) {
      std::size_t changed;
      if (unjudged.empty() || draw(2) == 0) {
        now += std::chrono::seconds(draw(90));
        changed = all.size();
        unjudged.push_back(changed);
        all.push_back({draw(kTeams),
                       static_cast<std::size_t>(draw(kProblems)),
                       {kStart + now, step, std::nullopt}});
      } else {
        const auto chosen =
            unjudged.begin() + draw(static_cast<int>(unjudged.size()));
        changed = *chosen;
        unjudged.erase(chosen);
        all[changed].attempt.verdict = draw(3) == 0
                                           ? Verdict::kAccepted
                                           : static_cast<Verdict>(1 + draw(8));
      }
      const Submission& submission = all[changed];
      std::vector<Attempt> attempts;
      for (const Submission& s : all) {
        if (s.team == submission.team && s.problem == submission.problem) {
          attempts.push_back(s.attempt);
        }
      }
      board.SetCell(absl::StrCat("team", submission.team), submission.problem,
                    Score(attempts, hidden_from));
      board.Rank(step);
      ASSERT_EQ(Shown(board), Recomputed(all, kTeams, kProblems, hidden_from))
          << "seed " << seed << ", step " << step;

      // A watcher that takes only the rows that have changed knows the same.
      std::map<std::string, std::string> shown;
      for (const Board::Row* const row : board.rows()) {
        std::string& text = shown[row->user_id];
        absl::StrAppend(&text, row->rank, " ", row->solved, " ",
                        row->penalty_minutes);
        for (const Board::ShownCell& cell : row->cells) {
          absl::StrAppend(&text, " ", cell.first, cell.solved_minutes, " ",
                          cell.score.wrong, " ", cell.score.pending);
        }
        if (row->changed == step) known[row->user_id] = text;
      }
      ASSERT_EQ(known, shown) << "seed " << seed << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace platform::contest
