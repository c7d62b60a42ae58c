// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "absl/base/thread_annotations.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"

namespace grpccommon {

/// Lets one thread call off what others do: outgoing calls take it by
/// `CallOptions::cancellation`. One object may serve many calls.
///
/// Thread-safe. Must outlive the calls that it was given to.
class GRPCCOMMON_EXPORT Cancellation {
 public:
  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  /// Runs what was added, on this thread; the second call does nothing.
  void Cancel();
  bool cancelled() const;

 private:
  friend class CancellationCallback;
  mutable Mutex mutex_;
  CondVar ran_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  // Which thread runs callbacks, so that one may take itself out.
  const void* running_thread_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::map<std::uint64_t, std::function<void()>> callbacks_
      ABSL_GUARDED_BY(mutex_);
};

/// Has a function called at the cancellation, at once if that was before.
/// Destroying it takes the function out, and waits for it if it runs on another
/// thread just now.
class GRPCCOMMON_EXPORT CancellationCallback {
 public:
  /// `cancellation` is borrowed; null: nothing ever calls.
  CancellationCallback(Cancellation* cancellation,
                       std::function<void()> function);
  ~CancellationCallback();
  CancellationCallback(const CancellationCallback&) = delete;
  CancellationCallback& operator=(const CancellationCallback&) = delete;

 private:
  Cancellation* const cancellation_;
  std::uint64_t id_ = 0;
};

}  // namespace grpccommon
