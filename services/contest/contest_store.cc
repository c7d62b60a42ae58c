// SPDX-License-Identifier: Apache-2.0
#include "services/contest/contest_store.h"

#include <map>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "services/common/query.h"
#include "services/contest/migrations.h"

namespace platform::contest {
namespace {

using common::Query;
using grpccommon::Clock;
using grpccommon::NotFound;
using grpccommon::WithReason;

constexpr char kContestColumns[] =
    "id, title, description, starts_at, ends_at, freeze_at, penalty, "
    "results_revealed, author_id, participant_count, created_at, updated_at, "
    "version, sequence";

void BindContest(Query& query, const Contest& contest) {
  query.Bind("id", contest.id)
      .Bind("title", contest.title)
      .Bind("description", contest.description)
      .Bind("starts_at", contest.starts_at)
      .Bind("ends_at", contest.ends_at)
      .Bind("freeze_at", contest.freeze_at)
      .Bind("penalty", contest.penalty.count())
      .Bind("results_revealed", contest.results_revealed)
      .Bind("updated_at", contest.updated_at)
      .Bind("version", contest.version)
      .Bind("sequence", contest.sequence);
}

// The columns of kContestColumns, of the row that `Next` reads.
class ContestReader {
 public:
  explicit ContestReader(Query& query) : query_(query) {
    query_.Into(row_.id, row_.title, row_.description, row_.starts_at,
                row_.ends_at, row_.freeze_at, penalty_, row_.results_revealed,
                row_.author_id, row_.participant_count, row_.created_at,
                row_.updated_at, row_.version, row_.sequence);
  }
  bool Next() { return query_.Next(); }
  Contest contest() const {
    Contest contest = row_;
    contest.penalty = Duration(penalty_);
    return contest;
  }

 private:
  Query& query_;
  Contest row_;
  std::int64_t penalty_ = 0;
};

void ReadProblems(soci::session& sql, Contest& contest) {
  Query query(sql,
              "SELECT label, problem_id, title, languages FROM contest_problems"
              " WHERE contest_id = :contest_id ORDER BY position");
  ContestProblem problem;
  std::string languages;
  query.Bind("contest_id", contest.id)
      .Into(problem.label, problem.problem_id, problem.title, languages);
  while (query.Next()) {
    problem.languages = absl::StrSplit(languages, ' ', absl::SkipEmpty());
    contest.problems.push_back(problem);
  }
}

void WriteProblems(soci::session& sql, const Contest& contest) {
  Query(sql, "DELETE FROM contest_problems WHERE contest_id = :contest_id")
      .Bind("contest_id", contest.id)
      .Run();
  for (std::size_t i = 0; i < contest.problems.size(); ++i) {
    const ContestProblem& problem = contest.problems[i];
    Query(sql,
          "INSERT INTO contest_problems"
          " (contest_id, position, label, problem_id, title, languages)"
          " VALUES (:contest_id, :position, :label, :problem_id, :title,"
          " :languages)")
        .Bind("contest_id", contest.id)
        .Bind("position", i)
        .Bind("label", problem.label)
        .Bind("problem_id", problem.problem_id)
        .Bind("title", problem.title)
        .Bind("languages", absl::StrJoin(problem.languages, " "))
        .Run();
  }
}

constexpr char kSubmissionColumns[] =
    "s.id, s.contest_id, s.user_id, p.team_name, s.number, s.label, "
    "s.problem_id, s.language, s.submitted_at, s.verdict, s.passed_count, "
    "s.test_count, s.cpu_time, s.wall_time, s.memory_bytes, s.judged_at, "
    "s.not_judged";
constexpr char kSubmissionTables[] =
    " FROM contest_submissions s JOIN contest_participants p"
    " ON p.contest_id = s.contest_id AND p.user_id = s.user_id";
// For one submission alone: they are long.
constexpr char kSubmissionTexts[] = ", s.compiler_output, s.source";

class SubmissionReader {
 public:
  explicit SubmissionReader(Query& query) : query_(query) {
    query_.Into(
        row_.id, row_.contest_id, row_.user_id, row_.team_name, row_.number,
        row_.label, row_.problem_id, row_.language, row_.submitted_at, verdict_,
        judgement_.passed_count, judgement_.test_count, cpu_time_, wall_time_,
        judgement_.usage.memory_bytes, row_.judged_at, judgement_.not_judged);
  }
  // After that, the columns of kSubmissionTexts.
  void WithTexts() { query_.Into(judgement_.compiler_output, row_.source); }
  bool Next() { return query_.Next(); }
  Submission submission() const {
    Submission submission = row_;
    if (verdict_.has_value()) {
      submission.judgement = judgement_;
      submission.judgement->verdict = *verdict_;
      submission.judgement->usage.cpu_time = Duration(cpu_time_);
      submission.judgement->usage.wall_time = Duration(wall_time_);
    }
    return submission;
  }

 private:
  Query& query_;
  Submission row_;
  Judgement judgement_;
  std::optional<Verdict> verdict_;
  std::int64_t cpu_time_ = 0;
  std::int64_t wall_time_ = 0;
};

std::optional<Submission> ReadSubmission(soci::session& sql,
                                         std::string_view id) {
  Query query(sql, absl::StrCat("SELECT ", kSubmissionColumns, kSubmissionTexts,
                                kSubmissionTables, " WHERE s.id = :id"));
  query.Bind("id", id);
  SubmissionReader reader(query);
  reader.WithTexts();
  if (!reader.Next()) return std::nullopt;
  return reader.submission();
}

// Numbers a change of a contest's board.
struct Numbered {
  std::int64_t sequence = 0;
  std::optional<WallTime> freeze_at;
};
Numbered NextSequence(soci::session& sql, std::string_view contest_id,
                      WallTime now) {
  Numbered next;
  Query query(sql,
              "UPDATE contests SET sequence = sequence + 1, changed_at = :now"
              " WHERE id = :id RETURNING sequence, freeze_at");
  query.Bind("now", now)
      .Bind("id", contest_id)
      .Into(next.sequence, next.freeze_at);
  query.Next();
  return next;
}

std::vector<Attempt> ReadAttempts(soci::session& sql,
                                  std::string_view contest_id,
                                  std::string_view user_id,
                                  std::string_view label) {
  Query query(sql,
              "SELECT submitted_at, number, verdict FROM contest_submissions"
              " WHERE contest_id = :contest_id AND user_id = :user_id"
              " AND label = :label");
  Attempt attempt;
  query.Bind("contest_id", contest_id)
      .Bind("user_id", user_id)
      .Bind("label", label)
      .Into(attempt.submitted_at, attempt.number, attempt.verdict);
  std::vector<Attempt> attempts;
  while (query.Next()) attempts.push_back(attempt);
  return attempts;
}

std::optional<WallTime> TimeOf(const Cell& cell) {
  if (!cell.solved.has_value()) return std::nullopt;
  return cell.solved->at;
}
std::optional<std::int64_t> NumberOf(const Cell& cell) {
  if (!cell.solved.has_value()) return std::nullopt;
  return cell.solved->number;
}

void WriteScore(soci::session& sql, std::string_view contest_id,
                const CellChange& change, std::int64_t sequence) {
  Query(sql,
        "INSERT INTO contest_scores (contest_id, user_id, label, solved_at,"
        " solved_number, wrong, pending, shown_solved_at, shown_solved_number,"
        " shown_wrong, shown_pending, sequence)"
        " VALUES (:contest_id, :user_id, :label, :solved_at, :solved_number,"
        " :wrong, :pending, :shown_solved_at, :shown_solved_number,"
        " :shown_wrong, :shown_pending, :sequence)"
        " ON CONFLICT (contest_id, user_id, label) DO UPDATE SET"
        " solved_at = excluded.solved_at,"
        " solved_number = excluded.solved_number, wrong = excluded.wrong,"
        " pending = excluded.pending,"
        " shown_solved_at = excluded.shown_solved_at,"
        " shown_solved_number = excluded.shown_solved_number,"
        " shown_wrong = excluded.shown_wrong,"
        " shown_pending = excluded.shown_pending,"
        " sequence = excluded.sequence")
      .Bind("contest_id", contest_id)
      .Bind("user_id", change.user_id)
      .Bind("label", change.label)
      .Bind("solved_at", TimeOf(change.full))
      .Bind("solved_number", NumberOf(change.full))
      .Bind("wrong", change.full.wrong)
      .Bind("pending", change.full.pending)
      .Bind("shown_solved_at", TimeOf(change.shown))
      .Bind("shown_solved_number", NumberOf(change.shown))
      .Bind("shown_wrong", change.shown.wrong)
      .Bind("shown_pending", change.shown.pending)
      .Bind("sequence", sequence)
      .Run();
}

// Makes the score of a cell anew, with the number of this change.
void Rescore(soci::session& sql, std::string_view contest_id,
             std::string_view user_id, std::string_view label,
             const Numbered& change) {
  const std::vector<Attempt> attempts =
      ReadAttempts(sql, contest_id, user_id, label);
  WriteScore(sql, contest_id,
             {.user_id = std::string(user_id),
              .label = std::string(label),
              .full = Score(attempts),
              .shown = Score(attempts, change.freeze_at)},
             change.sequence);
}

std::optional<Cell::Solution> SolutionOf(std::optional<WallTime> at,
                                         std::optional<std::int64_t> number) {
  if (!at.has_value()) return std::nullopt;
  return Cell::Solution{.at = *at, .number = number.value_or(0)};
}

std::string PhaseCondition(std::optional<Phase> phase) {
  if (!phase.has_value()) return " WHERE CAST(:now AS BIGINT) IS NOT NULL";
  switch (*phase) {
    case Phase::kUpcoming:
      return " WHERE starts_at > :now";
    case Phase::kRunning:
      return " WHERE starts_at <= :now AND ends_at > :now"
             " AND (freeze_at IS NULL OR freeze_at > :now)";
    case Phase::kFrozen:
      return " WHERE starts_at <= :now AND ends_at > :now AND freeze_at <= "
             ":now";
    case Phase::kEnded:
      return " WHERE ends_at <= :now";
  }
  return " WHERE FALSE";
}

// Chooses submissions; what callers say is bound.
std::string FilterCondition(const ContestStore::SubmissionFilter& filter) {
  std::string condition = " WHERE s.contest_id = :contest_id";
  if (!filter.user_id.empty()) condition += " AND s.user_id = :user_id";
  if (!filter.label.empty()) condition += " AND s.label = :label";
  return condition;
}
void BindFilter(Query& query, const ContestStore::SubmissionFilter& filter) {
  query.Bind("contest_id", filter.contest_id);
  if (!filter.user_id.empty()) query.Bind("user_id", filter.user_id);
  if (!filter.label.empty()) query.Bind("label", filter.label);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ContestStore>> ContestStore::Open(
    const ContestStoreOptions& options, bool read_only, const Clock& clock) {
  auto database = common::Database::Open({.url = options.database,
                                          .service = "contest",
                                          .migrations = kMigrations,
                                          .read_only = read_only,
                                          .on_error = options.on_error});
  if (!database.ok()) return database.status();
  return absl::WrapUnique(new ContestStore(*std::move(database), clock));
}

absl::StatusOr<Contest> ContestStore::Create(Contest contest) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Contest> {
    contest.id = grpccommon::UuidV7(clock_);
    contest.created_at = contest.updated_at = clock_.WallNow();
    contest.version = contest.sequence = 1;
    contest.participant_count = 0;
    Query query(sql,
                "INSERT INTO contests (id, title, description, starts_at,"
                " ends_at, freeze_at, penalty, results_revealed, author_id,"
                " participant_count, created_at, updated_at, version, sequence,"
                " rules_sequence, changed_at, announcement_count)"
                " VALUES (:id, :title, :description, :starts_at, :ends_at,"
                " :freeze_at, :penalty, :results_revealed, :author_id, 0,"
                " :created_at, :updated_at, :version, :sequence, 1,"
                " :created_at, 0)");
    BindContest(query, contest);
    query.Bind("author_id", contest.author_id)
        .Bind("created_at", contest.created_at)
        .Run();
    WriteProblems(sql, contest);
    return contest;
  });
}

absl::StatusOr<Contest> ContestStore::Update(const Contest& before,
                                             Contest after) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Contest> {
    after.id = before.id;
    after.author_id = before.author_id;
    after.participant_count = before.participant_count;
    after.created_at = before.created_at;
    after.updated_at = clock_.WallNow();
    after.version = before.version + 1;
    after.sequence = before.sequence + 1;
    Query query(sql,
                "UPDATE contests SET title = :title,"
                " description = :description, starts_at = :starts_at,"
                " ends_at = :ends_at, freeze_at = :freeze_at,"
                " penalty = :penalty, results_revealed = :results_revealed,"
                " updated_at = :updated_at, version = :version,"
                " sequence = :sequence, rules_sequence = :sequence,"
                " changed_at = :updated_at"
                " WHERE id = :id");
    BindContest(query, after);
    query.Run();
    WriteProblems(sql, after);
    if (after.freeze_at != before.freeze_at) {
      const auto scores = RecomputeScores(after);
      if (!scores.ok()) return scores.status();
      for (const CellChange& change : *scores) {
        WriteScore(sql, after.id, change, after.sequence);
      }
    }
    return after;
  });
}

absl::StatusOr<Contest> ContestStore::Get(std::string_view id) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Contest> {
    Query query(sql, absl::StrCat("SELECT ", kContestColumns,
                                  " FROM contests WHERE id = :id"));
    query.Bind("id", id);
    ContestReader reader(query);
    if (!reader.Next()) return NotFound("contest", id);
    Contest contest = reader.contest();
    ReadProblems(sql, contest);
    return contest;
  });
}

absl::StatusOr<std::vector<Contest>> ContestStore::List(
    std::optional<Phase> phase, const std::optional<ContestKey>& after,
    std::size_t limit) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<std::vector<Contest>> {
        std::string text =
            absl::StrCat("SELECT ", kContestColumns, " FROM contests",
                         PhaseCondition(phase));
        if (after.has_value()) {
          text +=
              " AND (starts_at < :start OR (starts_at = :start AND id < :id))";
        }
        text += " ORDER BY starts_at DESC, id DESC LIMIT :limit";
        Query query(sql, text);
        query.Bind("now", clock_.WallNow()).Bind("limit", limit);
        if (after.has_value()) {
          query.Bind("start", after->starts_at).Bind("id", after->id);
        }
        ContestReader reader(query);
        std::vector<Contest> contests;
        while (reader.Next()) contests.push_back(reader.contest());
        return contests;
      });
}

absl::StatusOr<std::int64_t> ContestStore::Count(std::optional<Phase> phase) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<std::int64_t> {
        std::int64_t count = 0;
        Query query(sql, absl::StrCat("SELECT count(*) FROM contests",
                                      PhaseCondition(phase)));
        query.Bind("now", clock_.WallNow()).Into(count);
        query.Next();
        return count;
      });
}

absl::StatusOr<Registration> ContestStore::Register(
    std::string_view contest_id, std::string_view user_id,
    std::string_view team_name) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<Registration> {
        Registration registration;
        Query known(sql,
                    "SELECT team_name, registered_at FROM contest_participants"
                    " WHERE contest_id = :contest_id AND user_id = :user_id");
        known.Bind("contest_id", contest_id)
            .Bind("user_id", user_id)
            .Into(registration.team_name, registration.registered_at);
        if (known.Next()) return registration;
        const absl::StatusOr<Contest> contest = Get(contest_id);
        if (!contest.ok()) return contest.status();
        const WallTime now = clock_.WallNow();
        if (auto status = CheckMayRegister(*contest, now); !status.ok()) {
          return status;
        }
        registration = {.team_name = std::string(team_name),
                        .registered_at = now};
        Query(sql,
              "UPDATE contests SET participant_count = participant_count + 1"
              " WHERE id = :id")
            .Bind("id", contest_id)
            .Run();
        Query(sql,
              "INSERT INTO contest_participants"
              " (contest_id, user_id, team_name, registered_at, sequence)"
              " VALUES (:contest_id, :user_id, :team_name, :registered_at,"
              " :sequence)")
            .Bind("contest_id", contest_id)
            .Bind("user_id", user_id)
            .Bind("team_name", team_name)
            .Bind("registered_at", now)
            .Bind("sequence", NextSequence(sql, contest_id, now).sequence)
            .Run();
        return registration;
      });
}

absl::StatusOr<bool> ContestStore::IsRegistered(std::string_view contest_id,
                                                std::string_view user_id) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<bool> {
    std::int64_t one = 0;
    Query query(sql,
                "SELECT 1 FROM contest_participants"
                " WHERE contest_id = :contest_id AND user_id = :user_id");
    query.Bind("contest_id", contest_id).Bind("user_id", user_id).Into(one);
    return query.Next();
  });
}

absl::StatusOr<std::optional<Submission>> ContestStore::FindSubmitted(
    const NewSubmission& submission) {
  using Result = absl::StatusOr<std::optional<Submission>>;
  return database_->Run([&](soci::session& sql) -> Result {
    if (submission.idempotency_key.empty()) return std::nullopt;
    std::string id;
    Query query(sql,
                "SELECT id FROM contest_submissions"
                " WHERE contest_id = :contest_id AND user_id = :user_id"
                " AND idempotency_key = :key");
    query.Bind("contest_id", submission.contest_id)
        .Bind("user_id", submission.user_id)
        .Bind("key", submission.idempotency_key)
        .Into(id);
    if (!query.Next()) return std::nullopt;
    std::optional<Submission> known = ReadSubmission(sql, id);
    if (known.has_value() && known->label == submission.label &&
        known->language == submission.language &&
        known->source == submission.source) {
      return known;
    }
    return WithReason(absl::AlreadyExistsError(
                          "the idempotency key was used with another solution"),
                      "IDEMPOTENCY_KEY_USED", kDomain);
  });
}

absl::StatusOr<Submission> ContestStore::Submit(
    const NewSubmission& submission) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Submission> {
    const absl::StatusOr<Contest> contest = Get(submission.contest_id);
    if (!contest.ok()) return contest.status();
    auto known = FindSubmitted(submission);
    if (!known.ok()) return known.status();
    if (known->has_value()) return **std::move(known);
    const auto registered =
        IsRegistered(submission.contest_id, submission.user_id);
    if (!registered.ok()) return registered.status();
    const WallTime now = clock_.WallNow();
    if (auto status = CheckMaySubmit(*contest, *registered, now);
        !status.ok()) {
      return status;
    }
    const ContestProblem* const problem =
        contest->FindProblem(submission.label);
    if (problem == nullptr) return NotFound("problem", submission.label);
    const Numbered change = NextSequence(sql, submission.contest_id, now);
    std::optional<std::string> key;
    if (!submission.idempotency_key.empty()) key = submission.idempotency_key;
    const std::string id = grpccommon::UuidV7(clock_);
    Query(sql,
          "INSERT INTO contest_submissions (id, contest_id, user_id, number,"
          " label, problem_id, language, idempotency_key, submitted_at, source)"
          " VALUES (:id, :contest_id, :user_id, :number, :label, :problem_id,"
          " :language, :key, :submitted_at, :source)")
        .Bind("id", id)
        .Bind("contest_id", submission.contest_id)
        .Bind("user_id", submission.user_id)
        .Bind("number", change.sequence)
        .Bind("label", submission.label)
        .Bind("problem_id", problem->problem_id)
        .Bind("language", submission.language)
        .Bind("key", key)
        .Bind("submitted_at", now)
        .Bind("source", submission.source)
        .Run();
    Rescore(sql, submission.contest_id, submission.user_id, submission.label,
            change);
    std::optional<Submission> taken = ReadSubmission(sql, id);
    if (!taken.has_value()) return absl::InternalError("no such submission");
    return *std::move(taken);
  });
}

absl::StatusOr<Submission> ContestStore::GetSubmission(std::string_view id) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Submission> {
    std::optional<Submission> submission = ReadSubmission(sql, id);
    if (!submission.has_value()) return NotFound("submission", id);
    return *std::move(submission);
  });
}

absl::StatusOr<std::vector<Submission>> ContestStore::ListSubmissions(
    const SubmissionFilter& filter, std::optional<std::int64_t> before,
    std::size_t limit) {
  using Result = absl::StatusOr<std::vector<Submission>>;
  return database_->Run([&](soci::session& sql) -> Result {
    Query query(
        sql, absl::StrCat("SELECT ", kSubmissionColumns, kSubmissionTables,
                          FilterCondition(filter),
                          before.has_value() ? " AND s.number < :before" : "",
                          " ORDER BY s.number DESC LIMIT :limit"));
    BindFilter(query, filter);
    if (before.has_value()) query.Bind("before", *before);
    query.Bind("limit", limit);
    SubmissionReader reader(query);
    std::vector<Submission> submissions;
    while (reader.Next()) submissions.push_back(reader.submission());
    return submissions;
  });
}

absl::StatusOr<std::int64_t> ContestStore::CountSubmissions(
    const SubmissionFilter& filter) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<std::int64_t> {
        std::int64_t count = 0;
        Query query(sql,
                    absl::StrCat("SELECT count(*) FROM contest_submissions s",
                                 FilterCondition(filter)));
        BindFilter(query, filter);
        query.Into(count);
        query.Next();
        return count;
      });
}

absl::StatusOr<std::vector<JudgeJob>> ContestStore::Claim(
    const Judge& judge, WallTime until, const ClaimLimits& limits) {
  using Result = absl::StatusOr<std::vector<JudgeJob>>;
  return database_->Run([&](soci::session& sql) -> Result {
    std::vector<std::string> ids;
    {
      std::string id;
      // `turn`: which of its user's it would be among those that are judged.
      Query query(
          sql,
          "SELECT id FROM (SELECT w.id, w.submitted_at,"
          " row_number() OVER (PARTITION BY w.user_id"
          " ORDER BY w.submitted_at, w.id) + coalesce(j.judged, 0) AS turn"
          " FROM contest_submissions w LEFT JOIN"
          " (SELECT user_id, count(*) AS judged FROM contest_submissions"
          " WHERE verdict IS NULL AND lease_until > :now GROUP BY user_id) j"
          " ON j.user_id = w.user_id WHERE w.verdict IS NULL"
          " AND w.lease_until <= :now AND w.not_before <= :now) t"
          " WHERE turn <= :per_user ORDER BY turn, submitted_at, id"
          " LIMIT :more");
      query.Bind("now", clock_.WallNow())
          .Bind("per_user", limits.per_user)
          .Bind("more", limits.more)
          .Into(id);
      while (query.Next()) ids.push_back(id);
    }
    std::vector<JudgeJob> jobs;
    for (const std::string& id : ids) {
      JudgeJob job;
      Query lease(sql,
                  "UPDATE contest_submissions SET lease_holder = :holder,"
                  " lease_token = :token, lease_until = :until,"
                  " attempts = attempts + 1 WHERE id = :id"
                  " RETURNING attempts, failures");
      lease.Bind("holder", judge.name)
          .Bind("token", judge.token)
          .Bind("until", until)
          .Bind("id", id)
          .Into(job.attempt, job.failures);
      lease.Next();
      std::optional<Submission> submission = ReadSubmission(sql, id);
      if (!submission.has_value()) continue;
      job.submission = *std::move(submission);
      jobs.push_back(std::move(job));
    }
    return jobs;
  });
}

absl::Status ContestStore::Renew(const Judge& judge,
                                 const std::vector<std::string>& ids,
                                 WallTime until) {
  return database_->Run([&](soci::session& sql) -> absl::Status {
    for (const std::string& id : ids) {
      Query(sql,
            "UPDATE contest_submissions SET lease_until = :until"
            " WHERE id = :id AND verdict IS NULL AND lease_token = :token")
          .Bind("until", until)
          .Bind("id", id)
          .Bind("token", judge.token)
          .Run();
    }
    return absl::OkStatus();
  });
}

absl::Status ContestStore::TakeBack(const Judge& judge) {
  return database_->Run([&](soci::session& sql) -> absl::Status {
    Query(sql,
          "UPDATE contest_submissions SET lease_until = 0, lease_token = ''"
          " WHERE verdict IS NULL AND lease_until > 0"
          " AND lease_holder = :holder AND lease_token <> :token")
        .Bind("holder", judge.name)
        .Bind("token", judge.token)
        .Run();
    return absl::OkStatus();
  });
}

absl::Status ContestStore::GiveBack(const Judge& judge) {
  return database_->Run([&](soci::session& sql) -> absl::Status {
    Query(sql,
          "UPDATE contest_submissions SET lease_until = 0, lease_token = ''"
          " WHERE verdict IS NULL AND lease_token = :token")
        .Bind("token", judge.token)
        .Run();
    return absl::OkStatus();
  });
}

absl::Status ContestStore::Postpone(const Judge& judge, std::string_view id,
                                    WallTime not_before, bool failed) {
  return database_->Run([&](soci::session& sql) -> absl::Status {
    Query(sql,
          "UPDATE contest_submissions SET lease_until = 0, lease_token = '',"
          " not_before = :not_before, failures = failures + :failed"
          " WHERE id = :id AND verdict IS NULL AND lease_token = :token")
        .Bind("not_before", not_before)
        .Bind("failed", failed ? 1 : 0)
        .Bind("id", id)
        .Bind("token", judge.token)
        .Run();
    return absl::OkStatus();
  });
}

absl::StatusOr<std::optional<WallTime>> ContestStore::NextToJudge() {
  using Result = absl::StatusOr<std::optional<WallTime>>;
  return database_->Run([&](soci::session& sql) -> Result {
    std::optional<WallTime> next;
    Query query(sql,
                "SELECT min(CASE WHEN lease_until > not_before"
                " THEN lease_until ELSE not_before END)"
                " FROM contest_submissions WHERE verdict IS NULL");
    query.Into(next);
    query.Next();
    return next;
  });
}

absl::StatusOr<std::optional<Submission>> ContestStore::Record(
    const Judge& judge, std::string_view id, const Judgement& judgement) {
  using Result = absl::StatusOr<std::optional<Submission>>;
  return database_->Run([&](soci::session& sql) -> Result {
    const WallTime now = clock_.WallNow();
    const std::int64_t recorded =
        Query(sql,
              "UPDATE contest_submissions SET verdict = :verdict,"
              " passed_count = :passed_count, test_count = :test_count,"
              " cpu_time = :cpu_time, wall_time = :wall_time,"
              " memory_bytes = :memory_bytes, judged_at = :judged_at,"
              " compiler_output = :compiler_output, not_judged = :not_judged,"
              " reported = :reported, lease_until = 0"
              " WHERE id = :id AND verdict IS NULL AND lease_token = :token")
            .Bind("verdict", judgement.verdict)
            .Bind("passed_count", judgement.passed_count)
            .Bind("test_count", judgement.test_count)
            .Bind("cpu_time", judgement.usage.cpu_time.count())
            .Bind("wall_time", judgement.usage.wall_time.count())
            .Bind("memory_bytes", judgement.usage.memory_bytes)
            .Bind("judged_at", now)
            .Bind("compiler_output", judgement.compiler_output)
            .Bind("not_judged", judgement.not_judged)
            .Bind("reported", judgement.verdict == Verdict::kInternal)
            .Bind("id", id)
            .Bind("token", judge.token)
            .Run();
    if (recorded == 0) return std::nullopt;
    std::optional<Submission> submission = ReadSubmission(sql, id);
    if (!submission.has_value()) return std::nullopt;
    Rescore(sql, submission->contest_id, submission->user_id, submission->label,
            NextSequence(sql, submission->contest_id, now));
    return submission;
  });
}

absl::StatusOr<std::vector<std::string>> ContestStore::JudgedAfter(
    WallTime since) {
  using Result = absl::StatusOr<std::vector<std::string>>;
  return database_->Run([&](soci::session& sql) -> Result {
    std::string id;
    Query query(sql,
                "SELECT id FROM contest_submissions WHERE judged_at > :since");
    query.Bind("since", since).Into(id);
    std::vector<std::string> ids;
    while (query.Next()) ids.push_back(id);
    return ids;
  });
}

absl::StatusOr<std::vector<Report>> ContestStore::Unreported(
    WallTime judged_before, std::size_t limit) {
  using Result = absl::StatusOr<std::vector<Report>>;
  return database_->Run([&](soci::session& sql) -> Result {
    Report report;
    Verdict verdict = Verdict::kInternal;
    Query query(sql,
                "SELECT id, problem_id, user_id, verdict"
                " FROM contest_submissions WHERE verdict IS NOT NULL"
                " AND reported = 0 AND judged_at <= :judged_before"
                " ORDER BY judged_at LIMIT :limit");
    query.Bind("judged_before", judged_before)
        .Bind("limit", limit)
        .Into(report.submission_id, report.problem_id, report.user_id, verdict);
    std::vector<Report> reports;
    while (query.Next()) {
      report.accepted = verdict == Verdict::kAccepted;
      reports.push_back(report);
    }
    return reports;
  });
}

absl::Status ContestStore::MarkReported(std::string_view submission_id) {
  return database_->Run([&](soci::session& sql) -> absl::Status {
    Query(sql, "UPDATE contest_submissions SET reported = 1 WHERE id = :id")
        .Bind("id", submission_id)
        .Run();
    return absl::OkStatus();
  });
}

absl::StatusOr<BoardChanges> ContestStore::ReadBoard(
    std::string_view contest_id, std::int64_t after) {
  return database_->Run([&](soci::session& sql)
                            -> absl::StatusOr<BoardChanges> {
    BoardChanges changes;
    absl::StatusOr<Contest> contest = Get(contest_id);
    if (!contest.ok()) return contest.status();
    changes.contest = *std::move(contest);
    std::int64_t rules_sequence = 0;
    {
      Query query(sql,
                  "SELECT rules_sequence, announcement_count, changed_at"
                  " FROM contests WHERE id = :id");
      query.Bind("id", contest_id)
          .Into(rules_sequence, changes.announcement_count, changes.changed_at);
      query.Next();
    }
    changes.whole = rules_sequence > after;
    if (changes.whole) after = 0;
    if (changes.contest.sequence <= after) return changes;
    {
      BoardChanges::Team team;
      Query query(sql,
                  "SELECT user_id, team_name FROM contest_participants"
                  " WHERE contest_id = :id AND sequence > :after");
      query.Bind("id", contest_id)
          .Bind("after", after)
          .Into(team.user_id, team.team_name);
      while (query.Next()) changes.teams.push_back(team);
    }
    CellChange cell;
    std::optional<WallTime> solved_at;
    std::optional<WallTime> shown_solved_at;
    std::optional<std::int64_t> solved_number;
    std::optional<std::int64_t> shown_solved_number;
    Query query(sql,
                "SELECT user_id, label, solved_at, solved_number, wrong,"
                " pending, shown_solved_at, shown_solved_number, shown_wrong,"
                " shown_pending FROM contest_scores"
                " WHERE contest_id = :id AND sequence > :after");
    query.Bind("id", contest_id)
        .Bind("after", after)
        .Into(cell.user_id, cell.label, solved_at, solved_number,
              cell.full.wrong, cell.full.pending, shown_solved_at,
              shown_solved_number, cell.shown.wrong, cell.shown.pending);
    while (query.Next()) {
      cell.full.solved = SolutionOf(solved_at, solved_number);
      cell.shown.solved = SolutionOf(shown_solved_at, shown_solved_number);
      changes.cells.push_back(cell);
    }
    return changes;
  });
}

absl::StatusOr<std::vector<CellChange>> ContestStore::RecomputeScores(
    const Contest& contest) {
  using Result = absl::StatusOr<std::vector<CellChange>>;
  return database_->Run([&](soci::session& sql) -> Result {
    std::map<std::pair<std::string, std::string>, std::vector<Attempt>> cells;
    std::pair<std::string, std::string> key;
    Attempt attempt;
    Query query(sql,
                "SELECT user_id, label, submitted_at, number, verdict"
                " FROM contest_submissions WHERE contest_id = :id");
    query.Bind("id", contest.id)
        .Into(key.first, key.second, attempt.submitted_at, attempt.number,
              attempt.verdict);
    while (query.Next()) cells[key].push_back(attempt);
    std::vector<CellChange> changes;
    changes.reserve(cells.size());
    for (const auto& [place, attempts] : cells) {
      changes.push_back({.user_id = place.first,
                         .label = place.second,
                         .full = Score(attempts),
                         .shown = Score(attempts, contest.freeze_at)});
    }
    return changes;
  });
}

absl::StatusOr<Announcement> ContestStore::Announce(std::string_view contest_id,
                                                    std::string_view author_id,
                                                    std::string_view text) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<Announcement> {
        Announcement announcement{.text = std::string(text),
                                  .created_at = clock_.WallNow(),
                                  .author_id = std::string(author_id)};
        {
          Query query(sql,
                      "UPDATE contests"
                      " SET announcement_count = announcement_count + 1"
                      " WHERE id = :id RETURNING announcement_count");
          query.Bind("id", contest_id).Into(announcement.number);
          if (!query.Next()) return NotFound("contest", contest_id);
        }
        if (announcement.number > kMaxAnnouncements) {
          return WithReason(absl::ResourceExhaustedError(
                                "the contest has too many announcements"),
                            "TOO_MANY_ANNOUNCEMENTS", kDomain);
        }
        Query(sql,
              "INSERT INTO contest_announcements"
              " (contest_id, number, text, created_at, author_id)"
              " VALUES (:contest_id, :number, :text, :created_at, :author_id)")
            .Bind("contest_id", contest_id)
            .Bind("number", announcement.number)
            .Bind("text", text)
            .Bind("created_at", announcement.created_at)
            .Bind("author_id", author_id)
            .Run();
        return announcement;
      });
}

absl::StatusOr<std::vector<Announcement>> ContestStore::Announcements(
    std::string_view contest_id, std::int64_t after, std::size_t limit) {
  using Result = absl::StatusOr<std::vector<Announcement>>;
  return database_->Run([&](soci::session& sql) -> Result {
    Announcement announcement;
    Query query(sql,
                "SELECT number, text, created_at, author_id"
                " FROM contest_announcements"
                " WHERE contest_id = :id AND number > :after"
                " ORDER BY number LIMIT :limit");
    query.Bind("id", contest_id)
        .Bind("after", after)
        .Bind("limit", limit)
        .Into(announcement.number, announcement.text, announcement.created_at,
              announcement.author_id);
    std::vector<Announcement> announcements;
    while (query.Next()) announcements.push_back(announcement);
    return announcements;
  });
}

absl::StatusOr<std::int64_t> ContestStore::CountAnnouncements(
    std::string_view contest_id) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<std::int64_t> {
        std::int64_t count = 0;
        Query query(sql,
                    "SELECT announcement_count FROM contests WHERE id = :id");
        query.Bind("id", contest_id).Into(count);
        if (!query.Next()) return NotFound("contest", contest_id);
        return count;
      });
}

absl::StatusOr<std::unique_ptr<ContestQueue>> OpenContestQueue(
    const ContestStoreOptions& options, common::StoreQueueOptions queue_options,
    const Clock& clock) {
  return ContestQueue::Create(
      [&](bool read_only) {
        return ContestStore::Open(options, read_only, clock);
      },
      queue_options);
}

}  // namespace platform::contest
