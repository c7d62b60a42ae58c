// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// The signature algorithms of RFC 7518 and RFC 8037 that are spoken here.
enum class JwtAlgorithm : std::uint8_t {
  kHs256,
  kRs256,
  kPs256,
  kEs256,
  kEdDsa
};

/// "HS256", "RS256", "PS256", "ES256" or "EdDSA".
GRPCCOMMON_EXPORT std::string_view JwtAlgorithmName(JwtAlgorithm algorithm);
/// The reverse, case-sensitive as in RFC 7515; nothing for any other name,
/// "none" included.
GRPCCOMMON_EXPORT std::optional<JwtAlgorithm> ParseJwtAlgorithm(
    std::string_view name);

/// A key that verifies signatures, pinned to the algorithms of its type, so
/// that a token cannot choose how it is checked: a secret does HS256 only, RSA
/// does RS256 and PS256 (the one in `alg` if the key has it), P-256 does ES256,
/// Ed25519 does EdDSA.
///
/// Immutable, cheap to copy, thread-safe.
class GRPCCOMMON_EXPORT Jwk {
 public:
  /// Reads one JSON Web Key (RFC 7517). A private part is ignored.
  /// Errors: kUnimplemented for a type, curve, algorithm or use (`use`,
  /// `key_ops`) that is not for verifying here; kInvalidArgument for a broken
  /// key, RSA outside 2048 to 8192 bits, a secret below 32 bytes (RFC 7518,
  /// section 3.2), a point off its curve. Messages never hold key material.
  static absl::StatusOr<Jwk> FromJson(std::string_view json);

  /// Reads the first "PUBLIC KEY" or "CERTIFICATE" block. A certificate only
  /// brings its key: neither its issuer nor its dates are looked at.
  /// Errors: as above; kInvalidArgument for a private key, which has no
  /// business with a verifier.
  static absl::StatusOr<Jwk> FromPem(std::string_view pem, std::string id = "");

  /// An HS256 secret of at least 32 bytes.
  static absl::StatusOr<Jwk> FromSecret(std::string_view secret,
                                        std::string id = "");

  /// The `kid`; empty for a key that fits every token of its algorithm.
  const std::string& id() const;

  bool Allows(JwtAlgorithm algorithm) const;

  /// Whether `signature`, in JOSE's form, is this key's for `message`. False as
  /// well if the key is not for `algorithm`.
  bool Verify(JwtAlgorithm algorithm, std::string_view message,
              std::string_view signature) const;

 private:
  friend class JwkSet;
  struct Impl;
  explicit Jwk(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

/// The keys that are in force together.
///
/// Immutable, cheap to copy, thread-safe.
class GRPCCOMMON_EXPORT JwkSet {
 public:
  /// Most bytes and keys that a text may have.
  static constexpr std::size_t kMaxBytes = 1 << 20;
  static constexpr std::size_t kMaxKeys = 256;
  /// Most keys that are tried for one token, which bounds what a stranger's
  /// token costs: all without an id (of an algorithm there are no more), then,
  /// if the token names none, those with one.
  static constexpr std::size_t kMaxTried = 16;

  /// No keys: nothing verifies.
  JwkSet() = default;
  /// Leaves out the keys of an algorithm without an id beyond `kMaxTried`.
  explicit JwkSet(std::vector<Jwk> keys);

  /// Reads a JWK set, a single JWK, or PEM with one or more public keys and
  /// certificates, which have no id. Keys that cannot be used here are left
  /// out, as RFC 7517, section 5, asks, and so are those that would never be
  /// tried; `skipped()` names both.
  /// Errors: kInvalidArgument if the text is none of these, has too many bytes
  /// or keys, or no usable key at all.
  static absl::StatusOr<JwkSet> Parse(std::string_view text);

  /// In the order in which they are tried: those without an id first.
  const std::vector<Jwk>& keys() const { return keys_; }
  bool empty() const { return keys_.empty(); }

  /// One sentence for each key that was left out; without key material.
  const std::vector<std::string>& skipped() const { return skipped_; }

 private:
  // The next key.
  void Take(absl::StatusOr<Jwk> key);

  std::vector<Jwk> keys_;
  std::vector<std::string> skipped_;
};

}  // namespace grpccommon
