// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/auth/jwt.h"
#include "grpccommon/base/clock.h"
#include "services/common/caller.h"
#include "services/user/key_ring.h"
#include "services/user/user.h"

namespace platform::user {

struct AccessTokenOptions {
  std::string issuer{common::kUserIssuer};
  std::string audience = "platform";
  /// In [10 s, 24 h].
  grpccommon::Clock::Duration lifetime = std::chrono::minutes(15);
};

struct AccessToken {
  std::string text;
  grpccommon::Clock::WallTime expires_at;
};

/// What a token proves.
struct VerifiedAccess {
  std::shared_ptr<const grpccommon::Principal> principal;
  grpccommon::Clock::WallTime expires_at;
};

/// The tokens that users show: JWTs, signed ES256, with `sub` (the user's id),
/// `roles` and `username`. Immutable and thread-safe.
class AccessTokens {
 public:
  /// `keys` and `clock` are borrowed. Errors: kInvalidArgument, naming the
  /// option.
  static absl::StatusOr<std::unique_ptr<AccessTokens>> Create(
      KeyRing& keys, const AccessTokenOptions& options = {},
      const grpccommon::Clock& clock = grpccommon::SteadyClock());

  absl::StatusOr<AccessToken> Issue(const User& user) const;

  /// Errors: those of JwtVerifier::Verify.
  absl::StatusOr<VerifiedAccess> Verify(std::string_view token) const;

  const AccessTokenOptions& options() const { return options_; }

 private:
  AccessTokens(KeyRing& keys, const AccessTokenOptions& options,
               std::shared_ptr<grpccommon::KeySource> source,
               std::unique_ptr<grpccommon::JwtVerifier> verifier,
               const grpccommon::Clock& clock);

  KeyRing& keys_;
  const AccessTokenOptions options_;
  const std::shared_ptr<grpccommon::KeySource> source_;
  const std::unique_ptr<grpccommon::JwtVerifier> verifier_;
  const grpccommon::Clock& clock_;
};

}  // namespace platform::user
