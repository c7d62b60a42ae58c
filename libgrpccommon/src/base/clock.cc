// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/clock.h"

#include <time.h>

namespace grpccommon {
namespace {

class MachineClock : public Clock {
 public:
  [[gnu::hot]] TimePoint Now() const override {
    return std::chrono::steady_clock::now();
  }
  [[gnu::hot]] WallTime WallNow() const override {
    return std::chrono::system_clock::now();
  }
  // As of the kernel's last tick, 1 to 10 ms ago; the same clock as Now's.
  [[gnu::hot]] TimePoint Coarse() const override {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return TimePoint(std::chrono::seconds(now.tv_sec) +
                     std::chrono::nanoseconds(now.tv_nsec));
  }
};

}  // namespace

const Clock& SteadyClock() {
  // Never destroyed: gRPC lets go of channels, and so of what they own, on
  // threads that still run when the process ends.
  static const Clock& clock = *new MachineClock();
  return clock;
}

}  // namespace grpccommon
