// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/stream/broadcaster.h"
#include "grpccommon/stream/writer.h"
#include "services/common/store_queue.h"
#include "services/task/task_store.h"
#include "taskservice/task_service.pb.h"

namespace platform::task {

using StoreQueue = common::StoreQueue<TaskStore>;
using TaskEventWriter = grpccommon::StreamWriter<taskservice::TaskEvent>;
using TaskBroadcaster = grpccommon::Broadcaster<taskservice::TaskEvent, Change>;

/// Brings one watcher from the tasks as they are to the changes as they come,
/// without a gap, a repetition, or more memory than the stream's queue.
///
/// The tasks are read in pages, in the order of their creation and at the pace
/// of the client, while changes go on. Each page remembers the last change that
/// it reflects; of the changes since the first page, those that the page with
/// their task reflects are left out then. The last step, from the noted changes
/// to the live ones, happens between two transactions.
class TaskWatch : public std::enable_shared_from_this<TaskWatch> {
 public:
  struct Start {
    Scope scope;
    std::string filter;
    /// Begin with the tasks as they are.
    bool initial = true;
    /// Or with the changes after this one. With neither: with those to come.
    std::optional<std::int64_t> resume_after;
  };

  /// `store`, `broadcaster` and `clock` outlive the watch's stream.
  TaskWatch(std::shared_ptr<TaskEventWriter> writer, StoreQueue& store,
            TaskBroadcaster& broadcaster, const grpccommon::Clock& clock,
            Start start);

  /// Goes on until the stream has ended.
  void Run();

 private:
  struct Page {
    // Tasks created up to this change are in this page or an earlier one.
    std::int64_t up_to = 0;
    // It shows them as they were after this change.
    std::int64_t sequence = 0;
  };

  void Continue();
  void Step(TaskStore& store);
  absl::Status SendTasks(TaskStore& store, std::size_t room);
  // True when there are no more.
  absl::StatusOr<bool> SendChanges(TaskStore& store, std::size_t room);
  void GoLive(TaskStore& store);
  bool Reflected(const Change& change) const;
  std::size_t Room() const;

  const std::shared_ptr<TaskEventWriter> writer_;
  StoreQueue& store_;
  TaskBroadcaster& broadcaster_;
  const grpccommon::Clock& clock_;
  const Start start_;

  // One step follows the other, through the store's queue.
  bool listing_;
  bool live_only_;
  std::int64_t after_ = 0;
  std::vector<Page> pages_;
};

}  // namespace platform::task
