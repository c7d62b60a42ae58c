// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "auth/openssl.h"
#include "grpccommon/auth/jwk.h"
#include "nlohmann/json.hpp"

namespace grpccommon::internal {

enum class KeyKind { kSecret, kRsa, kP256, kEd25519 };
enum class KeyUse { kVerify, kSign };

/// A key as OpenSSL wants it, and what it may be used for.
struct KeyMaterial {
  KeyMaterial() = default;
  KeyMaterial(KeyMaterial&&) = default;
  KeyMaterial& operator=(KeyMaterial&&) = default;
  ~KeyMaterial() { OPENSSL_cleanse(secret.data(), secret.size()); }

  KeyKind kind = KeyKind::kSecret;
  std::string id;
  // Bit per JwtAlgorithm.
  std::uint8_t algorithms = 0;
  std::string secret;  // kSecret
  PkeyPtr pkey;        // every other kind

  bool Allows(JwtAlgorithm algorithm) const {
    return ((algorithms >> static_cast<int>(algorithm)) & 1) != 0;
  }
  /// Leaves only `algorithm`. Errors: kInvalidArgument if the key's type
  /// cannot.
  absl::Status Pin(JwtAlgorithm algorithm);
};

/// Errors of all: as Jwk::FromJson.
absl::StatusOr<KeyMaterial> KeyFromJwk(const nlohmann::json& jwk, KeyUse use);
absl::StatusOr<KeyMaterial> KeyFromSecret(std::string_view secret);
absl::StatusOr<KeyMaterial> KeyFromPkey(PkeyPtr pkey);
absl::StatusOr<KeyMaterial> KeyFromPem(std::string_view pem, KeyUse use);
absl::StatusOr<KeyMaterial> GenerateKey(JwtAlgorithm algorithm);

/// The reverse of KeyFromJwk; a secret has no public part, so it is only there
/// with `private_part`.
nlohmann::json KeyToJwk(const KeyMaterial& key, bool private_part);

}  // namespace grpccommon::internal
