// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "services/task/task_store.h"
#include "taskservice/task_service.pb.h"

namespace platform::task {

taskservice::Task ToProto(const Task& task);
/// Where to resume after a change.
std::string ResumeToken(std::int64_t sequence);
/// An event for watchers, with the token to resume after it.
taskservice::TaskEvent ToProto(const Change& change);
/// An event that says how a task is when a watch begins.
taskservice::TaskEvent ToInitialEvent(const Task& task,
                                      grpccommon::Clock::WallTime now);

NewTask FromProto(const taskservice::CreateTaskRequest& request);
TaskUpdate FromProto(const taskservice::UpdateTaskRequest& request);

}  // namespace platform::task
