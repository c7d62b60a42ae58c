// SPDX-License-Identifier: Apache-2.0
#include "services/task/store_queue.h"

#include <chrono>
#include <utility>

#include "absl/memory/memory.h"
#include "grpccommon/status/details.h"

namespace platform::task {

using grpccommon::CondVar;
using grpccommon::MutexLock;

absl::StatusOr<std::unique_ptr<StoreQueue>> StoreQueue::Open(
    const TaskStoreOptions& store, StoreQueueOptions options,
    const grpccommon::Clock& clock) {
  // First, for it brings the tables up to date.
  auto writer = TaskStore::Open(store, clock);
  if (!writer.ok()) return writer.status();
  std::vector<std::unique_ptr<TaskStore>> readers;
  TaskStoreOptions read_only = store;
  read_only.read_only = true;
  for (int i = 0; i < options.readers; ++i) {
    auto reader = TaskStore::Open(read_only, clock);
    if (!reader.ok()) return reader.status();
    readers.push_back(*std::move(reader));
  }
  return absl::WrapUnique(
      new StoreQueue(options, *std::move(writer), std::move(readers)));
}

StoreQueue::StoreQueue(StoreQueueOptions options,
                       std::unique_ptr<TaskStore> writer,
                       std::vector<std::unique_ptr<TaskStore>> readers)
    : options_(options),
      writer_(std::move(writer)),
      readers_(std::move(readers)) {
  threads_.emplace_back([this] { RunWrites(); });
  for (const std::unique_ptr<TaskStore>& reader : readers_) {
    threads_.emplace_back([this, &reader] { RunReads(*reader); });
  }
}

StoreQueue::~StoreQueue() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  write_arrived_.NotifyAll();
  read_arrived_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status StoreQueue::Write(WriteJob job) {
  return Add(writes_, write_arrived_, {.write = std::move(job)});
}

absl::Status StoreQueue::ReadBetweenWrites(ReadJob job) {
  return Add(writes_, write_arrived_, {.read = std::move(job)});
}

absl::Status StoreQueue::Read(ReadJob job) {
  return Add(reads_, read_arrived_, {.read = std::move(job)});
}

void StoreQueue::Check(std::function<void(const absl::Status&)> done) {
  // Nobody's task: finds nothing, and fails the transaction if it cannot look.
  const absl::Status added = Write(
      {.run = [](TaskStore& store) { (void)store.Get({.all = true}, ""); },
       .done = done});
  if (!added.ok()) done(added);
}

absl::Status StoreQueue::Add(std::deque<Job>& queue, CondVar& arrived,
                             Job job) {
  {
    const MutexLock lock(mutex_);
    if (queue.size() >= options_.max_waiting) {
      return grpccommon::Exhausted("STORE_BUSY", "task store",
                                   "too many calls wait for the task store",
                                   std::chrono::milliseconds(500));
    }
    queue.push_back(std::move(job));
  }
  arrived.NotifyOne();
  return absl::OkStatus();
}

void StoreQueue::RunReads(TaskStore& store) {
  for (;;) {
    Job job;
    {
      const MutexLock lock(mutex_);
      while (reads_.empty() && !stopping_) read_arrived_.Wait(mutex_);
      if (reads_.empty()) return;
      job = std::move(reads_.front());
      reads_.pop_front();
    }
    job.read(store);
  }
}

void StoreQueue::RunWrites() {
  std::vector<Job> batch;
  for (;;) {
    batch.clear();
    {
      const MutexLock lock(mutex_);
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
    } else {
      RunBatch(batch);
    }
  }
}

void StoreQueue::RunBatch(std::vector<Job>& batch) {
  const auto run = [this](const auto begin, const auto end) {
    absl::Status status = writer_->Begin();
    if (!status.ok()) return status;
    for (auto job = begin; job != end; ++job) job->write.run(*writer_);
    return writer_->Commit();
  };
  const absl::Status status = run(batch.begin(), batch.end());
  if (status.ok() || batch.size() == 1) {
    for (Job& job : batch) job.write.done(status);
    return;
  }
  for (auto job = batch.begin(); job != batch.end(); ++job) {
    job->write.done(run(job, job + 1));
  }
}

}  // namespace platform::task
