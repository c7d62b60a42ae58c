// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// Bounds what retries and hedges of many calls add to the load of a back end.
/// One for each back end, shared by its methods, so that what one method's
/// failures use up is not there for another's.
///
/// Thread-safe; nothing waits. Whoever calls says what time it is, as that is
/// known there; times of several threads may come a little out of order.
class GRPCCOMMON_EXPORT RetryAllowance {
 public:
  virtual ~RetryAllowance() = default;

  /// A call has begun; its further attempts are not calls.
  virtual void OnCall(Clock::TimePoint now) = 0;

  /// Whether one more attempt may be sent; if so, takes what it costs.
  [[nodiscard]] virtual bool TryRetry(Clock::TimePoint now) = 0;

  /// An attempt succeeded.
  virtual void OnSuccess() = 0;

  /// An attempt failed with a code for which the method would be retried, or
  /// with the server's word not to.
  virtual void OnFailure() = 0;
};

}  // namespace grpccommon
