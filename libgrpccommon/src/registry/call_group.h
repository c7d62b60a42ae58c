// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <unordered_set>

#include "grpccommon/base/mutex.h"
#include "grpcpp/client_context.h"

namespace grpccommon::internal {

/// Passes what belongs to a call from the thread that has it to the one that
/// gRPC calls next. gRPC orders the two; ThreadSanitizer does not see how.
class HandOver {
 public:
  void Take() { (void)passed_.load(std::memory_order_acquire); }
  void Pass() { passed_.store(true, std::memory_order_release); }

 private:
  std::atomic<bool> passed_{false};
};

/// The calls of one client that are under way, so that it can end them and wait
/// until they have let go of everything before it goes. Thread-safe.
///
/// What a call has of gRPC's (context, stub) dies between its `Ended` and its
/// `Leave`: the last reference to a channel must not go on a thread of gRPC,
/// which in 1.51 may wait there for itself.
class CallGroup {
 public:
  CallGroup() = default;
  CallGroup(const CallGroup&) = delete;
  CallGroup& operator=(const CallGroup&) = delete;
  ~CallGroup() { Close(); }

  /// False once the group is closed: the call must not begin.
  [[nodiscard]] bool Add(grpc::ClientContext& context) {
    const MutexLock lock(mutex_);
    if (closed_) return false;
    contexts_.insert(&context);
    ++calls_;
    return true;
  }

  /// The call is done: its context may go.
  void Ended(grpc::ClientContext& context) {
    const MutexLock lock(mutex_);
    contexts_.erase(&context);
  }

  /// The last thing that happens to a call.
  void Leave() {
    const MutexLock lock(mutex_);
    // Under the lock, for the group may go as soon as that is open.
    if (--calls_ == 0) empty_.NotifyAll();
  }

  /// Cancels all and waits until they have left. Not from a call's callback.
  void Close() {
    const MutexLock lock(mutex_);
    closed_ = true;
    // gRPC runs no callback inside TryCancel.
    for (grpc::ClientContext* const context : contexts_) context->TryCancel();
    while (calls_ > 0) empty_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar empty_;
  std::unordered_set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mutex_);
  std::size_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace grpccommon::internal
