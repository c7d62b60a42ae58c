// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "benchmarks/contest.h"
#include "benchmarks/verdict.h"
#include "nlohmann/json.hpp"

namespace grpccommon::bench {

/// What the benchmark found: tables to read as they come, and all of it as JSON
/// in the end.
class Report {
 public:
  /// `out` is borrowed.
  explicit Report(std::ostream& out) : out_(out) {}

  /// A table with a row for each contestant; the first is what the others are
  /// compared with.
  void Add(const Contest& contest);

  /// Says what became of a promise.
  void Judge(const std::string& what, const Summary& measured,
             const std::string& unit, Bound bound, double limit);

  /// A figure with no promise.
  void Note(const std::string& what, double figure, const std::string& unit);

  nlohmann::json ToJson() const;
  bool all_kept() const { return all_kept_; }

 private:
  std::ostream& out_;
  nlohmann::json contests_ = nlohmann::json::array();
  nlohmann::json verdicts_ = nlohmann::json::array();
  nlohmann::json notes_ = nlohmann::json::array();
  bool all_kept_ = true;
};

}  // namespace grpccommon::bench
