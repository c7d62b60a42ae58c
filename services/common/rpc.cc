// SPDX-License-Identifier: Apache-2.0
#include "services/common/rpc.h"

#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"

namespace platform::common {

absl::Status HandlerThrew(const grpc::CallbackServerContext& context,
                          const std::exception& error) {
  if (const auto* const call = grpccommon::ServerCall::Of(context)) {
    call->log().Error("handler threw", {{"grpc.method", call->path()},
                                        {"exception", error.what()}});
  }
  return grpccommon::WithReason(absl::InternalError("internal error"),
                                "HANDLER_FAILED", grpccommon::kErrorDomain);
}

}  // namespace platform::common
