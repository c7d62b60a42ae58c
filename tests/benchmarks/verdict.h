// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <string>

namespace grpccommon::bench {

enum class Bound { kAtMost, kAtLeast };

/// A promise and what became of it.
struct Verdict {
  /// A whole sentence without its figure: "a call with nothing enabled costs
  /// more than a bare one".
  std::string what;
  double measured = 0;
  std::string unit;
  Bound bound = Bound::kAtMost;
  double limit = 0;

  bool kept() const;
};

/// As a line of its own.
std::ostream& operator<<(std::ostream& out, const Verdict& verdict);

}  // namespace grpccommon::bench
