// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/ratelimit/gcra.h"

namespace grpccommon {

struct KeyedLimiterOptions {
  /// Keys that are remembered at the same time, in [1, 1e8]. A million take up
  /// to 32 MiB, which are taken as the keys come.
  std::int64_t max_keys = 1'000'000;
};

/// A budget for each key, in bounded memory.
///
/// A key is kept as a 64-bit hash (SipHash-1-3 under a random secret, so that
/// nobody can aim at another's key) beside its one number: 16 bytes. A key
/// whose budget is full again is the same as one never seen, and is forgotten
/// when its place is needed; there is no thread that cleans up. Only when every
/// key is in use, a new one displaces, of 16 looked at, the one that is nearest
/// to being full: it may then take a little more than its share, and
/// `displaced` counts it.
///
/// Thread-safe. Keys are spread over up to 65,536 small tables with a lock
/// each, held for some ten nanoseconds; growing touches one table at a time.
class GRPCCOMMON_EXPORT KeyedLimiter {
 public:
  /// `clock` is borrowed and must outlive the limiter.
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<KeyedLimiter>> Create(
      const KeyedLimiterOptions& options = {},
      const Clock& clock = SteadyClock());

  ~KeyedLimiter();
  KeyedLimiter(const KeyedLimiter&) = delete;
  KeyedLimiter& operator=(const KeyedLimiter&) = delete;

  /// Takes `quantity` calls of the budget that `key` has under `rate`, all or
  /// none; with 0 only looks. One key under two `scope`s has two budgets; under
  /// one scope use one rate. Never blocks but for the table's lock.
  GcraDecision TryTake(const GcraRate& rate, std::uint64_t scope,
                       std::string_view key, std::int64_t quantity = 1);

  /// Keys remembered just now, those included that are full again.
  std::size_t keys() const;
  /// Keys in use that had to make place, since the start.
  std::uint64_t displaced() const;
  /// What the tables occupy.
  std::size_t memory_bytes() const;

 private:
  struct Shard;
  KeyedLimiter(std::size_t shards, std::size_t keys_per_shard,
               const Clock& clock);

  const Clock& clock_;
  const std::uint64_t secret_[2];
  const std::size_t shard_mask_;
  const std::size_t keys_per_shard_;
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace grpccommon
