// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/clock.h"

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
};

}  // namespace

const Clock& SteadyClock() {
  // Never destroyed: gRPC lets go of channels, and so of what they own, on
  // threads that still run when the process ends.
  static const Clock& clock = *new MachineClock();
  return clock;
}

}  // namespace grpccommon
