// SPDX-License-Identifier: Apache-2.0
#include "auth/key_material.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon::internal {
namespace {

using nlohmann::json;

constexpr std::size_t kMinSecretBytes = 32;  // RFC 7518, section 3.2
constexpr std::size_t kMaxSecretBytes = 1024;
constexpr int kMinRsaBits = 2048;  // RFC 7518, section 3.3
// A larger modulus or exponent makes each verification a denial of service.
constexpr int kMaxRsaBits = 8192;
constexpr int kMaxRsaExponentBits = 64;
constexpr std::size_t kP256Bytes = 32;
constexpr std::size_t kEd25519Bytes = 32;

using ParamBuilderPtr = OpensslPtr<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using ParamsPtr = OpensslPtr<OSSL_PARAM, OSSL_PARAM_free>;

constexpr std::uint8_t Bit(JwtAlgorithm algorithm) {
  return static_cast<std::uint8_t>(1u << static_cast<int>(algorithm));
}

std::uint8_t AlgorithmsOf(KeyKind kind) {
  switch (kind) {
    case KeyKind::kSecret:
      return Bit(JwtAlgorithm::kHs256);
    case KeyKind::kRsa:
      return Bit(JwtAlgorithm::kRs256) | Bit(JwtAlgorithm::kPs256);
    case KeyKind::kP256:
      return Bit(JwtAlgorithm::kEs256);
    case KeyKind::kEd25519:
      return Bit(JwtAlgorithm::kEdDsa);
  }
  return 0;
}

absl::Status Broken(std::string_view what) {
  return absl::InvalidArgumentError(ToAbsl(what));
}

// A member that must be a string if it is there.
absl::StatusOr<std::optional<std::string>> TextMember(const json& jwk,
                                                      const char* name) {
  const auto member = jwk.find(name);
  if (member == jwk.end()) return std::optional<std::string>();
  if (!member->is_string()) {
    return Broken(absl::StrCat("\"", name, "\" must be a string"));
  }
  return std::optional<std::string>(member->get<std::string>());
}

absl::StatusOr<std::string> BytesMember(const json& jwk, const char* name) {
  const auto member = jwk.find(name);
  if (member == jwk.end() || !member->is_string()) {
    return Broken(absl::StrCat("\"", name, "\" is missing"));
  }
  std::optional<std::string> bytes =
      Base64UrlDecode(member->get_ref<const std::string&>());
  if (!bytes.has_value() || bytes->empty()) {
    return Broken(absl::StrCat("\"", name, "\" is not base64url"));
  }
  return *std::move(bytes);
}

absl::StatusOr<BignumPtr> NumberMember(const json& jwk, const char* name) {
  absl::StatusOr<std::string> bytes = BytesMember(jwk, name);
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() > kMaxRsaBits / 8 + 1) {
    return Broken(absl::StrCat("\"", name, "\" is too large"));
  }
  BignumPtr number(
      BN_bin2bn(Bytes(*bytes), static_cast<int>(bytes->size()), nullptr));
  OPENSSL_cleanse(bytes->data(), bytes->size());
  if (number == nullptr) return absl::ResourceExhaustedError("out of memory");
  return number;
}

// Whether `use`, `key_ops` and `alg` let the key be used so; takes over `alg`.
absl::Status ApplyRestrictions(const json& jwk, KeyUse use, KeyMaterial& key) {
  absl::StatusOr<std::optional<std::string>> text = TextMember(jwk, "use");
  if (!text.ok()) return text.status();
  if (text->has_value() && **text != "sig") {
    return absl::UnimplementedError("\"use\" is not \"sig\"");
  }
  const auto operations = jwk.find("key_ops");
  if (operations != jwk.end()) {
    if (!operations->is_array()) return Broken("\"key_ops\" must be an array");
    const json wanted = use == KeyUse::kVerify ? "verify" : "sign";
    if (std::find(operations->begin(), operations->end(), wanted) ==
        operations->end()) {
      return absl::UnimplementedError(
          absl::StrCat("\"key_ops\" does not permit to ",
                       wanted.get_ref<const std::string&>()));
    }
  }
  text = TextMember(jwk, "alg");
  if (!text.ok()) return text.status();
  if (text->has_value()) {
    const std::optional<JwtAlgorithm> algorithm = ParseJwtAlgorithm(**text);
    if (!algorithm.has_value()) {
      return absl::UnimplementedError("\"alg\" is not supported");
    }
    if (absl::Status pinned = key.Pin(*algorithm); !pinned.ok()) {
      return pinned;
    }
  }
  text = TextMember(jwk, "kid");
  if (!text.ok()) return text.status();
  if (text->has_value()) key.id = **std::move(text);
  return absl::OkStatus();
}

absl::StatusOr<PkeyPtr> PkeyFromParams(const char* type,
                                       OSSL_PARAM_BLD* builder, KeyUse use) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  const PkeyContextPtr context(
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* pkey = nullptr;
  if (params == nullptr || context == nullptr ||
      EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(
          context.get(), &pkey,
          use == KeyUse::kSign ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
          params.get()) != 1) {
    return Broken("not a valid key");
  }
  return PkeyPtr(pkey);
}

absl::StatusOr<KeyMaterial> RsaFromJwk(const json& jwk, KeyUse use) {
  struct Part {
    const char* member;
    const char* param;
  };
  static constexpr std::array<Part, 8> kParts = {{
      {"n", OSSL_PKEY_PARAM_RSA_N},
      {"e", OSSL_PKEY_PARAM_RSA_E},
      {"d", OSSL_PKEY_PARAM_RSA_D},
      {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
      {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},
      {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
      {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2},
      {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
  }};
  if (jwk.contains("oth")) {
    return absl::UnimplementedError("RSA with more than two primes");
  }
  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  std::vector<BignumPtr> numbers;  // the builder borrows them
  const std::size_t count = use == KeyUse::kSign ? kParts.size() : 2;
  for (std::size_t i = 0; i < count; ++i) {
    absl::StatusOr<BignumPtr> number = NumberMember(jwk, kParts[i].member);
    if (!number.ok()) return number.status();
    numbers.push_back(*std::move(number));
    if (OSSL_PARAM_BLD_push_BN(builder.get(), kParts[i].param,
                               numbers.back().get()) != 1) {
      return Broken("not a valid key");
    }
  }
  absl::StatusOr<PkeyPtr> pkey = PkeyFromParams("RSA", builder.get(), use);
  if (!pkey.ok()) return pkey.status();
  return KeyFromPkey(*std::move(pkey));
}

absl::StatusOr<KeyMaterial> P256FromJwk(const json& jwk, KeyUse use) {
  std::string point = "\x04";  // uncompressed
  for (const char* const coordinate : {"x", "y"}) {
    const absl::StatusOr<std::string> bytes = BytesMember(jwk, coordinate);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() != kP256Bytes) {
      return Broken(absl::StrCat("\"", coordinate, "\" must have 32 bytes"));
    }
    point += *bytes;
  }
  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                      "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY,
                                       point.data(), point.size()) != 1) {
    return Broken("not a valid key");
  }
  BignumPtr secret;
  if (use == KeyUse::kSign) {
    absl::StatusOr<BignumPtr> number = NumberMember(jwk, "d");
    if (!number.ok()) return number.status();
    secret = *std::move(number);
    if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY,
                               secret.get()) != 1) {
      return Broken("not a valid key");
    }
  }
  absl::StatusOr<PkeyPtr> pkey = PkeyFromParams("EC", builder.get(), use);
  if (!pkey.ok()) return pkey.status();
  return KeyFromPkey(*std::move(pkey));
}

absl::StatusOr<KeyMaterial> Ed25519FromJwk(const json& jwk, KeyUse use) {
  const absl::StatusOr<std::string> x = BytesMember(jwk, "x");
  if (!x.ok()) return x.status();
  if (x->size() != kEd25519Bytes) return Broken("\"x\" must have 32 bytes");
  if (use == KeyUse::kVerify) {
    return KeyFromPkey(PkeyPtr(EVP_PKEY_new_raw_public_key_ex(
        nullptr, "ED25519", nullptr, Bytes(*x), x->size())));
  }
  absl::StatusOr<std::string> d = BytesMember(jwk, "d");
  if (!d.ok()) return d.status();
  if (d->size() != kEd25519Bytes) return Broken("\"d\" must have 32 bytes");
  PkeyPtr pkey(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr,
                                               Bytes(*d), d->size()));
  OPENSSL_cleanse(d->data(), d->size());
  std::array<unsigned char, kEd25519Bytes> own;
  std::size_t length = own.size();
  if (pkey == nullptr ||
      EVP_PKEY_get_raw_public_key(pkey.get(), own.data(), &length) != 1 ||
      CRYPTO_memcmp(own.data(), x->data(), own.size()) != 0) {
    return Broken("\"x\" does not belong to \"d\"");
  }
  return KeyFromPkey(std::move(pkey));
}

// Refuses to ask for a pass phrase, which would block on the terminal.
int NoPassPhrase(char* /*buffer*/, int /*size*/, int /*writing*/,
                 void* /*data*/) {
  return -1;
}

BignumPtr NumberOf(const EVP_PKEY* pkey, const char* param) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(pkey, param, &number);
  return BignumPtr(number);
}

std::string EncodeNumber(const EVP_PKEY* pkey, const char* param,
                         int bytes = 0) {
  const BignumPtr number = NumberOf(pkey, param);
  if (number == nullptr) return "";
  const int size = bytes != 0 ? bytes : BN_num_bytes(number.get());
  std::string binary(static_cast<std::size_t>(size), '\0');
  BN_bn2binpad(number.get(), reinterpret_cast<unsigned char*>(binary.data()),
               size);
  std::string text = Base64UrlEncode(binary);
  OPENSSL_cleanse(binary.data(), binary.size());
  return text;
}

}  // namespace

absl::Status KeyMaterial::Pin(JwtAlgorithm algorithm) {
  if (!Allows(algorithm)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the key's type is not for ", ToAbsl(JwtAlgorithmName(algorithm))));
  }
  algorithms = Bit(algorithm);
  return absl::OkStatus();
}

absl::StatusOr<KeyMaterial> KeyFromSecret(std::string_view secret) {
  if (secret.size() < kMinSecretBytes || secret.size() > kMaxSecretBytes) {
    return Broken(absl::StrCat("a secret must have ", kMinSecretBytes, " to ",
                               kMaxSecretBytes, " bytes"));
  }
  KeyMaterial key;
  key.kind = KeyKind::kSecret;
  key.algorithms = AlgorithmsOf(key.kind);
  key.secret = secret;
  return key;
}

absl::StatusOr<KeyMaterial> KeyFromPkey(PkeyPtr pkey) {
  if (pkey == nullptr) return Broken("not a valid key");
  const OpensslErrorScope errors;
  KeyMaterial key;
  if (EVP_PKEY_is_a(pkey.get(), "RSA") == 1) {
    key.kind = KeyKind::kRsa;
    const int bits = EVP_PKEY_get_bits(pkey.get());
    if (bits < kMinRsaBits || bits > kMaxRsaBits) {
      return Broken(absl::StrCat("RSA must have ", kMinRsaBits, " to ",
                                 kMaxRsaBits, " bits, got ", bits));
    }
    const BignumPtr modulus = NumberOf(pkey.get(), OSSL_PKEY_PARAM_RSA_N);
    const BignumPtr exponent = NumberOf(pkey.get(), OSSL_PKEY_PARAM_RSA_E);
    if (modulus == nullptr || exponent == nullptr ||
        !BN_is_odd(modulus.get()) || !BN_is_odd(exponent.get()) ||
        BN_is_one(exponent.get()) ||
        BN_num_bits(exponent.get()) > kMaxRsaExponentBits) {
      return Broken("RSA with an unsound modulus or exponent");
    }
  } else if (EVP_PKEY_is_a(pkey.get(), "EC") == 1) {
    key.kind = KeyKind::kP256;
    std::array<char, 64> group{};
    if (EVP_PKEY_get_group_name(pkey.get(), group.data(), group.size(),
                                nullptr) != 1 ||
        std::string_view(group.data()) != "prime256v1") {
      return absl::UnimplementedError("the curve is not P-256");
    }
    const PkeyContextPtr context(
        EVP_PKEY_CTX_new_from_pkey(nullptr, pkey.get(), nullptr));
    if (context == nullptr || EVP_PKEY_public_check(context.get()) != 1) {
      return Broken("the point is not on P-256");
    }
  } else if (EVP_PKEY_is_a(pkey.get(), "ED25519") == 1) {
    key.kind = KeyKind::kEd25519;
  } else {
    return absl::UnimplementedError("the key's type is not supported");
  }
  key.algorithms = AlgorithmsOf(key.kind);
  key.pkey = std::move(pkey);
  return key;
}

absl::StatusOr<KeyMaterial> KeyFromJwk(const json& jwk, KeyUse use) {
  const OpensslErrorScope errors;
  if (!jwk.is_object()) return Broken("a JWK must be an object");
  absl::StatusOr<std::optional<std::string>> type = TextMember(jwk, "kty");
  if (!type.ok()) return type.status();
  if (!type->has_value()) return Broken("\"kty\" is missing");
  absl::StatusOr<std::optional<std::string>> curve = TextMember(jwk, "crv");
  if (!curve.ok()) return curve.status();

  absl::StatusOr<KeyMaterial> key =
      absl::UnimplementedError("the key's type or curve is not supported");
  if (**type == "oct") {
    absl::StatusOr<std::string> secret = BytesMember(jwk, "k");
    if (!secret.ok()) return secret.status();
    key = KeyFromSecret(*secret);
    OPENSSL_cleanse(secret->data(), secret->size());
  } else if (**type == "RSA") {
    key = RsaFromJwk(jwk, use);
  } else if (**type == "EC" && *curve == "P-256") {
    key = P256FromJwk(jwk, use);
  } else if (**type == "OKP" && *curve == "Ed25519") {
    key = Ed25519FromJwk(jwk, use);
  }
  if (!key.ok()) return key.status();
  if (use == KeyUse::kSign && key->pkey != nullptr) {
    const PkeyContextPtr context(
        EVP_PKEY_CTX_new_from_pkey(nullptr, key->pkey.get(), nullptr));
    if (context == nullptr || EVP_PKEY_pairwise_check(context.get()) != 1) {
      return Broken("private and public part do not belong together");
    }
  }
  if (const absl::Status allowed = ApplyRestrictions(jwk, use, *key);
      !allowed.ok()) {
    return allowed;
  }
  return key;
}

absl::StatusOr<KeyMaterial> KeyFromPem(std::string_view pem, KeyUse use) {
  const OpensslErrorScope errors;
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  PkeyPtr pkey;
  if (use == KeyUse::kSign) {
    pkey.reset(
        PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassPhrase, nullptr));
    if (pkey == nullptr) return Broken("no unencrypted private key in the PEM");
  } else if (pem.find("PRIVATE KEY-----") != std::string_view::npos) {
    return Broken("the PEM holds a private key: give the public one");
  } else if (pem.find("-----BEGIN CERTIFICATE-----") !=
             std::string_view::npos) {
    const X509Ptr certificate(
        PEM_read_bio_X509(bio.get(), nullptr, NoPassPhrase, nullptr));
    if (certificate == nullptr) return Broken("no certificate in the PEM");
    pkey.reset(X509_get_pubkey(certificate.get()));
  } else {
    pkey.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassPhrase, nullptr));
    if (pkey == nullptr) return Broken("no public key in the PEM");
  }
  return KeyFromPkey(std::move(pkey));
}

absl::StatusOr<KeyMaterial> GenerateKey(JwtAlgorithm algorithm) {
  const OpensslErrorScope errors;
  absl::StatusOr<KeyMaterial> key = absl::InternalError("no random numbers");
  switch (algorithm) {
    case JwtAlgorithm::kHs256: {
      std::string secret(kMinSecretBytes, '\0');
      if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(secret.data()),
                          static_cast<int>(secret.size())) != 1) {
        return key.status();
      }
      key = KeyFromSecret(secret);
      OPENSSL_cleanse(secret.data(), secret.size());
      break;
    }
    case JwtAlgorithm::kRs256:
    case JwtAlgorithm::kPs256:
      key = KeyFromPkey(PkeyPtr(EVP_PKEY_Q_keygen(
          nullptr, nullptr, "RSA", static_cast<std::size_t>(kMinRsaBits))));
      break;
    case JwtAlgorithm::kEs256:
      key = KeyFromPkey(
          PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")));
      break;
    case JwtAlgorithm::kEdDsa:
      key =
          KeyFromPkey(PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")));
      break;
  }
  if (key.ok()) {
    if (const absl::Status pinned = key->Pin(algorithm); !pinned.ok()) {
      return pinned;
    }
  }
  return key;
}

json KeyToJwk(const KeyMaterial& key, bool private_part) {
  json jwk = json::object();
  switch (key.kind) {
    case KeyKind::kSecret:
      jwk["kty"] = "oct";
      if (private_part) jwk["k"] = Base64UrlEncode(key.secret);
      break;
    case KeyKind::kRsa:
      jwk["kty"] = "RSA";
      jwk["n"] = EncodeNumber(key.pkey.get(), OSSL_PKEY_PARAM_RSA_N);
      jwk["e"] = EncodeNumber(key.pkey.get(), OSSL_PKEY_PARAM_RSA_E);
      if (private_part) {
        const EVP_PKEY* const pkey = key.pkey.get();
        jwk["d"] = EncodeNumber(pkey, OSSL_PKEY_PARAM_RSA_D);
        jwk["p"] = EncodeNumber(pkey, OSSL_PKEY_PARAM_RSA_FACTOR1);
        jwk["q"] = EncodeNumber(pkey, OSSL_PKEY_PARAM_RSA_FACTOR2);
        jwk["dp"] = EncodeNumber(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1);
        jwk["dq"] = EncodeNumber(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2);
        jwk["qi"] = EncodeNumber(pkey, OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
      }
      break;
    case KeyKind::kP256:
      jwk["kty"] = "EC";
      jwk["crv"] = "P-256";
      jwk["x"] = EncodeNumber(key.pkey.get(), OSSL_PKEY_PARAM_EC_PUB_X, 32);
      jwk["y"] = EncodeNumber(key.pkey.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 32);
      if (private_part) {
        jwk["d"] = EncodeNumber(key.pkey.get(), OSSL_PKEY_PARAM_PRIV_KEY, 32);
      }
      break;
    case KeyKind::kEd25519: {
      jwk["kty"] = "OKP";
      jwk["crv"] = "Ed25519";
      std::string bytes(kEd25519Bytes, '\0');
      auto* const data = reinterpret_cast<unsigned char*>(bytes.data());
      std::size_t length = bytes.size();
      EVP_PKEY_get_raw_public_key(key.pkey.get(), data, &length);
      jwk["x"] = Base64UrlEncode(bytes);
      if (private_part) {
        EVP_PKEY_get_raw_private_key(key.pkey.get(), data, &length);
        jwk["d"] = Base64UrlEncode(bytes);
        OPENSSL_cleanse(bytes.data(), bytes.size());
      }
      break;
    }
  }
  jwk["use"] = "sig";
  if (!key.id.empty()) jwk["kid"] = key.id;
  for (const JwtAlgorithm algorithm :
       {JwtAlgorithm::kHs256, JwtAlgorithm::kRs256, JwtAlgorithm::kPs256,
        JwtAlgorithm::kEs256, JwtAlgorithm::kEdDsa}) {
    if (key.algorithms == Bit(algorithm)) {
      jwk["alg"] = std::string(JwtAlgorithmName(algorithm));
    }
  }
  return jwk;
}

}  // namespace grpccommon::internal
