// SPDX-License-Identifier: Apache-2.0
#include "call/call_log.h"

#include "grpccommon/base/hex.h"

namespace grpccommon::internal {

Logger LogWithIds(const Logger& logger, std::string_view request_id,
                  const TraceContext& trace) {
  Logger with_id = logger.With({"request_id", request_id});
  if (!trace.valid()) return with_id;
  return with_id.With({"trace_id", ToHex(trace.trace_id)})
      .With({"span_id", ToHex(trace.span_id)});
}

}  // namespace grpccommon::internal
