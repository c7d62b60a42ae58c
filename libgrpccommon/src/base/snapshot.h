// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
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
  static constexpr std::size_t kPlaces = 16;

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

  /// Readers that come after the return see the new value. Of two that are set
  /// at the same time all readers see the same one in the end.
  void Set(std::shared_ptr<const T> value) {
    const T* const target = value.get();
    std::array<std::shared_ptr<const T>, kPlaces> fresh;
    for (std::shared_ptr<const T>& at_place : fresh) {
      // One count of references for each place, which holds one of the value's.
      auto holder = std::make_shared<std::shared_ptr<const T>>(value);
      at_place = std::shared_ptr<const T>(std::move(holder), target);
    }
    {
      const MutexLock setting(set_mutex_);
      for (std::size_t i = 0; i < kPlaces; ++i) {
        Place& place = places_[i];
        const MutexLock lock(place.mutex);
        place.value.swap(fresh[i]);
      }
    }
    // The old value, if this was its last reader, goes here, unlocked.
  }

 private:
  struct alignas(kCacheLineBytes) Place {
    mutable Mutex mutex;
    std::shared_ptr<const T> value ABSL_GUARDED_BY(mutex);
  };
  Mutex set_mutex_;  // of those who set; readers take their place's only
  std::array<Place, kPlaces> places_;
};

}  // namespace grpccommon::internal
