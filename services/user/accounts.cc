// SPDX-License-Identifier: Apache-2.0
#include "services/user/accounts.h"

#include <future>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "grpccommon/status/details.h"
#include "services/user/password_rules.h"

namespace platform::user {
namespace {

using grpccommon::Clock;
using grpccommon::FieldViolation;

absl::Status WrongCredentials() {
  return grpccommon::Unauthenticated("WRONG_CREDENTIALS",
                                     "the user name or the password is wrong, "
                                     "or there were too many attempts");
}

absl::Status RefreshTokenInvalid() {
  return grpccommon::Unauthenticated(
      "REFRESH_TOKEN_INVALID", "the refresh token is not valid: log in again");
}

absl::Status ClientHasGone() {
  return absl::CancelledError("the client has gone");
}

absl::Status CheckPassword(const std::string& field,
                           const std::string& password,
                           const std::string& username,
                           const std::string& email) {
  std::vector<FieldViolation> violations;
  for (std::string& fault : PasswordFaults(password, username, email)) {
    violations.push_back({.field = field, .description = std::move(fault)});
  }
  return violations.empty() ? absl::OkStatus()
                            : grpccommon::InvalidFields(violations);
}

// Gives the first error that comes to `done`, which is then used up.
template <typename Done>
bool Failed(const absl::Status& status, const Done& done) {
  if (!status.ok()) done(status);
  return !status.ok();
}

}  // namespace

// One try at a password.
struct Accounts::Attempt {
  LoginKey key() const {
    return {.key = account.has_value() ? account->user.id : pseudonym,
            .known = account.has_value()};
  }
  const std::string& hash() const {
    static const std::string kNone;
    return account.has_value() ? account->password_hash : kNone;
  }

  std::string password;
  std::optional<Credentials> account;
  // Of the name that was given, should nobody have it.
  std::string pseudonym;
  bool right = false;
};

Accounts::Accounts(UserStoreQueue& store, WorkerPool& workers,
                   PasswordHasher& hasher, const AccessTokens& tokens,
                   const Vault& vault, const Lockout& lockout,
                   const Clock& clock)
    : store_(store),
      workers_(workers),
      hasher_(hasher),
      tokens_(tokens),
      vault_(vault),
      lockout_(lockout),
      clock_(clock) {}

void Accounts::Work(const Gone& gone, std::function<absl::Status()> work,
                    Next next) {
  const absl::Status queued =
      workers_.Run([gone, work = std::move(work), next] {
        next(gone() ? ClientHasGone() : work());
      });
  if (!queued.ok()) next(queued);
}

void Accounts::Register(NewUser user, std::string password, Gone gone,
                        Done<User> done) {
  if (Failed(CheckPassword("password", password, user.username, user.email),
             done)) {
    return;
  }
  const auto created = std::make_shared<absl::StatusOr<User>>();
  const auto fresh = std::make_shared<NewUser>(std::move(user));
  Work(
      gone,
      [this, fresh, password = std::move(password)] {
        absl::StatusOr<std::string> hash = hasher_.Hash(password);
        if (!hash.ok()) return hash.status();
        fresh->password_hash = *std::move(hash);
        return absl::OkStatus();
      },
      [this, fresh, created, done](const absl::Status& hashed) {
        if (Failed(hashed, done)) return;
        const absl::Status queued = store_.Write(
            {.run =
                 [fresh, created](UserStore& store) {
                   *created = store.users().Create(*fresh);
                   return created->status();
                 },
             .done =
                 [created, done](const absl::Status& committed) {
                   done(committed.ok() ? *std::move(created) : committed);
                 }});
        (void)Failed(queued, done);
      });
}

absl::StatusOr<bool> Accounts::RegisterFirst(NewUser user,
                                             std::string password) {
  std::promise<absl::StatusOr<bool>> known;
  const absl::Status queued = store_.Read([&](UserStore& store) {
    const auto found = store.users().FindByLogin(user.username);
    known.set_value(found.ok() ? absl::StatusOr<bool>(found->has_value())
                               : found.status());
  });
  if (!queued.ok()) return queued;
  absl::StatusOr<bool> is_known = known.get_future().get();
  if (!is_known.ok()) return is_known;
  if (*is_known) return false;
  std::promise<absl::Status> registered;
  Register(
      std::move(user), std::move(password), [] { return false; },
      [&registered](const absl::StatusOr<User>& created) {
        registered.set_value(created.status());
      });
  const absl::Status status = registered.get_future().get();
  // Another instance was faster, or the account was deleted since.
  if (grpccommon::ReasonOf(status) == "USERNAME_TAKEN") return false;
  if (!status.ok()) return status;
  return true;
}

absl::StatusOr<std::optional<User>> Accounts::Judge(
    UserStore& store, const Attempt& attempt) const {
  const Clock::WallTime now = clock_.WallNow();
  absl::StatusOr<LoginFailures> failures =
      store.login_failures().Get(attempt.key());
  if (!failures.ok()) return failures.status();
  const bool locked = lockout_.Locks(*failures, now);
  if (!locked && attempt.right) {
    absl::StatusOr<Credentials> current =
        store.users().CredentialsOf(attempt.account->user.id);
    if (current.ok() && current->password_hash == attempt.hash()) {
      const absl::Status cleared = store.login_failures().Clear(attempt.key());
      if (!cleared.ok()) return cleared;
      return std::move(current->user);
    }
    if (!current.ok() && !absl::IsNotFound(current.status())) {
      return current.status();
    }
    // Changed or deleted since it was read: no attempt at what is there now.
  } else if (!locked) {
    *failures = lockout_.AfterFailure(*failures, now);
  }
  const absl::Status noted =
      store.login_failures().Put(attempt.key(), *failures);
  if (!noted.ok()) return noted;
  return std::nullopt;
}

void Accounts::LogIn(std::string login, std::string password, Gone gone,
                     Done<LoggedIn> done) {
  const auto attempt = std::make_shared<Attempt>();
  attempt->password = std::move(password);
  struct Outcome {
    std::optional<User> user;
    Session session;
  };
  const auto outcome = std::make_shared<Outcome>();

  const auto end = [this, attempt, outcome, done](const absl::Status& status) {
    if (Failed(status, done)) return;
    if (!outcome->user.has_value()) return done(WrongCredentials());
    absl::StatusOr<Tokens> made = MakeTokens(*outcome->user, outcome->session);
    // Before the outcome is known, after which this may be gone.
    RehashIfOutdated(*attempt);
    if (Failed(made.status(), done)) return;
    done(LoggedIn{.user = *outcome->user, .tokens = *std::move(made)});
  };
  const auto decide = [this, attempt, outcome,
                       end](const absl::Status& hashed) {
    if (Failed(hashed, end)) return;
    const absl::Status queued =
        store_.Write({.run =
                          [this, attempt, outcome](UserStore& store) {
                            auto user = Judge(store, *attempt);
                            if (!user.ok()) return user.status();
                            outcome->user = *std::move(user);
                            if (!outcome->user.has_value())
                              return absl::OkStatus();
                            auto session =
                                store.sessions().Open(outcome->user->id);
                            if (!session.ok()) return session.status();
                            outcome->session = *std::move(session);
                            return absl::OkStatus();
                          },
                      .done = end});
    (void)Failed(queued, end);
  };
  const absl::Status queued =
      store_.Read([this, login = std::move(login), attempt, gone, decide,
                   end](UserStore& store) {
        auto found = store.users().FindByLogin(login);
        if (Failed(found.status(), end)) return;
        attempt->account = *std::move(found);
        // Worked out for all, and of what may be a password typed by mistake.
        attempt->pseudonym = vault_.Pseudonym(absl::AsciiStrToLower(login));
        Work(
            gone,
            [this, attempt] {
              const absl::StatusOr<bool> right =
                  hasher_.Verify(attempt->password, attempt->hash());
              if (right.ok()) attempt->right = *right;
              return right.status();
            },
            decide);
      });
  (void)Failed(queued, end);
}

void Accounts::RehashIfOutdated(const Attempt& attempt) {
  if (!hasher_.Outdated(attempt.hash())) return;
  // May outlive this; and if it fails, the next log-in does it.
  (void)workers_.Run([&store = store_, &hasher = hasher_,
                      password = attempt.password,
                      id = attempt.account->user.id, old = attempt.hash()] {
    const absl::StatusOr<std::string> hash = hasher.Hash(password);
    if (!hash.ok()) return;
    (void)store.Write({.run =
                           [id, old, fresh = *hash](UserStore& writer) {
                             return writer.users()
                                 .ReplacePasswordHash(id, old, fresh)
                                 .status();
                           },
                       .done = [](const absl::Status&) {}});
  });
}

absl::StatusOr<Tokens> Accounts::MakeTokens(const User& user,
                                            const Session& session) const {
  absl::StatusOr<AccessToken> access = tokens_.Issue(user);
  if (!access.ok()) return access.status();
  return Tokens{.access = *std::move(access),
                .refresh = session.refresh_token,
                .refresh_expires_at = session.expires_at};
}

void Accounts::Refresh(std::string refresh_token, Gone gone,
                       Done<Tokens> done) {
  struct Outcome {
    std::optional<Session> session;
    User user;
  };
  const auto outcome = std::make_shared<Outcome>();
  const absl::Status queued =
      store_.Write({.run = [refresh_token = std::move(refresh_token), gone,
                            outcome](UserStore& store) -> absl::Status {
                      // Its successor would be lost, and the session with it.
                      if (gone()) return ClientHasGone();
                      auto session = store.sessions().Refresh(refresh_token);
                      if (!session.ok()) return session.status();
                      outcome->session = *std::move(session);
                      if (!outcome->session.has_value())
                        return absl::OkStatus();
                      absl::StatusOr<User> user =
                          store.users().Get(outcome->session->user_id);
                      if (!user.ok()) return user.status();
                      outcome->user = *std::move(user);
                      return absl::OkStatus();
                    },
                    .done =
                        [this, outcome, done](const absl::Status& committed) {
                          if (Failed(committed, done)) return;
                          if (!outcome->session.has_value()) {
                            return done(RefreshTokenInvalid());
                          }
                          done(MakeTokens(outcome->user, *outcome->session));
                        }});
  (void)Failed(queued, done);
}

void Accounts::LogOut(std::string refresh_token,
                      std::function<void(const absl::Status&)> done) {
  const absl::Status queued = store_.Write(
      {.run =
           [refresh_token = std::move(refresh_token)](UserStore& store) {
             return store.sessions().Close(refresh_token);
           },
       .done = done});
  (void)Failed(queued, done);
}

void Accounts::ChangePassword(std::string user_id, std::string current,
                              std::string fresh, Gone gone, Done<Tokens> done) {
  const auto attempt = std::make_shared<Attempt>();
  attempt->password = std::move(current);
  struct Outcome {
    std::string fresh_hash;
    std::optional<User> user;
    Session session;
  };
  const auto outcome = std::make_shared<Outcome>();

  const auto end = [this, outcome, done](const absl::Status& status) {
    if (Failed(status, done)) return;
    if (!outcome->user.has_value()) return done(WrongCredentials());
    done(MakeTokens(*outcome->user, outcome->session));
  };
  const auto decide = [this, attempt, outcome,
                       end](const absl::Status& hashed) {
    if (Failed(hashed, end)) return;
    const absl::Status queued = store_.Write(
        {.run = [this, attempt, outcome](UserStore& store) -> absl::Status {
           auto user = Judge(store, *attempt);
           if (!user.ok()) return user.status();
           outcome->user = *std::move(user);
           if (!outcome->user.has_value()) return absl::OkStatus();
           const std::string& id = outcome->user->id;
           const auto replaced = store.users().ReplacePasswordHash(
               id, attempt->hash(), outcome->fresh_hash);
           if (!replaced.ok()) return replaced.status();
           absl::Status closed = store.sessions().CloseAllOf(id);
           if (!closed.ok()) return closed;
           auto session = store.sessions().Open(id);
           if (!session.ok()) return session.status();
           outcome->session = *std::move(session);
           return absl::OkStatus();
         },
         .done = end});
    (void)Failed(queued, end);
  };
  const absl::Status queued =
      store_.Read([this, user_id = std::move(user_id), fresh = std::move(fresh),
                   attempt, outcome, gone, decide, end](UserStore& store) {
        auto found = store.users().CredentialsOf(user_id);
        if (Failed(found.status(), end)) return;
        attempt->account = *std::move(found);
        const User& user = attempt->account->user;
        if (Failed(
                CheckPassword("new_password", fresh, user.username, user.email),
                end)) {
          return;
        }
        Work(
            gone,
            [this, attempt, outcome, fresh] {
              const absl::StatusOr<bool> right =
                  hasher_.Verify(attempt->password, attempt->hash());
              if (!right.ok()) return right.status();
              attempt->right = *right;
              // Always: during a lock, time must not tell who was right.
              absl::StatusOr<std::string> hash = hasher_.Hash(fresh);
              if (!hash.ok()) return hash.status();
              outcome->fresh_hash = *std::move(hash);
              return absl::OkStatus();
            },
            decide);
      });
  (void)Failed(queued, end);
}

}  // namespace platform::user
