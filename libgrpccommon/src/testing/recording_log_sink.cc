// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/recording_log_sink.h"

#include <chrono>

#include "nlohmann/json.hpp"

namespace grpccommon::testing {

void RecordingLogSink::Write(std::string_view line) {
  {
    const MutexLock lock(mutex_);
    lines_.emplace_back(line);
  }
  written_.NotifyAll();
}

std::vector<std::string> RecordingLogSink::lines() const {
  const MutexLock lock(mutex_);
  return lines_;
}

std::string RecordingLogSink::text() const {
  std::string all;
  for (const std::string& line : lines()) all += line;
  return all;
}

std::string RecordingLogSink::Field(const std::string& line,
                                    std::string_view name) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return "";
  const auto field = json.find(std::string(name));
  if (field == json.end()) return "";
  return field->is_string() ? field->get<std::string>() : field->dump();
}

std::vector<std::string> RecordingLogSink::LinesWhere(
    std::string_view name, std::string_view value) const {
  std::vector<std::string> found;
  for (std::string& line : lines()) {
    if (Field(line, name) == value) found.push_back(std::move(line));
  }
  return found;
}

bool RecordingLogSink::WaitForLines(std::string_view name,
                                    std::string_view value,
                                    std::size_t count) const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (LinesWhere(name, value).size() < count) {
    const MutexLock lock(mutex_);
    // Bounded, since a line may have come between the look and the wait.
    written_.WaitUntil(mutex_, std::chrono::steady_clock::now() +
                                   std::chrono::milliseconds(20));
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}

void RecordingLogSink::Clear() {
  const MutexLock lock(mutex_);
  lines_.clear();
}

}  // namespace grpccommon::testing
