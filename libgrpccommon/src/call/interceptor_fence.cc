// SPDX-License-Identifier: Apache-2.0
#include "call/interceptor_fence.h"

#include "grpccommon/status/details.h"

namespace grpccommon::internal {

absl::Status InterceptorThrew(const Logger& log, std::string_view interceptor,
                              std::string_view text) {
  log.Error("interceptor threw",
            {{"interceptor", interceptor}, {"exception", text}});
  return WithReason(absl::InternalError("internal error"), "INTERCEPTOR_FAILED",
                    kErrorDomain);
}

}  // namespace grpccommon::internal
