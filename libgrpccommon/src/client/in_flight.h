// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"

namespace grpccommon::internal {

/// The calls under way, in lists that threads seldom share.
class InFlight {
 public:
  class Entry;

 private:
  struct alignas(kCacheLineBytes) Place {
    mutable Mutex mutex;
    Entry* first ABSL_GUARDED_BY(mutex) = nullptr;
    std::size_t count ABSL_GUARDED_BY(mutex) = 0;
  };

 public:
  /// A call is one for as long as it lives; it may end on another thread.
  class Entry {
   public:
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   protected:
    explicit Entry(InFlight& owner) : owner_(owner), place_(owner.Mine()) {
      const MutexLock lock(place_.mutex);
      next_ = place_.first;
      if (next_ != nullptr) next_->previous_ = this;
      place_.first = this;
      ++place_.count;
    }
    virtual ~Entry() { Leave(); }

    /// To be called first by the destructor of a class whose
    /// `CancelForShutdown` needs what that destroys. Once is enough.
    void Leave() {
      if (std::exchange(left_, true)) return;
      {
        const MutexLock lock(place_.mutex);
        (previous_ != nullptr ? previous_->next_ : place_.first) = next_;
        if (next_ != nullptr) next_->previous_ = previous_;
        --place_.count;
        if (!owner_.waited_for_.load(std::memory_order_relaxed)) return;
      }
      const MutexLock lock(owner_.mutex_);
      owner_.left_.NotifyAll();
    }

    /// Called with a lock held: must not end the call before it returns.
    virtual void CancelForShutdown() = 0;

   private:
    friend class InFlight;
    InFlight& owner_;
    Place& place_;
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
    bool left_ = false;
  };

  void CancelAll() {
    for (Place& place : places_) {
      const MutexLock lock(place.mutex);
      for (Entry* entry = place.first; entry != nullptr; entry = entry->next_) {
        entry->CancelForShutdown();
      }
    }
  }

  /// Waits until there is none, at most `wait`; returns whether there is none.
  /// Calls that begin meanwhile count as well.
  bool WaitUntilNone(std::chrono::nanoseconds wait) {
    const auto until = std::chrono::steady_clock::now() + wait;
    waited_for_.store(true);
    const MutexLock lock(mutex_);
    while (Count() > 0) {
      if (!left_.WaitUntil(mutex_, until)) return Count() == 0;
    }
    return true;
  }

  std::size_t Count() const {
    std::size_t sum = 0;
    for (const Place& place : places_) {
      const MutexLock lock(place.mutex);
      sum += place.count;
    }
    return sum;
  }

 private:
  Place& Mine() { return places_[ThreadSlot() % places_.size()]; }
  std::array<Place, 16> places_;

  // While somebody waits, who leaves says so.
  std::atomic<bool> waited_for_{false};
  Mutex mutex_;
  CondVar left_;
};

}  // namespace grpccommon::internal
