// SPDX-License-Identifier: Apache-2.0
// The task service. Configured as every server of the library (docs/server.md),
// and by GRPCCOMMON_APP_DATABASE, the path of its database ("tasks.db").

#include <cstdlib>
#include <string>
#include <string_view>

#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/task/store_queue.h"
#include "services/task/task_service.h"

int main() {
  using platform::task::StoreQueue;
  using platform::task::TaskService;

  auto options =
      grpccommon::LoadServerOptions({.name = "task",
                                     .grpc_address = "0.0.0.0:50059",
                                     .http_address = "0.0.0.0:3009"});
  if (!options.ok()) return grpccommon::ExitWith(options.status());
  auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return grpccommon::ExitWith(server.status());

  const char* const database = std::getenv("GRPCCOMMON_APP_DATABASE");
  const auto store = StoreQueue::Open(
      {.path = database != nullptr ? database : "tasks.db",
       .on_error = [logger = (*server)->logger()](std::string_view error) {
         logger.Error("the task store failed", {{"error", error}});
       }});
  if (!store.ok()) return grpccommon::ExitWith(store.status());
  const auto service = TaskService::Create(**store);
  if (!service.ok()) return grpccommon::ExitWith(service.status());

  (*server)->Add<taskservice::TaskService>(**service).OnDrain(
      [&service] { (*service)->EndWatches(); });
  const int code = (*server)->Run();
  server->reset();  // before what it borrows
  return code;
}
