// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/log/sink.h"

namespace grpccommon::internal {

/// Where batches of lines leave the process. Used by one thread.
class LogTransport {
 public:
  virtual ~LogTransport() = default;

  /// Writes whole lines and sees them off. False if they may be lost. May
  /// block; does not throw.
  virtual bool Write(std::string_view lines) = 0;

  /// How much to hand over at once; a longer line comes by itself.
  virtual std::size_t piece_bytes() const { return 64 << 10; }
};

/// `options.destination`, through spdlog's sinks.
absl::StatusOr<std::unique_ptr<LogTransport>> OpenLogTransport(
    const LogSinkOptions& options, const Clock& clock);

}  // namespace grpccommon::internal
