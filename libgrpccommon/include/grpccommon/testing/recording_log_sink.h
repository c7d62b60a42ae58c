// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/log/sink.h"

namespace grpccommon::testing {

/// Keeps the lines that are logged. Thread-safe.
class GRPCCOMMON_EXPORT RecordingLogSink : public LogSink {
 public:
  void Write(std::string_view line) override;
  void Flush() override {}

  std::vector<std::string> lines() const;
  /// Everything, for a search of what must not be there.
  std::string text() const;
  /// Lines whose field `name` has the text `value`.
  std::vector<std::string> LinesWhere(std::string_view name,
                                      std::string_view value) const;
  /// The field of a line as text; empty if the line has none.
  static std::string Field(const std::string& line, std::string_view name);
  /// Blocks until `count` lines have `name` = `value`; false after ten seconds.
  bool WaitForLines(std::string_view name, std::string_view value,
                    std::size_t count) const;
  void Clear();

 private:
  mutable Mutex mutex_;
  mutable CondVar written_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon::testing
