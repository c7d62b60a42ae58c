// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "services/contest/scoring.h"

namespace platform::contest {

/// What a program took at most in a test.
struct Usage {
  Duration cpu_time{0};
  Duration wall_time{0};
  std::int64_t memory_bytes = 0;
};

/// Why a submission ended without having been judged. The numbers are those of
/// the proto.
enum class NotJudged {
  kNo = 0,
  kProblemNotFound = 1,
  kRefused = 2,
  kExecutionFailed = 3,
};

/// What came of judging.
struct Judgement {
  Verdict verdict = Verdict::kInternal;
  /// With kInternal, which counts nothing.
  NotJudged not_judged = NotJudged::kNo;
  int passed_count = 0;
  int test_count = 0;
  Usage usage;
  std::string compiler_output;
};

struct NewSubmission {
  std::string contest_id;
  std::string user_id;
  std::string label;
  std::string language;
  std::string source;
  /// Empty: none.
  std::string idempotency_key;
};

struct Submission {
  std::string id;
  std::string contest_id;
  std::string user_id;
  std::string team_name;
  /// Its place among the contest's submissions.
  std::int64_t number = 0;
  std::string label;
  std::string problem_id;
  std::string language;
  WallTime submitted_at;
  /// None while it is not judged.
  std::optional<Judgement> judgement;
  std::optional<WallTime> judged_at;
  /// Empty in lists.
  std::string source;
};

struct Announcement {
  std::int64_t number = 0;
  std::string text;
  WallTime created_at;
  std::string author_id;
};

}  // namespace platform::contest
