// SPDX-License-Identifier: Apache-2.0
#include "services/common/caller.h"

#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"

namespace platform::common {

std::string CallerId(const grpccommon::Principal& principal) {
  // An authenticator of an application's own may name none.
  if (principal.issuer.empty() || principal.issuer == kUserIssuer) {
    return principal.subject;
  }
  return principal.issuer + '|' + principal.subject;
}

absl::StatusOr<const grpccommon::Principal*> PrincipalOf(
    const grpc::CallbackServerContext& context) {
  const auto* const call = grpccommon::ServerCall::Of(context);
  if (call == nullptr || call->principal().anonymous()) {
    return grpccommon::Unauthenticated("NO_CREDENTIAL",
                                       "say who you are: send a credential");
  }
  return &call->principal();
}

}  // namespace platform::common
