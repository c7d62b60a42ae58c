// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "platform/problem/v1/problem_service.pb.h"
#include "services/execution/checker.h"
#include "services/execution/languages.h"

namespace platform::execution {

/// What a program is judged by. Immutable once shared.
struct TestSuite {
  struct Test {
    std::string input;
    std::string expected_output;
  };
  std::vector<Test> tests;
  RunLimits limits;
  Checker checker;
  /// False: the program only has to end well; nothing is expected of it.
  bool check_output = true;
  /// Whether callers may see what the program wrote.
  bool show_output = false;
  /// Of the problem; 0 for tests that came with the request.
  std::int64_t tests_version = 0;
  /// Ids of the languages that the problem allows; empty: all.
  std::vector<std::string> languages;

  /// Roughly what it takes of memory.
  std::size_t ByteSize() const;
};

/// What unset limits are is said in problem_service.proto.
RunLimits ToRunLimits(const problem::v1::Limits& limits);

Checker ToChecker(const problem::v1::Checker& checker);

}  // namespace platform::execution
