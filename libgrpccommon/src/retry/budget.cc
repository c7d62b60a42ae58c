// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/budget.h"

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"

namespace grpccommon {
namespace {

constexpr std::int64_t kScale = 1000;
constexpr std::int64_t kPartsInTtl = 10;

// How much later the first is, wrapped around as the numbers of parts are.
std::int32_t Distance(std::uint32_t to, std::uint32_t from) {
  return static_cast<std::int32_t>(to - from);
}

}  // namespace

void RetryBudget::Window::Add(std::uint32_t part) {
  std::atomic<std::uint64_t>& word = parts_[part % kParts];
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  for (;;) {
    const std::int32_t later =
        Distance(part, static_cast<std::uint32_t>(seen >> 32));
    if (later == 0) {
      word.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    // A thread that was held up for a whole `ttl`: forgotten already.
    if (later < 0) return;
    if (word.compare_exchange_weak(seen, (std::uint64_t{part} << 32) | 1,
                                   std::memory_order_relaxed)) {
      return;
    }
  }
}

std::int64_t RetryBudget::Window::Sum(std::uint32_t now) const {
  std::int64_t sum = 0;
  for (const std::atomic<std::uint64_t>& word : parts_) {
    const std::uint64_t seen = word.load(std::memory_order_relaxed);
    // What another thread's clock put into a later part counts too.
    if (Distance(now, static_cast<std::uint32_t>(seen >> 32)) <
        static_cast<std::int32_t>(kParts)) {
      sum += static_cast<std::uint32_t>(seen);
    }
  }
  return sum;
}

absl::StatusOr<std::unique_ptr<RetryBudget>> RetryBudget::Create(
    const RetryBudgetOptions& options) {
  absl::Status valid = CheckRange("ttl", options.ttl, std::chrono::seconds(1),
                                  std::chrono::seconds(60));
  if (options.retry_share != 0) {
    valid.Update(CheckRange("retry_share", options.retry_share, 0.001, 10));
  }
  valid.Update(CheckRange("min_retries_per_second",
                          options.min_retries_per_second, 0, 1e6));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new RetryBudget(options));
}

RetryBudget::RetryBudget(const RetryBudgetOptions& options)
    : part_ns_(options.ttl.count() / kPartsInTtl),
      deposit_(options.retry_share == 0 ? 0 : kScale),
      withdrawal_(options.retry_share == 0
                      ? 1
                      : static_cast<std::int64_t>(static_cast<double>(kScale) /
                                                  options.retry_share)),
      reserve_(static_cast<std::int64_t>(
                   std::chrono::duration<double>(options.ttl).count() *
                   options.min_retries_per_second) *
               withdrawal_) {}

std::uint32_t RetryBudget::PartOf(Clock::TimePoint now) const {
  return static_cast<std::uint32_t>(now.time_since_epoch().count() / part_ns_);
}

std::int64_t RetryBudget::Balance(std::uint32_t part) const {
  std::int64_t calls = 0;
  for (const Shard& shard : shards_) calls += shard.calls.Sum(part);
  return reserve_ + calls * deposit_ - retries_.Sum(part) * withdrawal_;
}

void RetryBudget::OnCall(Clock::TimePoint now) {
  shards_[ThreadSlot() % shards_.size()].calls.Add(PartOf(now));
}

bool RetryBudget::TryRetry(Clock::TimePoint now) {
  const std::uint32_t part = PartOf(now);
  if (Balance(part) < withdrawal_) return false;
  // Seen again under the lock, since another thread may have taken it.
  const MutexLock lock(mutex_);
  if (Balance(part) < withdrawal_) return false;
  retries_.Add(part);
  return true;
}

std::int64_t RetryBudget::available(Clock::TimePoint now) const {
  return Balance(PartOf(now)) / withdrawal_;
}

}  // namespace grpccommon
