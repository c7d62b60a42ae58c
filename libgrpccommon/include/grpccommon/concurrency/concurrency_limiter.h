// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/concurrency/gradient2.h"

namespace grpccommon {

struct FixedLimitOptions {
  /// Calls in flight, in [1, 1e6].
  int limit = 1000;
};

/// How many calls may be in flight: a number, or one that follows latency.
using ConcurrencyLimit = std::variant<FixedLimitOptions, Gradient2Options>;

struct ConcurrencyLimiterOptions {
  ConcurrencyLimit limit;
  /// What part of the limit calls of each class may fill, in [0.01, 1],
  /// rounded, at least one call; critical ones may fill all of it. So the last
  /// tenth is left to critical calls, and sheddable ones go first: their share
  /// is at most that of normal ones.
  double normal_share = 0.9;
  double sheddable_share = 0.7;
};

/// Counts calls in flight and refuses those above a limit. Nothing queues: a
/// call that would wait is better sent elsewhere.
///
/// Thread-safe, and lock-free while the limit is fixed. A refusal writes
/// nothing that admitted calls read.
//
// Its padding keeps what is written away from what is read.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
class GRPCCOMMON_EXPORT ConcurrencyLimiter {
 public:
  /// Errors: kInvalidArgument, naming the options that are out of range or
  /// contradict each other.
  static absl::StatusOr<std::unique_ptr<ConcurrencyLimiter>> Create(
      const ConcurrencyLimiterOptions& options);

  /// Takes a place, to be given back by one `Leave`; false if there is none for
  /// this class.
  [[nodiscard]] bool TryEnter(CallPriority priority = CallPriority::kCritical);

  /// Gives a place back, of a call whose latency says nothing.
  void Leave();
  /// Gives a place back and learns from the call: an adaptive limit may change.
  void Leave(std::chrono::nanoseconds latency, Clock::TimePoint now);

  /// Whether `Leave` learns.
  bool adaptive() const { return adaptive_.has_value(); }

  /// For metrics; each by itself is exact.
  int limit() const { return LimitOf(CallPriority::kCritical); }
  int in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
  std::uint64_t rejected() const {
    return rejected_.load(std::memory_order_relaxed);
  }

 private:
  // What one window has seen, spread over threads.
  struct alignas(kCacheLineBytes) Window {
    Mutex mutex;
    std::int64_t latency_sum ABSL_GUARDED_BY(mutex) = 0;
    std::int64_t samples ABSL_GUARDED_BY(mutex) = 0;
    int in_flight ABSL_GUARDED_BY(mutex) = 0;
  };
  struct Adaptive {
    Gradient2Options options;
    Gradient2 algorithm;
  };

  ConcurrencyLimiter(const ConcurrencyLimiterOptions& options,
                     const std::optional<Adaptive>& adaptive, int limit);

  int LimitOf(CallPriority priority) const {
    return limits_[static_cast<std::size_t>(priority)].load(
        std::memory_order_relaxed);
  }
  void SetLimit(int limit);
  void CloseWindow(Clock::TimePoint now);

  // Read by every call, written once in a window.
  const double normal_share_;
  const double sheddable_share_;
  std::array<std::atomic<int>, 3> limits_;  // by class
  // Its algorithm belongs to who holds `update_mutex_`.
  std::optional<Adaptive> adaptive_;

  // Written by every call, by refused ones, and once in a window: apart.
  alignas(kCacheLineBytes) std::atomic<int> in_flight_{0};
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> rejected_{0};
  alignas(kCacheLineBytes) std::atomic<std::int64_t> window_end_ns_;
  Mutex update_mutex_;
  std::array<Window, 8> windows_;
};

}  // namespace grpccommon
