// SPDX-License-Identifier: Apache-2.0
// The user service. Configured as every server of the library (docs/server.md),
// and by the variables that docs/user_service.md lists.

#include <chrono>
#include <cstddef>
#include <string>

#include "grpccommon/server/app_settings.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/common/database_settings.h"
#include "services/user/backend.h"
#include "services/user/limits.h"

using grpccommon::ExitWith;
using platform::common::AddDatabaseCheck;
using platform::common::DatabaseSettings;
using platform::common::LogDatabaseErrors;
using platform::common::ReadDatabaseSettings;
using platform::user::Backend;
using platform::user::BackendOptions;
using platform::user::FirstAdmin;
using platform::user::LimitOptions;
using namespace std::chrono_literals;

namespace {

BackendOptions ReadOptions(grpccommon::AppSettings& settings) {
  BackendOptions options;
  options.store.sessions.lifetime =
      settings.Duration("SESSION_LIFETIME", 30 * 24h, 1min, 365 * 24h);
  options.key_file = settings.Text("KEY_FILE", "user.key");
  options.keys.rotation_interval =
      settings.Duration("KEY_ROTATION_INTERVAL", 7 * 24h, 1min, 365 * 24h);
  options.keys.publish_ahead =
      settings.Duration("KEY_PUBLISH_AHEAD", 1h, 2s, 30 * 24h);
  options.tokens.lifetime =
      settings.Duration("ACCESS_TOKEN_LIFETIME", 15min, 10s, 24h);
  options.passwords.memory_bytes = settings.Integer(
      "PASSWORD_MEMORY", std::size_t{64} << 20, 8192, std::size_t{4} << 30);
  options.passwords.passes = settings.Integer("PASSWORD_PASSES", 2, 1, 100);
  options.workers.threads = settings.Integer("PASSWORD_THREADS", 2, 1, 64);
  options.workers.max_waiting =
      settings.Integer("PASSWORD_QUEUE", std::size_t{64}, 1, 100'000);
  options.lockout.failures_before_lock =
      settings.Integer("LOCKOUT_FAILURES", 5, 1, 100);
  options.lockout.first_lock = settings.Duration("LOCKOUT_FIRST", 30s, 1s, 24h);
  options.lockout.longest_lock =
      settings.Duration("LOCKOUT_LONGEST", 15min, 1s, 24h);
  return options;
}

}  // namespace

int main() {
  grpccommon::AppSettings settings;
  BackendOptions options = ReadOptions(settings);
  const FirstAdmin admin{.username = settings.Text("ADMIN_USERNAME", ""),
                         .email = settings.Text("ADMIN_EMAIL", ""),
                         .password = settings.Secret("ADMIN_PASSWORD")};
  const LimitOptions limits{.registrations_per_minute = settings.Integer(
                                "REGISTRATIONS_PER_MINUTE", 300, 1, 1'000'000),
                            .logins_per_minute = settings.Integer(
                                "LOGINS_PER_MINUTE", 30, 1, 1'000'000)};
  const DatabaseSettings database =
      ReadDatabaseSettings(settings, "sqlite:user.db");
  options.store.url = database.url;
  const absl::Status checked = settings.Check();
  if (!checked.ok()) return ExitWith(checked);

  auto server_options =
      grpccommon::LoadServerOptions({.name = "user",
                                     .grpc_address = "0.0.0.0:50051",
                                     .http_address = "0.0.0.0:3006"});
  if (!server_options.ok()) return ExitWith(server_options.status());
  // Beside those whose tokens the configuration has it take.
  server_options->auth.issuers.push_back(
      {.issuer = options.tokens.issuer,
       .audiences = {options.tokens.audience},
       .roles = {"user", "author", "admin"},
       .keys = options.published_keys});
  if (server_options->rate_limit.has_value()) {
    AddLimits(limits, *server_options->rate_limit);
  }
  const auto server = grpccommon::Server::Create(*server_options);
  if (!server.ok()) return ExitWith(server.status());
  const grpccommon::Logger& logger = (*server)->logger();

  options.store.on_error = LogDatabaseErrors(logger);
  const auto backend = Backend::Create(options);
  if (!backend.ok()) return ExitWith(backend.status());
  if (!admin.username.empty()) {
    const auto made = (*backend)->MakeFirstAdmin(admin);
    if (!made.ok()) return ExitWith(made.status());
    if (*made) logger.Info("made an admin", {{"username", admin.username}});
  }
  const absl::Status added = (*backend)->AddTo(**server);
  if (!added.ok()) return ExitWith(added);
  (*backend)->StartKeyChecks((*server)->scheduler());
  AddDatabaseCheck(**server, (*backend)->store(), database);
  return (*server)->Run();
}
