// SPDX-License-Identifier: Apache-2.0
#include "services/user/access_tokens.h"

#include <utility>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"

namespace platform::user {

using grpccommon::Clock;
using grpccommon::JwtClaims;
using grpccommon::JwtVerifier;
using namespace std::chrono_literals;

namespace {

// How far the clocks of our instances may be apart.
constexpr Clock::Duration kLeeway = 30s;

}  // namespace

absl::StatusOr<std::unique_ptr<AccessTokens>> AccessTokens::Create(
    KeyRing& keys, const AccessTokenOptions& options, const Clock& clock) {
  const absl::Status valid =
      grpccommon::CheckRange("lifetime", options.lifetime, 10s, 24h);
  if (!valid.ok()) return valid;
  const auto source = keys.published();
  auto verifier = JwtVerifier::Create({.issuer = options.issuer,
                                       .audiences = {options.audience},
                                       .leeway = kLeeway},
                                      *source);
  if (!verifier.ok()) return verifier.status();
  return absl::WrapUnique(
      new AccessTokens(keys, options, source, *std::move(verifier), clock));
}

AccessTokens::AccessTokens(KeyRing& keys, const AccessTokenOptions& options,
                           std::shared_ptr<grpccommon::KeySource> source,
                           std::unique_ptr<JwtVerifier> verifier,
                           const Clock& clock)
    : keys_(keys),
      options_(options),
      source_(std::move(source)),
      verifier_(std::move(verifier)),
      clock_(clock) {}

absl::StatusOr<AccessToken> AccessTokens::Issue(const User& user) const {
  // A token tells whole seconds, and so does what we say of it.
  const Clock::WallTime now =
      std::chrono::floor<std::chrono::seconds>(clock_.WallNow());
  JwtClaims claims{.subject = user.id,
                   .issuer = options_.issuer,
                   .audiences = {options_.audience},
                   .issued_at = now,
                   .expires_at = now + options_.lifetime,
                   .attributes = {{"username", user.username}}};
  for (const Role role : kRoles) {
    if (user.roles.Has(role)) claims.roles.emplace_back(RoleName(role));
  }
  absl::StatusOr<std::string> token = keys_.Sign(claims);
  if (!token.ok()) return token.status();
  return AccessToken{.text = *std::move(token),
                     .expires_at = *claims.expires_at};
}

absl::StatusOr<VerifiedAccess> AccessTokens::Verify(
    std::string_view token) const {
  auto verified = verifier_->Verify(token, clock_.WallNow());
  if (!verified.ok()) return verified.status();
  return VerifiedAccess{.principal = std::move(verified->principal),
                        .expires_at = verified->valid_until - kLeeway};
}

}  // namespace platform::user
