// SPDX-License-Identifier: Apache-2.0
// The problem service. Configured as every server of the library
// (docs/server.md), and by GRPCCOMMON_APP_DATABASE, its database
// ("sqlite:problems.db"), and GRPCCOMMON_APP_DATABASE_CHECK_INTERVAL, how often
// it is looked at ("10s").

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "grpccommon/health/dependency_checks.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/problem/problem_service.h"

namespace {

absl::StatusOr<std::chrono::nanoseconds> CheckInterval() {
  const char* const text =
      std::getenv("GRPCCOMMON_APP_DATABASE_CHECK_INTERVAL");
  if (text == nullptr) return std::chrono::seconds(10);
  absl::Duration interval;
  if (!absl::ParseDuration(text, &interval)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "GRPCCOMMON_APP_DATABASE_CHECK_INTERVAL must be a duration like "
        "\"10s\", got \"",
        text, "\""));
  }
  return absl::ToChronoNanoseconds(interval);
}

// The service cannot do without its database. Waits longer than SQLite does for
// a lock, so that the report says what was wrong.
absl::Status AddDatabaseCheck(platform::problem::StoreQueue& store,
                              grpccommon::DependencyChecks& checks) {
  const auto interval = CheckInterval();
  if (!interval.ok()) return interval.status();
  return checks.Add({.name = "database",
                     .interval = *interval,
                     .timeout = std::min<std::chrono::nanoseconds>(
                         *interval, std::chrono::seconds(6))},
                    [&store](grpccommon::DependencyChecks::Done done) {
                      store.Check(std::move(done));
                    });
}

}  // namespace

int main() {
  using platform::problem::ProblemService;
  using platform::problem::ProblemStore;
  using platform::problem::StoreQueue;

  auto options =
      grpccommon::LoadServerOptions({.name = "problem",
                                     .grpc_address = "0.0.0.0:50052",
                                     .http_address = "0.0.0.0:3002"});
  if (!options.ok()) return grpccommon::ExitWith(options.status());
  // The server asks them, and they borrow from the server: they live from
  // before its start until after its end, and go before it.
  std::unique_ptr<grpccommon::DependencyChecks> checks;
  options->readiness_checks = [&checks] { return checks->ReportJson(); };
  auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return grpccommon::ExitWith(server.status());

  const char* const database = std::getenv("GRPCCOMMON_APP_DATABASE");
  const auto store = StoreQueue::Create([&](bool read_only) {
    return ProblemStore::Open(
        {.url = database != nullptr ? database : "problems.db",
         .read_only = read_only,
         .on_error = [logger = (*server)->logger()](std::string_view error) {
           logger.Error("the database failed", {{"error", error}});
         }});
  });
  if (!store.ok()) return grpccommon::ExitWith(store.status());
  ProblemService service(**store);

  checks = std::make_unique<grpccommon::DependencyChecks>(
      (*server)->health(), (*server)->scheduler(), (*server)->logger());
  const absl::Status checked = AddDatabaseCheck(**store, *checks);
  if (!checked.ok()) {
    checks.reset();
    return grpccommon::ExitWith(checked);
  }
  (*server)->Add<platform::problem::v1::ProblemService>(service);
  const int code = (*server)->Run();
  checks.reset();
  server->reset();  // before what it borrows
  return code;
}
