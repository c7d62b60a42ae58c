// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "services/common/database.h"
#include "services/problem/problem.h"

namespace soci {
class session;
}

namespace platform::problem {

struct ProblemStoreOptions {
  /// As in common::DatabaseOptions.
  std::string url;
  bool read_only = false;
  std::function<void(std::string_view)> on_error = [](std::string_view) {};
  /// Of one problem; input and expected output count.
  std::int64_t max_test_cases = 200;
  std::int64_t max_test_bytes = 64 << 20;
};

/// Which problems a list is of; what is empty chooses nothing.
struct Filter {
  Difficulty difficulty = Difficulty::kUnspecified;
  /// All of them.
  std::vector<std::string> tags;
  /// In title or statement, whatever the case of ASCII letters.
  std::string text;
  /// Only the caller's bookmarks.
  bool bookmarked = false;
  std::string author_id;
};

struct ProblemPage {
  /// Without their statements, in the order of their creation.
  std::vector<Problem> problems;
  /// Whether no problem comes after these.
  bool last = true;
};

/// A problem as one caller sees it.
struct ProblemView {
  Problem problem;
  std::vector<TestCase> samples;
  bool liked = false;
  bool bookmarked = false;
};

struct TestCasePage {
  std::vector<TestCase> test_cases;
  /// Of all of them.
  std::int64_t tests_version = 0;
  bool last = true;
};

struct Verdict {
  std::string problem_id;
  std::string submission_id;
  std::string user_id;
  bool accepted = false;
};

/// Problems in a database. Used by one thread at a time; what changes something
/// is called between `Begin` and `Commit` of `database()`.
///
/// Errors of every method: those of common::Database; kNotFound for a problem
/// that is not there or that the caller may not see; of those that change a
/// problem or its test cases, kPermissionDenied for one that is not theirs.
class ProblemStore {
 public:
  /// Errors: those of Database::Open.
  static absl::StatusOr<std::unique_ptr<ProblemStore>> Open(
      ProblemStoreOptions options,
      const grpccommon::Clock& clock = grpccommon::SteadyClock());
  ~ProblemStore();

  ProblemStore(const ProblemStore&) = delete;
  ProblemStore& operator=(const ProblemStore&) = delete;

  common::Database& database() { return *database_; }

  /// The caller becomes its author. Errors: kInvalidArgument (CheckNew);
  /// kAlreadyExists, reason SLUG_TAKEN.
  absl::StatusOr<Problem> Create(const Caller& caller, std::string slug,
                                 Content content);
  /// Applies `change`, whose error is the result, to the content; if it stays
  /// the same, so does the version. Errors: kAborted, reason VERSION_CONFLICT,
  /// if `version` is not the current one; kInvalidArgument (CheckContent,
  /// CheckLimits).
  absl::StatusOr<Problem> Update(
      const Caller& caller, std::string_view id, std::int64_t version,
      const std::function<absl::Status(Content&)>& change);
  absl::Status Delete(const Caller& caller, std::string_view id);

  struct Added {
    std::vector<std::string> ids;
    Problem problem;
  };
  /// At the end, all or none. Errors: kFailedPrecondition, reason
  /// TOO_MANY_TEST_CASES, TEST_CASES_TOO_LARGE or TESTS_TAKE_TOO_LONG.
  absl::StatusOr<Added> AddTestCases(const Caller& caller, std::string_view id,
                                     const std::vector<TestCase>& test_cases);
  /// Those after it move up. Errors: kNotFound also for the test case.
  absl::StatusOr<Problem> DeleteTestCase(const Caller& caller,
                                         std::string_view id,
                                         std::string_view test_case_id);

  /// Sets or takes back; the number of likes afterwards.
  absl::StatusOr<std::int64_t> SetLike(const Caller& caller,
                                       std::string_view id, bool on);
  absl::Status SetBookmark(const Caller& caller, std::string_view id, bool on);
  /// Counts a submission, the first time that it is seen.
  absl::Status RecordVerdict(const Verdict& verdict);

  /// With as many samples, in order, as have `max_sample_bytes`.
  absl::StatusOr<ProblemView> View(const Caller& caller,
                                   std::string_view id_or_slug,
                                   std::int64_t max_sample_bytes);
  /// At most `limit` problems after number `after`.
  absl::StatusOr<ProblemPage> List(const Caller& caller, const Filter& filter,
                                   std::int64_t after, std::size_t limit);
  absl::StatusOr<std::int64_t> Count(const Caller& caller,
                                     const Filter& filter);
  absl::StatusOr<Stats> GetStats(const Caller& caller, std::string_view id);
  /// Test cases after the one at `position`: as many, of at most `max_count`,
  /// as have `max_bytes`, but at least one. Without `include_hidden` samples
  /// only. Errors: kPermissionDenied if the caller may not see hidden ones.
  absl::StatusOr<TestCasePage> TestCases(
      const Caller& caller, std::string_view id, bool include_hidden,
      std::int64_t position, std::size_t max_count, std::int64_t max_bytes);

 private:
  struct Stored {
    Problem problem;
    std::int64_t test_bytes = 0;
  };

  ProblemStore(std::unique_ptr<common::Database> database,
               const ProblemStoreOptions& options,
               const grpccommon::Clock& clock);

  absl::StatusOr<Stored> FindToSee(soci::session& sql, const Caller& caller,
                                   std::string_view id);
  absl::StatusOr<Stored> FindToChange(soci::session& sql, const Caller& caller,
                                      std::string_view id);
  TestCasePage ReadTestCases(soci::session& sql, const Problem& problem,
                             bool samples_only, std::int64_t position,
                             std::size_t max_count, std::int64_t max_bytes);
  void NoteTestCases(soci::session& sql, Stored& stored, std::int64_t count,
                     std::int64_t bytes);

  const std::unique_ptr<common::Database> database_;
  const std::int64_t max_test_cases_;
  const std::int64_t max_test_bytes_;
  const grpccommon::Clock& clock_;
};

}  // namespace platform::problem
