// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "grpccommon/log/sink.h"

namespace grpccommon::internal {

/// Flushes `sink` before the process ends at once, for a second at most:
/// whoever reads the log and does not go on must not keep the process. On any
/// thread, whatever locks it holds but the sink's own; does nothing without a
/// sink.
void FlushLastWords(std::shared_ptr<LogSink> sink);

}  // namespace grpccommon::internal
