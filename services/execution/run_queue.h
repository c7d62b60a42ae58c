// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"

namespace platform::execution {

struct RunQueueOptions {
  /// Jobs that run at the same time, in [1, 256].
  int parallel = 1;
  /// Of one caller, in [1, 256]: with fewer than `parallel`, no caller's slow
  /// programs hold up everybody else's.
  int max_running_per_caller = 256;
  /// Jobs that wait, in [1, 1e6]; of one caller, in [1, max_waiting], so that
  /// nobody can fill the queue for all.
  std::size_t max_waiting = 1000;
  std::size_t max_waiting_per_caller = 500;
  /// Of all jobs that wait, as they were admitted, at least 1; a caller may
  /// have half of it.
  std::size_t max_waiting_bytes = std::size_t{256} << 20;
};

/// Lets a fixed number of jobs run, and the others wait for their turn: callers
/// take turns, and each one's jobs start in the order of their coming, so one
/// with a hundred jobs does not hold up another with one.
///
/// A job is admitted, which takes its place; is enqueued, once it can run;
/// starts; and is released. One that has not started may be withdrawn.
///
/// Thread-safe. Starts run on the thread that made room for them, one after the
/// other and without a lock; they must not block.
class RunQueue {
 public:
  /// Never used twice, never 0.
  using JobId = std::uint64_t;

  /// `clock` is borrowed and must outlive the queue.
  /// Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<std::unique_ptr<RunQueue>> Create(
      const RunQueueOptions& options,
      const grpccommon::Clock& clock = grpccommon::SteadyClock());

  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;

  /// Whether max_running_per_caller holds for a caller.
  enum class Share { kBounded, kWhole };

  /// Reserves a place. Errors: kResourceExhausted with RetryInfo, reason
  /// QUEUE_FULL or CALLER_QUEUE_FULL; kUnavailable after Close.
  absl::StatusOr<JobId> Admit(const std::string& caller, std::size_t bytes,
                              Share share = Share::kBounded);

  /// Calls `start` when the job's turn has come; perhaps now. Does nothing if
  /// the job was withdrawn.
  void Enqueue(JobId job, std::function<void()> start);

  /// Takes back an admitted job that has not started; false if it has (or has
  /// gone).
  bool Withdraw(JobId job);

  /// Makes the place of a started job free for another.
  void Release(JobId job);

  /// Admits no more. Jobs that wait stay.
  void Close();

  /// How many start before a job that waits, if no others come and nobody has
  /// to wait for a program of his own; 0 for one that runs. One that is not
  /// enqueued counts as if it were.
  std::size_t Position(JobId job) const;
  /// The enqueued jobs, in the order in which they would start.
  std::vector<JobId> Order() const;

  std::size_t waiting() const;
  std::size_t running() const;

 private:
  struct Job {
    std::string caller;
    std::size_t bytes = 0;
    Share share = Share::kBounded;
    std::function<void()> start;
    bool enqueued = false;
    bool started = false;
    grpccommon::Clock::TimePoint started_at;
  };
  struct Caller {
    // Enqueued jobs, in their order.
    std::deque<JobId> jobs;
    // Waiting ones, whether enqueued or not.
    std::size_t waiting = 0;
    std::size_t bytes = 0;
    // Where its turn comes; only while it has enqueued jobs.
    std::list<std::string>::iterator turn;
  };

  RunQueue(const RunQueueOptions& options, const grpccommon::Clock& clock);

  // Starts what there is room for.
  void Pump();
  bool MayRunLocked(const std::string& name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::function<void()> TakeNextLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A job waits no more.
  void ForgetLocked(const Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FullLocked(const Caller& caller, std::size_t bytes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::chrono::nanoseconds RetryDelayLocked(std::size_t jobs) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const RunQueueOptions options_;
  const grpccommon::Clock& clock_;
  mutable grpccommon::Mutex mutex_;
  std::unordered_map<JobId, Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, Caller> callers_ ABSL_GUARDED_BY(mutex_);
  // Callers with enqueued jobs; the first one is next.
  std::list<std::string> turns_ ABSL_GUARDED_BY(mutex_);
  JobId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  // By caller; of those with any.
  std::unordered_map<std::string, int> running_of_ ABSL_GUARDED_BY(mutex_);
  // How long jobs run, in seconds: an exponentially weighted mean.
  double mean_run_ ABSL_GUARDED_BY(mutex_) = 1.0;
  bool pumping_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace platform::execution
