// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "faults/load.h"

namespace grpccommon::test {

/// Writes what callers saw of a fault as a TimeSeries: for each 100 ms the
/// calls that ended, how many of them failed, attempts, percentiles, and the
/// share of each instance; between them the events.
class Recorder {
 public:
  /// Time counts from here.
  Recorder() : start_(std::chrono::steady_clock::now()) {}

  /// An event, now. `text` is without commas.
  void Mark(std::string text) {
    marks_.emplace_back(std::chrono::steady_clock::now(), std::move(text));
  }
  /// How the instance is called in pictures; others are numbered.
  void Name(std::string address, std::string name) {
    names_.emplace_back(std::move(address), std::move(name));
  }
  void Write(const std::string& series, const Load& load) const;

 private:
  double Milliseconds(SteadyTime at) const {
    return std::chrono::duration<double, std::milli>(at - start_).count();
  }

  const SteadyTime start_;
  std::vector<std::pair<SteadyTime, std::string>> marks_;
  std::vector<std::pair<std::string, std::string>> names_;
};

}  // namespace grpccommon::test
