// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// Takes finished log lines, newline included.
///
/// Thread-safe. `Write` never blocks on I/O in the sinks that a server uses.
class GRPCCOMMON_EXPORT LogSink {
 public:
  virtual ~LogSink() = default;

  virtual void Write(std::string_view line) = 0;
  /// Returns when everything written before has left the process.
  virtual void Flush() = 0;
  /// Lines that were dropped because they came faster than they could leave.
  virtual std::uint64_t dropped() const { return 0; }
};

struct LogSinkOptions {
  /// "stderr", "stdout", or a path. A path is opened for appending.
  std::string destination = "stderr";
  /// A path is rotated at this size, in bytes; 0 never. Then `rotated_files`
  /// older ones are kept as "<path>.1", "<path>.2" and so on.
  std::size_t rotate_bytes = 0;
  std::size_t rotated_files = 5;
  /// How long a line may wait for others, in [1 ms, 10 s].
  std::chrono::nanoseconds batch_interval = std::chrono::milliseconds(50);
  /// How much may wait, in bytes, in [64 KiB, 1 GiB]; beyond that lines are
  /// dropped and counted.
  std::size_t queue_bytes = 8 << 20;
};

/// Lines wait in a buffer for each group of threads and leave together, by size
/// and time, from a thread of its own that sleeps while there are none: waking
/// a thread for each line costs more than writing it. A full disk or a closed
/// pipe loses lines, which are counted, and nothing else.
/// Errors: kInvalidArgument naming the option; a path that cannot be opened.
GRPCCOMMON_EXPORT absl::StatusOr<std::shared_ptr<LogSink>> CreateLogSink(
    const LogSinkOptions& options = {});

}  // namespace grpccommon
