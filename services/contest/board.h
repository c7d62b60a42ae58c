// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "services/contest/scoring.h"

namespace platform::contest {

/// A contest's ranking, kept up to date cell by cell.
///
/// Most problems solved first, then least penalty, then the earliest last
/// solution, all in whole minutes as the board shows them; equal ones share a
/// rank. A problem's penalty is the minutes to its solution and, for each wrong
/// one before it, those of the contest, the sum in whole minutes.
/// Source: ICPC World Finals rules, "Scoring of the Contest".
///
/// Not thread-safe.
class Board {
 public:
  struct Rules {
    WallTime starts_at;
    Duration penalty{0};
    std::size_t problems = 0;

    friend bool operator==(const Rules&, const Rules&) = default;
  };
  struct ShownCell {
    Cell score;
    /// Whole minutes from the start, of a solved one.
    std::int64_t solved_minutes = 0;
    /// Nobody solved it earlier.
    bool first = false;
  };
  struct Row {
    std::string user_id;
    std::string team_name;
    int rank = 1;
    int solved = 0;
    std::int64_t penalty_minutes = 0;
    std::int64_t last_minutes = 0;
    std::vector<ShownCell> cells;
    /// Which `Rank` showed it differently last.
    std::int64_t changed = 0;
  };

  explicit Board(Rules rules) : rules_(rules), first_(rules.problems) {}

  void SetTeam(const std::string& user_id, std::string team_name);
  /// `problem` is an index below Rules::problems. Of a user who is no team:
  /// does nothing.
  void SetCell(const std::string& user_id, std::size_t problem,
               const Cell& score);
  /// Puts the teams in order; rows that then differ get `version`.
  void Rank(std::int64_t version);

  /// In the order of the ranks, equal ones by name, as of the last `Rank`.
  std::vector<const Row*> rows() const;
  /// A place in that order, which stays what it is when rows change theirs.
  struct Place {
    /// What decides about the rank, as one number; the smaller, the better.
    std::int64_t merit = 0;
    std::string team_name;
    std::string user_id;

    // clang-tidy 14 sees a 0 here.  NOLINTNEXTLINE(modernize-use-nullptr)
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  static Place PlaceOf(const Row& row);
  /// Those that come later than `place`.
  std::vector<const Row*> RowsAfter(const Place& place) const;

  /// In the order in which they came, from 0, which never changes.
  const Row& team(std::size_t i) const { return teams_[i].row; }
  std::size_t size() const { return teams_.size(); }
  const Rules& rules() const { return rules_; }

 private:
  struct Team {
    Row row;
    bool changed = true;
  };

  std::vector<const Row*> RowsFrom(
      std::vector<std::size_t>::const_iterator place) const;
  void UpdateFirst(std::size_t problem);
  void Sum(Row& row) const;

  const Rules rules_;
  std::vector<Team> teams_;
  std::map<std::string, std::size_t, std::less<>> places_;
  std::vector<std::size_t> order_;
  // The team that solved each problem first.
  std::vector<std::optional<std::size_t>> first_;
};

}  // namespace platform::contest
