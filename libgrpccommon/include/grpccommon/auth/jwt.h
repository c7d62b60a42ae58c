// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/auth/jwk.h"
#include "grpccommon/auth/key_source.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/principal.h"

namespace grpccommon {

struct JwtVerifierOptions {
  /// Who must have issued the token (`iss`). Empty: anyone whose key is in the
  /// key source.
  std::string issuer;
  /// Who this service is: `aud` must name one of them. Empty: a token that
  /// names an audience is refused, as RFC 7519, section 4.1.3, demands.
  std::vector<std::string> audiences;
  /// Takes tokens for any audience. A token that was issued for another service
  /// can then be replayed here.
  bool any_audience = false;
  /// The header's `typ`, for instance "at+jwt" (RFC 9068); compared without
  /// case and without "application/". Empty: not looked at.
  std::string type;
  /// How far clocks may disagree, in [0, 10 min]: added to `exp`, taken off
  /// `nbf` and `iat`.
  Clock::Duration leeway = std::chrono::seconds(30);
  /// Refuses a token that never expires.
  bool require_expiry = true;
  /// In [256, 1 MiB]; a longer token is refused unread.
  std::size_t max_token_bytes = 8192;
  /// Where the roles are: a claim, or a path to one ("realm_access.roles"). A
  /// name with a slash ("https://shop.example/roles") is one claim, dots and
  /// all. An array of strings, or one string separated by spaces.
  std::string roles_claim = "roles";
  /// Roles that the issuer may give; any other in a token is overlooked, as if
  /// it were not there. Empty: every role.
  std::vector<std::string> allowed_roles;
};

/// What a token proved, and when it does: at the instants in
/// [valid_from, valid_until), leeway included.
struct VerifiedToken {
  std::shared_ptr<const Principal> principal;
  Clock::WallTime valid_from;
  Clock::WallTime valid_until;
};

/// Verifies JSON Web Tokens in compact form (RFC 7519, RFC 7515), with the
/// advice of RFC 8725: the key decides the algorithm, `none` and unknown `crit`
/// are refused, and claims are not read before the signature is right.
///
/// The principal has `sub` and `iss`, roles from `roles_claim`, scopes from
/// `scope` or `scp`, and the other string claims as attributes. A token without
/// `sub` names nobody and is refused.
///
/// Thread-safe; takes no lock that two threads share, but for the first few
/// tokens whose headers differ after keys have changed.
class GRPCCOMMON_EXPORT JwtVerifier {
 public:
  /// `keys` is borrowed and must outlive the verifier.
  /// Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<std::unique_ptr<JwtVerifier>> Create(
      const JwtVerifierOptions& options, KeySource& keys);

  /// Errors: UNAUTHENTICATED with one of the TOKEN_… reasons of
  /// auth/reasons.h; UNAVAILABLE while there are no keys. No message repeats
  /// anything of the token.
  absl::StatusOr<VerifiedToken> Verify(std::string_view token,
                                       Clock::WallTime now) const;

  ~JwtVerifier();
  JwtVerifier(const JwtVerifier&) = delete;
  JwtVerifier& operator=(const JwtVerifier&) = delete;

 private:
  class SeenHeaders;

  JwtVerifier(const JwtVerifierOptions& options, KeySource& keys);

  absl::StatusOr<VerifiedToken> ReadClaims(std::string_view payload,
                                           Clock::WallTime now) const;

  const JwtVerifierOptions options_;
  std::vector<std::string> roles_path_;
  KeySource& keys_;
  const std::unique_ptr<SeenHeaders> seen_headers_;
};

/// Who a token says has issued it (`iss`; empty if it does not say), which
/// nothing has proven yet: to choose the keys to verify it with, and nothing
/// else. Errors: UNAUTHENTICATED, reason TOKEN_MALFORMED.
GRPCCOMMON_EXPORT absl::StatusOr<std::string> UnverifiedIssuer(
    std::string_view token, std::size_t max_token_bytes = 8192);

}  // namespace grpccommon
