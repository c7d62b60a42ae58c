// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/auth/api_key.h"
#include "grpccommon/auth/jwt.h"
#include "grpccommon/auth/key_source.h"
#include "grpccommon/auth/mtls.h"
#include "grpccommon/auth/token_cache.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/principal.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/log/logger.h"

namespace grpc {
class AuthContext;
}

namespace grpccommon {

/// Finds out who calls, from one kind of credential. Works on plaintext ports
/// as on TLS: credentials are read from the call's own metadata.
///
/// Thread-safe; must not block.
class GRPCCOMMON_EXPORT Authenticator {
 public:
  virtual ~Authenticator() = default;

  /// The principal; null if the call has no credential of this kind; an error,
  /// UNAUTHENTICATED as a rule, if it has one that is not good.
  virtual absl::StatusOr<std::shared_ptr<const Principal>> Authenticate(
      ServerCall& call) = 0;

  /// What a caller without this credential should do: "send `x-api-key:
  /// <key>`".
  virtual std::string hint() const = 0;
};

struct JwtAuthenticatorOptions {
  JwtVerifierOptions verifier;
  TokenCacheOptions cache;
};

/// `authorization: Bearer <token>`. Another scheme is not a credential of this
/// kind. An issuer of tokens may keep a share of `keys` and replace them.
/// Errors: kInvalidArgument, naming the option.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<Authenticator>>
CreateJwtAuthenticator(std::shared_ptr<KeySource> keys,
                       const JwtAuthenticatorOptions& options = {});

/// Somebody whose tokens are taken, and the keys that are theirs alone.
struct TrustedIssuer {
  std::shared_ptr<KeySource> keys;
  /// `issuer` must be set.
  JwtVerifierOptions verifier;
};

/// The same for tokens of several issuers, such as one for users and one for
/// programs. A token's `iss` chooses one of them, and its keys and rules alone
/// decide: a key of one signs nothing for another, an issuer whose keys are
/// away is in nobody's way, and a token of no known issuer is refused with
/// TOKEN_ISSUER.
/// Errors: kInvalidArgument, naming the option; for no issuer, one without
/// name, and one named twice.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<Authenticator>>
CreateJwtAuthenticator(std::vector<TrustedIssuer> issuers,
                       const TokenCacheOptions& cache = {});

/// `x-api-key: <key>`, looked up in `keys`.
GRPCCOMMON_EXPORT std::unique_ptr<Authenticator> CreateApiKeyAuthenticator(
    ApiKeySet keys);

struct ApiKeyFileOptions {
  /// How often the file is looked at, in [10 ms, 1 h].
  Clock::Duration check_interval = std::chrono::seconds(5);
};

/// The same with the keys of a file (ApiKeySet::Parse), read again when it
/// changes. A broken file is logged and keeps the old keys in force.
/// `scheduler` is borrowed and must outlive the authenticator. Errors: those of
/// reading and parsing the file, naming it.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<Authenticator>>
CreateApiKeyFileAuthenticator(const std::string& path, Scheduler& scheduler,
                              const ApiKeyFileOptions& options = {},
                              const Logger& logger = {});

/// The client certificate of a TLS connection. A connection without one, or
/// without TLS, has no credential of this kind. gRPC does not tell whether a
/// certificate was verified: its server credentials must demand that, which
/// GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY does not.
/// Errors: those of CertificateIdentity::Create.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<Authenticator>>
CreateMtlsAuthenticator(CertificateIdentityOptions options = {});

/// The names that TLS proved of a peer. Empty if it proved none.
GRPCCOMMON_EXPORT PeerCertificate
PeerCertificateOf(const grpc::AuthContext& context);

/// The first of `authenticators` for which the call has a credential decides. A
/// bad credential refuses; it never falls through to the next kind.
GRPCCOMMON_EXPORT std::unique_ptr<Authenticator> AnyOf(
    std::vector<std::unique_ptr<Authenticator>> authenticators);

/// All of `authenticators` must identify the caller. Subject and issuer are the
/// first one's; roles, scopes and attributes are put together. A call with only
/// some of the credentials is refused with CREDENTIAL_MISSING; one with none is
/// anonymous.
GRPCCOMMON_EXPORT std::unique_ptr<Authenticator> AllOf(
    std::vector<std::unique_ptr<Authenticator>> authenticators);

/// AnyOf(std::move(tokens), std::move(keys))
template <typename... More>
std::unique_ptr<Authenticator> AnyOf(std::unique_ptr<Authenticator> first,
                                     std::unique_ptr<More>... more) {
  std::vector<std::unique_ptr<Authenticator>> all;
  all.push_back(std::move(first));
  (all.push_back(std::move(more)), ...);
  return AnyOf(std::move(all));
}

template <typename... More>
std::unique_ptr<Authenticator> AllOf(std::unique_ptr<Authenticator> first,
                                     std::unique_ptr<More>... more) {
  std::vector<std::unique_ptr<Authenticator>> all;
  all.push_back(std::move(first));
  (all.push_back(std::move(more)), ...);
  return AllOf(std::move(all));
}

}  // namespace grpccommon
