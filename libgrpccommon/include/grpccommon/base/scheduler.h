// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// Runs functions later: refreshes, drains, time-outs. A test passes the fake
/// one (testing/fake_clock.h) and moves its clock instead of sleeping.
///
/// Thread-safe.
class GRPCCOMMON_EXPORT Scheduler {
 public:
  using TaskId = std::uint64_t;

  virtual ~Scheduler() = default;

  /// Runs `task` once, after `delay`, on the scheduler's thread. Tasks are
  /// short: what blocks hands over to a thread of its own.
  virtual TaskId RunAfter(Clock::Duration delay,
                          std::function<void()> task) = 0;

  /// Returns true if the task will not run. Returns false if it has run, and
  /// waits for it if it is running on another thread just now; so after
  /// Cancel, what the task refers to may be destroyed.
  virtual bool Cancel(TaskId id) = 0;
};

/// One thread, started with the first task, which sleeps until the next one is
/// due: no wake-ups while nothing is planned. Pending tasks are dropped at
/// destruction.
GRPCCOMMON_EXPORT std::unique_ptr<Scheduler> CreateScheduler();

/// Runs a task again and again until it is destroyed (which waits for a running
/// one). The next run is planned when one ends, so runs never overlap.
class GRPCCOMMON_EXPORT PeriodicTask {
 public:
  /// `scheduler` is borrowed and must outlive this. The first run is after one
  /// `interval`.
  PeriodicTask(Scheduler& scheduler, Clock::Duration interval,
               std::function<void()> task);
  ~PeriodicTask();

  PeriodicTask(const PeriodicTask&) = delete;
  PeriodicTask& operator=(const PeriodicTask&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace grpccommon
