// SPDX-License-Identifier: Apache-2.0
#include "services/user/worker_pool.h"

#include <chrono>
#include <utility>

#include "grpccommon/status/details.h"

namespace platform::user {

using grpccommon::MutexLock;

WorkerPool::WorkerPool(const WorkerPoolOptions& options)
    : max_waiting_(options.max_waiting) {
  for (int i = 0; i < options.threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

WorkerPool::~WorkerPool() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  arrived_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status WorkerPool::Run(std::function<void()> job) {
  {
    const MutexLock lock(mutex_);
    if (jobs_.size() >= max_waiting_) {
      return grpccommon::Exhausted("PASSWORDS_BUSY", "passwords",
                                   "too many passwords wait to be checked",
                                   std::chrono::seconds(1));
    }
    jobs_.push_back(std::move(job));
  }
  arrived_.NotifyOne();
  return absl::OkStatus();
}

void WorkerPool::Work() {
  for (;;) {
    std::function<void()> job;
    {
      const MutexLock lock(mutex_);
      while (jobs_.empty() && !stopping_) arrived_.Wait(mutex_);
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace platform::user
