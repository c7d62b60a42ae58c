// SPDX-License-Identifier: Apache-2.0
#include "services/problem/problem.h"

#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"

namespace platform::problem {

using grpccommon::FieldViolation;
using grpccommon::InvalidFields;

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

}  // namespace platform::problem
