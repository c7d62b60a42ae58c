// SPDX-License-Identifier: Apache-2.0
#include "services/user/accounts.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "gmock/gmock.h"
#include "grpccommon/base/file.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/temp_folder.h"
#include "services/user/backend.h"

namespace platform::user {
namespace {

using grpccommon::testing::FakeClock;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::IsOkAndHolds;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr char kPassword[] = "correct horse battery";

const auto kWrongCredentials =
    AllOf(StatusIs(absl::StatusCode::kUnauthenticated),
          HasReason("WRONG_CREDENTIALS"));

class AccountsTest : public ::testing::Test {
 protected:
  void Start(PasswordHasherOptions passwords = {.memory_bytes = 8192,
                                                .passes = 1},
             WorkerPoolOptions workers = {.threads = 2, .max_waiting = 64}) {
    backend_.reset();
    auto backend = Backend::Create({.store = {.url = folder_ / "user.db"},
                                    .key_file = folder_ / "user.key",
                                    .passwords = passwords,
                                    .workers = workers},
                                   clock_);
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
  }
  void SetUp() override { Start(); }

  template <typename T, typename Begin>
  static absl::StatusOr<T> Await(Begin begin) {
    std::promise<absl::StatusOr<T>> outcome;
    begin([&outcome](absl::StatusOr<T> result) {
      outcome.set_value(std::move(result));
    });
    return outcome.get_future().get();
  }
  static bool Stays() { return false; }

  absl::StatusOr<User> Register(const std::string& name,
                                const std::string& password = kPassword) {
    return Await<User>([&](Accounts::Done<User> done) {
      accounts().Register({.username = name, .email = name + "@example.org"},
                          password, Stays, std::move(done));
    });
  }
  absl::StatusOr<LoggedIn> LogIn(const std::string& login,
                                 const std::string& password = kPassword) {
    return Await<LoggedIn>([&](Accounts::Done<LoggedIn> done) {
      accounts().LogIn(login, password, Stays, std::move(done));
    });
  }
  absl::StatusOr<Tokens> Refresh(const std::string& token) {
    return Await<Tokens>([&](Accounts::Done<Tokens> done) {
      accounts().Refresh(token, Stays, std::move(done));
    });
  }
  absl::StatusOr<Tokens> ChangePassword(const std::string& id,
                                        const std::string& current,
                                        const std::string& fresh) {
    return Await<Tokens>([&](Accounts::Done<Tokens> done) {
      accounts().ChangePassword(id, current, fresh, Stays, std::move(done));
    });
  }
  void FailToLogIn(const std::string& login, int times) {
    for (int i = 0; i < times; ++i) {
      EXPECT_THAT(LogIn(login, "wrong " + std::to_string(i)),
                  kWrongCredentials);
    }
  }
  // Waits for all that was handed to the store before.
  Credentials Stored(const std::string& id) {
    std::promise<Credentials> stored;
    EXPECT_THAT(backend_->store().ReadBetweenWrites([&](UserStore& store) {
      stored.set_value(*store.users().CredentialsOf(id));
    }),
                IsOk());
    return stored.get_future().get();
  }
  std::uint64_t HashesFor(const std::function<void()>& work) {
    const std::uint64_t before = backend_->hasher().operations();
    work();
    return backend_->hasher().operations() - before;
  }

  Accounts& accounts() { return backend_->accounts(); }

  common::TempFolder folder_;
  FakeClock clock_;
  std::unique_ptr<Backend> backend_;
};

TEST_F(AccountsTest, RegistersAndLogsIn) {
  const User ada = *Register("ada");
  EXPECT_EQ(ada.roles, RoleSet({Role::kUser}));
  for (const std::string login : {"ada", "ADA", "Ada@Example.org"}) {
    const LoggedIn in = *LogIn(login);
    EXPECT_EQ(in.user.id, ada.id);
    const VerifiedAccess access =
        *backend_->tokens().Verify(in.tokens.access.text);
    EXPECT_EQ(access.principal->subject, ada.id);
    EXPECT_EQ(access.principal->issuer, "platform-user");
    EXPECT_THAT(access.principal->roles, ::testing::ElementsAre("user"));
    EXPECT_EQ(access.principal->attributes.at("username"), "ada");
    EXPECT_EQ(in.tokens.access.expires_at, clock_.WallNow() + 15min);
    EXPECT_EQ(access.expires_at, in.tokens.access.expires_at);
    EXPECT_EQ(in.tokens.refresh_expires_at, clock_.WallNow() + 30 * 24h);
  }
}

TEST_F(AccountsTest, AnAccessTokenEnds) {
  ASSERT_TRUE(Register("ada").ok());
  const AccessToken token = LogIn("ada")->tokens.access;
  clock_.Advance(15min);
  EXPECT_THAT(backend_->tokens().Verify(token.text), IsOk())
      << "clocks may differ a little";
  clock_.Advance(30s);
  EXPECT_THAT(backend_->tokens().Verify(token.text),
              AllOf(StatusIs(absl::StatusCode::kUnauthenticated),
                    HasReason("TOKEN_EXPIRED")));
}

TEST_F(AccountsTest, OptionsOutOfRangeAreRefusedByName) {
  const auto refused = [this](const std::string& name, auto change) {
    BackendOptions options{.store = {.url = folder_ / "other.db"},
                           .key_file = folder_ / "user.key",
                           .passwords = {.memory_bytes = 8192, .passes = 1}};
    change(options);
    EXPECT_THAT(Backend::Create(options, clock_).status(),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      grpccommon::testing::MessageIs(HasSubstr(name))));
  };
  refused("workers.threads", [](auto& o) { o.workers.threads = 0; });
  refused("sessions.lifetime", [](auto& o) { o.store.sessions.lifetime = 0s; });
  refused("lifetime", [](auto& o) { o.tokens.lifetime = 1s; });
  refused("first_lock", [](auto& o) { o.lockout.first_lock = 0s; });
  refused("passes", [](auto& o) { o.passwords.passes = 0; });
  refused("publish_ahead", [](auto& o) { o.keys.publish_ahead = 1s; });
  refused("database", [](auto& o) { o.store.url = "mysql://x"; });
}

TEST_F(AccountsTest, KeepsNoPassword) {
  const User ada = *Register("ada");
  EXPECT_THAT(Stored(ada.id).password_hash,
              ::testing::StartsWith("$argon2id$"));
  for (const std::string file : {"user.db", "user.db-wal", "user.key"}) {
    EXPECT_THAT(*grpccommon::ReadFile(folder_ / file),
                ::testing::Not(HasSubstr("correct horse")))
        << file;
  }
}

TEST_F(AccountsTest, RefusesAWeakPasswordBeforeItCostsAnything) {
  EXPECT_EQ(HashesFor([&] {
              const auto refused = Register("ada", "short");
              EXPECT_THAT(refused,
                          StatusIs(absl::StatusCode::kInvalidArgument));
              EXPECT_THAT(std::string(refused.status().message()),
                          HasSubstr("password"));
            }),
            0u);
  EXPECT_THAT(LogIn("ada", "short"), kWrongCredentials);
}

TEST_F(AccountsTest, OfTwoWhoRegisterOneNameAtOnceOneSucceeds) {
  for (int round = 0; round < 10; ++round) {
    const std::string name = "user" + std::to_string(round);
    std::atomic<int> registered = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        const auto user = Register(i % 2 == 0 ? name : "U" + name.substr(1));
        registered += user.ok();
        if (!user.ok()) {
          EXPECT_THAT(user, StatusIs(absl::StatusCode::kAlreadyExists));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(registered, 1);
  }
}

TEST_F(AccountsTest, EveryFailureLooksAndCostsTheSame) {
  ASSERT_TRUE(Register("ada").ok());
  ASSERT_TRUE(Register("locked").ok());
  FailToLogIn("locked", 5);
  const auto failure = [&](const std::string& login,
                           const std::string& password) {
    absl::Status status;
    EXPECT_EQ(HashesFor([&] { status = LogIn(login, password).status(); }), 1u)
        << login;
    EXPECT_THAT(status, kWrongCredentials);
    return status;
  };
  const absl::Status wrong = failure("ada", "wrong password");
  EXPECT_EQ(failure("ada@example.org", "wrong password"), wrong);
  EXPECT_EQ(failure("nobody", "wrong password"), wrong);
  EXPECT_EQ(failure("nobody@example.org", ""), wrong);
  EXPECT_EQ(failure("locked", "wrong password"), wrong);
  EXPECT_EQ(failure("locked", kPassword), wrong);
  EXPECT_EQ(failure("'; DROP TABLE users; --", "%s%n"), wrong);
}

// Of the process's threads, so that it matters little what else the machine
// does: the fifth part of the tries that was disturbed least.
TEST_F(AccountsTest, FailuresTakeTheSameTime) {
  Start({.memory_bytes = 4 << 20, .passes = 2});
  ASSERT_TRUE(Register("ada").ok());
  ASSERT_TRUE(Register("locked").ok());
  const auto time_of = [&](const std::string& login) {
    const auto now = [] {
      timespec time;
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
      return std::chrono::seconds(time.tv_sec) +
             std::chrono::nanoseconds(time.tv_nsec);
    };
    const auto begin = now();
    EXPECT_THAT(LogIn(login, "wrong password"), kWrongCredentials);
    return now() - begin;
  };
  const auto typical = [](std::vector<std::chrono::nanoseconds> times) {
    const auto fifth = times.begin() + std::ssize(times) / 5;
    std::nth_element(times.begin(), fifth, times.end());
    return static_cast<double>(fifth->count());
  };
  std::vector<std::chrono::nanoseconds> known;
  std::vector<std::chrono::nanoseconds> unknown;
  std::vector<std::chrono::nanoseconds> locked;
  for (int i = 0; i < 60; ++i) {
    clock_.Advance(25h);  // "ada" is not to be locked; "locked" is again
    FailToLogIn("locked", 5);
    // Each of them in each place.
    for (int place = 0; place < 3; ++place) {
      switch ((place + i) % 3) {
        case 0:
          known.push_back(time_of("ada"));
          break;
        case 1:
          unknown.push_back(time_of("nobody" + std::to_string(i)));
          break;
        case 2:
          locked.push_back(time_of("locked"));
          break;
      }
    }
  }
  const double times[] = {typical(known), typical(unknown), typical(locked)};
  RecordProperty("known_us", static_cast<int>(times[0] / 1000));
  RecordProperty("unknown_us", static_cast<int>(times[1] / 1000));
  RecordProperty("locked_us", static_cast<int>(times[2] / 1000));
  EXPECT_LT(*std::max_element(times, times + 3),
            1.15 * *std::min_element(times, times + 3))
      << "known " << times[0] << " ns, unknown " << times[1] << " ns, locked "
      << times[2] << " ns";
}

TEST_F(AccountsTest, RepeatedFailuresLockTheAccountForAWhileThatGrows) {
  ASSERT_TRUE(Register("ada").ok());
  FailToLogIn("ada", 4);
  EXPECT_THAT(LogIn("ada"), IsOk()) << "which forgets the failures";
  FailToLogIn("ada", 5);
  EXPECT_THAT(LogIn("ada"), kWrongCredentials);
  EXPECT_THAT(LogIn("ada@example.org"), kWrongCredentials)
      << "it is the account, not the name";
  clock_.Advance(30s);
  FailToLogIn("ada", 1);
  clock_.Advance(30s);
  EXPECT_THAT(LogIn("ada"), kWrongCredentials) << "now it takes a minute";
  clock_.Advance(30s);
  EXPECT_THAT(LogIn("ada"), IsOk());
}

TEST_F(AccountsTest, AttemptsDuringALockDoNotProlongIt) {
  ASSERT_TRUE(Register("ada").ok());
  FailToLogIn("ada", 50);
  clock_.Advance(30s);
  EXPECT_THAT(LogIn("ada"), IsOk());
}

TEST_F(AccountsTest, ALockOutlivesARestart) {
  ASSERT_TRUE(Register("ada").ok());
  FailToLogIn("ada", 5);
  Start();
  EXPECT_THAT(LogIn("ada"), kWrongCredentials);
}

TEST_F(AccountsTest, ALockOfOneNameIsNoneOfAnother) {
  ASSERT_TRUE(Register("ada").ok());
  ASSERT_TRUE(Register("bob").ok());
  FailToLogIn("ada", 10);
  FailToLogIn("nobody", 10);
  EXPECT_THAT(LogIn("bob"), IsOk());
  // Whoever registers a name that was tried has a fresh account.
  ASSERT_TRUE(Register("nobody").ok());
  EXPECT_THAT(LogIn("nobody"), IsOk());
}

// Guesses that arrive together are judged one after the other.
TEST_F(AccountsTest, GuessingInParallelGainsNothing) {
  ASSERT_TRUE(Register("ada").ok());
  std::vector<std::future<absl::StatusOr<LoggedIn>>> guesses;
  for (int i = 0; i < 20; ++i) {
    guesses.push_back(std::async(std::launch::async, [this, i] {
      return LogIn("ada", "guess number " + std::to_string(i));
    }));
  }
  for (auto& guess : guesses) EXPECT_THAT(guess.get(), kWrongCredentials);
  EXPECT_THAT(LogIn("ada"), kWrongCredentials) << "locked";
  clock_.Advance(30s);
  EXPECT_THAT(LogIn("ada"), IsOk());
}

TEST_F(AccountsTest, ManyClientsOfOneUserLogInAtOnce) {
  ASSERT_TRUE(Register("ada").ok());
  std::vector<std::future<absl::StatusOr<LoggedIn>>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(
        std::async(std::launch::async, [this] { return LogIn("ada"); }));
  }
  for (auto& client : clients) EXPECT_THAT(client.get(), IsOk());
}

TEST_F(AccountsTest, HashesAnewAtLogInWhenTheOptionsChanged) {
  const User ada = *Register("ada");
  const std::string old = Stored(ada.id).password_hash;
  Start({.memory_bytes = 16384, .passes = 2});
  EXPECT_THAT(LogIn("ada", "wrong password"), kWrongCredentials);
  EXPECT_EQ(Stored(ada.id).password_hash, old);
  EXPECT_THAT(LogIn("ada"), IsOk());
  // Behind the caller's back: ends with the pool.
  Start({.memory_bytes = 16384, .passes = 2});
  EXPECT_THAT(Stored(ada.id).password_hash, HasSubstr("m=16,t=2"));
  EXPECT_EQ(HashesFor([&] { EXPECT_THAT(LogIn("ada"), IsOk()); }), 1u);
}

TEST_F(AccountsTest, RefreshTokensRotateAndReuseEndsTheSession) {
  ASSERT_TRUE(Register("ada").ok());
  const auto invalid = AllOf(StatusIs(absl::StatusCode::kUnauthenticated),
                             HasReason("REFRESH_TOKEN_INVALID"));
  const Tokens first = LogIn("ada")->tokens;
  const Tokens second = *Refresh(first.refresh);
  EXPECT_THAT(backend_->tokens().Verify(second.access.text), IsOk());
  EXPECT_THAT(Refresh(first.refresh), invalid);
  EXPECT_THAT(Refresh(second.refresh), invalid);
  EXPECT_THAT(Refresh("nonsense"), invalid);
}

TEST_F(AccountsTest, OfTwoUsesOfARefreshTokenAtOnceAtMostOneSucceeds) {
  ASSERT_TRUE(Register("ada").ok());
  const Tokens tokens = LogIn("ada")->tokens;
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { good += Refresh(tokens.refresh).ok(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 1);
}

TEST_F(AccountsTest, LoggingOutEndsTheSession) {
  ASSERT_TRUE(Register("ada").ok());
  const Tokens tokens = LogIn("ada")->tokens;
  for (const std::string& token :
       {tokens.refresh, tokens.refresh, std::string("nonsense")}) {
    std::promise<absl::Status> done;
    accounts().LogOut(token, [&](const absl::Status& s) { done.set_value(s); });
    EXPECT_THAT(done.get_future().get(), IsOk());
  }
  EXPECT_FALSE(Refresh(tokens.refresh).ok());
}

TEST_F(AccountsTest, ARefreshSeesNewRoles) {
  const User ada = *Register("ada");
  const Tokens tokens = LogIn("ada")->tokens;
  std::promise<absl::Status> set;
  ASSERT_THAT(backend_->store().Write(
                  {.run =
                       [&](UserStore& store) {
                         return store.users()
                             .SetRoles(ada.id, {Role::kUser, Role::kAuthor})
                             .status();
                       },
                   .done = [&](const absl::Status& s) { set.set_value(s); }}),
              IsOk());
  ASSERT_THAT(set.get_future().get(), IsOk());
  const auto access =
      backend_->tokens().Verify(Refresh(tokens.refresh)->access.text);
  EXPECT_THAT(access->principal->roles,
              ::testing::ElementsAre("user", "author"));
}

TEST_F(AccountsTest, ChangesAPasswordAndEndsOtherSessions) {
  const User ada = *Register("ada");
  const Tokens before = LogIn("ada")->tokens;
  const Tokens after = *ChangePassword(ada.id, kPassword, "staple of horses");
  EXPECT_FALSE(Refresh(before.refresh).ok());
  EXPECT_THAT(Refresh(after.refresh), IsOk());
  EXPECT_THAT(LogIn("ada"), kWrongCredentials);
  EXPECT_THAT(LogIn("ada", "staple of horses"), IsOk());
}

TEST_F(AccountsTest, AWrongCurrentPasswordCountsAndChangesNothing) {
  const User ada = *Register("ada");
  const Tokens before = LogIn("ada")->tokens;
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(ChangePassword(ada.id, "wrong password", "staple of horses"),
                kWrongCredentials);
  }
  EXPECT_THAT(ChangePassword(ada.id, kPassword, "staple of horses"),
              kWrongCredentials)
      << "locked";
  EXPECT_THAT(LogIn("ada"), kWrongCredentials);
  clock_.Advance(30s);
  EXPECT_THAT(LogIn("ada"), IsOk());
  EXPECT_THAT(Refresh(before.refresh), IsOk());
}

TEST_F(AccountsTest, TheTimeOfAChangeDoesNotTellWhetherThePasswordWasRight) {
  const User ada = *Register("ada");
  FailToLogIn("ada", 5);
  for (const std::string current : {kPassword, "wrong password"}) {
    EXPECT_EQ(HashesFor([&] {
                EXPECT_THAT(ChangePassword(ada.id, current, "staple of horses"),
                            kWrongCredentials);
              }),
              2u);
  }
}

TEST_F(AccountsTest, RefusesAWeakNewPasswordAndWhoIsNotThere) {
  const User ada = *Register("ada");
  const auto weak = ChangePassword(ada.id, kPassword, "password12");
  EXPECT_THAT(weak, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(weak.status().message()), HasSubstr("new_password"));
  EXPECT_THAT(ChangePassword(ada.id + "x", kPassword, "staple of horses"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(AccountsTest, TheFirstAdminIsMadeOnce) {
  const NewUser root{.username = "root",
                     .email = "root@example.org",
                     .roles = {Role::kUser, Role::kAdmin}};
  EXPECT_THAT(accounts().RegisterFirst(root, kPassword), IsOkAndHolds(true));
  EXPECT_EQ(HashesFor([&] {
              EXPECT_THAT(accounts().RegisterFirst(root, "another password"),
                          IsOkAndHolds(false));
            }),
            0u);
  const LoggedIn in = *LogIn("root");
  EXPECT_TRUE(in.user.roles.Has(Role::kAdmin));
}

TEST_F(AccountsTest, SomebodyElsesNameMakesNobodyAnAdmin) {
  ASSERT_TRUE(Register("root").ok());
  EXPECT_THAT(accounts().RegisterFirst({.username = "ROOT",
                                        .email = "admin@example.org",
                                        .roles = {Role::kAdmin}},
                                       "another password"),
              IsOkAndHolds(false));
  EXPECT_FALSE(LogIn("root")->user.roles.Has(Role::kAdmin));
  EXPECT_THAT(accounts().RegisterFirst({.username = "admin",
                                        .email = "root@example.org",
                                        .roles = {Role::kAdmin}},
                                       "another password"),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(accounts().RegisterFirst({.username = "admin",
                                        .email = "admin@example.org",
                                        .roles = {Role::kAdmin}},
                                       "weak"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(AccountsTest, NothingIsHashedForACallerWhoHasGone) {
  ASSERT_TRUE(Register("ada").ok());
  EXPECT_EQ(HashesFor([&] {
              EXPECT_THAT(Await<LoggedIn>([&](Accounts::Done<LoggedIn> done) {
                            accounts().LogIn(
                                "ada", kPassword, [] { return true; },
                                std::move(done));
                          }),
                          StatusIs(absl::StatusCode::kCancelled));
            }),
            0u);
}

TEST_F(AccountsTest, ARefreshTokenIsNotUsedUpByACallerWhoHasGone) {
  ASSERT_TRUE(Register("ada").ok());
  const Tokens tokens = LogIn("ada")->tokens;
  EXPECT_THAT(Await<Tokens>([&](Accounts::Done<Tokens> done) {
                accounts().Refresh(
                    tokens.refresh, [] { return true; }, std::move(done));
              }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Refresh(tokens.refresh), IsOk());
}

TEST_F(AccountsTest, TooManyPasswordsAtOnceAreRefused) {
  Start({.memory_bytes = 1 << 20, .passes = 20},
        {.threads = 1, .max_waiting = 2});
  std::vector<std::future<absl::StatusOr<LoggedIn>>> logins;
  for (int i = 0; i < 30; ++i) {
    logins.push_back(std::async(std::launch::async, [this, i] {
      return LogIn("nobody" + std::to_string(i));
    }));
  }
  int refused = 0;
  for (auto& login : logins) {
    const absl::Status status = login.get().status();
    if (absl::IsUnauthenticated(status)) continue;
    EXPECT_THAT(status, AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                              HasReason("PASSWORDS_BUSY")));
    ++refused;
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 30);
}

}  // namespace
}  // namespace platform::user
