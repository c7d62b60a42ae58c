// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "services/contest/contest.h"

namespace platform::contest {

/// The numbers are those of the execution service.
enum class Verdict {
  kAccepted = 1,
  kWrongAnswer = 2,
  kTimeLimit = 3,
  kMemoryLimit = 4,
  kOutputLimit = 5,
  kRuntimeError = 6,
  kCompileError = 7,
  kInternal = 8,
};

/// A submission as far as it counts.
struct Attempt {
  WallTime submitted_at;
  /// Its number among the contest's, in the order of their arrival.
  std::int64_t number = 0;
  /// None while it is not judged.
  std::optional<Verdict> verdict;
};

/// What a team has achieved on a problem.
struct Cell {
  struct Solution {
    WallTime at;
    std::int64_t number = 0;

    // clang-tidy 14 sees a 0 here.  NOLINTNEXTLINE(modernize-use-nullptr)
    friend auto operator<=>(const Solution&, const Solution&) = default;
  };
  std::optional<Solution> solved;
  /// Wrong solutions before the accepted one, or so far.
  int wrong = 0;
  /// Those of them that are not judged, or hidden.
  int pending = 0;

  friend bool operator==(const Cell&, const Cell&) = default;
};

/// The score of a team's attempts at a problem, by the rules of the ICPC: the
/// first accepted one in the order of submission solves it, and nothing after
/// that counts; what failed to compile, or because of us, never does. From
/// `hidden_from` on results are not looked at.
///
/// A function of the attempts alone: the order in which they were judged, and
/// in which they are given, does not matter.
Cell Score(std::vector<Attempt> attempts,
           std::optional<WallTime> hidden_from = std::nullopt);

}  // namespace platform::contest
