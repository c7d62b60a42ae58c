// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace grpccommon::bench {

/// What a benchmark of this program is held to: at most so much CPU time an
/// iteration, or so much of one of its counters, by the median over its
/// repetitions.
struct Promise {
  std::string what;
  /// Its name as it is printed: "GcraTryTake/real_time/threads:1".
  std::string benchmark;
  double at_most = 0;
  std::string unit = "ns";
  /// None for the time.
  std::string counter = {};
};

/// Judged after all benchmarks have run, those that a filter left out apart.
/// Returns true, to be called at namespace scope.
bool AddPromises(std::vector<Promise> promises);

/// The counter `allocations`: how many of them an iteration made.
void ReportAllocations(benchmark::State& state, std::uint64_t allocations);

}  // namespace grpccommon::bench
