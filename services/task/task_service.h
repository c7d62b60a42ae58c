// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/validate/validator.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "services/common/watch_quota.h"
#include "services/task/change_feed.h"
#include "services/task/task_store.h"
#include "taskservice/task_service.grpc.pb.h"

namespace platform::task {

/// Who calls, and so which tasks they may see.
using ScopeOf =
    std::function<absl::StatusOr<Scope>(const grpc::CallbackServerContext&)>;

/// The principal that the call's chain has proven; role "admin" sees all.
/// Errors: kUnauthenticated without one, whatever the chain let through.
absl::StatusOr<Scope> ScopeOfPrincipal(
    const grpc::CallbackServerContext& context);

struct TaskServiceOptions {
  /// Events that wait for a watcher, and 16 MiB of them at most, before it is
  /// told that it is too slow. Watches share them.
  std::size_t watch_queue = 512;
  std::size_t max_watchers = 10'000;
  /// Of one owner, at least 1: so nobody takes the places of all, nor much
  /// memory. Each watch has half a MiB of its own at most.
  std::size_t max_watches_per_owner = 32;
  /// What a page of a list may have, in bytes, but for one task.
  std::size_t max_page_bytes = 3 << 20;
  /// What one bulk creation may answer with, in bytes: clients take no larger
  /// message by default.
  std::size_t max_bulk_bytes = 3 << 20;
  ScopeOf scope_of = ScopeOfPrincipal;
};

/// taskservice.TaskService: translates, asks the store, translates back.
class TaskService final : public taskservice::TaskService::CallbackService {
 public:
  /// `store` and `clock` are borrowed and must outlive the service.
  /// Errors: kInternal if the contract makes no sense.
  static absl::StatusOr<std::unique_ptr<TaskService>> Create(
      StoreQueue& store, TaskServiceOptions options = {},
      const grpccommon::Clock& clock = grpccommon::SteadyClock());
  ~TaskService() override;

  /// Ends all watches with UNAVAILABLE and refuses new ones, so that the server
  /// can drain. Waits for no client to read.
  void EndWatches();

  /// Has watchers told what other processes changed in the same database. To be
  /// called now and then. Thread-safe.
  void LookForChangesOfOthers() { feed_->LookForOthers(); }

  /// Watches that get changes as they come.
  std::size_t watchers() const { return feed_->watchers(); }

  grpc::ServerUnaryReactor* CreateTask(
      grpc::CallbackServerContext* context,
      const taskservice::CreateTaskRequest* request,
      taskservice::Task* response) override;
  grpc::ServerUnaryReactor* GetTask(grpc::CallbackServerContext* context,
                                    const taskservice::GetTaskRequest* request,
                                    taskservice::Task* response) override;
  grpc::ServerUnaryReactor* UpdateTask(
      grpc::CallbackServerContext* context,
      const taskservice::UpdateTaskRequest* request,
      taskservice::Task* response) override;
  grpc::ServerUnaryReactor* DeleteTask(
      grpc::CallbackServerContext* context,
      const taskservice::DeleteTaskRequest* request,
      google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* ListTasks(
      grpc::CallbackServerContext* context,
      const taskservice::ListTasksRequest* request,
      taskservice::ListTasksResponse* response) override;
  grpc::ServerWriteReactor<taskservice::TaskEvent>* WatchTasks(
      grpc::CallbackServerContext* context,
      const taskservice::WatchTasksRequest* request) override;
  grpc::ServerReadReactor<taskservice::CreateTaskRequest>* BulkCreateTasks(
      grpc::CallbackServerContext* context,
      taskservice::BulkCreateResponse* response) override;
  grpc::ServerBidiReactor<taskservice::TaskCommand, taskservice::TaskResult>*
  ProcessTaskStream(grpc::CallbackServerContext* context) override;

 private:
  class BulkCreation;
  class CommandStream;

  TaskService(StoreQueue& store, TaskServiceOptions options,
              const grpccommon::Clock& clock,
              std::unique_ptr<grpccommon::Validator> create_rules,
              std::unique_ptr<grpccommon::Validator> command_rules);

  template <typename Read, typename Answer>
  grpc::ServerUnaryReactor* ReadAs(grpc::CallbackServerContext& context,
                                   Read read, Answer answer);
  template <typename Write, typename Answer>
  grpc::ServerUnaryReactor* WriteAs(grpc::CallbackServerContext& context,
                                    Write write, Answer answer);

  StoreQueue& store_;
  const TaskServiceOptions options_;
  const grpccommon::Clock& clock_;
  const std::unique_ptr<grpccommon::Validator> create_rules_;
  const std::unique_ptr<grpccommon::Validator> command_rules_;
  const std::shared_ptr<ChangeFeed> feed_;
  // Every watch, live or not, so that all can be ended.
  TaskBroadcaster watches_;
  common::WatchQuota quota_;
};

}  // namespace platform::task
