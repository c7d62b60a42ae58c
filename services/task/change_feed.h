// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "grpccommon/stream/broadcaster.h"
#include "grpccommon/stream/writer.h"
#include "services/common/store_queue.h"
#include "services/task/task_store.h"
#include "taskservice/task_service.pb.h"

namespace platform::task {

using StoreQueue = common::StoreQueue<TaskStore>;
using TaskEventWriter = grpccommon::StreamWriter<taskservice::TaskEvent>;
using TaskBroadcaster = grpccommon::Broadcaster<taskservice::TaskEvent, Change>;

/// What one read takes from the store for watchers at most; others wait
/// meanwhile.
inline constexpr std::size_t kMaxWatchRows = 256;
inline constexpr std::size_t kMaxWatchBytes = 256 << 10;

/// What ends a watch that cannot go on where it is.
absl::Status ChangesNotKept();

/// Tells the live watchers every change, once and in the order of the commits:
/// those of this process as they come; those that other processes make in the
/// same database before the next one of this process, or when it looks for
/// them.
///
/// Used by the store's writing thread, but for `LookForOthers` and `watchers`.
class ChangeFeed : public std::enable_shared_from_this<ChangeFeed> {
 public:
  /// `store` is borrowed and must outlive the last call.
  ChangeFeed(StoreQueue& store, std::size_t max_watchers);

  /// A change of this process that was committed.
  void Publish(const Change& change);

  /// Has the store looked at for what other processes changed, if anyone
  /// watches. Thread-safe.
  void LookForOthers();

  /// Tells a stream, from between two transactions on, the changes after number
  /// `after` that `filter` wants. Errors: those of Broadcaster::Subscribe.
  absl::Status Subscribe(const std::shared_ptr<TaskEventWriter>& writer,
                         std::int64_t after,
                         std::function<bool(const Change&)> filter);

  std::size_t watchers() const { return broadcaster_.watchers(); }

 private:
  void Tell(const Change& change);
  void CatchUp(TaskStore& store);

  StoreQueue& store_;
  TaskBroadcaster broadcaster_;
  // The change that was told last; means nothing while nobody watches.
  std::int64_t told_ = 0;
  std::atomic<bool> looking_ = false;
};

}  // namespace platform::task
