// SPDX-License-Identifier: Apache-2.0
// The problem service. Configured as every server of the library
// (docs/server.md), and by GRPCCOMMON_APP_DATABASE, its database
// ("sqlite:problems.db"), and GRPCCOMMON_APP_DATABASE_CHECK_INTERVAL, how often
// it is looked at ("10s").

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "grpccommon/server/app_settings.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/problem/problem_service.h"

using grpccommon::DependencyChecks;
using grpccommon::ExitWith;
using platform::problem::ProblemService;
using platform::problem::ProblemStore;
using platform::problem::StoreQueue;
using namespace std::chrono_literals;

int main() {
  grpccommon::AppSettings settings;
  const std::string database = settings.Text("DATABASE", "sqlite:problems.db");
  const std::chrono::nanoseconds check_interval =
      settings.Duration("DATABASE_CHECK_INTERVAL", 10s, 10ms, 1h);
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
        {.url = database,
         .read_only = read_only,
         .on_error = [logger = (*server)->logger()](std::string_view error) {
           logger.Error("the database failed", {{"error", error}});
         }});
  });
  if (!store.ok()) return ExitWith(store.status());
  ProblemService service(**store);

  (*server)
      ->Add<platform::problem::v1::ProblemService>(service)
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
