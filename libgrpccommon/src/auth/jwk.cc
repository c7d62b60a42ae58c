// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/jwk.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "auth/key_material.h"
#include "auth/openssl.h"
#include "base/json_reader.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {
namespace {

using internal::DigestContextPtr;
using internal::KeyKind;
using internal::KeyMaterial;
using internal::KeyUse;
using internal::MacContextPtr;
using internal::MacPtr;

constexpr std::size_t kHs256Bytes = 32;
constexpr std::size_t kP256Bytes = 32;
constexpr std::array kAlgorithms = {JwtAlgorithm::kHs256, JwtAlgorithm::kRs256,
                                    JwtAlgorithm::kPs256, JwtAlgorithm::kEs256,
                                    JwtAlgorithm::kEdDsa};

constexpr std::string_view kPemBegin = "-----BEGIN ";
constexpr std::string_view kPemEnd = "-----END ";

absl::StatusOr<MacContextPtr> MakeMac(std::string_view secret) {
  const MacPtr mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  MacContextPtr context(mac == nullptr ? nullptr : EVP_MAC_CTX_new(mac.get()));
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  if (context == nullptr || EVP_MAC_init(context.get(), internal::Bytes(secret),
                                         secret.size(), params) != 1) {
    return absl::InternalError("HMAC-SHA256 is not available");
  }
  return context;
}

absl::StatusOr<DigestContextPtr> MakeVerify(JwtAlgorithm algorithm,
                                            EVP_PKEY* pkey) {
  DigestContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by `context`
  const char* const digest =
      algorithm == JwtAlgorithm::kEdDsa ? nullptr : "SHA256";
  bool made = context != nullptr &&
              EVP_DigestVerifyInit_ex(context.get(), &parameters, digest,
                                      nullptr, nullptr, pkey, nullptr) == 1;
  if (made && algorithm == JwtAlgorithm::kPs256) {
    // RFC 7518, section 3.5: MGF1 and a salt as long as the digest.
    made =
        EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) ==
            1;
  }
  if (!made) {
    return absl::InternalError(
        absl::StrCat(ToAbsl(JwtAlgorithmName(algorithm)), " is not available"));
  }
  return context;
}

// One coordinate as a DER INTEGER: minimal and not negative. Returns the end.
unsigned char* WriteDerInteger(const unsigned char* number,
                               unsigned char* out) {
  const unsigned char* const end = number + kP256Bytes;
  while (number != end - 1 && *number == 0) ++number;
  const bool pad = (*number & 0x80) != 0;
  *out++ = 0x02;
  *out++ = static_cast<unsigned char>(end - number + (pad ? 1 : 0));
  if (pad) *out++ = 0;
  return std::copy(number, end, out);
}

// JOSE writes an ECDSA signature as r || s, OpenSSL reads SEQUENCE { r, s }.
struct DerSignature {
  explicit DerSignature(std::string_view raw) {
    unsigned char* end =
        WriteDerInteger(internal::Bytes(raw), bytes.data() + 2);
    end = WriteDerInteger(internal::Bytes(raw) + kP256Bytes, end);
    size = static_cast<std::size_t>(end - bytes.data());
    bytes[0] = 0x30;
    bytes[1] = static_cast<unsigned char>(size - 2);
  }
  std::array<unsigned char, 2 + 2 * (3 + kP256Bytes)> bytes;
  std::size_t size;
};

}  // namespace

std::string_view JwtAlgorithmName(JwtAlgorithm algorithm) {
  switch (algorithm) {
    case JwtAlgorithm::kHs256:
      return "HS256";
    case JwtAlgorithm::kRs256:
      return "RS256";
    case JwtAlgorithm::kPs256:
      return "PS256";
    case JwtAlgorithm::kEs256:
      return "ES256";
    case JwtAlgorithm::kEdDsa:
      return "EdDSA";
  }
  return "";
}

std::optional<JwtAlgorithm> ParseJwtAlgorithm(std::string_view name) {
  for (const JwtAlgorithm algorithm : kAlgorithms) {
    if (JwtAlgorithmName(algorithm) == name) return algorithm;
  }
  return std::nullopt;
}

struct Jwk::Impl {
  static absl::StatusOr<Jwk> Make(absl::StatusOr<KeyMaterial> key);

  KeyMaterial key;
  std::size_t signature_bytes = 0;
  // Each is set up once and copied for each signature: setting up looks
  // algorithms up in OpenSSL's tables, behind a lock.
  MacContextPtr mac;
  std::array<DigestContextPtr, kAlgorithms.size()> verify;
};

absl::StatusOr<Jwk> Jwk::Impl::Make(absl::StatusOr<KeyMaterial> key) {
  if (!key.ok()) return key.status();
  const internal::OpensslErrorScope errors;
  auto impl = std::make_shared<Impl>();
  impl->key = *std::move(key);
  if (impl->key.kind == KeyKind::kSecret) {
    absl::StatusOr<MacContextPtr> mac = MakeMac(impl->key.secret);
    if (!mac.ok()) return mac.status();
    impl->mac = *std::move(mac);
    impl->signature_bytes = kHs256Bytes;
    return Jwk(std::move(impl));
  }
  impl->signature_bytes =
      impl->key.kind == KeyKind::kP256
          ? 2 * kP256Bytes
          : static_cast<std::size_t>(EVP_PKEY_get_size(impl->key.pkey.get()));
  for (const JwtAlgorithm algorithm : kAlgorithms) {
    if (!impl->key.Allows(algorithm)) continue;
    absl::StatusOr<DigestContextPtr> context =
        MakeVerify(algorithm, impl->key.pkey.get());
    if (!context.ok()) return context.status();
    impl->verify[static_cast<std::size_t>(algorithm)] = *std::move(context);
  }
  return Jwk(std::move(impl));
}

Jwk::Jwk(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<Jwk> Jwk::FromJson(std::string_view text) {
  const absl::StatusOr<nlohmann::json> jwk =
      internal::ParseJson(text, "JWK", JwkSet::kMaxBytes);
  if (!jwk.ok()) return jwk.status();
  return Impl::Make(internal::KeyFromJwk(*jwk, KeyUse::kVerify));
}

absl::StatusOr<Jwk> Jwk::FromPem(std::string_view pem, std::string id) {
  absl::StatusOr<KeyMaterial> key = internal::KeyFromPem(pem, KeyUse::kVerify);
  if (key.ok()) key->id = std::move(id);
  return Impl::Make(std::move(key));
}

absl::StatusOr<Jwk> Jwk::FromSecret(std::string_view secret, std::string id) {
  absl::StatusOr<KeyMaterial> key = internal::KeyFromSecret(secret);
  if (key.ok()) key->id = std::move(id);
  return Impl::Make(std::move(key));
}

const std::string& Jwk::id() const { return impl_->key.id; }

bool Jwk::Allows(JwtAlgorithm algorithm) const {
  return impl_->key.Allows(algorithm);
}

bool Jwk::Verify(JwtAlgorithm algorithm, std::string_view message,
                 std::string_view signature) const {
  if (!Allows(algorithm) || signature.size() != impl_->signature_bytes) {
    return false;
  }
  const internal::OpensslErrorScope errors;
  if (algorithm == JwtAlgorithm::kHs256) {
    const MacContextPtr mac(EVP_MAC_CTX_dup(impl_->mac.get()));
    std::array<unsigned char, kHs256Bytes> expected;
    std::size_t size = 0;
    return mac != nullptr &&
           EVP_MAC_update(mac.get(), internal::Bytes(message),
                          message.size()) == 1 &&
           EVP_MAC_final(mac.get(), expected.data(), &size, expected.size()) ==
               1 &&
           size == expected.size() &&
           CRYPTO_memcmp(expected.data(), signature.data(), size) == 0;
  }
  const DigestContextPtr context(EVP_MD_CTX_new());
  if (context == nullptr ||
      EVP_MD_CTX_copy_ex(
          context.get(),
          impl_->verify[static_cast<std::size_t>(algorithm)].get()) != 1) {
    return false;
  }
  if (algorithm == JwtAlgorithm::kEs256) {
    const DerSignature der(signature);
    return EVP_DigestVerify(context.get(), der.bytes.data(), der.size,
                            internal::Bytes(message), message.size()) == 1;
  }
  return EVP_DigestVerify(context.get(), internal::Bytes(signature),
                          signature.size(), internal::Bytes(message),
                          message.size()) == 1;
}

JwkSet::JwkSet(std::vector<Jwk> keys) {
  for (Jwk& key : keys) Take(std::move(key));
}

void JwkSet::Take(absl::StatusOr<Jwk> key) {
  const auto skip = [this](absl::string_view why) {
    skipped_.push_back(
        absl::StrCat("key ", keys_.size() + skipped_.size() + 1, ": ", why));
  };
  if (!key.ok()) return skip(key.status().message());
  if (!key->id().empty()) {
    keys_.push_back(*std::move(key));
    return;
  }
  const auto end =
      std::find_if(keys_.begin(), keys_.end(),
                   [](const Jwk& other) { return !other.id().empty(); });
  for (const JwtAlgorithm algorithm : kAlgorithms) {
    if (!key->Allows(algorithm)) continue;
    const auto same = std::count_if(
        keys_.begin(), end,
        [algorithm](const Jwk& other) { return other.Allows(algorithm); });
    if (static_cast<std::size_t>(same) < kMaxTried) continue;
    return skip(absl::StrCat("more than ", kMaxTried, " ",
                             ToAbsl(JwtAlgorithmName(algorithm)),
                             " keys without an id"));
  }
  keys_.insert(end, *std::move(key));
}

absl::StatusOr<JwkSet> JwkSet::Parse(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("keys: larger than ", kMaxBytes, " bytes"));
  }
  const absl::Status too_many = absl::InvalidArgumentError(
      absl::StrCat("keys: more than ", kMaxKeys, " keys"));
  JwkSet set;
  if (text.find(kPemBegin) != std::string_view::npos) {
    std::size_t count = 0;
    for (std::size_t begin = text.find(kPemBegin);
         begin != std::string_view::npos;) {
      if (++count > kMaxKeys) return too_many;
      const std::size_t next = text.find(kPemBegin, begin + 1);
      const std::string_view block = text.substr(begin, next - begin);
      if (block.find(kPemEnd) == std::string_view::npos) {
        return absl::InvalidArgumentError("keys: a PEM block does not end");
      }
      set.Take(Jwk::FromPem(block));
      begin = next;
    }
  } else {
    const absl::StatusOr<nlohmann::json> root =
        internal::ParseJson(text, "keys", kMaxBytes);
    if (!root.ok()) return root.status();
    const auto keys = root->is_object() ? root->find("keys") : root->end();
    if (root->is_object() && root->contains("kty")) {
      set.Take(Jwk::Impl::Make(internal::KeyFromJwk(*root, KeyUse::kVerify)));
    } else if (keys == root->end() || !keys->is_array()) {
      return absl::InvalidArgumentError("keys: neither a JWK set nor a JWK");
    } else if (keys->size() > kMaxKeys) {
      return too_many;
    } else {
      for (const nlohmann::json& jwk : *keys) {
        set.Take(Jwk::Impl::Make(internal::KeyFromJwk(jwk, KeyUse::kVerify)));
      }
    }
  }
  if (set.keys_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("keys: no usable key", set.skipped_.empty() ? "" : "; ",
                     set.skipped_.empty() ? "" : set.skipped_.front()));
  }
  return set;
}

}  // namespace grpccommon
