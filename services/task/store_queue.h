// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "services/task/task_store.h"

namespace platform::task {

struct StoreQueueOptions {
  /// Jobs of each kind, read and write, that may wait, at least 1.
  std::size_t max_waiting = 1024;
  /// Threads that read, each with a connection of its own, in [1, 64].
  int readers = 2;
  /// Write jobs that share a transaction at most, and so one wait for the disk.
  std::size_t max_batch = 64;
};

/// The store behind threads of its own, since SQLite blocks and gRPC's threads
/// must not: one that writes, several that read.
///
/// Jobs that wait to write share a transaction (group commit): alone each would
/// wait for the disk. If it fails, each runs again by itself, so that one that
/// cannot succeed spoils no other.
///
/// Thread-safe. Jobs run in the order of their arrival, those that read beside
/// those that write. The destructor runs what waits.
class StoreQueue {
 public:
  struct WriteJob {
    /// Inside a transaction; perhaps twice.
    std::function<void(TaskStore&)> run;
    /// Once, after its end: OK if it was committed, else why nothing was done.
    /// In the order of the jobs, and before the next transaction begins.
    std::function<void(const absl::Status& committed)> done;
  };
  using ReadJob = std::function<void(TaskStore&)>;

  /// Errors: those of TaskStore::Open.
  static absl::StatusOr<std::unique_ptr<StoreQueue>> Open(
      const TaskStoreOptions& store, StoreQueueOptions options = {},
      const grpccommon::Clock& clock = grpccommon::SteadyClock());
  ~StoreQueue();

  StoreQueue(const StoreQueue&) = delete;
  StoreQueue& operator=(const StoreQueue&) = delete;

  /// Errors of all three, after which the job will not run: kResourceExhausted
  /// if too many wait.
  absl::Status Write(WriteJob job);
  absl::Status Read(ReadJob job);
  /// Reads on the thread that writes, between two transactions: what was
  /// committed before is done, and nothing is committed meanwhile.
  absl::Status ReadBetweenWrites(ReadJob job);

  /// Looks whether tasks can be read and written, by the way that writes take
  /// but without changing anything. `done` gets the answer, on whatever thread:
  /// an error of TaskStore, or kResourceExhausted if too many jobs wait.
  void Check(std::function<void(const absl::Status&)> done);

 private:
  struct Job {
    WriteJob write;
    ReadJob read;  // instead
  };

  StoreQueue(StoreQueueOptions options, std::unique_ptr<TaskStore> writer,
             std::vector<std::unique_ptr<TaskStore>> readers);

  absl::Status Add(std::deque<Job>& queue, grpccommon::CondVar& arrived,
                   Job job) ABSL_LOCKS_EXCLUDED(mutex_);
  void RunWrites();
  void RunReads(TaskStore& store);
  void RunBatch(std::vector<Job>& batch);

  const StoreQueueOptions options_;
  const std::unique_ptr<TaskStore> writer_;
  const std::vector<std::unique_ptr<TaskStore>> readers_;

  grpccommon::Mutex mutex_;
  grpccommon::CondVar write_arrived_;
  grpccommon::CondVar read_arrived_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Job> writes_ ABSL_GUARDED_BY(mutex_);
  std::deque<Job> reads_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace platform::task
