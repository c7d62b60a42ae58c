// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace platform::user {

/// Keeps secrets in a database that must not tell them, under a key from a
/// file. Whoever has one of the two has nothing.
///
/// Immutable and thread-safe. Source: libsodium's secretbox (XSalsa20 and
/// Poly1305) and generichash (BLAKE2b), with a key for each of them that its
/// KDF derives.
class Vault {
 public:
  /// Reads the key file (32 bytes in base64url, and maybe a line end), or makes
  /// one, readable by its owner only, if it is not there. All instances on one
  /// database need the same.
  /// Errors, naming the path: kInvalidArgument for what is no key,
  /// kPermissionDenied if everybody may read it, those of ReadFile and
  /// CreateFile.
  static absl::StatusOr<Vault> Open(const std::string& path);

  /// `secret` as text that tells nothing of it but its length, anew each time.
  std::string Seal(std::string_view secret) const;
  /// The reverse. Errors: kFailedPrecondition if it was sealed under another
  /// key, or changed.
  absl::StatusOr<std::string> Unseal(std::string_view sealed) const;

  /// The same text for the same `text`, which nobody without the key can find
  /// out by trying likely ones.
  std::string Pseudonym(std::string_view text) const;

 private:
  using Key = std::array<unsigned char, 32>;

  Vault() = default;

  Key sealing_key_;
  Key pseudonym_key_;
};

}  // namespace platform::user
