// SPDX-License-Identifier: Apache-2.0
// The problem service. Configured as every server of the library
// (docs/server.md), and by GRPCCOMMON_APP_DATABASE, its database
// ("sqlite:problems.db"), and GRPCCOMMON_APP_DATABASE_CHECK_INTERVAL, how often
// it is looked at ("10s").

#include "grpccommon/server/app_settings.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/common/database_settings.h"
#include "services/problem/problem_service.h"

using grpccommon::ExitWith;
using platform::common::AddDatabaseCheck;
using platform::common::DatabaseSettings;
using platform::common::LogDatabaseErrors;
using platform::common::ReadDatabaseSettings;
using platform::problem::ProblemService;
using platform::problem::ProblemStore;
using platform::problem::StoreQueue;

int main() {
  grpccommon::AppSettings settings;
  const DatabaseSettings database =
      ReadDatabaseSettings(settings, "sqlite:problems.db");
  const absl::Status checked = settings.Check();
  if (!checked.ok()) return ExitWith(checked);

  const auto options =
      grpccommon::LoadServerOptions({.name = "problem",
                                     .grpc_address = "0.0.0.0:50052",
                                     .http_address = "0.0.0.0:3002"});
  if (!options.ok()) return ExitWith(options.status());
  const auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return ExitWith(server.status());

  const auto store = StoreQueue::Create([&](bool read_only) {
    return ProblemStore::Open(
        {.url = database.url,
         .read_only = read_only,
         .on_error = LogDatabaseErrors((*server)->logger())});
  });
  if (!store.ok()) return ExitWith(store.status());
  ProblemService service(**store);

  (*server)->Add<platform::problem::v1::ProblemService>(service);
  AddDatabaseCheck(**server, **store, database);
  return (*server)->Run();
}
