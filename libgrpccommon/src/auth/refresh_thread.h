// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"

namespace grpccommon::internal {

Clock::Duration Scale(Clock::Duration duration, double factor);

struct RefreshOptions {
  /// After a failure; doubles with each, up to the second, with jitter over
  /// the upper half.
  Clock::Duration min_backoff;
  Clock::Duration max_backoff;
};

/// A thread that keeps something from elsewhere fresh: it attempts, plans the
/// next attempt, and waits.
class RefreshThread {
 public:
  /// Returns after how long the next attempt is due, or why this one failed.
  /// Runs on the thread, and should end soon once `stop` is true.
  using Attempt = std::function<absl::StatusOr<Clock::Duration>(
      const std::atomic<bool>& stop)>;

  /// The first attempt begins at once. What is referred to must outlive this.
  RefreshThread(Attempt attempt, const RefreshOptions& options,
                Scheduler& scheduler, const Clock& clock, Random random);
  /// Waits for an attempt that is running.
  ~RefreshThread();

  /// Attempts now, unless the last attempt began less than `floor` ago. Cheap
  /// where it does, for it may be strangers who ask.
  void RefreshUnlessWithin(Clock::Duration floor);

 private:
  void Wake();
  void Run();
  Clock::Duration Backoff();

  const Attempt attempt_;
  const RefreshOptions options_;
  Scheduler& scheduler_;
  const Clock& clock_;
  const Random random_;
  std::atomic<bool> stop_{false};
  std::atomic<Clock::Duration> attempted_at_{Clock::Duration(0)};
  Mutex mutex_;
  CondVar wake_;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = true;
  // The thread's own, and the destructor's after it.
  Scheduler::TaskId planned_ = 0;
  Clock::Duration backoff_;  // after the next failure
  std::thread thread_;
};

}  // namespace grpccommon::internal
