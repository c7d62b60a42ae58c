// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/principal.h"

namespace grpccommon {

/// A key as it is kept: its SHA-256, never itself. The hash is fast and has no
/// salt because keys are random: there is no list of likely ones to try.
struct ApiKey {
  /// Who it was given to; the principal's subject.
  std::string name;
  /// SHA-256 of the key, 64 hexadecimal digits.
  std::string sha256;
  std::vector<std::string> roles;
  std::vector<std::string> scopes;
  /// The first instant at which it no longer works.
  Clock::WallTime expires_at = Clock::WallTime::max();
};

/// The hash of `key`, as ApiKey has it.
GRPCCOMMON_EXPORT std::string HashApiKey(std::string_view key);

/// A new key: 256 random bits in base64url. Show it once; keep HashApiKey of
/// it. Errors: kInternal if the operating system has no random numbers.
GRPCCOMMON_EXPORT absl::StatusOr<std::string> GenerateApiKey();

/// The keys that are in force together.
///
/// A key is looked up by its hash. How long that takes may tell something of a
/// stored hash, but a hash leads to no key, and nobody can choose a key whose
/// hash begins as he likes; the last word has a comparison in constant time.
///
/// Immutable and thread-safe.
class GRPCCOMMON_EXPORT ApiKeySet {
 public:
  /// Longest key that is looked at, in bytes.
  static constexpr std::size_t kMaxKeyBytes = 512;

  /// Errors: kInvalidArgument, naming the key and its fault: no name, a name or
  /// hash that appears twice, something that is not a hash.
  static absl::StatusOr<ApiKeySet> Create(const std::vector<ApiKey>& keys);

  /// Reads `{"keys": [{"name": …, "sha256": …, "roles": […], "scopes": […],
  /// "expires_at": "2027-01-01T00:00:00Z"}]}`, the last three optional.
  /// Errors: kInvalidArgument, naming the place; unknown members are refused.
  static absl::StatusOr<ApiKeySet> Parse(std::string_view json);

  /// The principal, never null, lives as long as this set; issuer "api-key".
  /// Errors: UNAUTHENTICATED with API_KEY_UNKNOWN or API_KEY_EXPIRED.
  absl::StatusOr<const Principal*> Find(std::string_view key,
                                        Clock::WallTime now) const;

  std::size_t size() const { return entries_.size(); }

 private:
  using Hash = std::array<unsigned char, 32>;
  struct Entry {
    Hash hash;
    Clock::WallTime expires_at;
    Principal principal;
  };
  // In order of their hashes.
  std::vector<Entry> entries_;
};

}  // namespace grpccommon
