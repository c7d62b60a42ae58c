// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "services/user/access_tokens.h"
#include "services/user/lockout.h"
#include "services/user/password_hasher.h"
#include "services/user/user_store.h"
#include "services/user/vault.h"
#include "services/user/worker_pool.h"

namespace platform::user {

struct Tokens {
  AccessToken access;
  std::string refresh;
  grpccommon::Clock::WallTime refresh_expires_at;
};

struct LoggedIn {
  User user;
  Tokens tokens;
};

/// What takes a password or a refresh token: the steps between the store's
/// threads and those that hash.
///
/// Methods return at once; `done` gets the outcome, once, on a thread of the
/// store's or of the pool's, or on this one. `gone` is asked whether nobody
/// waits any more, before what is dear or cannot be undone; it must stay valid
/// until `done` is called.
///
/// Thread-safe. Errors of all: those of Database, kResourceExhausted (too many
/// wait for the store, or to be hashed), kUnavailable (no memory to hash),
/// kCancelled (`gone`); then nothing was changed.
class Accounts {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;
  using Gone = std::function<bool()>;

  /// All are borrowed and must outlive this and every call.
  Accounts(UserStoreQueue& store, WorkerPool& workers, PasswordHasher& hasher,
           const AccessTokens& tokens, const Vault& vault,
           const Lockout& lockout,
           const grpccommon::Clock& clock = grpccommon::SteadyClock());

  /// `user.password_hash` is filled in.
  /// Errors: kInvalidArgument (field "password", for each fault),
  /// kAlreadyExists as UserTable::Create.
  void Register(NewUser user, std::string password, Gone gone, Done<User> done);

  /// The same, if nobody has the user name; waits for the outcome. True if the
  /// user is new; an account that is there stays as it is.
  absl::StatusOr<bool> RegisterFirst(NewUser user, std::string password);

  /// Errors: kUnauthenticated, reason WRONG_CREDENTIALS, for an unknown
  /// account, a wrong password and a lock alike, after the same work: one read,
  /// one hash, one write.
  void LogIn(std::string login, std::string password, Gone gone,
             Done<LoggedIn> done);

  /// Errors: kUnauthenticated, reason REFRESH_TOKEN_INVALID.
  void Refresh(std::string refresh_token, Gone gone, Done<Tokens> done);

  /// Also well for a token that is not in force.
  void LogOut(std::string refresh_token,
              std::function<void(const absl::Status&)> done);

  /// Ends all sessions of the user and opens one.
  /// Errors: kNotFound; kInvalidArgument (field "new_password", for each
  /// fault); kUnauthenticated as LogIn, which counts as one that failed.
  void ChangePassword(std::string user_id, std::string current,
                      std::string fresh, Gone gone, Done<Tokens> done);

 private:
  struct Attempt;
  using AttemptPtr = std::shared_ptr<Attempt>;
  using Next = std::function<void(const absl::Status&)>;

  /// Runs `work` on the pool, unless nobody waits for it any more.
  void Work(const Gone& gone, std::function<absl::Status()> work, Next next);
  /// In a transaction, which has to be committed: whether the attempt succeeds;
  /// none if it does not. The only place that says so, and not before an
  /// attempt has had its full cost.
  absl::StatusOr<std::optional<User>> Judge(UserStore& store,
                                            const Attempt& attempt) const;
  void RehashIfOutdated(const Attempt& attempt);
  absl::StatusOr<Tokens> MakeTokens(const User& user,
                                    const Session& session) const;

  UserStoreQueue& store_;
  WorkerPool& workers_;
  PasswordHasher& hasher_;
  const AccessTokens& tokens_;
  const Vault& vault_;
  const Lockout lockout_;
  const grpccommon::Clock& clock_;
};

}  // namespace platform::user
