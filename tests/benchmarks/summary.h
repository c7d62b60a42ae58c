// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace grpccommon::bench {

/// Median and quartiles of what was measured several times.
struct Summary {
  double median = 0;
  double lower = 0;
  double upper = 0;
};
Summary Summarise(std::vector<double> values);

/// The quartiles: "(17.24 … 21.59)".
std::string Spread(const Summary& summary);

}  // namespace grpccommon::bench
