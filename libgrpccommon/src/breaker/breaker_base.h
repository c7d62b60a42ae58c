// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"
#include "grpccommon/breaker/circuit_breaker.h"

namespace grpccommon::internal {

/// What breakers share: the state, the operator's hand, and telling of changes.
///
/// The state is half of a word, the phase; the other half is its generation,
/// which every `Enter` counts on. A permit's ticket is the phase it was granted
/// in.
class BreakerBase : public CircuitBreaker {
 public:
  BreakerState state() const final { return StateOf(phase()); }
  void ForceOpen() final { Operate(BreakerState::kForcedOpen); }
  void Disable() final { Operate(BreakerState::kDisabled); }
  void MetricsOnly() final { Operate(BreakerState::kMetricsOnly); }
  void Reset() final { Operate(BreakerState::kClosed); }

 protected:
  using Phase = std::uint64_t;

  BreakerBase(OnChange on_change, const Clock& clock)
      : clock_(clock),
        since_ns_(clock.Now().time_since_epoch().count()),
        on_change_(std::move(on_change)) {}

  static BreakerState StateOf(Phase phase) {
    return static_cast<BreakerState>(phase & 0xff);
  }
  static std::uint64_t GenerationOf(Phase phase) { return phase >> 8; }
  /// As a ShardedWindow tells generations apart.
  static std::uint8_t ShortGenerationOf(Phase phase) {
    return static_cast<std::uint8_t>(GenerationOf(phase));
  }

  Phase phase() const { return phase_.load(); }
  const Clock& clock() const { return clock_; }

  /// Begins a new generation in `to`, which `Prepare` makes ready.
  void Enter(BreakerState to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Changes the state of the running generation.
  void Mark(BreakerState to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Tells of changes that were not told yet. To be called after each scope
  /// that may have changed the state.
  void Notify() ABSL_LOCKS_EXCLUDED(mutex_);

  Permit Refuse() {
    refused_[ThreadSlot() % refused_.size()].count.fetch_add(
        1, std::memory_order_relaxed);
    return Permit();
  }

  /// State, time and totals.
  BreakerStats CommonStats() const;

  mutable Mutex mutex_;

 private:
  virtual void Prepare(BreakerState to)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;

  void Operate(BreakerState to) ABSL_LOCKS_EXCLUDED(mutex_);
  void Publish(std::uint64_t generation, BreakerState to)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  struct alignas(kCacheLineBytes) Counter {
    std::atomic<std::uint64_t> count{0};
  };

  const Clock& clock_;
  // Read by every call; written under the lock.
  std::atomic<Phase> phase_{static_cast<Phase>(BreakerState::kClosed)};
  std::atomic<std::int64_t> since_ns_;
  std::atomic<std::uint64_t> opened_{0};
  std::array<Counter, 8> refused_;

  const OnChange on_change_;
  bool notifying_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::pair<BreakerState, BreakerState>> untold_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon::internal
