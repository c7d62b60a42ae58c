// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/call/principal.h"
#include "grpcpp/server_context.h"

namespace platform::common {

/// Who signs users' tokens: the user service.
inline constexpr std::string_view kUserIssuer = "platform-user";

/// What a service knows a caller by, and calls the author of something: a
/// user's id, which is what the user service has in `sub`. A subject is unique
/// within its issuer only, so that of any other issuer comes with its issuer's
/// name, "issuer|subject", and is never mistaken for a user's id.
std::string CallerId(const grpccommon::Principal& principal);

/// Whom the call's chain has proven; lives as long as the call.
/// Errors: kUnauthenticated without one, whatever the chain let through.
absl::StatusOr<const grpccommon::Principal*> PrincipalOf(
    const grpc::CallbackServerContext& context);

}  // namespace platform::common
