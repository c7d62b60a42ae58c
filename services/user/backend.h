// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/server/server.h"
#include "services/user/access_tokens.h"
#include "services/user/accounts.h"
#include "services/user/key_ring.h"
#include "services/user/lockout.h"
#include "services/user/password_hasher.h"
#include "services/user/user_service.h"
#include "services/user/user_store.h"
#include "services/user/vault.h"
#include "services/user/worker_pool.h"

namespace platform::user {

struct BackendOptions {
  UserStoreOptions store;
  /// Made if it is not there.
  std::string key_file = "user.key";
  PasswordHasherOptions passwords;
  WorkerPoolOptions workers;
  LockoutOptions lockout;
  AccessTokenOptions tokens;
  /// `publish_after` follows from the lifetime of tokens.
  KeyScheduleOptions keys;
  /// Gets the keys that are published: for an authenticator, which is made
  /// before.
  std::shared_ptr<grpccommon::SettableKeySource> published_keys =
      std::make_shared<grpccommon::SettableKeySource>();
};

/// Whom to make an admin of, should nobody have the name.
struct FirstAdmin {
  std::string username;
  std::string email;
  std::string password;
};

/// Everything of the service but the server, put together.
class Backend {
 public:
  /// Waits for the database. `clock` is borrowed. Errors: kInvalidArgument,
  /// naming the option; those of Vault, Database and KeyRing.
  static absl::StatusOr<std::unique_ptr<Backend>> Create(
      BackendOptions options,
      const grpccommon::Clock& clock = grpccommon::SteadyClock());

  /// Adds the service and the route of its keys, before the server's start. The
  /// server must have stopped when this goes.
  absl::Status AddTo(grpccommon::Server& server);

  /// Makes the first admin, and waits until it is done; true if they are new.
  /// Errors: kInvalidArgument, as Register would answer; kAlreadyExists for the
  /// address; those of Database.
  absl::StatusOr<bool> MakeFirstAdmin(const FirstAdmin& admin);

  /// Looks at the keys from now on, again and again, until this is destroyed
  /// or stopped. The scheduler, borrowed until then, is a server's as a rule.
  void StartKeyChecks(grpccommon::Scheduler& scheduler);
  void StopKeyChecks();

  UserStoreQueue& store() { return *store_; }
  Accounts& accounts() { return *accounts_; }
  KeyRing& keys() { return *keys_; }
  const AccessTokens& tokens() const { return *tokens_; }
  const PasswordHasher& hasher() const { return *hasher_; }

 private:
  explicit Backend(BackendOptions options) : options_(std::move(options)) {}

  const BackendOptions options_;
  std::optional<Vault> vault_;
  std::unique_ptr<PasswordHasher> hasher_;
  // Those below end before those above: what waits in the pool may still give
  // the store something to write.
  std::unique_ptr<UserStoreQueue> store_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<KeyRing> keys_;
  std::unique_ptr<AccessTokens> tokens_;
  std::unique_ptr<Accounts> accounts_;
  std::unique_ptr<UserService> service_;
  std::unique_ptr<grpccommon::PeriodicTask> key_checks_;
};

}  // namespace platform::user
