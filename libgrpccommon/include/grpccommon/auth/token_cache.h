// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/auth/jwt.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/principal.h"

namespace grpccommon {

struct TokenCacheOptions {
  /// Tokens in all, in [0, 1e7]; 0 keeps none. Each of the 16 shards has its
  /// part of it.
  std::size_t max_entries = 65536;
  /// Memory in all, in bytes, in [64 KiB, 16 GiB]: tokens, principals and an
  /// estimate of what holds them.
  std::size_t max_bytes = 64 << 20;
};

/// Remembers what verified tokens proved, so that a token that comes with every
/// call is verified once for each thread that serves it.
///
/// A hit is what JwtVerifier::Verify would answer at that instant: an entry
/// holds from `valid_from` until `valid_until`, as long as the keys are those
/// that verified it. Tokens are compared whole. The least recently used goes
/// first.
///
/// Thread-safe. Threads have shards of their own, with locks of their own, so
/// two calls at once seldom meet at one.
class GRPCCOMMON_EXPORT TokenCache {
 public:
  /// Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<std::unique_ptr<TokenCache>> Create(
      const TokenCacheOptions& options = {});
  ~TokenCache();

  /// Null if the calling thread's shard does not have it, or has it from
  /// another generation of the keys, or `now` is outside its time.
  std::shared_ptr<const Principal> Find(std::string_view token,
                                        std::uint64_t generation,
                                        Clock::WallTime now);

  /// `generation` is that of the keys, read before the token was verified.
  void Insert(std::string_view token, std::uint64_t generation,
              const VerifiedToken& verified);

  /// Over all shards.
  std::size_t entries() const;
  std::size_t bytes() const;

 private:
  struct Shard;
  explicit TokenCache(const TokenCacheOptions& options);

  const std::size_t max_shard_entries_;
  const std::size_t max_shard_bytes_;
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace grpccommon
