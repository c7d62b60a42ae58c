// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/authenticate_interceptor.h"

#include <cassert>
#include <utility>

#include "auth/audit.h"
#include "grpccommon/call/server_call.h"

namespace grpccommon {

AuthenticateInterceptor::AuthenticateInterceptor(
    std::unique_ptr<Authenticator> authenticator, AuthenticateOptions options)
    : authenticator_(std::move(authenticator)), options_(std::move(options)) {
  assert(authenticator_ != nullptr);
}

absl::StatusOr<Hooks> AuthenticateInterceptor::Register(
    const Method& /*method*/) {
  return Hooks{.start = true, .finish = false};
}

[[gnu::hot]] absl::Status AuthenticateInterceptor::OnStart(ServerCall& call) {
  absl::StatusOr<std::shared_ptr<const Principal>> principal =
      authenticator_->Authenticate(call);
  if (principal.ok()) {
    if (*principal != nullptr) call.set_principal(*std::move(principal));
    return absl::OkStatus();
  }
  if (options_.ignore_bad_credentials) {
    call.values().Set(RejectedCredential{principal.status()});
    return absl::OkStatus();
  }
  internal::AuditRefusal(options_.audit, call, principal.status());
  return principal.status();
}

}  // namespace grpccommon
