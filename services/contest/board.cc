// SPDX-License-Identifier: Apache-2.0
#include "services/contest/board.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <numeric>
#include <tuple>

namespace platform::contest {
namespace {

using std::chrono::duration_cast;
using std::chrono::minutes;

// What decides about the rank; the smaller, the better: 5 bits for the problems
// that are not solved, 42 for the penalty, 16 for the last minute.
std::int64_t Merit(const Board::Row& row) {
  constexpr int kMaxProblems = 31;
  constexpr std::int64_t kMaxPenalty = (std::int64_t{1} << 42) - 1;
  constexpr std::int64_t kMaxMinute = (std::int64_t{1} << 16) - 1;
  assert(row.solved <= kMaxProblems && row.last_minutes <= kMaxMinute);
  return (static_cast<std::int64_t>(kMaxProblems - row.solved) << 58) |
         (std::min(row.penalty_minutes, kMaxPenalty) << 16) |
         std::clamp<std::int64_t>(row.last_minutes, 0, kMaxMinute);
}

}  // namespace

void Board::SetTeam(const std::string& user_id, std::string team_name) {
  const auto [place, fresh] = places_.try_emplace(user_id, teams_.size());
  if (fresh) {
    teams_.emplace_back();
    teams_.back().row.user_id = user_id;
    teams_.back().row.cells.resize(rules_.problems);
    order_.push_back(place->second);
  }
  Team& team = teams_[place->second];
  if (!fresh && team.row.team_name == team_name) return;
  team.row.team_name = std::move(team_name);
  team.changed = true;
}

void Board::SetCell(const std::string& user_id, std::size_t problem,
                    const Cell& score) {
  assert(problem < rules_.problems);
  const auto place = places_.find(user_id);
  if (place == places_.end()) return;
  Team& team = teams_[place->second];
  ShownCell& cell = team.row.cells[problem];
  if (cell.score == score) return;
  const bool solution_changed = cell.score.solved != score.solved;
  cell.score = score;
  cell.solved_minutes =
      score.solved.has_value()
          ? duration_cast<minutes>(score.solved->at - rules_.starts_at).count()
          : 0;
  team.changed = true;
  Sum(team.row);
  if (solution_changed) UpdateFirst(problem);
}

void Board::Sum(Row& row) const {
  row.solved = 0;
  row.penalty_minutes = 0;
  row.last_minutes = 0;
  for (const ShownCell& cell : row.cells) {
    if (!cell.score.solved.has_value()) continue;
    ++row.solved;
    row.penalty_minutes +=
        cell.solved_minutes +
        duration_cast<minutes>(cell.score.wrong * rules_.penalty).count();
    row.last_minutes = std::max(row.last_minutes, cell.solved_minutes);
  }
}

void Board::UpdateFirst(std::size_t problem) {
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < teams_.size(); ++i) {
    const auto& solved = teams_[i].row.cells[problem].score.solved;
    if (!solved.has_value()) continue;
    if (!first.has_value() ||
        *solved < *teams_[*first].row.cells[problem].score.solved) {
      first = i;
    }
  }
  const auto mark = [&](std::optional<std::size_t> team, bool is_first) {
    if (!team.has_value()) return;
    teams_[*team].row.cells[problem].first = is_first;
    teams_[*team].changed = true;
  };
  if (first == first_[problem]) return;
  mark(first_[problem], false);
  mark(first, true);
  first_[problem] = first;
}

void Board::Rank(std::int64_t version) {
  std::sort(order_.begin(), order_.end(), [this](std::size_t a, std::size_t b) {
    const Row& x = teams_[a].row;
    const Row& y = teams_[b].row;
    const auto merit_x = Merit(x);
    const auto merit_y = Merit(y);
    if (merit_x != merit_y) return merit_x < merit_y;
    return std::tie(x.team_name, x.user_id) < std::tie(y.team_name, y.user_id);
  });
  for (std::size_t i = 0; i < order_.size(); ++i) {
    Team& team = teams_[order_[i]];
    int rank = static_cast<int>(i) + 1;
    if (i > 0) {
      const Row& before = teams_[order_[i - 1]].row;
      if (Merit(before) == Merit(team.row)) rank = before.rank;
    }
    if (rank != team.row.rank) {
      team.row.rank = rank;
      team.changed = true;
    }
    if (team.changed) team.row.changed = version;
    team.changed = false;
  }
}

std::vector<const Board::Row*> Board::rows() const {
  return RowsFrom(order_.begin());
}

Board::Place Board::PlaceOf(const Row& row) {
  return {Merit(row), row.team_name, row.user_id};
}

std::vector<const Board::Row*> Board::RowsAfter(const Place& place) const {
  return RowsFrom(std::partition_point(
      order_.begin(), order_.end(),
      [&](std::size_t team) { return PlaceOf(teams_[team].row) <= place; }));
}

std::vector<const Board::Row*> Board::RowsFrom(
    std::vector<std::size_t>::const_iterator place) const {
  std::vector<const Row*> rows;
  rows.reserve(static_cast<std::size_t>(order_.end() - place));
  for (; place != order_.end(); ++place) rows.push_back(&teams_[*place].row);
  return rows;
}

}  // namespace platform::contest
