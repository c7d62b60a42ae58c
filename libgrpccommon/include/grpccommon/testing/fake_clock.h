// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <utility>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"

namespace grpccommon::testing {

/// A clock that moves when a test says so. Starts at one hour of uptime, on
/// 2026-01-01T00:00:00Z. Thread-safe.
class GRPCCOMMON_EXPORT FakeClock : public Clock {
 public:
  TimePoint Now() const override;
  WallTime WallNow() const override;

  /// Moves both clocks forward, then runs what a FakeScheduler on this clock
  /// has due, in order of time.
  void Advance(Duration by);

  /// Moves the calendar alone, as NTP or an operator does.
  void SetWall(WallTime now);

 private:
  friend class FakeScheduler;
  std::atomic<std::int64_t> elapsed_ns_{0};
  std::atomic<std::int64_t> wall_offset_ns_{0};
  class FakeScheduler* scheduler_ = nullptr;
};

/// Runs tasks on the thread that advances its clock, each at its own time.
class GRPCCOMMON_EXPORT FakeScheduler : public Scheduler {
 public:
  /// `clock` is borrowed and must outlive this; one scheduler for a clock.
  explicit FakeScheduler(FakeClock& clock);
  ~FakeScheduler() override;

  TaskId RunAfter(Clock::Duration delay, std::function<void()> task) override;
  bool Cancel(TaskId id) override;

  /// Tasks that wait for their time.
  std::size_t pending() const;

 private:
  friend class FakeClock;
  void RunUntil(Clock::TimePoint end);

  FakeClock& clock_;
  mutable Mutex mutex_;
  TaskId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::pair<Clock::TimePoint, TaskId>, std::function<void()>> tasks_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon::testing
