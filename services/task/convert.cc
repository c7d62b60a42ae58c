// SPDX-License-Identifier: Apache-2.0
#include "services/task/convert.h"

#include "services/common/token.h"

namespace platform::task {
namespace {

void SetTime(grpccommon::Clock::WallTime time,
             google::protobuf::Timestamp& timestamp) {
  const auto seconds =
      std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  timestamp.set_seconds(seconds.count());
  timestamp.set_nanos(
      static_cast<int>((time.time_since_epoch() - seconds).count()));
}

}  // namespace

taskservice::Task ToProto(const Task& task) {
  taskservice::Task proto;
  proto.set_id(task.id);
  proto.set_title(task.title);
  proto.set_description(task.description);
  proto.set_status(static_cast<taskservice::TaskStatus>(task.status));
  proto.set_priority(static_cast<taskservice::Priority>(task.priority));
  SetTime(task.created_at, *proto.mutable_created_at());
  SetTime(task.updated_at, *proto.mutable_updated_at());
  proto.mutable_labels()->Add(task.labels.begin(), task.labels.end());
  proto.mutable_metadata()->insert(task.metadata.begin(), task.metadata.end());
  return proto;
}

std::string ResumeToken(std::int64_t sequence) {
  return common::MakeToken(common::TokenKind::kResume, {.number = sequence});
}

taskservice::TaskEvent ToProto(const Change& change) {
  taskservice::TaskEvent event;
  event.set_event_type(static_cast<taskservice::EventType>(change.type));
  *event.mutable_task() = ToProto(change.task);
  SetTime(change.at, *event.mutable_timestamp());
  event.set_resume_token(ResumeToken(change.sequence));
  return event;
}

taskservice::TaskEvent ToInitialEvent(const Task& task,
                                      grpccommon::Clock::WallTime now) {
  taskservice::TaskEvent event;
  event.set_event_type(taskservice::EVENT_TYPE_CREATED);
  *event.mutable_task() = ToProto(task);
  SetTime(now, *event.mutable_timestamp());
  event.set_initial(true);
  return event;
}

NewTask FromProto(const taskservice::CreateTaskRequest& request) {
  NewTask task{
      .title = request.title(),
      .description = request.description(),
      .labels = {request.labels().begin(), request.labels().end()},
      .metadata = {request.metadata().begin(), request.metadata().end()}};
  if (request.priority() != taskservice::PRIORITY_UNSPECIFIED) {
    task.priority = static_cast<Priority>(request.priority());
  }
  return task;
}

TaskUpdate FromProto(const taskservice::UpdateTaskRequest& request) {
  TaskUpdate update;
  if (!request.title().empty()) update.title = request.title();
  if (!request.description().empty()) {
    update.description = request.description();
  }
  if (request.status() != taskservice::TASK_STATUS_UNSPECIFIED) {
    update.status = static_cast<Status>(request.status());
  }
  if (request.priority() != taskservice::PRIORITY_UNSPECIFIED) {
    update.priority = static_cast<Priority>(request.priority());
  }
  return update;
}

}  // namespace platform::task
