// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <utility>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/random.h"

namespace grpccommon::internal {

/// How long to wait before the next try: full jitter, uniform in
/// [0, min(maximum, initial * 2^n)] for the n-th wait in a row, from 0.
/// Not thread-safe. Source: "Exponential Backoff And Jitter", AWS Architecture
/// Blog.
class Backoff {
 public:
  Backoff(Clock::Duration initial, Clock::Duration maximum, Random random)
      : initial_(initial),
        maximum_(maximum),
        next_(initial),
        random_(std::move(random)) {}

  Clock::Duration Next() {
    const Clock::Duration cap = std::min(next_, maximum_);
    next_ = cap * 2;
    return std::chrono::duration_cast<Clock::Duration>(random_() * cap);
  }
  /// After a success.
  void Reset() { next_ = initial_; }

 private:
  const Clock::Duration initial_;
  const Clock::Duration maximum_;
  Clock::Duration next_;
  const Random random_;
};

}  // namespace grpccommon::internal
