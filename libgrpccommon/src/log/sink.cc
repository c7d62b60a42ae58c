// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/log/sink.h"

#include <utility>

#include "grpccommon/base/check_range.h"
#include "log/batching_sink.h"
#include "log/transport.h"

namespace grpccommon {

absl::StatusOr<std::shared_ptr<LogSink>> CreateLogSink(
    const LogSinkOptions& options, const Clock& clock) {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  absl::Status valid;
  if (options.destination.empty()) {
    valid.Update(absl::InvalidArgumentError("destination must not be empty"));
  }
  if (options.rotate_bytes != 0) {
    valid.Update(CheckRange(
        "rotate_bytes", static_cast<double>(options.rotate_bytes), 4096, 1e12));
    valid.Update(CheckRange(
        "rotated_files", static_cast<double>(options.rotated_files), 1, 1000));
  }
  valid.Update(CheckRange("batch_interval", options.batch_interval,
                          milliseconds(1), seconds(10)));
  valid.Update(CheckRange("queue_bytes",
                          static_cast<double>(options.queue_bytes), 64 << 10,
                          1 << 30));
  if (!valid.ok()) return valid;
  absl::StatusOr<std::unique_ptr<internal::LogTransport>> transport =
      internal::OpenLogTransport(options, clock);
  if (!transport.ok()) return transport.status();
  return std::shared_ptr<internal::BatchingSink>(
      new internal::BatchingSink(*std::move(transport), options, clock),
      [](internal::BatchingSink* sink) {
        if (!sink->InChild()) delete sink;
      });
}

}  // namespace grpccommon
