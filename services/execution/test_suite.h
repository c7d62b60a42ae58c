// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
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
  /// For all tests together, by the wall clock.
  std::optional<std::chrono::nanoseconds> max_time;
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

/// What all tests of a request's set may take by the wall clock: anybody may
/// send one, and has a core meanwhile. What a problem's tests may take, the
/// problem service bounds.
inline constexpr std::chrono::minutes kMaxTestSetTime{2};

/// What unset limits are is said in problem_service.proto.
RunLimits ToRunLimits(const problem::v1::Limits& limits);

Checker ToChecker(const problem::v1::Checker& checker);

}  // namespace platform::execution
