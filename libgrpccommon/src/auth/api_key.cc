// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/api_key.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "auth/openssl.h"
#include "base/json_reader.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

constexpr std::size_t kHashBytes = 32;
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMaxFileBytes = 16 << 20;

using Hash = std::array<unsigned char, kHashBytes>;

Hash Sha256(std::string_view text) {
  // Fetched once and kept: looking it up takes longer than hashing a key.
  static EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Hash hash{};
  EVP_Digest(text.data(), text.size(), hash.data(), nullptr, sha256, nullptr);
  return hash;
}

std::optional<Hash> HashFromHex(std::string_view hex) {
  if (hex.size() != 2 * kHashBytes ||
      !std::all_of(hex.begin(), hex.end(),
                   [](unsigned char c) { return absl::ascii_isxdigit(c); })) {
    return std::nullopt;
  }
  const std::string bytes = absl::HexStringToBytes(ToAbsl(hex));
  Hash hash;
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

}  // namespace

std::string HashApiKey(std::string_view key) {
  const Hash hash = Sha256(key);
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(hash.data()), hash.size()));
}

absl::StatusOr<std::string> GenerateApiKey() {
  std::string bytes(kKeyBytes, '\0');
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(bytes.data()),
                      static_cast<int>(bytes.size())) != 1) {
    return absl::InternalError("no random numbers");
  }
  return Base64UrlEncode(bytes);
}

absl::StatusOr<ApiKeySet> ApiKeySet::Create(const std::vector<ApiKey>& keys) {
  ApiKeySet set;
  std::set<std::string_view> names;
  for (const ApiKey& key : keys) {
    if (key.name.empty()) {
      return absl::InvalidArgumentError("an API key has no name");
    }
    if (!names.insert(key.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("API key \"", key.name, "\" appears twice"));
    }
    const std::optional<Hash> hash = HashFromHex(key.sha256);
    if (!hash.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "API key \"", key.name, "\": sha256 must be 64 hexadecimal digits"));
    }
    set.entries_.push_back({*hash, key.expires_at,
                            Principal{.subject = key.name,
                                      .issuer = "api-key",
                                      .roles = key.roles,
                                      .scopes = key.scopes}});
  }
  std::sort(set.entries_.begin(), set.entries_.end(),
            [](const Entry& a, const Entry& b) { return a.hash < b.hash; });
  const auto twin = std::adjacent_find(
      set.entries_.begin(), set.entries_.end(),
      [](const Entry& a, const Entry& b) { return a.hash == b.hash; });
  if (twin != set.entries_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("API keys \"", twin->principal.subject, "\" and \"",
                     std::next(twin)->principal.subject, "\" are the same"));
  }
  return set;
}

absl::StatusOr<ApiKeySet> ApiKeySet::Parse(std::string_view text) {
  const absl::StatusOr<nlohmann::json> root =
      internal::ParseJson(text, "API keys", kMaxFileBytes);
  if (!root.ok()) return root.status();
  if (absl::Status known = internal::CheckMembers(*root, "API keys", {"keys"});
      !known.ok()) {
    return known;
  }
  const auto list = root->find("keys");
  if (list == root->end() || !list->is_array()) {
    return absl::InvalidArgumentError("API keys: \"keys\" must be an array");
  }
  std::vector<ApiKey> keys;
  for (const nlohmann::json& element : *list) {
    const std::string where = absl::StrCat("keys[", keys.size(), "]");
    if (absl::Status known = internal::CheckMembers(
            element, where,
            {"name", "sha256", "roles", "scopes", "expires_at"});
        !known.ok()) {
      return known;
    }
    ApiKey key;
    for (const auto& [member, target] :
         {std::pair("name", &key.name), std::pair("sha256", &key.sha256)}) {
      const auto value = element.find(member);
      if (value == element.end() || !value->is_string()) {
        return absl::InvalidArgumentError(
            absl::StrCat(where, ".", member, ": must be a string"));
      }
      *target = value->get<std::string>();
    }
    absl::StatusOr<std::vector<std::string>> strings =
        internal::ReadStrings(element, "roles", where);
    if (!strings.ok()) return strings.status();
    key.roles = *std::move(strings);
    strings = internal::ReadStrings(element, "scopes", where);
    if (!strings.ok()) return strings.status();
    key.scopes = *std::move(strings);
    if (const auto expiry = element.find("expires_at");
        expiry != element.end()) {
      absl::Time time;
      if (!expiry->is_string() ||
          !absl::ParseTime(absl::RFC3339_full, expiry->get<std::string>(),
                           &time, nullptr)) {
        return absl::InvalidArgumentError(absl::StrCat(
            where, ".expires_at: must be a time such as 2027-01-01T00:00:00Z"));
      }
      // Saturates, so that "infinite-future" is what it says.
      key.expires_at =
          Clock::WallTime(std::chrono::nanoseconds(absl::ToUnixNanos(time)));
    }
    keys.push_back(std::move(key));
  }
  return Create(keys);
}

absl::StatusOr<const Principal*> ApiKeySet::Find(std::string_view key,
                                                 Clock::WallTime now) const {
  const auto unknown = [] {
    return Unauthenticated(auth_reason::kApiKeyUnknown,
                           "the API key is not known");
  };
  if (key.size() > kMaxKeyBytes) return unknown();
  const Hash hash = Sha256(key);
  const auto entry = std::lower_bound(
      entries_.begin(), entries_.end(), hash,
      [](const Entry& a, const Hash& b) { return a.hash < b; });
  if (entry == entries_.end() ||
      CRYPTO_memcmp(entry->hash.data(), hash.data(), hash.size()) != 0) {
    return unknown();
  }
  if (now >= entry->expires_at) {
    return Unauthenticated(auth_reason::kApiKeyExpired,
                           "the API key has expired: get a new one");
  }
  return &entry->principal;
}

}  // namespace grpccommon
