// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace grpccommon::test {

/// What a test saw over time, as a CSV file for docs/figures/draw.py: the
/// environment variable GRPCCOMMON_FAULTS_DIR names the folder it is written
/// to. Without it nothing is.
///
/// Columns are "ms", the time since the start; "mark", the text of an event,
/// whose row has nothing else; and those that are given.
class TimeSeries {
 public:
  TimeSeries(const std::string& name, const std::vector<std::string>& columns) {
    const char* const folder = std::getenv("GRPCCOMMON_FAULTS_DIR");
    if (folder == nullptr) return;
    columns_ = columns.size();
    const std::string path = std::string(folder) + "/" + name + ".csv";
    file_.open(path);
    if (!file_) {
      std::cerr << "cannot write " << path << '\n';
      return;
    }
    file_ << "ms,mark";
    for (const std::string& column : columns) file_ << ',' << column;
    file_ << '\n';
  }

  static bool wanted() {
    return std::getenv("GRPCCOMMON_FAULTS_DIR") != nullptr;
  }

  void Add(double ms, const std::vector<double>& values) {
    if (!file_.is_open()) return;
    file_ << ms << ',';
    for (const double value : values) file_ << ',' << value;
    file_ << '\n';
  }

  /// `text` is without commas.
  void Mark(double ms, const std::string& text) {
    if (!file_.is_open()) return;
    file_ << ms << ',' << text << std::string(columns_, ',') << '\n';
  }

 private:
  std::ofstream file_;
  std::size_t columns_ = 0;
};

}  // namespace grpccommon::test
