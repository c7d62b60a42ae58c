// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "grpcpp/impl/call.h"
#include "grpcpp/support/status.h"
#include "server/call_state.h"

namespace grpccommon::internal {

/// Sends `status` in the place of a synchronous handler that was not run, and
/// returns when that is done.
void EndRefusedCall(CallState& state, grpc::Status status,
                    const grpc::internal::Call& call);

/// The same in the place of a callback handler, without waiting. `done` gives
/// the call back to gRPC, now or later. `inlined` says whether this is the
/// thread of gRPC's that called the handler, where InlineCompletions may be.
///
/// The status and the watch for the call's end are one batch, where gRPC's
/// handlers start two, and the end of a stream is not left to another thread.
void EndRefusedCallbackCall(CallState& state, grpc::Status status,
                            const grpc::internal::Call& call,
                            std::function<void()> done, bool inlined);

}  // namespace grpccommon::internal
