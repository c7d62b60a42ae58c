// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/summary.h"

#include <algorithm>
#include <cstddef>

#include "benchmarks/columns.h"

namespace grpccommon::bench {

Summary Summarise(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&values](double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    const double part = place - static_cast<double>(below);
    return values[below] * (1 - part) + values[above] * part;
  };
  return {.median = at(0.5), .lower = at(0.25), .upper = at(0.75)};
}

std::string Spread(const Summary& summary) {
  return "(" + Number(summary.lower, 2) + " … " + Number(summary.upper, 2) +
         ")";
}

}  // namespace grpccommon::bench
