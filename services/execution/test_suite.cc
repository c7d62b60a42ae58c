// SPDX-License-Identifier: Apache-2.0
#include "services/execution/test_suite.h"

#include <chrono>

namespace platform::execution {

std::size_t TestSuite::ByteSize() const {
  std::size_t bytes = sizeof(TestSuite);
  for (const Test& test : tests) {
    bytes += sizeof(Test) + test.input.size() + test.expected_output.size();
  }
  return bytes;
}

RunLimits ToRunLimits(const problem::v1::Limits& limits) {
  RunLimits run{.cpu_time = std::chrono::seconds(2),
                .memory_bytes = std::int64_t{256} << 20,
                .output_bytes = std::int64_t{1} << 20};
  if (limits.has_cpu_time()) {
    run.cpu_time = std::chrono::seconds(limits.cpu_time().seconds()) +
                   std::chrono::nanoseconds(limits.cpu_time().nanos());
  }
  if (limits.memory_bytes() != 0) run.memory_bytes = limits.memory_bytes();
  if (limits.output_bytes() != 0) run.output_bytes = limits.output_bytes();
  return run;
}

Checker ToChecker(const problem::v1::Checker& checker) {
  switch (checker.kind()) {
    case problem::v1::Checker::KIND_LINES:
      return {.kind = CheckerKind::kLines};
    case problem::v1::Checker::KIND_EXACT:
      return {.kind = CheckerKind::kExact};
    case problem::v1::Checker::KIND_NUMBERS:
      return {.kind = CheckerKind::kNumbers, .tolerance = checker.tolerance()};
    default:
      return {.kind = CheckerKind::kTokens};
  }
}

}  // namespace platform::execution
