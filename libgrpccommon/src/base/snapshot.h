// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <utility>

#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"

namespace grpccommon::internal {

/// A value that is read by every call and replaced now and then.
///
/// Threads read at places of their own: neither the lock nor the reference
/// count is on a cache line that another thread writes.
template <typename T>
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const T> value) { Set(std::move(value)); }

  std::shared_ptr<const T> Get() const {
    const Place& place = places_[ThreadSlot() % places_.size()];
    const MutexLock lock(place.mutex);
    return place.value;
  }

  /// Calls `use` with the value, which stays for so long: for what takes less
  /// time than counting a reference. Holds up `Set`; must not call it.
  template <typename Use>
  auto With(Use use) const {
    const Place& place = places_[ThreadSlot() % places_.size()];
    const MutexLock lock(place.mutex);
    return use(*place.value);
  }

  /// Readers that come after the return see the new value.
  void Set(std::shared_ptr<const T> value) {
    for (Place& place : places_) {
      // One count of references for each place, which holds one of the value's.
      auto holder = std::make_shared<std::shared_ptr<const T>>(value);
      const T* const target = value.get();
      std::shared_ptr<const T> fresh(std::move(holder), target);
      {
        const MutexLock lock(place.mutex);
        place.value.swap(fresh);
      }
      // The old value, if this was its last reader, goes here, unlocked.
    }
  }

 private:
  struct alignas(kCacheLineBytes) Place {
    mutable Mutex mutex;
    std::shared_ptr<const T> value ABSL_GUARDED_BY(mutex);
  };
  std::array<Place, 16> places_;
};

}  // namespace grpccommon::internal
