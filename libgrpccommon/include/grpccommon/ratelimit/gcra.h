// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

struct GcraOptions {
  /// Sustained calls a second, in [0.001, 1e6]; kept as whole nanoseconds per
  /// call, so that 300,000 a second becomes 300,030.
  double rate = 100.0;
  /// Largest burst, in calls, in [1, 1e6].
  std::int64_t burst = 100;
};

/// What a limiter answers. Everything but `allowed` is for the caller's eyes:
/// what is left, and when.
struct GcraDecision {
  bool allowed = false;
  /// The shortest wait after which the same quantity would pass if nobody else
  /// took any. None if it passed, or if it can never pass.
  std::optional<std::chrono::nanoseconds> retry_after;
  /// Calls that would pass right now.
  std::int64_t remaining = 0;
  /// Until the whole burst is available again.
  std::chrono::nanoseconds reset_after{0};
  /// The burst.
  std::int64_t limit = 0;
};

/// A rate and a burst, checked, in the units of the algorithm.
///
/// Source: Generic Cell Rate Algorithm, virtual-scheduling form (ITU-T I.371,
/// annex A), which admits what a continuously refilled token bucket of the same
/// burst admits. The only state is the theoretical arrival time (TAT): when the
/// burst would be available again.
class GRPCCOMMON_EXPORT GcraRate {
 public:
  /// A TAT that is past at all times: nothing was taken yet.
  static constexpr std::int64_t kUntouched =
      std::numeric_limits<std::int64_t>::min();

  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<GcraRate> Create(const GcraOptions& options);

  /// Decides on `quantity` calls, at least 0, at `now` (nanoseconds, not
  /// negative), and moves `tat` on if they pass. Zero passes always and changes
  /// nothing: a look.
  GcraDecision Decide(std::int64_t& tat, std::int64_t now,
                      std::int64_t quantity) const;

  /// Calls in a burst.
  std::int64_t limit() const { return limit_; }

 private:
  GcraRate(std::int64_t interval, std::int64_t limit)
      : limit_(limit), interval_(interval), burst_(interval * limit) {}

  std::int64_t limit_;
  std::int64_t interval_;  // nanoseconds per call ("T")
  std::int64_t burst_;     // nanoseconds for the whole burst ("tau")
};

/// One budget that all its callers share.
///
/// Thread-safe, without a lock: the state is one 64-bit number.
class GRPCCOMMON_EXPORT Gcra {
 public:
  /// `clock` is borrowed and must outlive the limiter.
  explicit Gcra(const GcraRate& rate, const Clock& clock = SteadyClock())
      : rate_(rate), clock_(clock) {}

  /// Takes `quantity` calls, all or none; with 0 only looks. Never blocks.
  GcraDecision TryTake(std::int64_t quantity = 1);

  const GcraRate& rate() const { return rate_; }

 private:
  const GcraRate rate_;
  const Clock& clock_;
  std::atomic<std::int64_t> tat_{GcraRate::kUntouched};
};

}  // namespace grpccommon
