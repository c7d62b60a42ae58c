// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/auth/jwk.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// What a token says; empty members are left out of it. Times are written in
/// whole seconds.
struct JwtClaims {
  std::string subject;
  std::string issuer;
  /// One is written as a string, several as an array.
  std::vector<std::string> audiences;
  std::optional<Clock::WallTime> issued_at;
  std::optional<Clock::WallTime> not_before;
  std::optional<Clock::WallTime> expires_at;
  /// `jti`
  std::string id;
  std::vector<std::string> roles;
  /// Written as `scope`, separated by spaces.
  std::vector<std::string> scopes;
  /// Further string claims; must not repeat one of the above.
  std::map<std::string, std::string> attributes;
};

/// Signs tokens: for a service that issues them, for development and for tests.
///
/// Immutable, cheap to copy, thread-safe. The key is in this process: an issuer
/// that must not have it in memory signs elsewhere.
class GRPCCOMMON_EXPORT JwtSigner {
 public:
  /// A new key: 256 random bits, RSA of 2048 bits, P-256 or Ed25519.
  /// `id` is the `kid`; empty for a token without one.
  static absl::StatusOr<JwtSigner> Generate(JwtAlgorithm algorithm,
                                            std::string id = "");

  /// Reads a private JSON Web Key, as `PrivateJwk` writes it. Its `alg` is the
  /// one to sign with; RSA without `alg` signs RS256.
  /// Errors: as Jwk::FromJson; kInvalidArgument without a private part.
  static absl::StatusOr<JwtSigner> FromJwk(std::string_view json);

  /// Reads an unencrypted private key in PEM.
  /// Errors: kInvalidArgument, also if the key is not for `algorithm`.
  static absl::StatusOr<JwtSigner> FromPem(std::string_view pem,
                                           JwtAlgorithm algorithm,
                                           std::string id = "");

  JwtAlgorithm algorithm() const;
  const std::string& id() const;

  /// The signed token. Errors: kInvalidArgument for an attribute that repeats a
  /// claim or text that is not UTF-8.
  absl::StatusOr<std::string> Sign(const JwtClaims& claims) const;

  /// Signs any payload under any header, unchecked: `alg` and `kid` are only
  /// filled in where `header_json` is empty.
  absl::StatusOr<std::string> SignPayload(
      std::string_view payload, std::string_view header_json = "") const;

  /// The key that verifies this signer's tokens.
  Jwk verification_key() const;

  /// A JWK set with the public key, to publish. Errors: kFailedPrecondition for
  /// HS256, whose key is secret.
  absl::StatusOr<std::string> PublicJwks() const;

  /// The key with its private part: a secret, to be kept like one.
  std::string PrivateJwk() const;

 private:
  struct Impl;
  explicit JwtSigner(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace grpccommon
