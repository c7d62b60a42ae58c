// SPDX-License-Identifier: Apache-2.0
#include "services/seed/standings.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace platform::seed {
namespace {

using contest::v1::Leaderboard;
using contest::v1::LeaderboardCell;
using contest::v1::LeaderboardRow;

constexpr std::int64_t kMinute = 60'000'000'000;

bool CountsAsWrong(execution::v1::Verdict verdict) {
  return verdict != execution::v1::VERDICT_COMPILE_ERROR &&
         verdict != execution::v1::VERDICT_INTERNAL;
}

// `attempts` of one team at one problem, in order.
LeaderboardCell CellOf(const Rules& rules,
                       const std::vector<const RecordedAttempt*>& attempts) {
  LeaderboardCell cell;
  for (const RecordedAttempt* attempt : attempts) {
    if (rules.frozen_at.has_value() &&
        attempt->submitted_at >= *rules.frozen_at) {
      cell.set_pending(cell.pending() + 1);
    } else if (attempt->verdict == execution::v1::VERDICT_ACCEPTED) {
      cell.set_solved(true);
      cell.set_solved_minutes((attempt->submitted_at - rules.starts_at) /
                              kMinute);
      break;
    } else if (CountsAsWrong(attempt->verdict)) {
      cell.set_wrong(cell.wrong() + 1);
    }
  }
  return cell;
}

std::tuple<int, std::int64_t, std::int64_t> MeritOf(const LeaderboardRow& row) {
  std::int64_t last = 0;
  for (const LeaderboardCell& cell : row.cells()) {
    if (cell.solved()) last = std::max(last, cell.solved_minutes());
  }
  return {-row.solved(), row.penalty_minutes(), last};
}

std::string Text(const LeaderboardCell& cell) {
  std::string text;
  if (cell.solved()) {
    text = absl::StrCat(cell.first() ? "★" : "+",
                        cell.wrong() > 0 ? absl::StrCat(cell.wrong()) : "");
  } else if (cell.wrong() > 0) {
    text = absl::StrCat("-", cell.wrong());
  }
  if (cell.pending() > 0) absl::StrAppend(&text, "?", cell.pending());
  return text.empty() ? "·" : text;
}

// `text` in `width` columns; UTF-8's continuation bytes take none.
std::string Padded(const std::string& text, std::size_t width) {
  std::size_t columns = 0;
  for (const char c : text) columns += (c & 0xC0) != 0x80;
  return text + std::string(width > columns ? width - columns : 1, ' ');
}

}  // namespace

Leaderboard ExpectedBoard(const std::vector<std::string>& teams,
                          const Rules& rules,
                          const std::vector<RecordedAttempt>& attempts) {
  std::map<std::pair<std::string, int>, std::vector<const RecordedAttempt*>>
      by_cell;
  for (const RecordedAttempt& attempt : attempts) {
    by_cell[{attempt.team, attempt.problem}].push_back(&attempt);
  }
  // Who solved each problem first: its time and row.
  std::map<int, std::pair<std::int64_t, int>> first;
  std::vector<LeaderboardRow> rows;
  for (const std::string& team : teams) {
    LeaderboardRow& row = rows.emplace_back();
    row.set_team_name(team);
    for (int problem = 0; problem < static_cast<int>(rules.labels.size());
         ++problem) {
      auto& tried = by_cell[{team, problem}];
      std::stable_sort(tried.begin(), tried.end(),
                       [](const auto* a, const auto* b) {
                         return a->submitted_at < b->submitted_at;
                       });
      LeaderboardCell& cell = *row.add_cells();
      cell = CellOf(rules, tried);
      if (!cell.solved()) continue;
      row.set_solved(row.solved() + 1);
      row.set_penalty_minutes(row.penalty_minutes() + cell.solved_minutes() +
                              cell.wrong() * rules.penalty_minutes);
      const auto accepted =
          std::find_if(tried.begin(), tried.end(), [](const auto* attempt) {
            return attempt->verdict == execution::v1::VERDICT_ACCEPTED;
          });
      const std::pair<std::int64_t, int> solved{
          (*accepted)->submitted_at, static_cast<int>(rows.size()) - 1};
      const auto [place, fresh] = first.emplace(problem, solved);
      if (!fresh) place->second = std::min(place->second, solved);
    }
  }
  for (const auto& [problem, solved] : first) {
    rows[solved.second].mutable_cells(problem)->set_first(true);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return MeritOf(a) < MeritOf(b);
  });
  Leaderboard board;
  for (const std::string& label : rules.labels) board.add_problem_labels(label);
  for (LeaderboardRow& row : rows) {
    const int place = board.rows_size();
    const bool shared =
        place > 0 && MeritOf(board.rows(place - 1)) == MeritOf(row);
    row.set_rank(shared ? board.rows(place - 1).rank() : place + 1);
    *board.add_rows() = row;
  }
  board.set_frozen(rules.frozen_at.has_value());
  return board;
}

std::string Differences(const Leaderboard& expected,
                        const Leaderboard& actual) {
  std::string differences;
  const auto line = [](LeaderboardRow row) {
    row.clear_user_id();
    return row.ShortDebugString();
  };
  std::map<std::string, std::string> rows;
  for (const LeaderboardRow& row : actual.rows()) {
    if (!rows.emplace(row.team_name(), line(row)).second) {
      absl::StrAppend(&differences, row.team_name(), " is there twice\n");
    }
  }
  int rank = 0;
  for (const LeaderboardRow& row : actual.rows()) {
    if (row.rank() < rank) absl::StrAppend(&differences, "not in order\n");
    rank = row.rank();
  }
  for (const LeaderboardRow& row : expected.rows()) {
    const auto found = rows.find(row.team_name());
    if (found == rows.end()) {
      absl::StrAppend(&differences, row.team_name(), " is missing\n");
      continue;
    }
    if (found->second != line(row)) {
      absl::StrAppend(&differences, "expected ", line(row), "\nbut it is ",
                      found->second, "\n");
    }
    rows.erase(found);
  }
  for (const auto& [team, row] : rows) {
    absl::StrAppend(&differences, team, " should not be there\n");
  }
  return differences;
}

std::string TableOf(const Leaderboard& board) {
  std::size_t name = 4;
  for (const LeaderboardRow& row : board.rows()) {
    name = std::max(name, row.team_name().size());
  }
  constexpr std::size_t kCell = 7;
  std::string rule = "  ──────";
  for (std::size_t i = 0; i < name + 13 + kCell * board.problem_labels_size();
       ++i) {
    rule += "─";
  }
  std::string table =
      absl::StrCat("  rank  ", Padded("team", name + 2), "  =  time   ");
  for (const std::string& label : board.problem_labels()) {
    table += Padded(label, kCell);
  }
  absl::StrAppend(&table, "\n", rule, "\n");
  for (const LeaderboardRow& row : board.rows()) {
    absl::StrAppendFormat(&table, "  %4d  %s%3d %5d   ", row.rank(),
                          Padded(row.team_name(), name + 2), row.solved(),
                          row.penalty_minutes());
    for (const LeaderboardCell& cell : row.cells()) {
      table += Padded(Text(cell), kCell);
    }
    table += "\n";
  }
  return table;
}

}  // namespace platform::seed
