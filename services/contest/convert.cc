// SPDX-License-Identifier: Apache-2.0
#include "services/contest/convert.h"

#include <chrono>
#include <vector>

#include "grpccommon/status/details.h"
#include "services/common/id.h"

namespace platform::contest {
namespace {

using grpccommon::FieldViolation;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// 2200-01-01: beyond it, nanoseconds would not fit any more.
constexpr std::int64_t kLastSecond = 7'258'118'400;

void SetDuration(Duration duration, google::protobuf::Duration& proto) {
  const auto whole = std::chrono::floor<seconds>(duration);
  proto.set_seconds(whole.count());
  proto.set_nanos(static_cast<int>((duration - whole).count()));
}

WallTime ReadTime(const google::protobuf::Timestamp& timestamp,
                  std::string_view field, std::vector<FieldViolation>& wrong) {
  if (timestamp.seconds() < 0 || timestamp.seconds() >= kLastSecond ||
      timestamp.nanos() < 0 || timestamp.nanos() > 999'999'999) {
    wrong.push_back({std::string(field), "must lie between 1970 and 2200"});
    return {};
  }
  return WallTime(seconds(timestamp.seconds()) +
                  nanoseconds(timestamp.nanos()));
}

}  // namespace

void SetTime(WallTime time, google::protobuf::Timestamp& timestamp) {
  const auto whole = std::chrono::floor<seconds>(time.time_since_epoch());
  timestamp.set_seconds(whole.count());
  timestamp.set_nanos(
      static_cast<int>((time.time_since_epoch() - whole).count()));
}

v1::Contest ToProto(const Contest& contest, WallTime now, bool with_problems) {
  v1::Contest proto;
  proto.set_id(contest.id);
  proto.set_title(contest.title);
  proto.set_description(contest.description);
  SetTime(contest.starts_at, *proto.mutable_starts_at());
  SetTime(contest.ends_at, *proto.mutable_ends_at());
  if (contest.freeze_at.has_value()) {
    SetTime(*contest.freeze_at, *proto.mutable_freeze_at());
  }
  SetDuration(contest.penalty, *proto.mutable_penalty());
  if (with_problems) {
    for (const ContestProblem& problem : contest.problems) {
      v1::ContestProblem& added = *proto.add_problems();
      added.set_label(problem.label);
      added.set_problem_id(problem.problem_id);
      added.set_title(problem.title);
    }
  }
  proto.set_results_revealed(contest.results_revealed);
  proto.set_author_id(contest.author_id);
  proto.set_phase(static_cast<v1::ContestPhase>(PhaseAt(contest, now)));
  proto.set_participant_count(contest.participant_count);
  SetTime(contest.created_at, *proto.mutable_created_at());
  SetTime(contest.updated_at, *proto.mutable_updated_at());
  proto.set_version(contest.version);
  return proto;
}

absl::StatusOr<Contest> FromProto(const v1::Contest& proto) {
  std::vector<FieldViolation> wrong;
  Contest contest{
      .title = proto.title(),
      .description = proto.description(),
      .starts_at = ReadTime(proto.starts_at(), "contest.starts_at", wrong),
      .ends_at = ReadTime(proto.ends_at(), "contest.ends_at", wrong),
      .results_revealed = proto.results_revealed()};
  if (!proto.has_starts_at()) {
    wrong.push_back({"contest.starts_at", "is required"});
  }
  if (!proto.has_ends_at()) {
    wrong.push_back({"contest.ends_at", "is required"});
  }
  if (proto.has_freeze_at()) {
    contest.freeze_at = ReadTime(proto.freeze_at(), "contest.freeze_at", wrong);
  }
  if (proto.has_penalty()) {
    contest.penalty = seconds(proto.penalty().seconds()) +
                      nanoseconds(proto.penalty().nanos());
  }
  for (const v1::ContestProblem& problem : proto.problems()) {
    // Ids are the same in either case, and so is the problem they name.
    contest.problems.push_back(
        {.label = problem.label(),
         .problem_id = common::CanonicalId(problem.problem_id())});
  }
  if (!wrong.empty()) return grpccommon::InvalidFields(wrong);
  const absl::Status valid = CheckContest(contest);
  if (!valid.ok()) return valid;
  return contest;
}

v1::Submission ToProto(const Submission& submission, bool with_texts) {
  v1::Submission proto;
  proto.set_id(submission.id);
  proto.set_contest_id(submission.contest_id);
  proto.set_problem_label(submission.label);
  proto.set_user_id(submission.user_id);
  proto.set_team_name(submission.team_name);
  proto.set_language(submission.language);
  proto.set_state(v1::SUBMISSION_STATE_PENDING);
  SetTime(submission.submitted_at, *proto.mutable_submitted_at());
  if (with_texts) proto.set_source(submission.source);
  if (!submission.judgement.has_value()) return proto;

  const Judgement& judgement = *submission.judgement;
  proto.set_state(v1::SUBMISSION_STATE_JUDGED);
  proto.set_verdict(static_cast<execution::v1::Verdict>(judgement.verdict));
  proto.set_not_judged_reason(
      static_cast<v1::NotJudgedReason>(judgement.not_judged));
  proto.set_passed_count(judgement.passed_count);
  proto.set_test_count(judgement.test_count);
  SetDuration(judgement.usage.cpu_time,
              *proto.mutable_usage()->mutable_cpu_time());
  SetDuration(judgement.usage.wall_time,
              *proto.mutable_usage()->mutable_wall_time());
  proto.mutable_usage()->set_memory_bytes(judgement.usage.memory_bytes);
  if (submission.judged_at.has_value()) {
    SetTime(*submission.judged_at, *proto.mutable_judged_at());
  }
  if (with_texts) proto.set_compiler_output(judgement.compiler_output);
  return proto;
}

v1::Announcement ToProto(const Announcement& announcement) {
  v1::Announcement proto;
  proto.set_number(announcement.number);
  proto.set_text(announcement.text);
  SetTime(announcement.created_at, *proto.mutable_created_at());
  proto.set_author_id(announcement.author_id);
  return proto;
}

void ToProto(const Board::Row& row, bool with_cells,
             v1::LeaderboardRow& proto) {
  proto.set_rank(row.rank);
  proto.set_user_id(row.user_id);
  proto.set_team_name(row.team_name);
  proto.set_solved(row.solved);
  proto.set_penalty_minutes(row.penalty_minutes);
  if (!with_cells) return;
  for (const Board::ShownCell& cell : row.cells) {
    v1::LeaderboardCell& added = *proto.add_cells();
    added.set_solved(cell.score.solved.has_value());
    added.set_wrong(cell.score.wrong);
    added.set_pending(cell.score.pending);
    added.set_solved_minutes(cell.solved_minutes);
    added.set_first(cell.first);
  }
}

}  // namespace platform::contest
