// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "grpccommon/call/trace_context.h"
#include "grpccommon/log/logger.h"

namespace grpccommon::internal {

/// `logger` with the ids of a call in every line.
Logger LogWithIds(const Logger& logger, std::string_view request_id,
                  const TraceContext& trace);

}  // namespace grpccommon::internal
