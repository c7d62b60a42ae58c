// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <variant>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/breaker/circuit_breaker.h"

namespace grpccommon {

/// The calls that ended within the last `length`, to the grain of one bucket.
struct TimeWindow {
  /// In [100 ms, 10 min].
  Clock::Duration length = std::chrono::seconds(10);
  /// In [1, 60], each of at least 10 ms.
  int buckets = 10;
};

/// The last `calls` calls that ended.
struct CountWindow {
  /// In [1, 1e6]; a byte each.
  int calls = 100;
};

struct SlidingWindowBreakerOptions {
  std::variant<TimeWindow, CountWindow> window = TimeWindow{};
  /// The share of failures from which it opens, in (0, 1].
  double failure_rate = 0.5;
  /// A call that took longer is slow, whether it failed or not; zero: none is.
  /// In [0, 1 h].
  Clock::Duration slow_call = Clock::Duration::zero();
  /// The share of slow calls from which it opens, in (0, 1].
  double slow_call_rate = 1.0;
  /// Calls of the window before it judges, in [1, 1e6]. Of a count window it
  /// asks at most for all.
  int min_calls = 20;
  /// How long it refuses before trials, in [1 ms, 1 h] …
  Clock::Duration open_duration = std::chrono::seconds(5);
  /// … spread evenly by so much to either side, in [0, 1], so that the clients
  /// of a service do not all come back at once.
  double open_jitter = 0.2;
  /// The trials that decide, in [1, 1e6].
  int half_open_calls = 5;
  /// When every trial is on its way and the last of them was granted so long
  /// ago, they are given up and it opens again; in [1 ms, 1 h].
  Clock::Duration trial_timeout = std::chrono::seconds(15);
  CircuitBreaker::OnChange on_change;
};

/// A breaker that looks at the share of failed and of slow calls.
///
/// Closed: after each call, if the window holds at least `min_calls` and either
/// rate is at or above its threshold, it opens. Open: refuses all until
/// `open_duration` is over, then becomes half-open with the next call.
/// Half-open: grants `half_open_calls` trials; when as many have ended, either
/// rate at or above its threshold opens it again, otherwise it closes with an
/// empty window. Trials that were ignored are granted again.
///
/// Costs, closed: with a time window, reading the clock and one counter that
/// the thread shares with few others; a failed or slow call, and the first of
/// each bucket, add up all counters. A decision counts every call that was
/// recorded before it began, and never opens for a share of failures that there
/// was not. With a count window the order of calls matters, so every record
/// takes one lock that all share: for few calls, or where a time window says
/// nothing because they are so rare.
///
/// `clock` is borrowed and must outlive the breaker.
/// Errors: kInvalidArgument, naming the option that is out of range.
/// Source: resilience4j's CircuitBreaker (FixedSizeSlidingWindowMetrics,
/// SlidingTimeWindowMetrics), with defaults for RPC; see docs/breaker.md.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<CircuitBreaker>>
CreateSlidingWindowBreaker(const SlidingWindowBreakerOptions& options = {},
                           const Clock& clock = SteadyClock(),
                           Random random = UniformRandom);

}  // namespace grpccommon
