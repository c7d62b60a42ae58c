// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/breaker/circuit_breaker.h"

namespace grpccommon {

struct AdaptiveBreakerOptions {
  /// So many calls are sent for each that is accepted, in [1, 100]: the lower,
  /// the earlier it refuses. 2: nothing is refused while half succeed.
  double k = 2.0;
  /// Longer than the slowest call, its timeout included, or its end finds its
  /// start forgotten; in [100 ms, 10 min].
  Clock::Duration window = std::chrono::seconds(10);
  /// In [1, 60], each of at least 10 ms.
  int buckets = 10;
  /// Calls of the window that have ended or were refused before it refuses any,
  /// in [1, 1e6].
  int min_calls = 20;
  /// The highest probability of refusal, in (0, 1]: what is left are the trials
  /// that notice a recovery.
  double max_rejection = 0.98;
  CircuitBreaker::OnChange on_change;
};

/// A breaker that refuses just the share of calls that would not be accepted:
/// each with the probability
///
///   max(0, (requests - k * accepts) / (requests + 1))
///
/// over the window, at most `max_rejection`. Requests are all that asked, when
/// they asked, those refused and those still on their way included; accepts are
/// successes, when they ended. Ignored calls are taken out again.
///
/// It refuses nothing before `min_calls` calls of the window have ended or were
/// refused, and one has failed: the first calls of a process, all on their way
/// at once, are no sign of a back end that accepts none.
///
/// The state is kClosed while nothing is refused, and kHalfOpen from a
/// probability of 0.1 on until it is zero again; never kOpen.
///
/// Costs, while all is well: reading the clock and one counter that the thread
/// shares with few others, for each start and each end. It adds up all counters
/// once in a bucket, after a failure, and before each call while it refuses any
/// or is near to it; so starts alone, without ends, are noticed a bucket later
/// where three quarters of the calls succeed (at k = 2).
///
/// `clock` is borrowed and must outlive the breaker.
/// Errors: kInvalidArgument, naming the option that is out of range.
/// Source: "Handling Overload" in Google's "Site Reliability Engineering",
/// client-side throttling, equation 21-1.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<CircuitBreaker>>
CreateAdaptiveBreaker(const AdaptiveBreakerOptions& options = {},
                      const Clock& clock = SteadyClock(),
                      Random random = UniformRandom);

}  // namespace grpccommon
