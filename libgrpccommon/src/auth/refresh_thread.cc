// SPDX-License-Identifier: Apache-2.0
#include "auth/refresh_thread.h"

#include <algorithm>
#include <utility>

namespace grpccommon::internal {

Clock::Duration Scale(Clock::Duration duration, double factor) {
  return std::chrono::duration_cast<Clock::Duration>(duration * factor);
}

RefreshThread::RefreshThread(Attempt attempt, const RefreshOptions& options,
                             Scheduler& scheduler, const Clock& clock,
                             Random random)
    : attempt_(std::move(attempt)),
      options_(options),
      scheduler_(scheduler),
      clock_(clock),
      random_(std::move(random)),
      backoff_(options.min_backoff),
      thread_([this] { Run(); }) {}

RefreshThread::~RefreshThread() {
  stop_.store(true);
  Wake();
  thread_.join();
  // Nobody plans any more; Cancel waits for a task that is running.
  scheduler_.Cancel(planned_);
}

void RefreshThread::RefreshUnlessWithin(Clock::Duration floor) {
  // No lock until it is time.
  const Clock::Duration now = clock_.Now().time_since_epoch();
  if (now - attempted_at_.load(std::memory_order_relaxed) < floor) return;
  {
    const MutexLock lock(mutex_);
    if (now - attempted_at_.load() < floor) return;
    wanted_ = true;
  }
  wake_.NotifyOne();
}

void RefreshThread::Wake() {
  {
    const MutexLock lock(mutex_);
    wanted_ = true;
  }
  wake_.NotifyOne();
}

void RefreshThread::Run() {
  while (true) {
    {
      const MutexLock lock(mutex_);
      while (!wanted_) wake_.Wait(mutex_);
      // What was wanted before an attempt is served by it.
      attempted_at_.store(clock_.Now().time_since_epoch());
      wanted_ = false;
    }
    if (stop_.load()) return;
    scheduler_.Cancel(planned_);
    const absl::StatusOr<Clock::Duration> due = attempt_(stop_);
    if (stop_.load()) return;
    if (due.ok()) backoff_ = options_.min_backoff;
    planned_ =
        scheduler_.RunAfter(due.ok() ? *due : Backoff(), [this] { Wake(); });
  }
}

Clock::Duration RefreshThread::Backoff() {
  const Clock::Duration backoff = backoff_;
  backoff_ = std::min(2 * backoff, options_.max_backoff);
  return Scale(backoff, 0.5 + 0.5 * random_());
}

}  // namespace grpccommon::internal
