// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "platform/execution/v1/execution_service.pb.h"
#include "services/execution/judge.h"
#include "services/execution/languages.h"
#include "services/execution/problem_tests.h"
#include "services/execution/run_queue.h"

namespace platform::execution {

/// Who wants something.
struct Caller {
  /// Unique; executions belong to it, and it has its turn in the queue.
  std::string id;
  /// May have programs judged by a problem's tests, and see and cancel
  /// everybody's executions.
  bool trusted = false;
};

/// Learns how one execution goes on. Called by one thread at a time; must not
/// block.
class ExecutionListener {
 public:
  virtual ~ExecutionListener() = default;

  virtual void OnUpdate(const v1::ExecutionUpdate& update) = 0;
  /// Its tests are there: from now on it waits for its turn.
  virtual void OnAccepted(const v1::Execution& execution) = 0;
  /// The last call. OK: the last update had the execution. Else it was refused,
  /// or could not be begun.
  virtual void OnEnd(const absl::Status& status) = 0;
};

struct ExecutionsOptions {
  /// What is known of executions that have ended: for so long, in [0, 24 h];
  /// so many, at least 1; so many bytes, at least 1. The oldest one goes.
  std::chrono::nanoseconds kept_for = std::chrono::minutes(10);
  std::size_t max_kept = 2000;
  std::size_t max_kept_bytes = std::size_t{64} << 20;
};

/// All executions of this process, from their submission to the time when they
/// are forgotten: fetches their tests, queues and judges them, and tells those
/// who listen.
///
/// Thread-safe.
class Executions {
 public:
  struct Parts {
    const Languages& languages;
    RunQueue& queue;
    ProblemTests& tests;
    JudgeTools judge;
  };

  /// All are borrowed and must outlive this, `metrics` need not.
  /// Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<std::unique_ptr<Executions>> Create(
      const Parts& parts, const ExecutionsOptions& options,
      grpccommon::MetricsRegistry& metrics,
      const grpccommon::Clock& clock = grpccommon::SteadyClock());

  /// As Shutdown.
  ~Executions();
  Executions(const Executions&) = delete;
  Executions& operator=(const Executions&) = delete;

  /// Begins an execution, or joins the one that the caller began with the same
  /// idempotency key. Whatever becomes of it, `listener` hears of it, the first
  /// update before this returns.
  /// Errors, to the listener: kInvalidArgument for an unknown language, or one
  /// that the problem does not allow; kPermissionDenied for a problem's tests
  /// unless the caller is trusted; kAlreadyExists, reason EXECUTION_EXISTS or
  /// IDEMPOTENCY_KEY_REUSED; those of RunQueue::Admit and ProblemTests::Get;
  /// kUnavailable if it was queued when `Drain` was called.
  ///
  /// Returns what to call when the listener has gone. That cancels the
  /// execution, unless it is detached or somebody else listens.
  std::function<void()> Submit(const Caller& caller, v1::ExecuteRequest request,
                               std::shared_ptr<ExecutionListener> listener);

  /// Errors: kNotFound, also for what belongs to others.
  absl::StatusOr<v1::Execution> Get(const Caller& caller,
                                    const std::string& id);

  /// Ends an execution, and gives it to `done` once nothing of it runs any
  /// more; one that has ended stays as it is. Errors, to `done`: as Get.
  void Cancel(const Caller& caller, const std::string& id,
              std::function<void(absl::StatusOr<v1::Execution>)> done);

  /// Tells those who wait how many are before them, where that has changed; to
  /// be called now and then.
  void ReportPositions();

  /// Takes no more executions, and ends with kUnavailable what waits. What runs
  /// goes on.
  void Drain();

  /// Drains, cancels what runs, and waits for its end.
  void Shutdown();

  const Languages& languages() const { return parts_.languages; }

 private:
  class Entry;

  struct Kept {
    grpccommon::Clock::TimePoint ended_at;
    std::string id;
    std::string idempotency_key;
    std::size_t bytes = 0;
  };

  Executions(const Parts& parts, const ExecutionsOptions& options,
             const grpccommon::Clock& clock);
  absl::Status AddMetrics(grpccommon::MetricsRegistry& metrics);

  // The entry to join, or null after `entry` was added.
  absl::StatusOr<std::shared_ptr<Entry>> Add(
      const std::shared_ptr<Entry>& entry);
  void FetchTests(const std::shared_ptr<Entry>& entry,
                  const v1::ProblemTests& problem);
  void OnTests(const std::shared_ptr<Entry>& entry,
               const absl::StatusOr<std::shared_ptr<const TestSuite>>& suite);
  // It was never begun: nobody remembers it.
  void Refuse(const std::shared_ptr<Entry>& entry, const absl::Status& status);
  // It has told its listeners.
  void Ended(Entry& entry, std::size_t bytes);
  absl::StatusOr<std::shared_ptr<Entry>> Find(const Caller& caller,
                                              const std::string& id);
  std::vector<std::shared_ptr<Entry>> Unended() const;
  void ForgetOldLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Parts parts_;
  const ExecutionsOptions options_;
  const grpccommon::Clock& clock_;

  mutable grpccommon::Mutex mutex_;
  grpccommon::CondVar changed_;
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_
      ABSL_GUARDED_BY(mutex_);
  // By caller and key.
  std::unordered_map<std::string, std::shared_ptr<Entry>> by_key_
      ABSL_GUARDED_BY(mutex_);
  std::unordered_map<RunQueue::JobId, std::shared_ptr<Entry>> by_job_
      ABSL_GUARDED_BY(mutex_);
  // In the order of their end.
  std::deque<Kept> kept_ ABSL_GUARDED_BY(mutex_);
  std::size_t kept_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Entries that have not ended, and answers of `tests` that are due.
  std::size_t pending_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<grpccommon::MetricRegistration> registrations_;
};

}  // namespace platform::execution
