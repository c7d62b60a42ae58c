// SPDX-License-Identifier: Apache-2.0
// The task service. Configured as every server of the library (docs/server.md),
// and by the variables that docs/task_service.md lists.

#include <chrono>

#include "grpccommon/base/scheduler.h"
#include "grpccommon/server/app_settings.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/common/database_settings.h"
#include "services/task/task_service.h"

using grpccommon::ExitWith;
using platform::common::AddDatabaseCheck;
using platform::common::DatabaseSettings;
using platform::common::LogDatabaseErrors;
using platform::common::ReadDatabaseSettings;
using platform::task::StoreQueue;
using platform::task::TaskService;
using platform::task::TaskServiceOptions;
using platform::task::TaskStore;

int main() {
  grpccommon::AppSettings settings;
  const DatabaseSettings database =
      ReadDatabaseSettings(settings, "sqlite:tasks.db");
  TaskServiceOptions task_options;
  task_options.max_watches_per_owner =
      settings.Integer("MAX_WATCHES_PER_OWNER",
                       task_options.max_watches_per_owner, 1, 1'000'000);
  const absl::Status checked = settings.Check();
  if (!checked.ok()) return ExitWith(checked);

  const auto options =
      grpccommon::LoadServerOptions({.name = "task",
                                     .grpc_address = "0.0.0.0:50059",
                                     .http_address = "0.0.0.0:3009"});
  if (!options.ok()) return ExitWith(options.status());
  const auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return ExitWith(server.status());

  const auto store = StoreQueue::Create([&](bool read_only) {
    return TaskStore::Open(
        {.url = database.url,
         .read_only = read_only,
         .on_error = LogDatabaseErrors((*server)->logger())});
  });
  if (!store.ok()) return ExitWith(store.status());
  const auto service = TaskService::Create(**store, task_options);
  if (!service.ok()) return ExitWith(service.status());

  const grpccommon::PeriodicTask changes_of_others(
      (*server)->scheduler(), std::chrono::seconds(1),
      [&service] { (*service)->LookForChangesOfOthers(); });
  (*server)->Add<taskservice::TaskService>(**service).OnDrain(
      [&service] { (*service)->EndWatches(); });
  AddDatabaseCheck(**server, **store, database);
  return (*server)->Run();
}
