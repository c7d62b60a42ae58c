// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// How the time of outgoing calls is bounded.
struct DeadlineBudgetOptions {
  /// For calls that say nothing, of methods whose contract says nothing: no
  /// call is ever unbounded. In (0, 24 h].
  Clock::Duration default_timeout = std::chrono::seconds(15);
  /// The same for streams: who watches for longer opens anew, perhaps at
  /// another endpoint, or asks for an unbounded stream by name. In (0, 24 h].
  Clock::Duration default_stream_timeout = std::chrono::hours(1);
  /// Of its parent's time a call leaves a twentieth, so that the parent's
  /// handler can still turn a failure into an answer of its own; a fixed
  /// reserve would eat short times up. But no more than this, for sending an
  /// answer takes no longer. In [0, 1 s].
  Clock::Duration max_reserve = std::chrono::milliseconds(10);
  /// With less left of the parent's time a call is refused at once: it would
  /// hardly be answered across a network. In [0, 1 s].
  Clock::Duration min_useful = std::chrono::milliseconds(1);
};

/// Errors: kInvalidArgument, naming the option that is out of range.
GRPCCOMMON_EXPORT absl::Status CheckOptions(
    const DeadlineBudgetOptions& options);

/// What is known of one call's time.
struct WantedTime {
  /// As ServerCall::remaining gives it; without a parent, the largest.
  Clock::Duration parent_remaining = Clock::Duration::max();
  /// The caller's own wish, in (0, 24 h]; goes before the contract's.
  std::optional<Clock::Duration> timeout;
  std::optional<Clock::Duration> contract_timeout;
  bool stream = false;
  /// No bound but the parent's; only for streams, and without a `timeout`.
  bool unbounded = false;
};

/// How long a call may take: what is wanted, but never beyond the parent's
/// deadline less the reserve. `Clock::Duration::max()` if nothing bounds it.
/// Errors: kDeadlineExceeded, reason PARENT_DEADLINE_TOO_NEAR, when the parent
/// leaves nothing useful; kInvalidArgument for a timeout out of range, or for
/// `unbounded` where that cannot be.
GRPCCOMMON_EXPORT absl::StatusOr<Clock::Duration> DeadlineBudget(
    const WantedTime& wanted, const DeadlineBudgetOptions& options = {});

}  // namespace grpccommon
