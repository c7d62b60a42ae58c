// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "benchmarks/load_client.h"
#include "benchmarks/server_process.h"
#include "benchmarks/summary.h"

namespace grpccommon::bench {

/// Who takes part, and how it is called.
struct Contestant {
  std::string name;
  ServerProcess* server = nullptr;
  std::string authorization;
};

/// What one contestant did in one round. Times in µs.
struct Sample {
  double calls_per_second = 0;
  double messages_per_second = 0;
  double cpu_per_call = 0;
  double cpu_per_message = 0;
  double p50 = 0;
  double p99 = 0;
};

/// Rounds in which the contestants take turns, so that whatever else the
/// machine does meets all of them; each round begins with another one.
class Contest {
 public:
  struct Options {
    std::string title;
    Load load;
    int connections = 4;
    bool stock_client = false;
    int rounds = 0;
  };

  /// Runs it. A call that fails ends the program: its figures would be those of
  /// something else.
  Contest(Options options, std::vector<Contestant> contestants);

  const Options& options() const { return options_; }
  const std::vector<Contestant>& contestants() const { return contestants_; }
  /// A round's samples lie at the same index for every contestant.
  const std::vector<Sample>& samples(std::size_t contestant) const {
    return samples_[contestant];
  }

  Summary Of(std::size_t contestant, double Sample::*what) const;
  /// Differences and ratios of a contestant to another, round by round: what
  /// disturbs a round disturbs both.
  Summary Difference(std::size_t contestant, std::size_t base,
                     double Sample::*what) const;
  Summary Ratio(std::size_t contestant, std::size_t base,
                double Sample::*what) const;

 private:
  Summary Compare(std::size_t contestant, std::size_t base,
                  double Sample::*what,
                  const std::function<double(double, double)>& compare) const;

  const Options options_;
  const std::vector<Contestant> contestants_;
  std::vector<std::vector<Sample>> samples_;
};

}  // namespace grpccommon::bench
