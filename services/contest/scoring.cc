// SPDX-License-Identifier: Apache-2.0
#include "services/contest/scoring.h"

#include <algorithm>
#include <tuple>

namespace platform::contest {

Cell Score(std::vector<Attempt> attempts, std::optional<WallTime> hidden_from) {
  std::sort(attempts.begin(), attempts.end(),
            [](const Attempt& a, const Attempt& b) {
              return std::tie(a.submitted_at, a.number) <
                     std::tie(b.submitted_at, b.number);
            });
  Cell cell;
  for (const Attempt& attempt : attempts) {
    const bool hidden =
        hidden_from.has_value() && attempt.submitted_at >= *hidden_from;
    if (hidden || !attempt.verdict.has_value()) {
      ++cell.pending;
      continue;
    }
    switch (*attempt.verdict) {
      case Verdict::kAccepted:
        cell.solved = {.at = attempt.submitted_at, .number = attempt.number};
        return cell;
      case Verdict::kCompileError:
      case Verdict::kInternal:
        break;
      case Verdict::kWrongAnswer:
      case Verdict::kTimeLimit:
      case Verdict::kMemoryLimit:
      case Verdict::kOutputLimit:
      case Verdict::kRuntimeError:
        ++cell.wrong;
        break;
    }
  }
  return cell;
}

}  // namespace platform::contest
