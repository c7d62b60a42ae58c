// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/authenticator.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "auth/watched_file.h"
#include "base/snapshot.h"
#include "grpc/grpc_security_constants.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/status/details.h"
#include "grpcpp/security/auth_context.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using PrincipalPtr = std::shared_ptr<const Principal>;

// What a caller sent under `key`; empty if nothing. Of two values, a proxy in
// front may have looked at the other one, so neither counts.
[[gnu::hot]] absl::StatusOr<std::string_view> Credential(
    const ServerCall& call, std::string_view key, std::string_view reason) {
  std::string_view found;
  int count = 0;
  call.ForEachMetadata([&](std::string_view name, std::string_view value) {
    if (name == key && ++count == 1) found = value;
  });
  if (count <= 1) return found;
  return Unauthenticated(
      reason, absl::StrCat("more than one `", ToAbsl(key), "`: send one"));
}

// The token of an `authorization` value; nothing if its scheme is another one.
std::optional<std::string_view> BearerToken(std::string_view value) {
  constexpr std::string_view kScheme = "bearer";
  const std::string_view scheme = value.substr(0, value.find(' '));
  if (!absl::EqualsIgnoreCase(ToAbsl(scheme), ToAbsl(kScheme))) {
    return std::nullopt;
  }
  return ToStd(absl::StripAsciiWhitespace(ToAbsl(value.substr(scheme.size()))));
}

class JwtAuthenticator : public Authenticator {
 public:
  // Whose tokens are taken. Without a name: whoever's keys they are.
  struct Issuer {
    std::string name;
    std::size_t max_bytes;
    std::shared_ptr<KeySource> keys;
    std::unique_ptr<JwtVerifier> verifier;
  };

  JwtAuthenticator(std::vector<Issuer> issuers,
                   std::unique_ptr<TokenCache> cache)
      : issuers_(std::move(issuers)), cache_(std::move(cache)) {
    for (const Issuer& issuer : issuers_) {
      max_bytes_ = std::max(max_bytes_, issuer.max_bytes);
    }
  }

  [[gnu::hot]] absl::StatusOr<PrincipalPtr> Authenticate(
      ServerCall& call) override {
    const absl::StatusOr<std::string_view> sent = Credential(
        call, metadata::kAuthorization, auth_reason::kTokenMalformed);
    if (!sent.ok()) return sent.status();
    const std::optional<std::string_view> token = BearerToken(*sent);
    if (!token.has_value()) return PrincipalPtr();
    const Clock::WallTime now = call.clock().WallNow();
    // Not even hashed if it is too long.
    if (token->size() > max_bytes_) return Verify(*token, now).status();
    // Before the keys are used: see TokenCache::Insert. Each only grows, so
    // their sum changes with any.
    std::uint64_t generation = 0;
    for (const Issuer& issuer : issuers_) {
      generation += issuer.keys->generation();
    }
    PrincipalPtr known = cache_->Find(*token, generation, now);
    if (known != nullptr) return known;
    absl::StatusOr<VerifiedToken> verified = Verify(*token, now);
    if (!verified.ok()) return verified.status();
    cache_->Insert(*token, generation, *verified);
    return std::move(verified->principal);
  }

  std::string hint() const override {
    return "send `authorization: Bearer <token>`";
  }

 private:
  absl::StatusOr<VerifiedToken> Verify(std::string_view token,
                                       Clock::WallTime now) const {
    if (issuers_.size() == 1) {
      return issuers_.front().verifier->Verify(token, now);
    }
    const absl::StatusOr<std::string> name =
        UnverifiedIssuer(token, max_bytes_);
    if (!name.ok()) return name.status();
    for (const Issuer& issuer : issuers_) {
      // Which sees to it that `iss` is what it said, once that is proven.
      if (issuer.name == *name) return issuer.verifier->Verify(token, now);
    }
    return Unauthenticated(auth_reason::kTokenIssuer,
                           "the token's issuer is not trusted here");
  }

  const std::vector<Issuer> issuers_;
  const std::unique_ptr<TokenCache> cache_;
  std::size_t max_bytes_ = 0;
};

absl::StatusOr<std::unique_ptr<Authenticator>> MakeJwtAuthenticator(
    std::vector<TrustedIssuer> trusted, const TokenCacheOptions& cache) {
  std::vector<JwtAuthenticator::Issuer> issuers;
  for (TrustedIssuer& each : trusted) {
    absl::StatusOr<std::unique_ptr<JwtVerifier>> verifier =
        JwtVerifier::Create(each.verifier, *each.keys);
    if (!verifier.ok()) return verifier.status();
    issuers.push_back({.name = each.verifier.issuer,
                       .max_bytes = each.verifier.max_token_bytes,
                       .keys = std::move(each.keys),
                       .verifier = *std::move(verifier)});
  }
  absl::StatusOr<std::unique_ptr<TokenCache>> made = TokenCache::Create(cache);
  if (!made.ok()) return made.status();
  return std::make_unique<JwtAuthenticator>(std::move(issuers),
                                            *std::move(made));
}

class ApiKeyAuthenticator : public Authenticator {
 public:
  explicit ApiKeyAuthenticator(ApiKeySet keys)
      : keys_(std::make_shared<const ApiKeySet>(std::move(keys))) {}

  absl::Status Watch(const std::string& path, Scheduler& scheduler,
                     Clock::Duration interval, const Logger& logger) {
    file_.emplace(
        path, "API keys",
        [](const std::string& content) { return ApiKeySet::Parse(content); },
        [this](ApiKeySet keys) {
          keys_.Set(std::make_shared<const ApiKeySet>(std::move(keys)));
        },
        logger);
    return file_->Start(scheduler, interval);
  }

  absl::StatusOr<PrincipalPtr> Authenticate(ServerCall& call) override {
    const absl::StatusOr<std::string_view> sent =
        Credential(call, metadata::kApiKey, auth_reason::kApiKeyUnknown);
    if (!sent.ok()) return sent.status();
    const std::string_view key = *sent;
    if (key.empty()) return PrincipalPtr();
    std::shared_ptr<const ApiKeySet> keys = keys_.Get();
    const absl::StatusOr<const Principal*> principal =
        keys->Find(key, call.clock().WallNow());
    if (!principal.ok()) return principal.status();
    // Keeps the set, and with it the principal.
    return PrincipalPtr(std::move(keys), *principal);
  }

  std::string hint() const override { return "send `x-api-key: <key>`"; }

 private:
  internal::Snapshot<ApiKeySet> keys_;
  std::optional<internal::WatchedFile<ApiKeySet>> file_;
};

class MtlsAuthenticator : public Authenticator {
 public:
  explicit MtlsAuthenticator(CertificateIdentity identity)
      : identity_(std::move(identity)) {}

  absl::StatusOr<PrincipalPtr> Authenticate(ServerCall& call) override {
    const std::shared_ptr<const grpc::AuthContext> context =
        call.auth_context();
    if (context == nullptr || !context->IsPeerAuthenticated()) {
      return PrincipalPtr();
    }
    return identity_.Identify(PeerCertificateOf(*context));
  }

  std::string hint() const override {
    return "connect with a client certificate";
  }

 private:
  const CertificateIdentity identity_;
};

std::string JoinHints(
    const std::vector<std::unique_ptr<Authenticator>>& authenticators,
    std::string_view separator) {
  return absl::StrJoin(
      authenticators, ToAbsl(separator),
      [](std::string* out, const std::unique_ptr<Authenticator>& each) {
        out->append(each->hint());
      });
}

class AnyOfAuthenticator : public Authenticator {
 public:
  explicit AnyOfAuthenticator(
      std::vector<std::unique_ptr<Authenticator>> authenticators)
      : authenticators_(std::move(authenticators)) {}

  absl::StatusOr<PrincipalPtr> Authenticate(ServerCall& call) override {
    for (const std::unique_ptr<Authenticator>& each : authenticators_) {
      absl::StatusOr<PrincipalPtr> principal = each->Authenticate(call);
      if (!principal.ok() || *principal != nullptr) return principal;
    }
    return PrincipalPtr();
  }

  std::string hint() const override {
    return JoinHints(authenticators_, " or ");
  }

 private:
  const std::vector<std::unique_ptr<Authenticator>> authenticators_;
};

void AddMissing(const std::vector<std::string>& from,
                std::vector<std::string>& to) {
  for (const std::string& text : from) {
    if (std::find(to.begin(), to.end(), text) == to.end()) to.push_back(text);
  }
}

class AllOfAuthenticator : public Authenticator {
 public:
  explicit AllOfAuthenticator(
      std::vector<std::unique_ptr<Authenticator>> authenticators)
      : authenticators_(std::move(authenticators)) {}

  absl::StatusOr<PrincipalPtr> Authenticate(ServerCall& call) override {
    std::shared_ptr<Principal> all;
    const Authenticator* missing = nullptr;
    for (const std::unique_ptr<Authenticator>& each : authenticators_) {
      const absl::StatusOr<PrincipalPtr> principal = each->Authenticate(call);
      if (!principal.ok()) return principal.status();
      if (*principal == nullptr) {
        if (missing == nullptr) missing = each.get();
      } else if (all == nullptr) {
        all = std::make_shared<Principal>(**principal);
      } else {
        AddMissing((*principal)->roles, all->roles);
        AddMissing((*principal)->scopes, all->scopes);
        all->attributes.insert((*principal)->attributes.begin(),
                               (*principal)->attributes.end());
      }
    }
    if (all == nullptr) return PrincipalPtr();
    if (missing != nullptr) {
      return Unauthenticated(
          auth_reason::kCredentialMissing,
          absl::StrCat("one credential is missing: ", missing->hint()));
    }
    return all;
  }

  std::string hint() const override {
    return JoinHints(authenticators_, " and ");
  }

 private:
  const std::vector<std::unique_ptr<Authenticator>> authenticators_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Authenticator>> CreateJwtAuthenticator(
    std::shared_ptr<KeySource> keys, const JwtAuthenticatorOptions& options) {
  std::vector<TrustedIssuer> one;
  one.push_back({.keys = std::move(keys), .verifier = options.verifier});
  return MakeJwtAuthenticator(std::move(one), options.cache);
}

absl::StatusOr<std::unique_ptr<Authenticator>> CreateJwtAuthenticator(
    std::vector<TrustedIssuer> issuers, const TokenCacheOptions& cache) {
  if (issuers.empty()) {
    return absl::InvalidArgumentError("issuers must not be empty");
  }
  std::set<std::string_view> names;
  for (const TrustedIssuer& each : issuers) {
    const std::string& name = each.verifier.issuer;
    if (!name.empty() && names.insert(name).second) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "each issuer must have a name of its own, got \"", name, "\""));
  }
  return MakeJwtAuthenticator(std::move(issuers), cache);
}

std::unique_ptr<Authenticator> CreateApiKeyAuthenticator(ApiKeySet keys) {
  return std::make_unique<ApiKeyAuthenticator>(std::move(keys));
}

absl::StatusOr<std::unique_ptr<Authenticator>> CreateApiKeyFileAuthenticator(
    const std::string& path, Scheduler& scheduler,
    const ApiKeyFileOptions& options, const Logger& logger) {
  const absl::Status valid =
      CheckRange("check_interval", options.check_interval, 10ms, 1h);
  if (!valid.ok()) return valid;
  auto authenticator = std::make_unique<ApiKeyAuthenticator>(ApiKeySet());
  if (absl::Status read =
          authenticator->Watch(path, scheduler, options.check_interval, logger);
      !read.ok()) {
    return read;
  }
  return authenticator;
}

absl::StatusOr<std::unique_ptr<Authenticator>> CreateMtlsAuthenticator(
    CertificateIdentityOptions options) {
  absl::StatusOr<CertificateIdentity> identity =
      CertificateIdentity::Create(std::move(options));
  if (!identity.ok()) return identity.status();
  return std::make_unique<MtlsAuthenticator>(*std::move(identity));
}

PeerCertificate PeerCertificateOf(const grpc::AuthContext& context) {
  const auto values = [&](const char* property) {
    std::vector<std::string> texts;
    for (const grpc::string_ref& value : context.FindPropertyValues(property)) {
      texts.emplace_back(value.data(), value.size());
    }
    return texts;
  };
  PeerCertificate certificate;
  certificate.uris = values(GRPC_PEER_URI_PROPERTY_NAME);
  certificate.dns_names = values(GRPC_PEER_DNS_PROPERTY_NAME);
  const std::vector<std::string> names = values(GRPC_X509_CN_PROPERTY_NAME);
  if (!names.empty()) certificate.common_name = names.front();
  return certificate;
}

std::unique_ptr<Authenticator> AnyOf(
    std::vector<std::unique_ptr<Authenticator>> authenticators) {
  return std::make_unique<AnyOfAuthenticator>(std::move(authenticators));
}

std::unique_ptr<Authenticator> AllOf(
    std::vector<std::unique_ptr<Authenticator>> authenticators) {
  return std::make_unique<AllOfAuthenticator>(std::move(authenticators));
}

}  // namespace grpccommon
