// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "services/common/database.h"
#include "services/common/store_queue.h"
#include "services/user/login_failure_table.h"
#include "services/user/session_table.h"
#include "services/user/signing_key_table.h"
#include "services/user/user_table.h"

namespace platform::user {

struct UserStoreOptions {
  /// As in common::DatabaseOptions.
  std::string url;
  bool read_only = false;
  SessionOptions sessions;
  LoginFailureOptions login_failures;
  std::function<void(std::string_view)> on_error = [](std::string_view) {};
};

/// What the service keeps: a table for each kind, on one connection. Used by
/// one thread at a time.
class UserStore {
 public:
  /// `clock` is borrowed. Errors: those of Database::Open.
  static absl::StatusOr<std::unique_ptr<UserStore>> Open(
      const UserStoreOptions& options,
      const grpccommon::Clock& clock = grpccommon::SteadyClock());

  common::Database& database() { return *database_; }
  UserTable& users() { return users_; }
  SessionTable& sessions() { return sessions_; }
  LoginFailureTable& login_failures() { return login_failures_; }
  SigningKeyTable& signing_keys() { return signing_keys_; }

 private:
  UserStore(std::unique_ptr<common::Database> database,
            const UserStoreOptions& options, const grpccommon::Clock& clock);

  const std::unique_ptr<common::Database> database_;
  UserTable users_;
  SessionTable sessions_;
  LoginFailureTable login_failures_;
  SigningKeyTable signing_keys_;
};

using UserStoreQueue = common::StoreQueue<UserStore>;

/// A queue of such stores. Errors: those of Open.
absl::StatusOr<std::unique_ptr<UserStoreQueue>> OpenUserStoreQueue(
    const UserStoreOptions& options, common::StoreQueueOptions queue = {},
    const grpccommon::Clock& clock = grpccommon::SteadyClock());

}  // namespace platform::user
