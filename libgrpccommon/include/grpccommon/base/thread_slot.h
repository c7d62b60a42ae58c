// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>

#include "grpccommon/base/export.h"

namespace grpccommon {
namespace internal {
GRPCCOMMON_EXPORT extern std::atomic<std::size_t> next_thread_slot;
}

/// A small number that stays the same for the calling thread; threads get
/// successive ones. Modulo a power of two it spreads threads over shards, so
/// that two threads seldom share a cache line or a lock.
inline std::size_t ThreadSlot() {
  // One more than the number, zero before there is one: what is born constant
  // is read without a guard.
  static constinit thread_local std::size_t successor = 0;
  if (successor == 0) [[unlikely]] {
    successor =
        internal::next_thread_slot.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  return successor - 1;
}

/// How far apart two values must lie for two threads not to disturb each other.
inline constexpr std::size_t kCacheLineBytes = 64;

}  // namespace grpccommon
