// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "grpccommon/log/logger.h"
#include "grpccommon/server/app_settings.h"
#include "grpccommon/server/server.h"
#include "services/common/store_queue.h"

// What the mains of services with a database have alike:
// ```
// grpccommon::AppSettings settings;
// const DatabaseSettings database =
//     ReadDatabaseSettings(settings, "sqlite:tasks.db");
// …
// const auto store = StoreQueue::Create([&](bool read_only) {
//   return TaskStore::Open({.url = database.url,
//                           .read_only = read_only,
//                           .on_error =
//                           LogDatabaseErrors((*server)->logger())});
// });
// …
// AddDatabaseCheck(**server, **store, database);
// ```
namespace platform::common {

struct DatabaseSettings {
  std::string url;
  std::chrono::nanoseconds check_interval;
};

/// GRPCCOMMON_APP_DATABASE, a URL or a path, and
/// GRPCCOMMON_APP_DATABASE_CHECK_INTERVAL ("10s", in [10 ms, 1 h]).
DatabaseSettings ReadDatabaseSettings(grpccommon::AppSettings& settings,
                                      std::string_view default_url);

/// DatabaseOptions::on_error: error lines of `logger`.
std::function<void(std::string_view)> LogDatabaseErrors(
    const grpccommon::Logger& logger);

/// A service cannot do without its database: it is NOT_SERVING while that
/// cannot be written, and /healthz/ready says why.
void AddDatabaseCheck(grpccommon::Server& server,
                      const DatabaseSettings& settings,
                      grpccommon::DependencyChecks::AsyncCheck check);

/// The same for a store, which is borrowed as by Server::AddCheck.
template <typename Store>
void AddDatabaseCheck(grpccommon::Server& server, StoreQueue<Store>& store,
                      const DatabaseSettings& settings) {
  AddDatabaseCheck(server, settings,
                   [&store](grpccommon::DependencyChecks::Done done) {
                     store.Check(std::move(done));
                   });
}

}  // namespace platform::common
