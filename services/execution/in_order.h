// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "grpccommon/base/mutex.h"

namespace platform::execution {

/// Calls functions one after the other, in the order in which they were added,
/// on the threads that add them: what a thread has to tell others about a
/// change that it made under a lock, it adds under that lock, and calls it
/// without.
///
/// Thread-safe.
class InOrder {
 public:
  /// Calls nothing. A `Call` must follow, without locks.
  void Add(std::function<void()> function) {
    const grpccommon::MutexLock lock(mutex_);
    functions_.push_back(std::move(function));
  }

  /// Calls what was added, unless another thread is at it, which then calls
  /// this thread's, too. A function may add others, and call.
  void Call() {
    for (bool first = true;; first = false) {
      std::function<void()> function;
      {
        const grpccommon::MutexLock lock(mutex_);
        if (first && std::exchange(calling_, true)) return;
        if (functions_.empty()) {
          calling_ = false;
          return;
        }
        function = std::move(functions_.front());
        functions_.pop_front();
      }
      function();
    }
  }

 private:
  grpccommon::Mutex mutex_;
  std::deque<std::function<void()>> functions_ ABSL_GUARDED_BY(mutex_);
  bool calling_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace platform::execution
