// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/jwt_signer.h"

#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "auth/key_material.h"
#include "auth/openssl.h"
#include "base/json_reader.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {
namespace {

using internal::KeyMaterial;
using internal::KeyUse;
using nlohmann::json;
using EcdsaSignaturePtr = internal::OpensslPtr<ECDSA_SIG, ECDSA_SIG_free>;

constexpr int kP256Bytes = 32;

std::int64_t Seconds(Clock::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch())
      .count();
}

absl::StatusOr<std::string> Dump(const json& value) {
  try {
    return value.dump();
  } catch (const json::exception&) {
    return absl::InvalidArgumentError("a claim is not UTF-8");
  }
}

// JOSE wants r || s where OpenSSL gives SEQUENCE { r, s }.
std::string RawFromDer(const std::string& der) {
  const unsigned char* in = internal::Bytes(der);
  const EcdsaSignaturePtr signature(
      d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der.size())));
  if (signature == nullptr) return "";
  std::string raw(std::size_t{2} * kP256Bytes, '\0');
  auto* const out = reinterpret_cast<unsigned char*>(raw.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, kP256Bytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + kP256Bytes, kP256Bytes);
  return raw;
}

// Empty if OpenSSL fails.
std::string MakeSignature(const KeyMaterial& key, JwtAlgorithm algorithm,
                          std::string_view message) {
  const internal::OpensslErrorScope errors;
  if (algorithm == JwtAlgorithm::kHs256) {
    std::string mac(EVP_MAX_MD_SIZE, '\0');
    unsigned int size = 0;
    if (HMAC(EVP_sha256(), key.secret.data(),
             static_cast<int>(key.secret.size()), internal::Bytes(message),
             message.size(), reinterpret_cast<unsigned char*>(mac.data()),
             &size) == nullptr) {
      return "";
    }
    mac.resize(size);
    return mac;
  }
  const internal::DigestContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by `context`
  std::size_t size = 0;
  const char* const digest =
      algorithm == JwtAlgorithm::kEdDsa ? nullptr : "SHA256";
  if (context == nullptr ||
      EVP_DigestSignInit_ex(context.get(), &parameters, digest, nullptr,
                            nullptr, key.pkey.get(), nullptr) != 1) {
    return "";
  }
  if (algorithm == JwtAlgorithm::kPs256 &&
      (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) != 1 ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) !=
           1)) {
    return "";
  }
  if (EVP_DigestSign(context.get(), nullptr, &size, internal::Bytes(message),
                     message.size()) != 1) {
    return "";
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(),
                     reinterpret_cast<unsigned char*>(signature.data()), &size,
                     internal::Bytes(message), message.size()) != 1) {
    return "";
  }
  signature.resize(size);
  return algorithm == JwtAlgorithm::kEs256 ? RawFromDer(signature) : signature;
}

}  // namespace

struct JwtSigner::Impl {
  static absl::StatusOr<JwtSigner> Make(absl::StatusOr<KeyMaterial> key,
                                        std::optional<JwtAlgorithm> algorithm,
                                        std::optional<std::string> id);
  KeyMaterial key;
  JwtAlgorithm algorithm;
  // `{"alg":…}`, encoded.
  std::string header;
};

absl::StatusOr<JwtSigner> JwtSigner::Impl::Make(
    absl::StatusOr<KeyMaterial> key, std::optional<JwtAlgorithm> algorithm,
    std::optional<std::string> id) {
  if (!key.ok()) return key.status();
  if (!algorithm.has_value()) {
    for (const JwtAlgorithm candidate :
         {JwtAlgorithm::kPs256, JwtAlgorithm::kRs256, JwtAlgorithm::kHs256,
          JwtAlgorithm::kEs256, JwtAlgorithm::kEdDsa}) {
      if (key->Allows(candidate)) algorithm = candidate;
    }
  }
  assert(algorithm.has_value());
  if (const absl::Status pinned = key->Pin(*algorithm); !pinned.ok()) {
    return pinned;
  }
  auto impl = std::make_shared<Impl>();
  impl->key = *std::move(key);
  impl->algorithm = *algorithm;
  if (id.has_value()) impl->key.id = *std::move(id);
  json header = {{"alg", std::string(JwtAlgorithmName(*algorithm))},
                 {"typ", "JWT"}};
  if (!impl->key.id.empty()) header["kid"] = impl->key.id;
  const absl::StatusOr<std::string> text = Dump(header);
  if (!text.ok()) return text.status();
  impl->header = Base64UrlEncode(*text);
  return JwtSigner(std::move(impl));
}

JwtSigner::JwtSigner(std::shared_ptr<const Impl> impl)
    : impl_(std::move(impl)) {}

absl::StatusOr<JwtSigner> JwtSigner::Generate(JwtAlgorithm algorithm,
                                              std::string id) {
  return Impl::Make(internal::GenerateKey(algorithm), algorithm, std::move(id));
}

absl::StatusOr<JwtSigner> JwtSigner::FromJwk(std::string_view text) {
  const absl::StatusOr<json> jwk =
      internal::ParseJson(text, "JWK", JwkSet::kMaxBytes);
  if (!jwk.ok()) return jwk.status();
  return Impl::Make(internal::KeyFromJwk(*jwk, KeyUse::kSign), std::nullopt,
                    std::nullopt);
}

absl::StatusOr<JwtSigner> JwtSigner::FromPem(std::string_view pem,
                                             JwtAlgorithm algorithm,
                                             std::string id) {
  return Impl::Make(internal::KeyFromPem(pem, KeyUse::kSign), algorithm,
                    std::move(id));
}

JwtAlgorithm JwtSigner::algorithm() const { return impl_->algorithm; }
const std::string& JwtSigner::id() const { return impl_->key.id; }

absl::StatusOr<std::string> JwtSigner::Sign(const JwtClaims& claims) const {
  json payload = json::object();
  const auto text = [&](const char* name, const std::string& value) {
    if (!value.empty()) payload[name] = value;
  };
  const auto time = [&](const char* name,
                        std::optional<Clock::WallTime> value) {
    if (value.has_value()) payload[name] = Seconds(*value);
  };
  text("sub", claims.subject);
  text("iss", claims.issuer);
  text("jti", claims.id);
  text("scope", absl::StrJoin(claims.scopes, " "));
  time("iat", claims.issued_at);
  time("nbf", claims.not_before);
  time("exp", claims.expires_at);
  if (claims.audiences.size() == 1) {
    payload["aud"] = claims.audiences.front();
  } else if (!claims.audiences.empty()) {
    payload["aud"] = claims.audiences;
  }
  if (!claims.roles.empty()) payload["roles"] = claims.roles;
  for (const auto& [name, value] : claims.attributes) {
    if (!payload.emplace(name, value).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("attribute \"", name, "\" repeats a claim"));
    }
  }
  const absl::StatusOr<std::string> json_text = Dump(payload);
  if (!json_text.ok()) return json_text.status();
  return SignPayload(*json_text);
}

absl::StatusOr<std::string> JwtSigner::SignPayload(
    std::string_view payload, std::string_view header_json) const {
  std::string token = absl::StrCat(
      header_json.empty() ? impl_->header : Base64UrlEncode(header_json), ".",
      Base64UrlEncode(payload));
  const std::string signature =
      MakeSignature(impl_->key, impl_->algorithm, token);
  if (signature.empty()) return absl::InternalError("signing failed");
  absl::StrAppend(&token, ".", Base64UrlEncode(signature));
  return token;
}

Jwk JwtSigner::verification_key() const {
  // What was written here reads back, or the signer would not exist.
  return *Jwk::FromJson(
      KeyToJwk(impl_->key, impl_->algorithm == JwtAlgorithm::kHs256).dump());
}

absl::StatusOr<std::string> JwtSigner::PublicJwks() const {
  if (impl_->algorithm == JwtAlgorithm::kHs256) {
    return absl::FailedPreconditionError(
        "an HS256 key is secret and has no public part");
  }
  return json{{"keys", json::array({KeyToJwk(impl_->key, false)})}}.dump();
}

std::string JwtSigner::PrivateJwk() const {
  return KeyToJwk(impl_->key, true).dump();
}

}  // namespace grpccommon
