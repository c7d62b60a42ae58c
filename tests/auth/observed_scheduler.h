// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {

// Tells when the source has planned its next fetch, which is when it has done
// with the one before.
class ObservedScheduler : public Scheduler {
 public:
  explicit ObservedScheduler(testing::FakeClock& clock) : inner_(clock) {}
  TaskId RunAfter(Clock::Duration delay, std::function<void()> task) override {
    const TaskId id = inner_.RunAfter(delay, std::move(task));
    const MutexLock lock(mutex_);
    delays_.push_back(delay);
    planned_.NotifyAll();
    return id;
  }
  bool Cancel(TaskId id) override { return inner_.Cancel(id); }

  /// The delay of the next plan that was not asked for yet.
  Clock::Duration NextDelay() {
    const MutexLock lock(mutex_);
    while (delays_.empty()) planned_.Wait(mutex_);
    const Clock::Duration delay = delays_.front();
    delays_.pop_front();
    return delay;
  }

 private:
  testing::FakeScheduler inner_;
  Mutex mutex_;
  CondVar planned_;
  std::deque<Clock::Duration> delays_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon
