// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// Where the library gets the time, so that a test can move it.
///
/// Thread-safe.
class GRPCCOMMON_EXPORT Clock {
 public:
  using Duration = std::chrono::nanoseconds;
  /// Monotonic: for intervals, limits and deadlines inside the process.
  using TimePoint =
      std::chrono::time_point<std::chrono::steady_clock, Duration>;
  /// Calendar time: for tokens, certificates, logs and traces.
  using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

  virtual ~Clock() = default;

  virtual TimePoint Now() const = 0;
  virtual WallTime WallNow() const = 0;

  /// Now, or up to 10 ms before, for a fraction of the price: for what counts
  /// in steps of time that are not shorter.
  virtual TimePoint Coarse() const { return Now(); }
};

/// The machine's clocks. Lives as long as the process.
GRPCCOMMON_EXPORT const Clock& SteadyClock();

}  // namespace grpccommon
