// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/cancellation.h"

#include <utility>

namespace grpccommon {
namespace {

// An address that is the calling thread's own.
const void* ThisThread() {
  static thread_local const char here = 0;
  return &here;
}

}  // namespace

void Cancellation::Cancel() {
  {
    const MutexLock lock(mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    running_thread_ = ThisThread();
  }
  for (;;) {
    std::function<void()> next;
    {
      const MutexLock lock(mutex_);
      running_ = 0;
      ran_.NotifyAll();
      if (callbacks_.empty()) {
        running_thread_ = nullptr;
        return;
      }
      const auto first = callbacks_.begin();
      running_ = first->first;
      next = std::move(first->second);
      callbacks_.erase(first);
    }
    next();
  }
}

bool Cancellation::cancelled() const {
  const MutexLock lock(mutex_);
  return cancelled_;
}

CancellationCallback::CancellationCallback(Cancellation* cancellation,
                                           std::function<void()> function)
    : cancellation_(cancellation) {
  if (cancellation_ == nullptr) return;
  {
    const MutexLock lock(cancellation_->mutex_);
    if (!cancellation_->cancelled_) {
      id_ = ++cancellation_->last_id_;
      cancellation_->callbacks_.emplace(id_, std::move(function));
      return;
    }
  }
  function();
}

CancellationCallback::~CancellationCallback() {
  if (id_ == 0) return;
  const MutexLock lock(cancellation_->mutex_);
  cancellation_->callbacks_.erase(id_);
  if (cancellation_->running_thread_ == ThisThread()) return;
  while (cancellation_->running_ == id_) {
    cancellation_->ran_.Wait(cancellation_->mutex_);
  }
}

}  // namespace grpccommon
