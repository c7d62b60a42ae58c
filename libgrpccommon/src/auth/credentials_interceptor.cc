// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/credentials_interceptor.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/call/client_call.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"

namespace grpccommon {

CredentialsInterceptor::CredentialsInterceptor(
    std::shared_ptr<const TokenProvider> provider,
    const CredentialsInterceptorOptions& options)
    : provider_(std::move(provider)), options_(options) {}

absl::StatusOr<ClientHooks> CredentialsInterceptor::Register(
    const Method& /*method*/) {
  return ClientHooks{.finish = false};
}

absl::Status CredentialsInterceptor::OnStart(ClientCall& call) {
  if (call.forward_credentials()) return Forward(call);
  if (provider_ == nullptr) return absl::OkStatus();
  if (absl::Status secure = CheckSecure(call); !secure.ok()) return secure;
  const absl::StatusOr<std::shared_ptr<const std::string>> token =
      provider_->Token();
  if (!token.ok()) return token.status();
  if (options_.scheme == CredentialsInterceptorOptions::Scheme::kApiKey) {
    call.AddMetadata(metadata::kApiKey, **token);
  } else {
    call.AddMetadata(metadata::kAuthorization,
                     absl::StrCat("Bearer ", **token));
  }
  return absl::OkStatus();
}

absl::Status CredentialsInterceptor::Forward(ClientCall& call) const {
  if (call.parent() == nullptr) return absl::OkStatus();
  for (const std::string_view key :
       {metadata::kAuthorization, metadata::kApiKey}) {
    const std::string_view value = call.parent()->metadata(key);
    if (value.empty()) continue;
    if (absl::Status secure = CheckSecure(call); !secure.ok()) return secure;
    call.AddMetadata(key, value);
  }
  return absl::OkStatus();
}

absl::Status CredentialsInterceptor::CheckSecure(const ClientCall& call) const {
  if (call.secure() || options_.allow_plaintext) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError(
          "credentials are not sent on a connection that is not encrypted; "
          "give the channel TLS, or set allow_plaintext"),
      auth_reason::kInsecureConnection, kErrorDomain);
}

}  // namespace grpccommon
