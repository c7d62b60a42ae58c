// SPDX-License-Identifier: Apache-2.0
// The contest service. Configured as every server of the library
// (docs/server.md), and by the variables that docs/contest_service.md lists.

#include <unistd.h>

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "grpccommon/process/clients.h"
#include "grpccommon/server/app_settings.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/common/database_settings.h"
#include "services/contest/contest_app.h"

using grpccommon::ExitWith;
using platform::common::AddDatabaseCheck;
using platform::common::DatabaseSettings;
using platform::common::ReadDatabaseSettings;
using platform::contest::ContestApp;
using platform::contest::ContestAppOptions;
using platform::execution::v1::ExecutionService;
using platform::problem::v1::ProblemService;
using namespace std::chrono_literals;

namespace {

// What tells this process from others on the same database, and stays the same
// when it starts again: where it listens.
std::string DefaultInstance(const std::string& grpc_address) {
  char host[256] = {};
  if (gethostname(host, sizeof(host) - 1) != 0) host[0] = '\0';
  return absl::StrCat(host, "/", grpc_address);
}

}  // namespace

int main() {
  const auto options =
      grpccommon::LoadServerOptions({.name = "contest",
                                     .grpc_address = "0.0.0.0:50054",
                                     .http_address = "0.0.0.0:3003"});
  if (!options.ok()) return ExitWith(options.status());
  grpccommon::AppSettings settings;
  ContestAppOptions app_options;
  const DatabaseSettings database =
      ReadDatabaseSettings(settings, "sqlite:contest.db");
  app_options.database = database.url;
  app_options.judging.name =
      settings.Text("INSTANCE", DefaultInstance(options->grpc_address));
  app_options.judging.max_running =
      settings.Integer("MAX_JUDGING", std::size_t{16}, 1, 1000);
  app_options.judging.max_running_per_user =
      settings.Integer("MAX_JUDGING_PER_USER", std::size_t{4}, 1, 1000);
  app_options.judging.lease = settings.Duration("JUDGE_LEASE", 30s, 1s, 1h);
  app_options.judging.max_refusals =
      settings.Integer("MAX_REFUSALS", 8, 1, 1'000'000);
  app_options.judging.max_failures =
      settings.Integer("MAX_FAILURES", 50, 1, 1'000'000);
  app_options.live.poll_interval = app_options.watches.poll_interval =
      settings.Duration("POLL_INTERVAL", 500ms, 10ms, 1min);
  app_options.max_watches_per_user =
      settings.Integer("MAX_WATCHES_PER_USER", std::size_t{1000}, 1, 1'000'000);
  const absl::Status checked = settings.Check();
  if (!checked.ok()) return ExitWith(checked);

  const auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return ExitWith(server.status());
  const auto clients = grpccommon::CreateClients(**server);
  if (!clients.ok()) return ExitWith(clients.status());
  auto problems = (*clients)->Get<ProblemService>();
  if (!problems.ok()) return ExitWith(problems.status());
  auto executions = (*clients)->Get<ExecutionService>();
  if (!executions.ok()) return ExitWith(executions.status());
  const auto app = ContestApp::Create(
      app_options, *std::move(problems), *std::move(executions),
      (*server)->scheduler(), (*server)->logger());
  if (!app.ok()) return ExitWith(app.status());

  (*server)
      ->Add<platform::contest::v1::ContestService>((*app)->service())
      .OnDrain([&app] { (*app)->Drain(); });
  AddDatabaseCheck(**server, (*app)->store(), database);
  (*app)->Start();
  return (*server)->Run();
}
