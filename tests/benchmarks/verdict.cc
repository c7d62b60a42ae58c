// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/verdict.h"

#include "benchmarks/columns.h"

namespace grpccommon::bench {

bool Verdict::kept() const {
  return bound == Bound::kAtMost ? measured <= limit : measured >= limit;
}

std::ostream& operator<<(std::ostream& out, const Verdict& verdict) {
  const std::string unit = verdict.unit.empty() ? "" : " " + verdict.unit;
  return out << "  " << (verdict.kept() ? "kept   " : "BROKEN ")
             << Padded(verdict.what, 48, false) << ' '
             << Padded(Figure(verdict.measured) + unit, 14, true)
             << (verdict.bound == Bound::kAtMost ? "   at most "
                                                 : "   at least ")
             << Figure(verdict.limit) << unit << '\n';
}

}  // namespace grpccommon::bench
