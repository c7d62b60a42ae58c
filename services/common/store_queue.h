// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/status/details.h"
#include "services/common/database.h"

namespace platform::common {

struct StoreQueueOptions {
  /// Jobs of each kind, read and write, that may wait, at least 1.
  std::size_t max_waiting = 1024;
  /// Threads that read, each with a connection of its own, in [1, 64].
  int readers = 2;
  /// Write jobs that share a transaction at most, and so one wait for the disk.
  std::size_t max_batch = 64;
};

/// A service's store behind threads of its own, since databases block and
/// gRPC's threads must not: one that writes, several that read, each with a
/// `Store` (and so a connection) of its own. `Store` is any class with a
/// method `Database& database()`, and is used by one thread at a time.
///
/// Jobs that wait to write share a transaction (group commit): alone each would
/// wait for the disk. One that fails is undone and spoils no other.
///
/// Thread-safe. Jobs run in the order of their arrival, those that read beside
/// those that write. The destructor runs what waits.
template <typename Store>
class StoreQueue {
 public:
  struct WriteJob {
    /// Inside a transaction; perhaps twice, each time as if for the first time.
    /// With an error, or after a failure in the database, nothing of it stays.
    std::function<absl::Status(Store&)> run;
    /// Once, after its end: OK if it was committed, else the error of `run` or
    /// why nothing was done. In the order of the jobs, and before the next
    /// transaction begins.
    std::function<void(const absl::Status& committed)> done;
  };
  using ReadJob = std::function<void(Store&)>;
  using Open =
      std::function<absl::StatusOr<std::unique_ptr<Store>>(bool read_only)>;

  /// Errors: those of `open`.
  static absl::StatusOr<std::unique_ptr<StoreQueue>> Create(
      const Open& open, StoreQueueOptions options = {}) {
    // First, for it brings the tables up to date.
    auto writer = open(false);
    if (!writer.ok()) return writer.status();
    std::vector<std::unique_ptr<Store>> readers;
    for (int i = 0; i < options.readers; ++i) {
      auto reader = open(true);
      if (!reader.ok()) return reader.status();
      readers.push_back(*std::move(reader));
    }
    return std::unique_ptr<StoreQueue>(
        new StoreQueue(options, *std::move(writer), std::move(readers)));
  }

  ~StoreQueue() {
    {
      const grpccommon::MutexLock lock(mutex_);
      stopping_ = true;
    }
    write_arrived_.NotifyAll();
    read_arrived_.NotifyAll();
    for (std::thread& thread : threads_) thread.join();
  }

  StoreQueue(const StoreQueue&) = delete;
  StoreQueue& operator=(const StoreQueue&) = delete;

  /// Errors of all three, after which the job will not run: kResourceExhausted
  /// if too many wait.
  absl::Status Write(WriteJob job) {
    return Add(&StoreQueue::writes_, write_arrived_,
               {.write = std::move(job), .read = {}});
  }
  absl::Status Read(ReadJob job) {
    return Add(&StoreQueue::reads_, read_arrived_,
               {.write = {}, .read = std::move(job)});
  }
  /// Reads on the thread that writes, between two transactions: what was
  /// committed before is done, and nothing is committed by this process
  /// meanwhile.
  absl::Status ReadBetweenWrites(ReadJob job) {
    return Add(&StoreQueue::writes_, write_arrived_,
               {.write = {}, .read = std::move(job)});
  }

  /// Looks whether the store can be written, by the way that writes take but
  /// without changing anything. `done` gets the answer, on whatever thread: an
  /// error of Database, or kResourceExhausted if too many jobs wait. Fits
  /// grpccommon's readiness checks.
  void Check(std::function<void(const absl::Status&)> done) {
    const absl::Status added =
        Write({.run = [](Store& store) { return store.database().Ping(); },
               .done = done});
    if (!added.ok()) done(added);
  }

 private:
  struct Job {
    WriteJob write;
    ReadJob read;  // instead
  };

  StoreQueue(StoreQueueOptions options, std::unique_ptr<Store> writer,
             std::vector<std::unique_ptr<Store>> readers)
      : options_(options),
        writer_(std::move(writer)),
        readers_(std::move(readers)) {
    threads_.emplace_back([this] { RunWrites(); });
    for (const std::unique_ptr<Store>& reader : readers_) {
      threads_.emplace_back([this, &reader] { RunReads(*reader); });
    }
  }

  absl::Status Add(std::deque<Job> StoreQueue::*jobs,
                   grpccommon::CondVar& arrived, Job job)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const grpccommon::MutexLock lock(mutex_);
      std::deque<Job>& queue = this->*jobs;
      if (queue.size() >= options_.max_waiting) {
        return grpccommon::Exhausted("STORE_BUSY", "store",
                                     "too many calls wait for the store",
                                     std::chrono::milliseconds(500));
      }
      queue.push_back(std::move(job));
    }
    arrived.NotifyOne();
    return absl::OkStatus();
  }

  void RunReads(Store& store) {
    for (;;) {
      Job job;
      {
        const grpccommon::MutexLock lock(mutex_);
        while (reads_.empty() && !stopping_) read_arrived_.Wait(mutex_);
        if (reads_.empty()) return;
        job = std::move(reads_.front());
        reads_.pop_front();
      }
      job.read(store);
    }
  }

  void RunWrites() {
    std::vector<Job> batch;
    for (;;) {
      batch.clear();
      {
        const grpccommon::MutexLock lock(mutex_);
        while (writes_.empty() && !stopping_) write_arrived_.Wait(mutex_);
        if (writes_.empty()) return;
        do {
          const bool alone = writes_.front().read != nullptr;
          if (alone && !batch.empty()) break;
          batch.push_back(std::move(writes_.front()));
          writes_.pop_front();
          if (alone) break;
        } while (!writes_.empty() && batch.size() < options_.max_batch);
      }
      if (batch.front().read != nullptr) {
        batch.front().read(*writer_);
      } else if (batch.size() == 1) {
        batch.front().write.done(RunAlone(batch.front()));
      } else {
        RunTogether(batch);
      }
    }
  }

  absl::Status RunAlone(Job& job) {
    Database& database = writer_->database();
    absl::Status status = database.Begin();
    if (!status.ok()) return status;
    status = job.write.run(*writer_);
    if (status.ok()) return database.Commit();
    database.Rollback();
    return status;
  }

  void RunTogether(std::vector<Job>& batch) {
    Database& database = writer_->database();
    std::vector<absl::Status> results;
    absl::Status together = database.Begin();
    if (together.ok()) {
      for (Job& job : batch) {
        results.push_back(
            database.Attempt([&] { return job.write.run(*writer_); }));
      }
      together = database.Commit();
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      absl::Status result = together;
      if (together.ok()) {
        result = results[i];
      } else if (IsWorthAnother(together)) {
        result = RunAlone(batch[i]);
      }
      batch[i].write.done(result);
    }
  }

  // Whether what failed together may succeed alone: not if the database is
  // away, which each would wait for in vain, nor if it may have been done.
  static bool IsWorthAnother(const absl::Status& failure) {
    return !absl::IsUnavailable(failure) && !absl::IsUnknown(failure);
  }

  const StoreQueueOptions options_;
  const std::unique_ptr<Store> writer_;
  const std::vector<std::unique_ptr<Store>> readers_;

  grpccommon::Mutex mutex_;
  grpccommon::CondVar write_arrived_;
  grpccommon::CondVar read_arrived_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Job> writes_ ABSL_GUARDED_BY(mutex_);
  std::deque<Job> reads_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace platform::common
