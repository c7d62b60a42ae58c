// SPDX-License-Identifier: Apache-2.0
// The execution service. Configured as every server of the library
// (docs/server.md), and by the variables that docs/execution_service.md lists.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/health/dependency_checks.h"
#include "grpccommon/process/clients.h"
#include "grpccommon/server/app_settings.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/execution/execution_service.h"
#include "services/execution/problem_client.h"

using grpccommon::DependencyChecks;
using grpccommon::ExitWith;
using grpccommon::Logger;
using grpccommon::ToAbsl;
using platform::execution::ExecutionMetrics;
using platform::execution::Executions;
using platform::execution::ExecutionService;
using platform::execution::ExecutionsOptions;
using platform::execution::Language;
using platform::execution::Languages;
using platform::execution::ProblemClient;
using platform::execution::ProblemTests;
using platform::execution::ProblemTestsOptions;
using platform::execution::ProgramCache;
using platform::execution::ProgramCacheOptions;
using platform::execution::RunQueue;
using platform::execution::RunQueueOptions;
using platform::execution::Sandbox;
using platform::execution::SandboxOptions;
using platform::execution::SandboxOutcome;
using platform::execution::SandboxOutcomeName;
using platform::execution::SandboxProtection;
using platform::execution::SandboxResult;
using platform::problem::v1::ProblemService;
namespace v1 = platform::execution::v1;
using namespace std::chrono_literals;

namespace {

// What is configured.
struct Settings {
  explicit Settings(grpccommon::AppSettings app) {
    const auto cores =
        std::max<std::int64_t>(std::thread::hardware_concurrency(), 1);
    queue.parallel = static_cast<int>(app.Integer("PARALLEL", cores, 1, 100));
    queue.max_running_per_caller = static_cast<int>(app.Integer(
        "MAX_RUNNING_PER_CALLER", std::max(queue.parallel - 1, 1), 1, 100));
    queue.max_waiting = Size(app, "MAX_WAITING", queue.max_waiting);
    queue.max_waiting_per_caller =
        Size(app, "MAX_WAITING_PER_CALLER", queue.max_waiting / 2 + 1);
    queue.max_waiting_bytes =
        Size(app, "MAX_WAITING_BYTES", queue.max_waiting_bytes);
    executions.kept_for = app.Duration("KEPT_FOR", executions.kept_for);
    executions.max_kept = Size(app, "MAX_KEPT", executions.max_kept);
    executions.max_kept_bytes =
        Size(app, "MAX_KEPT_BYTES", executions.max_kept_bytes);
    programs.max_programs = Size(app, "MAX_PROGRAMS", programs.max_programs);
    programs.max_bytes =
        app.Integer("MAX_PROGRAM_BYTES", programs.max_bytes, 1);
    tests.max_bytes = Size(app, "MAX_TEST_BYTES", tests.max_bytes);
    tests.max_age = app.Duration("TESTS_MAX_AGE", tests.max_age);
    sandbox.state_folder =
        app.Text("STATE_FOLDER",
                 (std::filesystem::temp_directory_path() / "platform-execution")
                     .string());
    sandbox.allow_missing = app.List("ALLOW_UNSAFE");
    // A build that was called off may take a moment to end, when its place in
    // the queue has been given to another; and the check needs one.
    sandbox.max_runs = 2 * queue.parallel + 1;
    status = app.Check();
  }

  static std::size_t Size(grpccommon::AppSettings& app, std::string_view name,
                          std::size_t otherwise) {
    return static_cast<std::size_t>(
        app.Integer(name, static_cast<std::int64_t>(otherwise), 1));
  }

  RunQueueOptions queue;
  ExecutionsOptions executions;
  ProgramCacheOptions programs;
  ProblemTestsOptions tests;
  SandboxOptions sandbox;
  absl::Status status;
};

void Report(const Sandbox& sandbox, const Logger& logger) {
  for (const SandboxProtection& protection : sandbox.protections()) {
    const bool alarming = protection.essential && !protection.in_force;
    logger.Log(
        alarming ? grpccommon::LogLevel::kWarning : grpccommon::LogLevel::kInfo,
        "sandbox protection",
        {{"name", protection.name},
         {"in_force", protection.in_force},
         {"essential", protection.essential},
         {"detail", protection.detail}});
  }
}

void Report(const Languages& languages, const Logger& logger) {
  for (const Language& language : languages.all()) {
    logger.Info("language",
                {{"id", language.id}, {"version", language.version}});
  }
}

// Whether programs can be run: a full disk, say, is a reason why not.
void CheckSandbox(Sandbox& sandbox, const DependencyChecks::Done& done) {
  const auto run = sandbox.Start(
      {.argv = {"/usr/bin/true"}}, [done](const SandboxResult& result) {
        const bool works =
            result.outcome == SandboxOutcome::kExited && result.exit_code == 0;
        done(works ? absl::OkStatus()
                   : absl::UnavailableError(absl::StrCat(
                         ToAbsl(SandboxOutcomeName(result.outcome)), " ",
                         result.message)));
      });
  if (!run.ok()) done(run.status());
}

}  // namespace

int main() {
  const Settings settings{grpccommon::AppSettings()};
  if (!settings.status.ok()) return ExitWith(settings.status);
  const auto options =
      grpccommon::LoadServerOptions({.name = "execution",
                                     .grpc_address = "0.0.0.0:50053",
                                     .http_address = "0.0.0.0:3004"});
  if (!options.ok()) return ExitWith(options.status());
  const auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return ExitWith(server.status());
  const Logger logger = (*server)->logger();

  const auto sandbox = Sandbox::Create(settings.sandbox);
  if (!sandbox.ok()) return ExitWith(sandbox.status());
  Report(**sandbox, logger);
  const Languages languages = Languages::Detect(**sandbox, logger);
  Report(languages, logger);

  const auto clients = grpccommon::CreateClients(**server);
  if (!clients.ok()) return ExitWith(clients.status());
  const auto problems = (*clients)->Get<ProblemService>();
  if (!problems.ok()) return ExitWith(problems.status());
  ProblemClient source(*problems);

  const auto metrics = ExecutionMetrics::Create((*server)->metrics());
  if (!metrics.ok()) return ExitWith(metrics.status());
  const auto queue = RunQueue::Create(settings.queue);
  if (!queue.ok()) return ExitWith(queue.status());
  const auto tests = ProblemTests::Create(source, settings.tests, **metrics);
  if (!tests.ok()) return ExitWith(tests.status());
  ProgramCache programs(**sandbox, settings.programs, **metrics, logger);
  const auto executions = Executions::Create(
      {languages, **queue, **tests, {**sandbox, programs, **metrics, logger}},
      settings.executions, (*server)->metrics());
  if (!executions.ok()) return ExitWith(executions.status());
  const grpccommon::PeriodicTask positions(
      (*server)->scheduler(), 1s,
      [&executions] { (*executions)->ReportPositions(); });
  ExecutionService service(**executions);

  (*server)
      ->Add<v1::ExecutionService>(service)
      .AddCheck({.name = "sandbox", .interval = 30s, .timeout = 15s},
                [&sandbox](const DependencyChecks::Done& done) {
                  CheckSandbox(**sandbox, done);
                })
      .OnDrain([&executions] { (*executions)->Drain(); })
      // Detached ones have no call that the server could wait for.
      .OnStopped([&] {
        (*clients)->Shutdown(0s);
        (*executions)->Shutdown();
      });
  return (*server)->Run();
}
