// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/jwt.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/json_reader.h"
#include "base/snapshot.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxDepth = 16;
// Later times mean "never": in 2255, while nanoseconds of 64 bits last to 2262.
constexpr double kLastSecond = 9e9;

absl::Status Malformed(std::string_view what) {
  return Unauthenticated(auth_reason::kTokenMalformed, what);
}

struct Header {
  std::string algorithm;
  std::optional<std::string> key_id;
  std::string type;
  bool critical = false;
};

class HeaderReader final : public internal::JsonReader {
 public:
  HeaderReader() : JsonReader(kMaxDepth) {}
  Header header;

 private:
  enum class Member { kNone, kAlg, kKid, kTyp, kIgnored };

  bool OnOpen(bool object) override {
    if (depth() == 1) return object;
    return Unread();
  }
  bool OnClose(bool /*object*/) override { return true; }
  bool OnName(const std::string& name) override {
    if (depth() > 1) return true;
    member_ = name == "alg"   ? Member::kAlg
              : name == "kid" ? Member::kKid
              : name == "typ" ? Member::kTyp
                              : Member::kIgnored;
    if (name == "crit") header.critical = true;
    return true;
  }
  bool OnText(std::string& text) override {
    if (depth() == 0) return false;
    if (depth() > 1) return true;
    switch (member_) {
      case Member::kAlg:
        header.algorithm = std::move(text);
        break;
      case Member::kKid:
        header.key_id = std::move(text);
        break;
      case Member::kTyp:
        header.type = std::move(text);
        break;
      case Member::kNone:
      case Member::kIgnored:
        break;
    }
    return true;
  }
  bool OnNumber(double /*number*/, const nlohmann::json& /*exact*/) override {
    return Unread();
  }
  bool OnBool(bool /*value*/) override { return Unread(); }
  bool OnNull() override { return Unread(); }

  // What is not a string is none of the three members that must be one.
  bool Unread() const {
    return depth() > 0 && (depth() > 2 || member_ == Member::kIgnored);
  }

  Member member_ = Member::kNone;
};

// Only `iss`; what is wrong with the rest is the verifier's to say.
class IssuerReader final : public internal::JsonReader {
 public:
  IssuerReader() : JsonReader(kMaxDepth) {}
  std::string issuer;

 private:
  bool OnOpen(bool object) override {
    return depth() == 1 ? object : !wanted();
  }
  bool OnClose(bool /*object*/) override { return true; }
  bool OnName(const std::string& name) override {
    if (depth() == 1) is_issuer_ = name == "iss";
    return true;
  }
  bool OnText(std::string& text) override {
    if (depth() == 0) return false;
    if (wanted()) issuer = std::move(text);
    return true;
  }
  bool OnNumber(double /*number*/, const nlohmann::json& /*exact*/) override {
    return depth() > 0 && !wanted();
  }
  bool OnBool(bool /*value*/) override { return depth() > 0 && !wanted(); }
  bool OnNull() override { return depth() > 0 && !wanted(); }

  // Inside a container that is the value of `iss`, too.
  bool wanted() const { return is_issuer_; }

  bool is_issuer_ = false;
};

struct TokenParts {
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
  // What was signed: header and payload, and the dot between them.
  std::string_view message;
};

absl::StatusOr<TokenParts> Split(std::string_view token,
                                 std::size_t max_bytes) {
  if (token.size() > max_bytes) {
    return Malformed(
        absl::StrCat("the token is larger than ", max_bytes, " bytes"));
  }
  const std::size_t first = token.find('.');
  const std::size_t second =
      first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos ||
      token.find('.', second + 1) != std::string_view::npos) {
    return Malformed("the token is not three parts with dots between them");
  }
  return TokenParts{.header = token.substr(0, first),
                    .payload = token.substr(first + 1, second - first - 1),
                    .signature = token.substr(second + 1),
                    .message = token.substr(0, second)};
}

void SplitWords(std::string_view text, std::vector<std::string>& words) {
  for (const absl::string_view word :
       absl::StrSplit(ToAbsl(text), ' ', absl::SkipEmpty())) {
    words.emplace_back(word);
  }
}

struct Claims {
  Principal principal;
  std::vector<std::string> audiences;
  bool has_audience = false;
  std::optional<double> expires_at;
  std::optional<double> not_before;
  std::optional<double> issued_at;
};

// Takes what is wanted as it comes; the rest is only checked.
class ClaimsReader final : public internal::JsonReader {
 public:
  explicit ClaimsReader(const std::vector<std::string>& roles_path)
      : JsonReader(kMaxDepth), roles_path_(roles_path) {}
  Claims claims;

 private:
  enum class Claim {
    kNone,
    kSubject,
    kIssuer,
    kAudience,
    kExpires,
    kNotBefore,
    kIssuedAt,
    kScopes,
    kRoles,
    // An object on the way to the roles.
    kRolesParent,
    kOther,
    kIgnored,
  };

  bool OnOpen(bool object) override {
    if (depth() == 1) return object;  // the claims themselves
    // The container is the value of `claim_`, or an element of a list of it.
    const bool in_list = in_list_;
    switch (claim_) {
      case Claim::kAudience:
      case Claim::kScopes:
      case Claim::kRoles:
        if (object || in_list) return false;
        in_list_ = true;
        list_depth_ = depth();
        if (claim_ == Claim::kAudience) claims.has_audience = true;
        return true;
      case Claim::kRolesParent:
        if (object) {
          ++roles_level_;
        } else {
          claim_ = Claim::kIgnored;
          SkipHere();
        }
        return true;
      case Claim::kOther:
      case Claim::kIgnored:
        claim_ = Claim::kIgnored;
        SkipHere();
        return true;
      default:
        return false;  // text or number expected
    }
  }

  bool OnClose(bool /*object*/) override {
    // depth() is now that of what the closed container lies in.
    if (in_list_ && depth() + 1 == list_depth_) {
      in_list_ = false;
    } else if (skip_depth_ != 0) {
      if (depth() + 1 == skip_depth_) skip_depth_ = 0;
    } else if (roles_level_ > 0) {
      --roles_level_;
    }
    return true;
  }

  bool OnName(const std::string& name) override {
    if (skip_depth_ != 0) return true;
    // Here, every open container is on the way to the roles.
    if (name == roles_path_[roles_level_]) {
      claim_ = roles_level_ + 1 == roles_path_.size() ? Claim::kRoles
                                                      : Claim::kRolesParent;
    } else if (roles_level_ > 0) {
      claim_ = Claim::kIgnored;
    } else {
      claim_ = ClaimOf(name);
      if (claim_ == Claim::kOther) name_ = name;
    }
    return true;
  }

  bool OnText(std::string& text) override {
    if (depth() == 0) return false;
    if (skip_depth_ != 0) return true;
    switch (claim_) {
      case Claim::kSubject:
        claims.principal.subject = std::move(text);
        return true;
      case Claim::kIssuer:
        claims.principal.issuer = std::move(text);
        return true;
      case Claim::kAudience:
        claims.has_audience = true;
        claims.audiences.push_back(std::move(text));
        return true;
      case Claim::kScopes:
        SplitWords(text, claims.principal.scopes);
        return true;
      case Claim::kRoles:
        // One role in a list may well have a space in its name.
        if (in_list_) {
          claims.principal.roles.push_back(std::move(text));
        } else {
          SplitWords(text, claims.principal.roles);
        }
        return true;
      case Claim::kOther:
        claims.principal.attributes.emplace(std::move(name_), std::move(text));
        return true;
      case Claim::kRolesParent:
      case Claim::kIgnored:
        return true;
      default:
        return false;  // a number expected
    }
  }

  bool OnNumber(double number, const nlohmann::json& /*exact*/) override {
    if (depth() == 0) return false;
    if (skip_depth_ != 0) return true;
    switch (claim_) {
      case Claim::kExpires:
        return TakeTime(number, claims.expires_at);
      case Claim::kNotBefore:
        return TakeTime(number, claims.not_before);
      case Claim::kIssuedAt:
        return TakeTime(number, claims.issued_at);
      default:
        return Uninteresting();
    }
  }
  bool OnBool(bool /*value*/) override {
    return depth() > 0 && Uninteresting();
  }
  // Some issuers write null for "no roles".
  bool OnNull() override {
    return depth() > 0 &&
           (Uninteresting() || (!in_list_ && (claim_ == Claim::kRoles ||
                                              claim_ == Claim::kScopes)));
  }

  bool Uninteresting() const {
    return skip_depth_ != 0 || claim_ == Claim::kOther ||
           claim_ == Claim::kIgnored || claim_ == Claim::kRolesParent;
  }

  // Nothing inside the container just opened is wanted.
  void SkipHere() {
    if (skip_depth_ == 0) skip_depth_ = depth();
  }

  static bool TakeTime(double number, std::optional<double>& time) {
    if (!std::isfinite(number) || number < 0) return false;
    time = std::min(number, kLastSecond);
    return true;
  }

  static Claim ClaimOf(std::string_view name) {
    static constexpr std::pair<std::string_view, Claim> kClaims[] = {
        {"sub", Claim::kSubject},   {"iss", Claim::kIssuer},
        {"aud", Claim::kAudience},  {"exp", Claim::kExpires},
        {"nbf", Claim::kNotBefore}, {"iat", Claim::kIssuedAt},
        {"scope", Claim::kScopes},  {"scp", Claim::kScopes},
    };
    for (const auto& [known, claim] : kClaims) {
      if (name == known) return claim;
    }
    return Claim::kOther;
  }

  const std::vector<std::string>& roles_path_;
  Claim claim_ = Claim::kNone;
  std::string name_;
  std::size_t roles_level_ = 0;
  bool in_list_ = false;
  std::size_t list_depth_ = 0;
  std::size_t skip_depth_ = 0;
};

Clock::WallTime WallTimeOf(double seconds) {
  // In two parts: a double has not enough digits for nanoseconds.
  const double whole = std::floor(seconds);
  return Clock::WallTime(
      std::chrono::seconds(static_cast<std::int64_t>(whole)) +
      std::chrono::nanoseconds(
          static_cast<std::int64_t>((seconds - whole) * 1e9)));
}

std::string_view WithoutApplication(std::string_view type) {
  constexpr std::string_view kPrefix = "application/";
  if (absl::StartsWithIgnoreCase(ToAbsl(type), ToAbsl(kPrefix))) {
    type.remove_prefix(kPrefix.size());
  }
  return type;
}

}  // namespace

// Headers as they stood in tokens that were verified, and what they say: an
// issuer's tokens have a few, and to read one is a fifth of a token's work.
class JwtVerifier::SeenHeaders {
 public:
  class Entries {
   public:
    const Header* Find(std::string_view text) const {
      for (const auto& [known, header] : entries_) {
        if (known == text) return &header;
      }
      return nullptr;
    }

    /// New keys have new headers, and the old ones are of no use then. But an
    /// issuer that writes something else into each is not worth the memory.
    bool TakesMore(std::uint64_t keys_generation) const {
      return entries_.size() < kMost || keys_generation_ != keys_generation;
    }

   private:
    friend class SeenHeaders;
    static constexpr std::size_t kMost = 8;

    std::vector<std::pair<std::string, Header>> entries_;
    std::uint64_t keys_generation_ = 0;
  };

  std::shared_ptr<const Entries> Get() const { return entries_.Get(); }

  void Add(std::string_view text, const Header& header,
           std::uint64_t keys_generation) {
    const MutexLock lock(mutex_);
    const std::shared_ptr<const Entries> old = entries_.Get();
    if (!old->TakesMore(keys_generation) || old->Find(text) != nullptr) return;
    auto entries = std::make_shared<Entries>(*old);
    if (entries->entries_.size() == Entries::kMost) entries->entries_.clear();
    entries->entries_.emplace_back(text, header);
    entries->keys_generation_ = keys_generation;
    entries_.Set(std::move(entries));
  }

 private:
  Mutex mutex_;  // of those that add
  internal::Snapshot<Entries> entries_{std::make_shared<Entries>()};
};

absl::StatusOr<std::unique_ptr<JwtVerifier>> JwtVerifier::Create(
    const JwtVerifierOptions& options, KeySource& keys) {
  absl::Status valid = CheckRange("leeway", options.leeway, 0s, 10min);
  valid.Update(CheckRange("max_token_bytes",
                          static_cast<double>(options.max_token_bytes), 256,
                          1 << 20));
  if (!valid.ok()) return valid;
  auto verifier = absl::WrapUnique(new JwtVerifier(options, keys));
  static constexpr std::array<std::string_view, 6> kReserved = {
      "sub", "iss", "aud", "exp", "nbf", "iat"};
  const std::vector<std::string>& path = verifier->roles_path_;
  if (std::find(path.begin(), path.end(), "") != path.end() ||
      std::find(kReserved.begin(), kReserved.end(), path.front()) !=
          kReserved.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "roles_claim must be a claim of its own or a path to one, got \"",
        options.roles_claim, "\""));
  }
  for (const std::string& audience : options.audiences) {
    if (audience.empty()) {
      return absl::InvalidArgumentError("audiences must not be empty strings");
    }
  }
  return verifier;
}

JwtVerifier::JwtVerifier(const JwtVerifierOptions& options, KeySource& keys)
    : options_(options),
      roles_path_(options.roles_claim.find('/') == std::string::npos
                      ? absl::StrSplit(options.roles_claim, '.')
                      : std::vector<std::string>{options.roles_claim}),
      keys_(keys),
      seen_headers_(std::make_unique<SeenHeaders>()) {}

JwtVerifier::~JwtVerifier() = default;

absl::StatusOr<VerifiedToken> JwtVerifier::Verify(std::string_view token,
                                                  Clock::WallTime now) const {
  const absl::StatusOr<TokenParts> parts =
      Split(token, options_.max_token_bytes);
  if (!parts.ok()) return parts.status();
  const std::uint64_t keys_generation = keys_.generation();
  const std::shared_ptr<const SeenHeaders::Entries> seen_headers =
      seen_headers_->Get();
  const Header* const seen = seen_headers->Find(parts->header);
  HeaderReader reader;
  if (seen == nullptr) {
    const std::optional<std::string> text = Base64UrlDecode(parts->header);
    if (!text.has_value() || !reader.Read(*text)) {
      return Malformed("the token's header is not a JSON object in base64url");
    }
  }
  const Header& header = seen != nullptr ? *seen : reader.header;
  const std::optional<JwtAlgorithm> algorithm =
      ParseJwtAlgorithm(header.algorithm);
  if (!algorithm.has_value()) {
    return Unauthenticated(auth_reason::kTokenAlgorithm,
                           "the token's algorithm is not accepted");
  }
  if (header.critical) {
    return Unauthenticated(auth_reason::kTokenCritical,
                           "the token demands an extension (`crit`)");
  }
  if (!options_.type.empty() &&
      !absl::EqualsIgnoreCase(ToAbsl(WithoutApplication(header.type)),
                              ToAbsl(WithoutApplication(options_.type)))) {
    return Unauthenticated(
        auth_reason::kTokenType,
        absl::StrCat("the token's type is not \"", options_.type, "\""));
  }

  const std::shared_ptr<const JwkSet> keys = keys_.Keys();
  if (keys->empty()) {
    return Overloaded(auth_reason::kKeysUnavailable,
                      "the keys to verify tokens with are not loaded yet", 1s);
  }
  const std::optional<std::string> signature =
      Base64UrlDecode(parts->signature);
  if (!signature.has_value()) {
    return Malformed("the token's signature is not base64url");
  }
  // Keys without an id stand in where none has the token's.
  const bool named =
      header.key_id.has_value() &&
      std::any_of(keys->keys().begin(), keys->keys().end(),
                  [&](const Jwk& key) { return key.id() == *header.key_id; });
  bool fits = false;
  bool verified = false;
  std::size_t tried = 0;
  for (const Jwk& key : keys->keys()) {
    if (named ? key.id() != *header.key_id
              : header.key_id.has_value() && !key.id().empty()) {
      continue;
    }
    fits = true;
    if (!key.Allows(*algorithm)) continue;
    if (tried == JwkSet::kMaxTried) break;
    ++tried;
    verified = key.Verify(*algorithm, parts->message, *signature);
    if (verified) break;
  }
  if (!verified) {
    if (!named) keys_.ReportUnknownKey();
    if (!fits) {
      return Unauthenticated(auth_reason::kTokenKeyUnknown,
                             "the token's key (`kid`) is not known");
    }
    if (tried == 0) {
      return Unauthenticated(auth_reason::kTokenAlgorithm,
                             "the token's algorithm is not that of its key");
    }
    return Unauthenticated(auth_reason::kTokenSignature,
                           "the token's signature does not match");
  }
  if (seen == nullptr && seen_headers->TakesMore(keys_generation)) {
    seen_headers_->Add(parts->header, header, keys_generation);
  }
  const std::optional<std::string> payload = Base64UrlDecode(parts->payload);
  if (!payload.has_value()) {
    return Malformed("the token's claims are not base64url");
  }
  return ReadClaims(*payload, now);
}

absl::StatusOr<VerifiedToken> JwtVerifier::ReadClaims(
    std::string_view payload, Clock::WallTime now) const {
  ClaimsReader reader(roles_path_);
  if (!reader.Read(payload)) {
    return Malformed(
        "the token's claims are not a JSON object, or one of them "
        "has the wrong type");
  }
  Claims& claims = reader.claims;
  VerifiedToken token{.valid_from = Clock::WallTime::min(),
                      .valid_until = Clock::WallTime::max()};
  if (claims.expires_at.has_value()) {
    token.valid_until = WallTimeOf(*claims.expires_at) + options_.leeway;
    if (now >= token.valid_until) {
      return Unauthenticated(auth_reason::kTokenExpired,
                             "the token has expired: get a new one");
    }
  } else if (options_.require_expiry) {
    return Malformed("the token does not say when it expires (`exp`)");
  }
  for (const std::optional<double>& start :
       {claims.not_before, claims.issued_at}) {
    if (!start.has_value()) continue;
    token.valid_from =
        std::max(token.valid_from, WallTimeOf(*start) - options_.leeway);
  }
  if (now < token.valid_from) {
    return Unauthenticated(auth_reason::kTokenNotYetValid,
                           "the token is not valid yet");
  }
  if (!options_.issuer.empty() && claims.principal.issuer != options_.issuer) {
    return Unauthenticated(auth_reason::kTokenIssuer,
                           "the token's issuer is not trusted here");
  }
  const bool audience_fits =
      options_.any_audience ||
      (options_.audiences.empty()
           ? !claims.has_audience
           : std::find_first_of(
                 claims.audiences.begin(), claims.audiences.end(),
                 options_.audiences.begin(),
                 options_.audiences.end()) != claims.audiences.end());
  if (!audience_fits) {
    return Unauthenticated(auth_reason::kTokenAudience,
                           "the token is not for this service (`aud`)");
  }
  if (claims.principal.subject.empty()) {
    return Malformed("the token names nobody (`sub`)");
  }
  // It becomes a key of databases and a part of lines.
  if (std::any_of(claims.principal.subject.begin(),
                  claims.principal.subject.end(), [](char c) {
                    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
                  })) {
    return Malformed("the token's `sub` has a control character");
  }
  if (!options_.allowed_roles.empty()) {
    std::erase_if(claims.principal.roles, [this](const std::string& role) {
      return std::find(options_.allowed_roles.begin(),
                       options_.allowed_roles.end(),
                       role) == options_.allowed_roles.end();
    });
  }
  token.principal =
      std::make_shared<const Principal>(std::move(claims.principal));
  return token;
}

absl::StatusOr<std::string> UnverifiedIssuer(std::string_view token,
                                             std::size_t max_token_bytes) {
  const absl::StatusOr<TokenParts> parts = Split(token, max_token_bytes);
  if (!parts.ok()) return parts.status();
  const std::optional<std::string> payload = Base64UrlDecode(parts->payload);
  IssuerReader reader;
  if (!payload.has_value() || !reader.Read(*payload)) {
    return Malformed(
        "the token's claims are not a JSON object in base64url whose `iss` is "
        "a text");
  }
  return std::move(reader.issuer);
}

}  // namespace grpccommon
