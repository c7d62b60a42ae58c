// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"

namespace platform::problem {

/// The reasons of this service's errors are of this domain.
inline constexpr std::string_view kErrorDomain = "platform.problem";

// The numbers are those of the database and of the proto.
enum class Difficulty { kUnspecified = 0, kEasy = 1, kMedium = 2, kHard = 3 };
enum class CheckerKind {
  kUnspecified = 0,
  kTokens = 1,
  kLines = 2,
  kExact = 3,
  kNumbers = 4
};

/// What a test case may take; 0 for the default.
struct Limits {
  std::chrono::nanoseconds cpu_time{0};
  std::int64_t memory_bytes = 0;
  std::int64_t output_bytes = 0;

  friend bool operator==(const Limits&, const Limits&) = default;
};

struct Checker {
  CheckerKind kind = CheckerKind::kUnspecified;
  double tolerance = 0;

  friend bool operator==(const Checker&, const Checker&) = default;
};

/// What an author may change of a problem.
struct Content {
  std::string title;
  /// Markdown.
  std::string statement;
  Difficulty difficulty = Difficulty::kUnspecified;
  std::vector<std::string> tags;
  Limits limits;
  Checker checker;
  /// In which it may be solved; empty: all.
  std::vector<std::string> languages;
  /// Else a draft.
  bool published = false;

  friend bool operator==(const Content&, const Content&) = default;
};

struct Problem {
  std::string id;
  /// The order of creation; nobody outside is told.
  std::int64_t number = 0;
  /// Unique, never changes.
  std::string slug;
  Content content;
  std::string author_id;
  grpccommon::Clock::WallTime created_at;
  grpccommon::Clock::WallTime updated_at;
  /// From 1; grows with every change of the content.
  std::int64_t version = 0;
  /// From 1; grows with every change of the test cases.
  std::int64_t tests_version = 0;
  std::int64_t test_count = 0;
};

struct TestCase {
  std::string id;
  /// Shown to everybody.
  bool sample = false;
  std::string input;
  std::string expected_output;
  /// Among those of its problem, from 1.
  std::int64_t position = 0;
};

struct Stats {
  std::int64_t likes = 0;
  std::int64_t bookmarks = 0;
  std::int64_t submissions = 0;
  std::int64_t accepted = 0;
  /// People who have solved it.
  std::int64_t solvers = 0;
};

/// On whose behalf something is done.
struct Caller {
  std::string id;
  bool admin = false;
  /// A process of the platform.
  bool service = false;

  bool sees_all() const { return admin || service; }
};

/// What people may see: problems that are published, and their own.
bool MaySee(const Caller& caller, const Problem& problem);

/// Hidden test cases: those who run them, and those who wrote them.
bool MaySeeHidden(const Caller& caller, const Problem& problem);

/// Errors: kNotFound for a problem that they may not see; kPermissionDenied for
/// one that is not theirs.
absl::Status CheckMayChange(const Caller& caller, const Problem& problem);

/// What all test cases of a problem may take of processor time together, each
/// as much as its limit: what execution.v1 promises to judge in one stream.
inline constexpr std::chrono::minutes kMaxTestTime{10};
/// What `count` test cases may take.
std::chrono::nanoseconds TestTime(const Limits& limits, std::int64_t count);

/// What a contract cannot say of a field alone. Errors: kInvalidArgument,
/// naming the fields as parts of `problem`.
absl::Status CheckNew(const Problem& problem);
absl::Status CheckContent(const Content& content);

/// Whether a problem that had the limits `before` may have those that it has
/// now, with its test cases. Whose tests took too long already (they are older
/// than the bound) may keep their limits, or lower them.
/// Errors: kInvalidArgument, naming the field as part of `problem`.
absl::Status CheckLimits(const Problem& problem, const Limits& before);
/// Whether `count` test cases may be added.
/// Errors: kFailedPrecondition, reason TESTS_TAKE_TOO_LONG.
absl::Status CheckAdded(const Problem& problem, std::int64_t count);

}  // namespace platform::problem
