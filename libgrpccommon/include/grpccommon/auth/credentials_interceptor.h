// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/auth/token_provider.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/client_interceptor.h"

namespace grpccommon {

struct CredentialsInterceptorOptions {
  /// How the token is shown.
  enum class Scheme {
    /// `authorization: Bearer <token>` (RFC 6750).
    kBearer,
    /// `x-api-key: <token>`
    kApiKey,
  };
  Scheme scheme = Scheme::kBearer;
  /// Shows it on connections that are not encrypted, too: whoever reads the
  /// traffic can then use it. For a mesh that encrypts, and for development.
  bool allow_plaintext = false;
};

/// Gives outgoing calls a credential: the provider's, which speaks for this
/// program, or where the call asks for it
/// (`ClientCall::forward_credentials`), those of the caller that it is made
/// for. A caller without any is not given this program's in their place: the
/// call then goes without.
///
/// Refuses with FAILED_PRECONDITION, reason INSECURE_CONNECTION, to show a
/// credential on a connection that is not encrypted; with UNAVAILABLE, reason
/// TOKEN_UNAVAILABLE, when the provider has none.
class GRPCCOMMON_EXPORT CredentialsInterceptor : public ClientInterceptor {
 public:
  /// `provider` may be null: then only callers' credentials are passed on.
  explicit CredentialsInterceptor(
      std::shared_ptr<const TokenProvider> provider,
      const CredentialsInterceptorOptions& options = {});

  std::string_view name() const override { return "credentials"; }
  Stage stage() const override { return Stage::kIdentify; }
  absl::StatusOr<ClientHooks> Register(const Method& method) override;
  absl::Status OnStart(ClientCall& call) override;

 private:
  absl::Status Forward(ClientCall& call) const;
  absl::Status CheckSecure(const ClientCall& call) const;

  const std::shared_ptr<const TokenProvider> provider_;
  const CredentialsInterceptorOptions options_;
};

}  // namespace grpccommon
