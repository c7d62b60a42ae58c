// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpcpp/server_context.h"
#include "services/task/change_feed.h"
#include "services/task/task_store.h"

namespace platform::task {

/// Brings one watcher from the tasks as they are to the changes as they come,
/// without a gap, a repetition, or much memory.
///
/// The tasks are read in pages, in the order of their creation and at the pace
/// of the client, while changes go on. Each page remembers the last change that
/// it reflects; of the changes since the first page, those that the page with
/// their task reflects are left out then. The last step, from the noted changes
/// to the live ones, happens between two transactions.
///
/// What is read next is read when all that was read has left for the client.
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

  /// Of the call `context`. At most `max_queued` events wait for its client,
  /// and 16 MiB. `store` and `clock` outlive the stream.
  TaskWatch(const grpc::CallbackServerContext& context, std::size_t max_queued,
            StoreQueue& store, std::shared_ptr<ChangeFeed> feed,
            const grpccommon::Clock& clock);

  const std::shared_ptr<TaskEventWriter>& writer() const { return writer_; }

  /// Goes on until the stream has ended. To be called once, or never if the
  /// stream ends without.
  void Run(Start start);

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
  absl::Status GoLive(TaskStore& store);
  bool Reflected(const Change& change) const;
  std::size_t Room() const;

  // The change up to which the client knows all when the watch goes live: where
  // it resumes if none of the live ones reaches it. Used by the store's writing
  // thread.
  const std::shared_ptr<std::int64_t> live_after_ =
      std::make_shared<std::int64_t>(0);
  const std::shared_ptr<TaskEventWriter> writer_;
  StoreQueue& store_;
  const std::shared_ptr<ChangeFeed> feed_;
  const grpccommon::Clock& clock_;

  // One step follows the other, through the store's queue.
  Start start_;
  bool listing_ = false;
  bool caught_up_ = false;
  // The client knows all changes up to this one; absent: it wants none of them.
  std::optional<std::int64_t> after_;
  std::vector<Page> pages_;
};

}  // namespace platform::task
