// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpccommon/base/clock.h"
#include "grpccommon/retry/attempt_plan.h"

namespace grpccommon::test {

/// Counts what it is told, and allows so many retries.
class CountingAllowance : public RetryAllowance {
 public:
  void OnCall(Clock::TimePoint /*now*/) override { ++calls; }
  bool TryRetry(Clock::TimePoint /*now*/) override {
    ++asked;
    return allowed-- > 0;
  }
  void OnSuccess() override { ++successes; }
  void OnFailure() override { ++failures; }

  int allowed = 1'000'000;
  int calls = 0;
  int asked = 0;
  int successes = 0;
  int failures = 0;
};

}  // namespace grpccommon::test
