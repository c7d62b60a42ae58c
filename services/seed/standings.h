// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/contest/v1/contest_service.pb.h"

namespace platform::seed {

/// One submission, as somebody saw it who kept a record of their own.
struct RecordedAttempt {
  std::string team;
  /// From 0, in the order of the board.
  int problem = 0;
  /// Nanoseconds since 1970; equal ones of a team stand in order.
  std::int64_t submitted_at = 0;
  execution::v1::Verdict verdict = execution::v1::VERDICT_UNSPECIFIED;
};

struct Rules {
  std::vector<std::string> labels;
  std::int64_t starts_at = 0;
  std::int64_t penalty_minutes = 20;
  /// Attempts from then on are pending for those who look.
  std::optional<std::int64_t> frozen_at;
};

/// The board that the attempts should make, by a way of its own: it shares no
/// code with the contest service, and sums up from the beginning. Rows have no
/// user id.
contest::v1::Leaderboard ExpectedBoard(
    const std::vector<std::string>& teams, const Rules& rules,
    const std::vector<RecordedAttempt>& attempts);

/// What differs in rows and cells, a line each; empty if nothing does. User
/// ids, sequence, phase and the order of equal teams do not matter.
std::string Differences(const contest::v1::Leaderboard& expected,
                        const contest::v1::Leaderboard& actual);

/// For people: a table with a line for each team.
std::string TableOf(const contest::v1::Leaderboard& board);

}  // namespace platform::seed
