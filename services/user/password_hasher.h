// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace platform::user {

struct PasswordHasherOptions {
  /// What one hash fills, in bytes, in [8 KiB, 4 GiB].
  std::size_t memory_bytes = 64 << 20;
  /// How often it is filled, in [1, 100].
  int passes = 2;
};

/// Hashes passwords, slowly and with much memory, so that guessing is dear even
/// for one who has the hashes. A hash tells how it was made, so older ones stay
/// good when the options change.
///
/// Thread-safe. Every method but the last two takes about the same time and
/// all of `memory_bytes`: not for the threads that serve calls.
/// Source: Argon2id (RFC 9106) by libsodium; its defaults for log-ins.
class PasswordHasher {
 public:
  /// Hashes once. Errors: kInvalidArgument, naming the option; kUnavailable if
  /// there is not so much memory.
  static absl::StatusOr<std::unique_ptr<PasswordHasher>> Create(
      const PasswordHasherOptions& options = {});

  /// With a salt of its own. Errors: kUnavailable (memory).
  absl::StatusOr<std::string> Hash(std::string_view password);

  /// Whether `hash` was made of `password`. An empty one, that of an account
  /// that does not exist, was not, and costs what a fresh one costs.
  /// Errors: kUnavailable (memory).
  absl::StatusOr<bool> Verify(std::string_view password,
                              const std::string& hash);

  /// Whether `hash` was made with other options.
  bool Outdated(const std::string& hash) const;

  /// How often one was hashed.
  std::uint64_t operations() const { return operations_; }

 private:
  explicit PasswordHasher(const PasswordHasherOptions& options)
      : options_(options) {}

  const PasswordHasherOptions options_;
  // Of a password that nobody knows.
  std::string nobodys_hash_;
  std::atomic<std::uint64_t> operations_{0};
};

}  // namespace platform::user
