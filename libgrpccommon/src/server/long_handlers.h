// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/scheduler.h"
#include "grpcpp/impl/call.h"
#include "grpcpp/impl/call_op_set_interface.h"
#include "server/on_demand_sweep.h"

namespace grpccommon::internal {

/// A batch that is not started yet, and the call to start it on. On the stack
/// of the thread that holds it back.
struct HeldBatch {
  HeldBatch(grpc::internal::CallOpSetInterface& o,
            const grpc::internal::Call& c)
      : ops(o), call(c) {}

  void Start() { ops.FillOps(&call); }

  grpc::internal::CallOpSetInterface& ops;
  grpc::internal::Call call;
  // The last that a sweep does with it.
  std::atomic<bool> taken{false};
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
  /// place for it.
  bool Enter(HeldBatch& batch);

  /// Returns false if it was started meanwhile. The call, the server, and with
  /// it the one that `batch` entered, may then be gone.
  static bool Leave(HeldBatch& batch);

 private:
  OnDemandSweep::Next Sweep();

  const Clock& clock_;
  OnDemandSweep sweep_;
};

}  // namespace grpccommon::internal
