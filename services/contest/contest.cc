// SPDX-License-Identifier: Apache-2.0
#include "services/contest/contest.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <set>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"

namespace platform::contest {
namespace {

using grpccommon::FieldViolation;
using grpccommon::ToAbsl;
using grpccommon::WithReason;

constexpr auto kLongest = std::chrono::days(31);

absl::Status Refused(std::string_view reason, std::string_view message) {
  return WithReason(absl::FailedPreconditionError(ToAbsl(message)), reason,
                    kDomain);
}

bool SameProblems(const Contest& a, const Contest& b) {
  return std::equal(a.problems.begin(), a.problems.end(), b.problems.begin(),
                    b.problems.end(),
                    [](const ContestProblem& x, const ContestProblem& y) {
                      return x.label == y.label && x.problem_id == y.problem_id;
                    });
}

}  // namespace

const ContestProblem* Contest::FindProblem(std::string_view label) const {
  const auto problem =
      std::find_if(problems.begin(), problems.end(),
                   [&](const ContestProblem& p) { return p.label == label; });
  return problem == problems.end() ? nullptr : &*problem;
}

bool Manages(const Caller& caller, const Contest& contest) {
  return caller.admin || (!caller.id.empty() && caller.id == contest.author_id);
}

Phase PhaseAt(const Contest& contest, WallTime now) {
  if (now < contest.starts_at) return Phase::kUpcoming;
  if (now >= contest.ends_at) return Phase::kEnded;
  const bool frozen = contest.freeze_at.has_value() && now >= contest.freeze_at;
  return frozen ? Phase::kFrozen : Phase::kRunning;
}

std::optional<WallTime> NextPhaseAfter(const Contest& contest, WallTime now) {
  switch (PhaseAt(contest, now)) {
    case Phase::kUpcoming:
      return contest.starts_at;
    case Phase::kRunning:
      return std::min(contest.freeze_at.value_or(contest.ends_at),
                      contest.ends_at);
    case Phase::kFrozen:
      return contest.ends_at;
    case Phase::kEnded:
      break;
  }
  return std::nullopt;
}

bool BoardFrozenAt(const Contest& contest, WallTime now) {
  if (!contest.freeze_at.has_value() || now < contest.freeze_at) return false;
  return !contest.results_revealed || now < contest.ends_at;
}

bool ProblemsShownAt(const Contest& contest, WallTime now) {
  return now >= contest.starts_at;
}

absl::Status CheckContest(const Contest& contest) {
  std::vector<FieldViolation> wrong;
  if (contest.title.empty()) {
    wrong.push_back({"contest.title", "is required"});
  }
  if (contest.ends_at <= contest.starts_at) {
    wrong.push_back({"contest.ends_at", "must be after the start"});
  } else if (contest.ends_at - contest.starts_at > kLongest) {
    wrong.push_back(
        {"contest.ends_at", "must be at most 31 days after the start"});
  }
  if (contest.freeze_at.has_value() && (contest.freeze_at < contest.starts_at ||
                                        contest.freeze_at > contest.ends_at)) {
    wrong.push_back(
        {"contest.freeze_at", "must lie between the start and the end"});
  }
  if (contest.problems.empty()) {
    wrong.push_back({"contest.problems", "is required"});
  }
  std::set<std::string_view> labels;
  std::set<std::string_view> ids;
  for (std::size_t i = 0; i < contest.problems.size(); ++i) {
    const ContestProblem& problem = contest.problems[i];
    const std::string field = absl::StrCat("contest.problems[", i, "]");
    if (!labels.insert(problem.label).second) {
      wrong.push_back({field + ".label", "is another problem's as well"});
    }
    if (!ids.insert(problem.problem_id).second) {
      wrong.push_back({field + ".problem_id", "is there twice"});
    }
  }
  return wrong.empty() ? absl::OkStatus() : grpccommon::InvalidFields(wrong);
}

absl::Status CheckChange(const Contest& before, const Contest& after,
                         WallTime now) {
  const Phase phase = PhaseAt(before, now);
  if (phase == Phase::kUpcoming) return absl::OkStatus();
  if (after.starts_at != before.starts_at || !SameProblems(before, after)) {
    return Refused("CONTEST_STARTED",
                   "a contest that has begun keeps its start and its problems");
  }
  if (phase == Phase::kEnded) {
    if (after.ends_at == before.ends_at &&
        after.freeze_at == before.freeze_at &&
        after.penalty == before.penalty) {
      return absl::OkStatus();
    }
    return Refused("CONTEST_ENDED",
                   "a contest that has ended keeps its times and its penalty");
  }
  if (after.ends_at != before.ends_at && after.ends_at < now) {
    return grpccommon::InvalidFields(
        {{"contest.ends_at", "of a running contest must not be in the past"}});
  }
  return absl::OkStatus();
}

absl::Status CheckMayRegister(const Contest& contest, WallTime now) {
  if (PhaseAt(contest, now) != Phase::kEnded) return absl::OkStatus();
  return Refused("CONTEST_ENDED", "the contest has ended");
}

absl::Status CheckMaySubmit(const Contest& contest, bool registered,
                            WallTime now) {
  switch (PhaseAt(contest, now)) {
    case Phase::kUpcoming:
      return Refused("CONTEST_NOT_STARTED", "the contest has not started");
    case Phase::kEnded:
      return Refused("CONTEST_ENDED", "the contest has ended");
    case Phase::kRunning:
    case Phase::kFrozen:
      break;
  }
  if (!registered) {
    return Refused("NOT_REGISTERED", "register for the contest first");
  }
  return absl::OkStatus();
}

}  // namespace platform::contest
