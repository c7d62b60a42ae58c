// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

class Refusal;
class ServerCall;

/// Tells the client, in `grpc-retry-pushback-ms`, after how long to try again;
/// rounded up to whole milliseconds, so that nobody comes too early. gRPC
/// clients keep to it exactly, and it replaces their own backoff (gRFC A6).
/// Requires `delay` >= 0: a negative one would forbid all retries.
GRPCCOMMON_EXPORT void AddRetryPushback(ServerCall& call,
                                        std::chrono::nanoseconds delay);

/// For an interceptor that refuses many calls alike: what it returns from
/// OnStart to send `refusal` with `delay` in its RetryInfo and as pushback. The
/// returned status is `refusal.status()`; the delay is in what the client gets.
/// `refusal` is borrowed for as long as the call lasts.
GRPCCOMMON_EXPORT absl::Status RefuseFor(ServerCall& call,
                                         const Refusal& refusal,
                                         std::chrono::nanoseconds delay);

}  // namespace grpccommon
