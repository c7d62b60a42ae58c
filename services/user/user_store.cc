// SPDX-License-Identifier: Apache-2.0
#include "services/user/user_store.h"

#include <utility>

#include "absl/memory/memory.h"
#include "services/user/migrations.h"

namespace platform::user {

using common::Database;
using grpccommon::Clock;

absl::StatusOr<std::unique_ptr<UserStore>> UserStore::Open(
    const UserStoreOptions& options, const Clock& clock) {
  auto database = Database::Open({.url = options.url,
                                  .service = "user",
                                  .migrations = kMigrations,
                                  .read_only = options.read_only,
                                  .on_error = options.on_error});
  if (!database.ok()) return database.status();
  return absl::WrapUnique(new UserStore(*std::move(database), options, clock));
}

UserStore::UserStore(std::unique_ptr<Database> database,
                     const UserStoreOptions& options, const Clock& clock)
    : database_(std::move(database)),
      users_(*database_, clock),
      sessions_(*database_, options.sessions, clock),
      login_failures_(*database_, options.login_failures, clock),
      signing_keys_(*database_) {}

absl::StatusOr<std::unique_ptr<UserStoreQueue>> OpenUserStoreQueue(
    const UserStoreOptions& options, common::StoreQueueOptions queue,
    const Clock& clock) {
  return UserStoreQueue::Create(
      [&options, &clock](bool read_only) {
        UserStoreOptions each = options;
        each.read_only = read_only;
        return UserStore::Open(each, clock);
      },
      queue);
}

}  // namespace platform::user
