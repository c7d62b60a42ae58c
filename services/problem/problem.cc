// SPDX-License-Identifier: Apache-2.0
#include "services/problem/problem.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"

namespace platform::problem {

using grpccommon::FieldViolation;
using grpccommon::InvalidFields;

namespace {

// Where the limits say none; as problem_service.proto has it.
constexpr std::chrono::seconds kDefaultCpuTime{2};

std::string Seconds(std::chrono::nanoseconds time) {
  return absl::StrCat(std::chrono::duration<double>(time).count(), " s");
}

std::string TooLong(const Limits& limits, std::int64_t count) {
  return absl::StrCat(
      count, " test cases that may take ", Seconds(TestTime(limits, 1)),
      " each may take ", Seconds(TestTime(limits, count)),
      " together, and at most ", Seconds(kMaxTestTime), " are judged");
}

}  // namespace

bool MaySee(const Caller& caller, const Problem& problem) {
  return problem.content.published || MaySeeHidden(caller, problem);
}

bool MaySeeHidden(const Caller& caller, const Problem& problem) {
  return caller.sees_all() || caller.id == problem.author_id;
}

absl::Status CheckMayChange(const Caller& caller, const Problem& problem) {
  if (!MaySee(caller, problem)) {
    return grpccommon::NotFound("problem", problem.id);
  }
  if (caller.admin || caller.id == problem.author_id) return absl::OkStatus();
  return grpccommon::WithReason(
      absl::PermissionDeniedError(
          "only its author and those with role admin may change a problem"),
      "NOT_THE_AUTHOR", kErrorDomain);
}

absl::Status CheckNew(const Problem& problem) {
  std::vector<FieldViolation> violations;
  if (problem.slug.empty()) {
    violations.push_back({"problem.slug", "is required"});
  } else if (grpccommon::IsUuid(problem.slug)) {
    // A problem is asked for by either.
    violations.push_back({"problem.slug", "must not look like an id"});
  }
  if (problem.content.title.empty()) {
    violations.push_back({"problem.title", "is required"});
  }
  return violations.empty() ? absl::OkStatus() : InvalidFields(violations);
}

absl::Status CheckContent(const Content& content) {
  if (!content.title.empty()) return absl::OkStatus();
  return InvalidFields({{"problem.title", "is required"}});
}

std::chrono::nanoseconds TestTime(const Limits& limits, std::int64_t count) {
  return count *
         (limits.cpu_time.count() > 0 ? limits.cpu_time : kDefaultCpuTime);
}

absl::Status CheckLimits(const Problem& problem, const Limits& before) {
  const Limits& limits = problem.content.limits;
  const std::int64_t count = problem.test_count;
  if (TestTime(limits, count) <= std::max<std::chrono::nanoseconds>(
                                     kMaxTestTime, TestTime(before, count))) {
    return absl::OkStatus();
  }
  return InvalidFields({{"problem.limits.cpu_time", TooLong(limits, count)}});
}

absl::Status CheckAdded(const Problem& problem, std::int64_t count) {
  const Limits& limits = problem.content.limits;
  if (TestTime(limits, problem.test_count + count) <= kMaxTestTime) {
    return absl::OkStatus();
  }
  return grpccommon::WithReason(absl::FailedPreconditionError(TooLong(
                                    limits, problem.test_count + count)),
                                "TESTS_TAKE_TOO_LONG", kErrorDomain);
}

}  // namespace platform::problem
