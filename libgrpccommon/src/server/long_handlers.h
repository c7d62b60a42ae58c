// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/base/thread_slot.h"
#include "grpcpp/impl/call.h"
#include "grpcpp/impl/call_op_set_interface.h"
#include "server/on_demand_sweep.h"

namespace grpccommon::internal {

/// A batch that is not started yet, and the call to start it on.
struct HeldBatch {
  grpc::internal::CallOpSetInterface* ops;
  grpc::internal::Call call;

  void Start() { ops->FillOps(&call); }
};

/// Starts what InlineCompletions holds back for callback handlers that keep
/// their thread: the batch by which ServerContext::IsCancelled learns that a
/// call has ended. It is started within 50 to 100 ms of the handler's start,
/// which is therefore how late such a handler can learn of a cancellation.
///
/// Thread-safe. Costs two exchanges on a cache line that threads do not share,
/// and a wake-up each 50 ms while calls come so often that it is worth it.
class LongHandlers {
 public:
  /// Both are borrowed. `clock` must outlive this, `scheduler` must drop its
  /// tasks before this is destroyed.
  LongHandlers(const Clock& clock, Scheduler& scheduler)
      : clock_(clock), sweep_(scheduler, [this] { return Sweep(); }) {}

  /// Holds `batch` back until `Leave`, on the same thread. Returns false, and
  /// does not, if this thread has had no call for a while, or if there is no
  /// place for it, as for a handler within another.
  bool Enter(HeldBatch& batch);

  /// Returns false if it was started meanwhile.
  bool Leave(HeldBatch& batch);

 private:
  struct alignas(kCacheLineBytes) Place {
    std::atomic<HeldBatch*> batch{nullptr};
    std::atomic<std::uint32_t> entered{0};
    // When the last one came.
    std::atomic<std::int64_t> came_ns{0};
    // The last sweep's.
    std::uint32_t seen = 0;
  };

  Place& PlaceOfThread() { return places_[ThreadSlot() % places_.size()]; }
  OnDemandSweep::Next Sweep();

  const Clock& clock_;
  OnDemandSweep sweep_;
  std::array<Place, 64> places_;
  // Held while a batch is taken from a handler that still runs.
  Mutex taking_;
};

}  // namespace grpccommon::internal
