// SPDX-License-Identifier: Apache-2.0
// The task service. Configured as every server of the library (docs/server.md),
// and by the variables that docs/task_service.md lists.

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "grpccommon/server/app_settings.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/task/task_service.h"

using grpccommon::DependencyChecks;
using grpccommon::ExitWith;
using platform::task::StoreQueue;
using platform::task::TaskService;
using platform::task::TaskStore;
using namespace std::chrono_literals;

int main() {
  grpccommon::AppSettings settings;
  const std::string database = settings.Text("DATABASE", "sqlite:tasks.db");
  const std::chrono::nanoseconds check_interval =
      settings.Duration("DATABASE_CHECK_INTERVAL", 10s, 10ms, 1h);
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
        {.url = database,
         .read_only = read_only,
         .on_error = [logger = (*server)->logger()](std::string_view error) {
           logger.Error("the database failed", {{"error", error}});
         }});
  });
  if (!store.ok()) return ExitWith(store.status());
  const auto service = TaskService::Create(**store);
  if (!service.ok()) return ExitWith(service.status());

  (*server)
      ->Add<taskservice::TaskService>(**service)
      .OnDrain([&service] { (*service)->EndWatches(); })
      // Waits longer than the database does for a lock, so that the report says
      // what was wrong.
      .AddCheck(
          {.name = "database",
           .interval = check_interval,
           .timeout = std::min<std::chrono::nanoseconds>(check_interval, 6s)},
          [&store](DependencyChecks::Done done) {
            (*store)->Check(std::move(done));
          });
  return (*server)->Run();
}
