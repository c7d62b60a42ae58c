// SPDX-License-Identifier: Apache-2.0
// Who plays, and what they submit when: the board that must come out of it is
// computed from this.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace judge_demo {

struct Player {
  std::string username;
  std::string team;
};

inline const std::vector<Player>& Players() {
  static const std::vector<Player> kPlayers = {{"ada", "Ada"},
                                               {"bob", "Bob & Sons"},
                                               {"cyd", "Cyd"},
                                               {"dee", "Dee"},
                                               {"mallory", "Mallory"}};
  return kPlayers;
}

/// By slug; A, B, C and D on the board.
inline const std::vector<std::string>& Problems() {
  static const std::vector<std::string> kProblems = {
      "sum-of-two", "most-frequent-word", "primes-below", "running-mean"};
  return kProblems;
}

/// `player` hands in `solution` for a problem: one of that problem's, or, with
/// "hostile/", one that attacks the judge.
struct Move {
  std::string_view player;
  char problem;
  std::string_view solution;
};

/// The players play at once, each in order.
using Act = std::vector<Move>;

inline const Act kOpening = {
    {"ada", 'A', "right.cpp"},
    {"ada", 'B', "wrong.cpp"},
    {"ada", 'B', "right.cpp"},
    {"bob", 'A', "wrong.py"},
    {"bob", 'A', "right.py"},
    {"bob", 'C', "slow.py"},
    {"cyd", 'A', "wrong.js"},
    {"cyd", 'B', "wrong.js"},
    {"cyd", 'D', "right.js"},
    {"dee", 'C', "broken.c"},
    {"dee", 'C', "right.c"},
    {"mallory", 'A', "hostile/fork_bomb.c"},
    {"mallory", 'A', "hostile/network.py"},
    {"mallory", 'B', "hostile/read_files.py"},
    {"mallory", 'D', "hostile/memory_hog.cpp"},
};

/// One instance of the execution service is killed meanwhile.
inline const Act kUnderFire = {
    {"ada", 'C', "slow.cpp"},
    {"ada", 'C', "right.cpp"},
    {"bob", 'B', "right.py"},
    {"bob", 'C', "wrong.py"},
    {"bob", 'C', "right.py"},
    {"cyd", 'A', "right.js"},
    {"cyd", 'C', "slow.js"},
    {"dee", 'A', "right.c"},
    {"dee", 'D', "right.c"},
    {"mallory", 'C', "hostile/fork_bomb.py"},
    {"mallory", 'C', "hostile/memory_hog.js"},
    {"mallory", 'D', "hostile/endless_output.py"},
    {"mallory", 'A', "right.py"},
};

/// The board is frozen, and the other instance is started again.
inline const Act kLastMinutes = {
    {"ada", 'D', "wrong.cpp"},
    {"ada", 'D', "right.cpp"},
    {"bob", 'D', "crash.py"},
    {"bob", 'D', "right.py"},
    {"cyd", 'B', "right.js"},
    {"cyd", 'C', "right.js"},
    {"dee", 'B', "right.c"},
    {"mallory", 'B', "hostile/network.js"},
    {"mallory", 'B', "hostile/orphan.py"},
    {"mallory", 'B', "right.cpp"},
};

}  // namespace judge_demo
