// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "grpccommon/base/thread_slot.h"

namespace grpccommon::internal {

/// Counts calls that have ended, at places that threads seldom share.
class CallTotals {
 public:
  struct Sum {
    std::uint64_t calls = 0;
    std::uint64_t failures = 0;
    std::uint64_t attempts = 0;
  };

  void Add(bool failed, int attempts) {
    Place& place = places_[ThreadSlot() % places_.size()];
    place.calls.fetch_add(1, std::memory_order_relaxed);
    if (failed) place.failures.fetch_add(1, std::memory_order_relaxed);
    place.attempts.fetch_add(static_cast<std::uint64_t>(attempts),
                             std::memory_order_relaxed);
  }

  Sum Read() const {
    Sum sum;
    for (const Place& place : places_) {
      sum.calls += place.calls.load(std::memory_order_relaxed);
      sum.failures += place.failures.load(std::memory_order_relaxed);
      sum.attempts += place.attempts.load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  struct alignas(kCacheLineBytes) Place {
    std::atomic<std::uint64_t> calls{0};
    std::atomic<std::uint64_t> failures{0};
    std::atomic<std::uint64_t> attempts{0};
  };
  std::array<Place, 16> places_;
};

}  // namespace grpccommon::internal
