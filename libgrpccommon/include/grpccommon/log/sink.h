// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// Takes finished log lines, newline included.
///
/// Thread-safe. `Write` never blocks on I/O in the sinks that a server uses,
/// and no function throws.
class GRPCCOMMON_EXPORT LogSink {
 public:
  virtual ~LogSink() = default;

  virtual void Write(std::string_view line) = 0;
  /// Returns when everything written before has left the process.
  virtual void Flush() = 0;
  /// Lines that were lost: they came faster than they could leave, or writing
  /// them failed.
  virtual std::uint64_t dropped() const { return 0; }
};

struct LogSinkOptions {
  /// "stderr", "stdout", or a path. A path is opened for appending, and its
  /// folder made; when it was renamed or removed from outside (logrotate) it is
  /// made anew within a second of the next line.
  std::string destination = "stderr";
  /// A path is rotated before it exceeds this size, in bytes, in [4 KiB, 1 TB];
  /// 0 never. Then up to `rotated_files`, in [1, 1000], older ones are kept:
  /// "app.log" as "app.1.log", the youngest, "app.2.log" and so on.
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
/// a thread for each line costs more than writing it. Lines of one thread keep
/// their order; those of several may leave in another order than their `ts`.
///
/// A full disk or a closed pipe loses lines, which are counted, and nothing
/// else; a line of the sink's own says how many, at most once a minute. A
/// reader who stops reading our pipe stops `Flush` and the destructor, which
/// writes what is left, but no `Write`.
///
/// `clock` is borrowed and must outlive the sink; it times the look at a path
/// and the line about losses, not the batches.
/// Errors: kInvalidArgument naming the option; kUnavailable for a path that
/// cannot be opened.
GRPCCOMMON_EXPORT absl::StatusOr<std::shared_ptr<LogSink>> CreateLogSink(
    const LogSinkOptions& options = {}, const Clock& clock = SteadyClock());

}  // namespace grpccommon
