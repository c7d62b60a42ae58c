// SPDX-License-Identifier: Apache-2.0
#include "services/common/database_settings.h"

#include <algorithm>

namespace platform::common {

using namespace std::chrono_literals;

DatabaseSettings ReadDatabaseSettings(grpccommon::AppSettings& settings,
                                      std::string_view default_url) {
  return {.url = settings.Text("DATABASE", default_url),
          .check_interval =
              settings.Duration("DATABASE_CHECK_INTERVAL", 10s, 10ms, 1h)};
}

std::function<void(std::string_view)> LogDatabaseErrors(
    const grpccommon::Logger& logger) {
  return [logger](std::string_view error) {
    logger.Error("the database failed", {{"error", error}});
  };
}

void AddDatabaseCheck(grpccommon::Server& server,
                      const DatabaseSettings& settings,
                      grpccommon::DependencyChecks::AsyncCheck check) {
  // Waits longer than the database does for a lock, so that the report says
  // what was wrong.
  server.AddCheck({.name = "database",
                   .interval = settings.check_interval,
                   .timeout = std::min<std::chrono::nanoseconds>(
                       settings.check_interval, 6s)},
                  std::move(check));
}

}  // namespace platform::common
