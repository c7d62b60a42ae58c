// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"
#include "grpccommon/retry/retry_allowance.h"

namespace grpccommon {

struct RetryBudgetOptions {
  /// How long a call counts, in [1 s, 60 s]; forgotten by tenths.
  std::chrono::nanoseconds ttl = std::chrono::seconds(10);
  /// Retries for each call, 0 or in [0.001, 10].
  double retry_share = 0.1;
  /// Retries a second on top of that, in [0, 1e6], for clients that call
  /// seldom or have just begun. All of a `ttl`'s may be used at once.
  int min_retries_per_second = 1;
};

/// Allows retries in proportion to calls: over time at most `retry_share` of
/// them, and `min_retries_per_second`.
///
/// A call deposits 1000, a retry withdraws floor(1000 / retry_share), and both
/// are forgotten after `ttl`, or up to a tenth of it earlier. With a share of 0
/// a call deposits nothing and a retry costs 1. A retry is granted if the
/// deposits, and the reserve of `min_retries_per_second` for a whole `ttl`,
/// exceed the withdrawals by its cost.
///
/// While everything fails, a back end gets 1 + retry_share +
/// min_retries_per_second / (calls a second of one client) times its load: 1.2
/// at the most with the defaults and clients of ten calls a second or more.
/// (Finagle's defaults, 0.2 and 10, would be 2.2.)
///
/// `OnCall` writes a line of memory of the thread's own. `TryRetry` reads all
/// of them; it refuses without a lock and takes one to grant, so that threads
/// together never get more than there is.
/// Source: Finagle's RetryBudget.
//
// Its padding keeps what threads write apart.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
class GRPCCOMMON_EXPORT RetryBudget : public RetryAllowance {
 public:
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<RetryBudget>> Create(
      const RetryBudgetOptions& options = {});

  void OnCall(Clock::TimePoint now) override;
  [[nodiscard]] bool TryRetry(Clock::TimePoint now) override;
  void OnSuccess() override {}
  void OnFailure() override {}

  /// For metrics: how many retries it would grant now; below 0 when calls on
  /// which retries were granted have been forgotten.
  std::int64_t available(Clock::TimePoint now) const;

 private:
  // Counts events of the last `ttl`, in as many parts. A part is one word, its
  // number in the upper half and its count in the lower, so that a part is
  // begun and counted in one step. Numbers wrap after 13 years at the least.
  class Window {
   public:
    void Add(std::uint32_t part);
    std::int64_t Sum(std::uint32_t now) const;

   private:
    static constexpr std::uint32_t kParts = 10;
    std::array<std::atomic<std::uint64_t>, kParts> parts_{};
  };
  struct alignas(kCacheLineBytes) Shard {
    Window calls;
  };

  explicit RetryBudget(const RetryBudgetOptions& options);

  std::uint32_t PartOf(Clock::TimePoint now) const;
  std::int64_t Balance(std::uint32_t part) const;

  const std::int64_t part_ns_;
  const std::int64_t deposit_;
  const std::int64_t withdrawal_;
  const std::int64_t reserve_;
  std::array<Shard, 8> shards_;
  alignas(kCacheLineBytes) Mutex mutex_;  // of those who add to `retries_`
  Window retries_;
};

}  // namespace grpccommon
