// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {

struct AuthenticateOptions {
  /// Treats a caller with a bad credential as anonymous instead of refusing him
  /// at once. Public methods then serve him; for others, AuthorizeInterceptor
  /// refuses him with what was wrong with the credential.
  bool ignore_bad_credentials = false;
  /// Takes a line for each refusal.
  Logger audit;
};

/// Why a credential was not accepted (AuthenticateOptions::
/// ignore_bad_credentials); in the call's values.
struct RejectedCredential {
  absl::Status status;
};

/// Finds out who calls, and refuses a call whose credential is bad, with the
/// authenticator's status. A call without a credential stays anonymous: whether
/// that is enough is for AuthorizeInterceptor to say.
class GRPCCOMMON_EXPORT AuthenticateInterceptor : public ServerInterceptor {
 public:
  explicit AuthenticateInterceptor(std::unique_ptr<Authenticator> authenticator,
                                   AuthenticateOptions options = {});

  std::string_view name() const override { return "authenticate"; }
  Stage stage() const override { return Stage::kIdentify; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;

  const Authenticator& authenticator() const { return *authenticator_; }

 private:
  const std::unique_ptr<Authenticator> authenticator_;
  const AuthenticateOptions options_;
};

}  // namespace grpccommon
