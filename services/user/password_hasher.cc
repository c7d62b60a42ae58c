// SPDX-License-Identifier: Apache-2.0
#include "services/user/password_hasher.h"

#include <sodium.h>

#include <array>
#include <cerrno>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/status/details.h"

namespace platform::user {
namespace {

absl::Status OutOfMemory() {
  return grpccommon::Overloaded("PASSWORD_MEMORY",
                                "there is no memory to check a password",
                                std::chrono::seconds(1));
}

}  // namespace

absl::StatusOr<std::unique_ptr<PasswordHasher>> PasswordHasher::Create(
    const PasswordHasherOptions& options) {
  absl::Status valid = grpccommon::CheckRange(
      "memory_bytes", static_cast<double>(options.memory_bytes), 8192,
      4.0 * (1 << 30));
  valid.Update(grpccommon::CheckRange("passes", options.passes, 1, 100));
  if (!valid.ok()) return valid;
  if (sodium_init() < 0) return absl::InternalError("libsodium does not start");
  auto hasher = absl::WrapUnique(new PasswordHasher(options));
  std::string password(32, '\0');
  randombytes_buf(password.data(), password.size());
  absl::StatusOr<std::string> hash = hasher->Hash(password);
  if (!hash.ok()) return hash.status();
  hasher->nobodys_hash_ = *std::move(hash);
  return hasher;
}

absl::StatusOr<std::string> PasswordHasher::Hash(std::string_view password) {
  ++operations_;
  std::array<char, crypto_pwhash_STRBYTES> hash;
  if (crypto_pwhash_str_alg(hash.data(), password.data(), password.size(),
                            static_cast<unsigned long long>(options_.passes),
                            options_.memory_bytes,
                            crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return OutOfMemory();
  }
  return std::string(hash.data());
}

absl::StatusOr<bool> PasswordHasher::Verify(std::string_view password,
                                            const std::string& hash) {
  ++operations_;
  const bool exists = !hash.empty();
  errno = 0;
  const bool right =
      crypto_pwhash_str_verify((exists ? hash : nobodys_hash_).c_str(),
                               password.data(), password.size()) == 0;
  // libsodium does not tell a wrong password from memory that it did not get.
  if (!right && errno == ENOMEM) return OutOfMemory();
  return right && exists;
}

bool PasswordHasher::Outdated(const std::string& hash) const {
  return crypto_pwhash_str_needs_rehash(
             hash.c_str(), static_cast<unsigned long long>(options_.passes),
             options_.memory_bytes) != 0;
}

}  // namespace platform::user
