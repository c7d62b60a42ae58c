// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "grpccommon/base/export.h"

namespace grpccommon {

class ServerCall;

/// Tells the client, in `grpc-retry-pushback-ms`, after how long to try again;
/// rounded up to whole milliseconds, so that nobody comes too early. gRPC
/// clients keep to it exactly, and it replaces their own backoff (gRFC A6).
/// Requires `delay` >= 0: a negative one would forbid all retries.
GRPCCOMMON_EXPORT void AddRetryPushback(ServerCall& call,
                                        std::chrono::nanoseconds delay);

}  // namespace grpccommon
