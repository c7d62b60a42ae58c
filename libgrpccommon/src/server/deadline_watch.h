// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/base/thread_slot.h"
#include "server/on_demand_sweep.h"

struct grpc_call;

namespace grpccommon::internal {

/// Ends calls that run past the timeout of their contract where the client set
/// no deadline or a later one; gRPC itself only knows the client's.
///
/// A call ends between its deadline and a tenth of its timeout, at least 10 ms,
/// later. Costs a lock that threads do not share on entry and on exit, and
/// wakes nobody while no such call runs.
class DeadlineWatch {
  struct Shard;

 public:
  /// Both are borrowed. `clock` must outlive this, `scheduler` must drop its
  /// tasks before this is destroyed.
  DeadlineWatch(const Clock& clock, Scheduler& scheduler);
  ~DeadlineWatch();

  /// A place in the list of a shard, embedded in each call. Leaves the list at
  /// destruction.
  class Entry {
   public:
    Entry() = default;
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    friend class DeadlineWatch;
    Shard* shard_ = nullptr;
    grpc_call* call_ = nullptr;
    Clock::TimePoint deadline_;
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
  };

  /// Cancels `call` with DEADLINE_EXCEEDED unless `entry` is gone by
  /// `deadline`. `call` must live as long as `entry`.
  void Watch(Entry& entry, grpc_call* call, Clock::TimePoint deadline,
             Clock::Duration timeout);

 private:
  OnDemandSweep::Next Sweep();

  const Clock& clock_;
  std::unique_ptr<std::array<Shard, 16>> shards_;
  // The shortest interval that any watched method asks for, in nanoseconds.
  std::atomic<std::int64_t> interval_ns_{0};
  OnDemandSweep sweep_;
};

}  // namespace grpccommon::internal
