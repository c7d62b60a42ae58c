// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "services/common/database.h"
#include "services/common/store_queue.h"
#include "services/contest/contest.h"
#include "services/contest/scoring.h"
#include "services/contest/submission.h"

namespace platform::contest {

struct ContestStoreOptions {
  /// As in common::DatabaseOptions.
  std::string database = "contest.db";
  std::function<void(std::string_view)> on_error = [](std::string_view) {};
};

struct Registration {
  std::string team_name;
  WallTime registered_at;
};

/// Who judges: a process, which keeps its name when it starts again, and this
/// start of it.
struct Judge {
  std::string name;
  std::string token;
};

struct JudgeJob {
  Submission submission;
  /// How often it was begun, this time included.
  int attempt = 1;
  /// How often it was postponed because it failed.
  int failures = 0;
};

/// What the problem service is to be told.
struct Report {
  std::string submission_id;
  std::string problem_id;
  std::string user_id;
  bool accepted = false;
};

struct CellChange {
  std::string user_id;
  std::string label;
  Cell full;
  /// What those see who do not manage the contest, until it is revealed.
  Cell shown;
};

/// What has changed of a board.
struct BoardChanges {
  Contest contest;
  /// All of it: what was known before does not count any more.
  bool whole = false;
  struct Team {
    std::string user_id;
    std::string team_name;
  };
  std::vector<Team> teams;
  std::vector<CellChange> cells;
  std::int64_t announcement_count = 0;
  /// When the latest of the changes was recorded.
  WallTime changed_at;
};

/// The contests in a database. Writing methods belong into a transaction, whose
/// commit makes them durable; whatever else runs is before or after it, in this
/// process or another, so that they may look and then change.
///
/// Used by one thread at a time. Errors of every method: those of Database.
class ContestStore {
 public:
  /// `clock` is borrowed and must outlive the store.
  static absl::StatusOr<std::unique_ptr<ContestStore>> Open(
      const ContestStoreOptions& options, bool read_only,
      const grpccommon::Clock& clock = grpccommon::SteadyClock());

  common::Database& database() { return *database_; }

  // Contests.

  /// Gives it an id and a version.
  absl::StatusOr<Contest> Create(Contest contest);
  /// Makes `before`, as it was read in this transaction, into `after`. What
  /// the service sets is taken from `before`.
  absl::StatusOr<Contest> Update(const Contest& before, Contest after);
  /// Errors: kNotFound.
  absl::StatusOr<Contest> Get(std::string_view id);
  struct ContestKey {
    WallTime starts_at;
    std::string id;
  };
  /// At most `limit`, without their problems, the latest start first, after
  /// `after`.
  absl::StatusOr<std::vector<Contest>> List(
      std::optional<Phase> phase, const std::optional<ContestKey>& after,
      std::size_t limit);
  absl::StatusOr<std::int64_t> Count(std::optional<Phase> phase);

  // Participants.

  /// Puts a team on the board; one that is there stays as it is.
  /// Errors: kNotFound; those of CheckMayRegister.
  absl::StatusOr<Registration> Register(std::string_view contest_id,
                                        std::string_view user_id,
                                        std::string_view team_name);
  absl::StatusOr<bool> IsRegistered(std::string_view contest_id,
                                    std::string_view user_id);

  // Submissions.

  /// The one that was taken with this idempotency key, if any.
  /// Errors: kAlreadyExists, reason IDEMPOTENCY_KEY_USED, if it is another.
  absl::StatusOr<std::optional<Submission>> FindSubmitted(
      const NewSubmission& submission);
  /// Takes a submission, or returns the one with its idempotency key.
  /// Errors: kNotFound (contest or problem); those of CheckMaySubmit and
  /// FindSubmitted.
  absl::StatusOr<Submission> Submit(const NewSubmission& submission);
  /// Errors: kNotFound.
  absl::StatusOr<Submission> GetSubmission(std::string_view id);
  struct SubmissionFilter {
    std::string contest_id;
    /// Empty: of everybody, of any problem.
    std::string user_id;
    std::string label;
  };
  /// At most `limit`, the latest first, those before number `before`.
  absl::StatusOr<std::vector<Submission>> ListSubmissions(
      const SubmissionFilter& filter, std::optional<std::int64_t> before,
      std::size_t limit);
  absl::StatusOr<std::int64_t> CountSubmissions(const SubmissionFilter& filter);

  // Judging. A submission is judged by whoever holds its lease; a lease that
  // has run out may be taken by another.

  /// How many leases may be held.
  struct ClaimLimits {
    /// More of them, by this judge.
    std::size_t more = 1;
    /// At a time of one user's submissions, by whichever judge.
    std::size_t per_user = 1000;
  };
  /// Takes the leases of submissions that nobody judges until `until`. Users
  /// take turns: whoever has the fewest that are judged comes first, and then
  /// the oldest.
  absl::StatusOr<std::vector<JudgeJob>> Claim(const Judge& judge,
                                              WallTime until,
                                              const ClaimLimits& limits);
  /// Prolongs leases that this start of the judge holds.
  absl::Status Renew(const Judge& judge, const std::vector<std::string>& ids,
                     WallTime until);
  /// Gives back what an earlier start of this judge held.
  absl::Status TakeBack(const Judge& judge);
  /// Gives back what this start holds.
  absl::Status GiveBack(const Judge& judge);
  /// Gives one back, for another attempt from `not_before` on; with `failed`,
  /// it counts as a failure.
  absl::Status Postpone(const Judge& judge, std::string_view id,
                        WallTime not_before, bool failed = false);
  /// When the next submission is to be judged that nobody judges now: a time
  /// that may have passed; none if there is no such.
  absl::StatusOr<std::optional<WallTime>> NextToJudge();
  /// Records the verdict and what it is worth, once: absent if there is one
  /// already, or if the lease is another's. One that says nothing about the
  /// program (kInternal) is not to be reported.
  absl::StatusOr<std::optional<Submission>> Record(const Judge& judge,
                                                   std::string_view id,
                                                   const Judgement& judgement);
  /// What got its verdict after `since`, by whomever.
  absl::StatusOr<std::vector<std::string>> JudgedAfter(WallTime since);
  /// Verdicts of before `judged_before` that were not reported.
  absl::StatusOr<std::vector<Report>> Unreported(WallTime judged_before,
                                                 std::size_t limit);
  absl::Status MarkReported(std::string_view submission_id);

  // The board.

  /// What has changed since number `after`; with 0, everything.
  /// Errors: kNotFound.
  absl::StatusOr<BoardChanges> ReadBoard(std::string_view contest_id,
                                         std::int64_t after);
  /// The scores of a contest, made anew from its submissions.
  absl::StatusOr<std::vector<CellChange>> RecomputeScores(
      const Contest& contest);

  // Announcements.

  /// Errors: kNotFound; kResourceExhausted, reason TOO_MANY_ANNOUNCEMENTS.
  absl::StatusOr<Announcement> Announce(std::string_view contest_id,
                                        std::string_view author_id,
                                        std::string_view text);
  /// At most `limit`, those after number `after`.
  absl::StatusOr<std::vector<Announcement>> Announcements(
      std::string_view contest_id, std::int64_t after, std::size_t limit);
  /// Errors: kNotFound.
  absl::StatusOr<std::int64_t> CountAnnouncements(std::string_view contest_id);

  /// Of one contest.
  static constexpr std::int64_t kMaxAnnouncements = 1000;

 private:
  ContestStore(std::unique_ptr<common::Database> database,
               const grpccommon::Clock& clock)
      : database_(std::move(database)), clock_(clock) {}

  const std::unique_ptr<common::Database> database_;
  const grpccommon::Clock& clock_;
};

using ContestQueue = common::StoreQueue<ContestStore>;

/// The store of `options` behind its threads.
absl::StatusOr<std::unique_ptr<ContestQueue>> OpenContestQueue(
    const ContestStoreOptions& options,
    common::StoreQueueOptions queue_options = {},
    const grpccommon::Clock& clock = grpccommon::SteadyClock());

}  // namespace platform::contest
