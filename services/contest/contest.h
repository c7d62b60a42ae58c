// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"

namespace platform::contest {

using WallTime = grpccommon::Clock::WallTime;
using Duration = grpccommon::Clock::Duration;

/// The numbers are those of the proto.
enum class Phase { kUpcoming = 1, kRunning = 2, kFrozen = 3, kEnded = 4 };

/// A problem as the contest knows it.
struct ContestProblem {
  std::string label;
  std::string problem_id;
  std::string title;
  /// In which it may be solved; empty: all.
  std::vector<std::string> languages;
};

struct Contest {
  std::string id;
  std::string title;
  std::string description;
  WallTime starts_at;
  WallTime ends_at;
  std::optional<WallTime> freeze_at;
  /// For each wrong solution before the accepted one.
  Duration penalty = std::chrono::minutes(20);
  std::vector<ContestProblem> problems;
  bool results_revealed = false;
  std::string author_id;
  int participant_count = 0;
  WallTime created_at;
  WallTime updated_at;
  std::int64_t version = 0;
  /// The number of the latest change of its board: grows with every one.
  std::int64_t sequence = 0;

  const ContestProblem* FindProblem(std::string_view label) const;
};

/// Who calls.
struct Caller {
  std::string id;
  /// What others may see of them.
  std::string name;
  bool admin = false;
  bool service = false;
};

/// The author, and admins, see everything and change it.
bool Manages(const Caller& caller, const Contest& contest);

Phase PhaseAt(const Contest& contest, WallTime now);
/// When the phase changes next; none after the end.
std::optional<WallTime> NextPhaseAfter(const Contest& contest, WallTime now);
/// Whether those who do not manage the contest see the board of `freeze_at`.
bool BoardFrozenAt(const Contest& contest, WallTime now);
/// Whether those who do not manage the contest may see its problems.
bool ProblemsShownAt(const Contest& contest, WallTime now);

/// Whether the contest makes sense by itself.
/// Errors: kInvalidArgument, naming the fields of the proto.
absl::Status CheckContest(const Contest& contest);

/// Whether `after` may follow `before` at `now`; both make sense by themselves.
/// Errors: kFailedPrecondition, reason CONTEST_STARTED or CONTEST_ENDED, for
/// what may not change any more; kInvalidArgument if a running contest would
/// have ended in the past.
absl::Status CheckChange(const Contest& before, const Contest& after,
                         WallTime now);

/// Errors: kFailedPrecondition, reason CONTEST_ENDED.
absl::Status CheckMayRegister(const Contest& contest, WallTime now);
/// Errors: kFailedPrecondition, reason NOT_REGISTERED, CONTEST_NOT_STARTED or
/// CONTEST_ENDED.
absl::Status CheckMaySubmit(const Contest& contest, bool registered,
                            WallTime now);

/// The domain of the service's reasons.
inline constexpr std::string_view kDomain = "platform.contest";

}  // namespace platform::contest
