// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "platform/execution/v1/execution_service.pb.h"
#include "platform/problem/v1/problem_service.pb.h"

namespace platform::seed {

/// A program, and what the judge must say of it.
struct Solution {
  /// "right.cpp", unique among those of its problem.
  std::string name;
  /// As the execution service calls it: "cpp".
  std::string language;
  std::string source;
  /// Any of these is right; never empty.
  std::set<execution::v1::Verdict> verdicts;

  bool accepted() const {
    return verdicts.count(execution::v1::VERDICT_ACCEPTED) != 0;
  }
};

struct ProblemContent {
  problem::v1::Problem problem;
  /// In the order of their files' names.
  std::vector<problem::v1::TestCase> test_cases;
  std::vector<Solution> solutions;

  /// Null if there is none of this name.
  const Solution* Find(const std::string& name) const;
};

struct Content {
  /// In the order of their slugs.
  std::vector<ProblemContent> problems;
  /// Attacks on the judge, whatever the problem.
  std::vector<Solution> hostile;

  const ProblemContent* Find(const std::string& slug) const;
  const Solution* FindHostile(const std::string& name) const;
};

/// Reads a folder of the layout of services/seed/content: problems/<slug>/ with
/// problem.json, statement.md, tests/ (<name>-sample.input and .output, or
/// -hidden) and solutions/, and hostile/. Each program says its verdicts on a
/// line "verdict: WRONG_ANSWER, TIME_LIMIT" at its beginning. Errors:
/// kInvalidArgument, naming the file.
absl::StatusOr<Content> LoadContent(const std::string& folder);

}  // namespace platform::seed
