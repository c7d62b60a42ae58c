// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "grpccommon/base/mutex.h"

namespace platform::user {

struct WorkerPoolOptions {
  /// In [1, 64]: so many jobs run at a time.
  int threads = 2;
  /// Jobs that may wait for one, at least 1.
  std::size_t max_waiting = 64;
};

/// Threads for work that is too slow for those that serve calls and for those
/// of the store, and a bounded queue before them. Thread-safe. The destructor
/// runs what waits.
class WorkerPool {
 public:
  explicit WorkerPool(const WorkerPoolOptions& options = {});
  ~WorkerPool();

  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Errors, after which the job will not run: kResourceExhausted, reason
  /// PASSWORDS_BUSY, if too many wait.
  absl::Status Run(std::function<void()> job);

 private:
  void Work();

  const std::size_t max_waiting_;
  grpccommon::Mutex mutex_;
  grpccommon::CondVar arrived_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace platform::user
