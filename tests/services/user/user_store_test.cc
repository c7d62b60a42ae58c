// SPDX-License-Identifier: Apache-2.0
#include "services/user/user_store.h"

#include <set>

#include "gmock/gmock.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/query.h"
#include "services/common/test_database.h"

namespace platform::user {
namespace {

using grpccommon::testing::FakeClock;
using grpccommon::testing::HasReason;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

// Texts that would do harm if they got into a statement or a format.
constexpr std::string_view kNasty[] = {"'; DROP TABLE users; --",
                                       "\" OR 1=1 --",
                                       "%s%n%x%p",
                                       "{0}",
                                       ":value",
                                       "$1",
                                       "\\",
                                       "%",
                                       "_",
                                       "line\nline"};

class UserStoreTest : public common::DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (!IsSkipped()) Open();
  }
  void Open(UserStoreOptions options = {}) {
    options.url = url();
    auto store = UserStore::Open(options, clock_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  // In a transaction of its own, which is undone after an error.
  template <typename Work>
  auto Write(Work work) {
    EXPECT_TRUE(store_->database().Begin().ok());
    auto result = work();
    if (result.ok()) {
      const absl::Status committed = store_->database().Commit();
      EXPECT_TRUE(committed.ok()) << committed;
    } else {
      store_->database().Rollback();
    }
    return result;
  }

  absl::StatusOr<User> TryCreate(NewUser user) {
    return Write([&] { return store_->users().Create(user); });
  }
  User Create(const std::string& name, RoleSet roles = {Role::kUser}) {
    const absl::StatusOr<User> user =
        TryCreate({.username = name,
                   .email = name + "@example.org",
                   .password_hash = "hash-" + name,
                   .roles = roles});
    EXPECT_TRUE(user.ok()) << user.status();
    return *user;
  }
  absl::StatusOr<User> Update(const User& user, const UserChanges& changes) {
    return Write(
        [&] { return store_->users().Update(user.id, changes, user.version); });
  }
  absl::Status Delete(const User& user) {
    return Write([&] { return store_->users().Delete(user.id); });
  }
  absl::StatusOr<User> SetRoles(const User& user, RoleSet roles) {
    return Write([&] { return store_->users().SetRoles(user.id, roles); });
  }
  std::vector<std::string> Names(const UserFilter& filter) {
    std::vector<std::string> names;
    const UserPage page = *store_->users().List(filter, 0, 1000);
    for (const User& user : page.users) {
      names.push_back(user.username);
    }
    EXPECT_EQ(*store_->users().Count(filter), std::ssize(names));
    return names;
  }

  Session OpenSession(const User& user) {
    return *Write([&] { return store_->sessions().Open(user.id); });
  }
  std::optional<Session> Refresh(const std::string& token) {
    return *Write([&] { return store_->sessions().Refresh(token); });
  }
  std::int64_t Rows(const std::string& table) {
    std::int64_t rows = 0;
    EXPECT_TRUE(store_->database()
                    .Run([&](soci::session& sql) -> absl::Status {
                      common::Query(sql, "SELECT count(*) FROM " + table)
                          .Into(rows)
                          .Next();
                      return absl::OkStatus();
                    })
                    .ok());
    return rows;
  }

  FakeClock clock_;
  std::unique_ptr<UserStore> store_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(UserStoreTest);

void ExpectEqual(const User& a, const User& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.username, b.username);
  EXPECT_EQ(a.display_name, b.display_name);
  EXPECT_EQ(a.email, b.email);
  EXPECT_EQ(a.roles, b.roles);
  EXPECT_EQ(a.created_at, b.created_at);
  EXPECT_EQ(a.updated_at, b.updated_at);
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.sequence, b.sequence);
}

TEST_P(UserStoreTest, KeepsEveryFieldOfAUser) {
  const User user = *TryCreate({.username = "Ada",
                                .email = "Ada@Example.org",
                                .display_name = "Ada Lovelace 🧮",
                                .password_hash = "hash",
                                .roles = {Role::kUser, Role::kAuthor}});
  EXPECT_TRUE(grpccommon::IsUuid(user.id));
  EXPECT_EQ(user.created_at, clock_.WallNow());
  EXPECT_EQ(user.updated_at, clock_.WallNow());
  EXPECT_EQ(user.version, 1);
  Open();  // again
  ExpectEqual(*store_->users().Get(user.id), user);
  const Credentials credentials = *store_->users().CredentialsOf(user.id);
  ExpectEqual(credentials.user, user);
  EXPECT_EQ(credentials.password_hash, "hash");
}

TEST_P(UserStoreTest, TheUserNameIsTheDisplayNameUnlessThereIsOne) {
  EXPECT_EQ(Create("ada").display_name, "ada");
}

TEST_P(UserStoreTest, FindsByNameAndAddressWhateverTheCase) {
  const User ada = Create("Ada");
  for (const std::string login :
       {"ada", "ADA", "Ada", "ada@example.org", "ADA@EXAMPLE.ORG"}) {
    const auto found = *store_->users().FindByLogin(login);
    ASSERT_TRUE(found.has_value()) << login;
    EXPECT_EQ(found->user.id, ada.id);
  }
  for (const std::string login : {"", "ad", "ada@", "ada@example.com", "%"}) {
    EXPECT_FALSE(store_->users().FindByLogin(login)->has_value()) << login;
  }
}

TEST_P(UserStoreTest, RefusesNamesAndAddressesThatAreTakenInAnyCase) {
  Create("Ada");
  EXPECT_THAT(TryCreate({.username = "aDA", .email = "other@example.org"}),
              AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                    HasReason("USERNAME_TAKEN")));
  EXPECT_THAT(TryCreate({.username = "other", .email = "aDA@example.ORG"}),
              AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                    HasReason("EMAIL_TAKEN")));
  EXPECT_THAT(Names({}), ElementsAre("Ada"));
  // Of these two, nobody else's letters are folded.
  EXPECT_TRUE(TryCreate({.username = "ada-2", .email = "ä@example.org"}).ok());
  EXPECT_TRUE(TryCreate({.username = "ada-3", .email = "Ä@example.org"}).ok());
}

TEST_P(UserStoreTest, UpdatesWhatIsToBeUpdated) {
  const User ada = Create("ada");
  clock_.Advance(1min);
  const User renamed = *Update(ada, {.display_name = "Countess"});
  EXPECT_EQ(renamed.display_name, "Countess");
  EXPECT_EQ(renamed.email, ada.email);
  EXPECT_EQ(renamed.version, 2);
  EXPECT_EQ(renamed.updated_at, clock_.WallNow());
  EXPECT_EQ(renamed.created_at, ada.created_at);
  ExpectEqual(*store_->users().Get(ada.id), renamed);

  const User moved = *Update(renamed, {.email = "new@example.org"});
  EXPECT_EQ(moved.version, 3);
  EXPECT_FALSE(store_->users().FindByLogin(ada.email)->has_value());
  EXPECT_TRUE(store_->users().FindByLogin("NEW@example.org")->has_value());
  EXPECT_EQ(Update(moved, {.display_name = ""})->display_name, "ada");
}

TEST_P(UserStoreTest, AnUpdateThatChangesNothingIsNone) {
  const User ada = Create("ada");
  clock_.Advance(1min);
  ExpectEqual(*Update(ada, {.display_name = "ada", .email = ada.email}), ada);
}

TEST_P(UserStoreTest, RefusesAnUpdateOfAnotherVersion) {
  const User ada = Create("ada");
  ASSERT_TRUE(Update(ada, {.display_name = "one"}).ok());
  for (const std::int64_t version : {0, 1, 3, -1}) {
    User other = ada;
    other.version = version;
    EXPECT_THAT(Update(other, {.display_name = "two"}),
                AllOf(StatusIs(absl::StatusCode::kAborted),
                      HasReason("VERSION_CONFLICT")));
  }
  EXPECT_EQ(store_->users().Get(ada.id)->display_name, "one");
}

TEST_P(UserStoreTest, RefusesAnAddressThatIsTakenButNotOnesOwn) {
  const User ada = Create("ada");
  Create("bob");
  EXPECT_THAT(Update(ada, {.email = "BOB@example.org"}),
              AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                    HasReason("EMAIL_TAKEN")));
  EXPECT_TRUE(Update(ada, {.email = "ADA@example.org"}).ok());
}

TEST_P(UserStoreTest, ADeletedUserIsGoneButTheNameStaysTaken) {
  const User ada = Create("ada");
  const Session session = OpenSession(ada);
  ASSERT_TRUE(Delete(ada).ok());
  EXPECT_THAT(store_->users().Get(ada.id),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(store_->users().FindByLogin("ada")->has_value());
  EXPECT_FALSE(store_->users().FindByLogin(ada.email)->has_value());
  EXPECT_THAT(Names({}), IsEmpty());
  EXPECT_THAT(Delete(ada), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Update(ada, {.display_name = "x"}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(SetRoles(ada, {Role::kAuthor}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(*Write(
      [&] { return store_->users().ReplacePasswordHash(ada.id, "", "hash"); }));
  EXPECT_THAT(TryCreate({.username = "ADA", .email = "other@example.org"}),
              HasReason("USERNAME_TAKEN"));
  // The address was personal, and is forgotten.
  EXPECT_TRUE(TryCreate({.username = "ada2", .email = ada.email}).ok());
}

TEST_P(UserStoreTest, TheLastAdminStays) {
  const User root = Create("root", {Role::kUser, Role::kAdmin});
  const User other = Create("other", {Role::kAdmin});
  ASSERT_TRUE(SetRoles(other, {Role::kUser}).ok());
  const auto refused = AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                             HasReason("LAST_ADMIN"));
  EXPECT_THAT(SetRoles(root, {Role::kUser, Role::kAuthor}), refused);
  EXPECT_THAT(Delete(root), refused);
  EXPECT_EQ(store_->users().Get(root.id)->roles, root.roles);
  EXPECT_TRUE(SetRoles(root, {Role::kAdmin}).ok());
  ASSERT_TRUE(SetRoles(other, {Role::kAdmin}).ok());
  EXPECT_TRUE(Delete(root).ok());
  EXPECT_THAT(Delete(other), refused) << "a deleted admin is none";
}

TEST_P(UserStoreTest, SetsRoles) {
  const User ada = Create("ada");
  clock_.Advance(1s);
  const User author = *SetRoles(ada, {Role::kUser, Role::kAuthor});
  EXPECT_TRUE(author.roles.Has(Role::kAuthor));
  EXPECT_FALSE(author.roles.Has(Role::kAdmin));
  EXPECT_EQ(author.version, 2);
  ExpectEqual(*store_->users().Get(ada.id), author);
  ExpectEqual(*SetRoles(author, author.roles), author);
}

TEST_P(UserStoreTest, ReplacesAPasswordHashIfItIsTheOneThatWasRead) {
  const User ada = Create("ada");
  const auto replace = [&](std::string_view old, std::string_view fresh) {
    return *Write([&] {
      return store_->users().ReplacePasswordHash(ada.id, old, fresh);
    });
  };
  EXPECT_FALSE(replace("another", "new"));
  EXPECT_TRUE(replace("hash-ada", "new"));
  EXPECT_FALSE(replace("hash-ada", "newer"));
  EXPECT_EQ(store_->users().CredentialsOf(ada.id)->password_hash, "new");
}

TEST_P(UserStoreTest, ListsInOrderOfRegistrationPageByPage) {
  std::vector<std::string> names;
  for (int i = 9; i >= 0; --i) {
    names.push_back("user-" + std::to_string(i));
    Create(names.back());
  }
  std::vector<std::string> listed;
  UserPage page;
  std::int64_t after = 0;
  do {
    page = *store_->users().List({}, after, 3);
    EXPECT_LE(page.users.size(), 3u);
    for (const User& user : page.users) listed.push_back(user.username);
    after = page.users.back().sequence;
    // What comes or goes meanwhile shifts nothing.
    if (listed.size() == 3) {
      ASSERT_TRUE(Delete(page.users.front()).ok());
      Create("late");
    }
  } while (!page.last);
  names.emplace_back("late");
  EXPECT_EQ(listed, names);
  EXPECT_TRUE(store_->users().List({}, 1000, 3)->users.empty());
}

TEST_P(UserStoreTest, FiltersByTextAndRole) {
  Create("Ada", {Role::kUser, Role::kAuthor});
  const User bob = Create("bob", {Role::kUser});
  Create("root", {Role::kAdmin});
  ASSERT_TRUE(Update(bob, {.display_name = "The Ä-Team"}).ok());
  EXPECT_THAT(Names({.text = "aDa"}), ElementsAre("Ada"));
  EXPECT_THAT(Names({.text = "EXAMPLE"}), ElementsAre("Ada", "bob", "root"));
  EXPECT_THAT(Names({.text = "the ä"}), IsEmpty()) << "only ASCII is folded";
  EXPECT_THAT(Names({.text = "the Ä"}), ElementsAre("bob"));
  EXPECT_THAT(Names({.role = Role::kUser}), ElementsAre("Ada", "bob"));
  EXPECT_THAT(Names({.role = Role::kAdmin}), ElementsAre("root"));
  EXPECT_THAT(Names({.text = "a", .role = Role::kAdmin}), ElementsAre("root"));
  EXPECT_THAT(Names({.text = "ada", .role = Role::kAdmin}), IsEmpty());
}

TEST_P(UserStoreTest, TakesEveryTextAsItIs) {
  for (const std::string_view text : kNasty) {
    Renew();
    Open();
    const User plain = Create("plain");
    const User user = *TryCreate({.username = std::string(text),
                                  .email = std::string(text) + "@x",
                                  .display_name = std::string(text),
                                  .password_hash = std::string(text)});
    ExpectEqual(*store_->users().Get(user.id), user);
    EXPECT_EQ(store_->users().FindByLogin(text)->value().user.id, user.id);
    EXPECT_THAT(Names({.text = std::string(text)}),
                ElementsAre(std::string(text)));
    EXPECT_THAT(store_->users().Get(text),
                StatusIs(absl::StatusCode::kNotFound));
    EXPECT_TRUE(Update(plain, {.display_name = std::string(text)}).ok());
    EXPECT_FALSE(Refresh(std::string(text)).has_value());
    EXPECT_EQ(Rows("users"), 2);
  }
}

TEST_P(UserStoreTest, ARefreshTokenIsUsedUp) {
  const User ada = Create("ada");
  const Session first = OpenSession(ada);
  EXPECT_EQ(first.user_id, ada.id);
  const std::optional<Session> second = Refresh(first.refresh_token);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->user_id, ada.id);
  EXPECT_NE(second->refresh_token, first.refresh_token);
  EXPECT_EQ(second->expires_at, first.expires_at);
  EXPECT_TRUE(Refresh(second->refresh_token).has_value());
}

TEST_P(UserStoreTest, ReuseEndsTheSessionAndNoOther) {
  const User ada = Create("ada");
  const Session other = OpenSession(ada);
  const Session first = OpenSession(ada);
  const Session second = *Refresh(first.refresh_token);
  const Session third = *Refresh(second.refresh_token);
  EXPECT_FALSE(Refresh(first.refresh_token).has_value()) << "the oldest of all";
  EXPECT_FALSE(Refresh(third.refresh_token).has_value()) << "the one in force";
  EXPECT_TRUE(Refresh(other.refresh_token).has_value());
}

TEST_P(UserStoreTest, KeepsNoRefreshToken) {
  const User ada = Create("ada");
  const Session session = OpenSession(ada);
  std::string kept;
  ASSERT_TRUE(store_->database()
                  .Run([&](soci::session& sql) -> absl::Status {
                    std::string id;
                    std::string hash;
                    common::Query(sql, "SELECT id, token_hash FROM sessions")
                        .Into(id, hash)
                        .Next();
                    kept = id + hash;
                    return absl::OkStatus();
                  })
                  .ok());
  const std::string secret =
      session.refresh_token.substr(session.refresh_token.find('.') + 1);
  EXPECT_EQ(secret.size(), 43u) << "256 bits in base64url";
  EXPECT_THAT(kept, Not(::testing::HasSubstr(secret)));
}

TEST_P(UserStoreTest, RefreshTokensAreNeverTheSame) {
  const User ada = Create("ada");
  std::set<std::string> tokens;
  for (int i = 0; i < 50; ++i) {
    const std::string token = OpenSession(ada).refresh_token;
    EXPECT_TRUE(tokens.insert(token.substr(token.find('.'))).second);
  }
}

TEST_P(UserStoreTest, ASessionExpiresHoweverOftenItIsRefreshed) {
  Open({.sessions = {.lifetime = 1h}});
  const User ada = Create("ada");
  Session session = OpenSession(ada);
  for (int i = 0; i < 59; ++i) {
    clock_.Advance(1min);
    session = *Refresh(session.refresh_token);
  }
  clock_.Advance(1min);
  EXPECT_FALSE(Refresh(session.refresh_token).has_value());
  clock_.Advance(-1min);
  EXPECT_FALSE(Refresh(session.refresh_token).has_value()) << "it has ended";
}

TEST_P(UserStoreTest, TokensThatWereMadeUpEndNothing) {
  const User ada = Create("ada");
  const Session session = OpenSession(ada);
  for (const std::string& token :
       {std::string(), std::string("."), grpccommon::UuidV7(clock_),
        grpccommon::UuidV7(clock_) + ".x",
        "x" + session.refresh_token.substr(36),
        session.refresh_token.substr(0, 36)}) {
    EXPECT_FALSE(Refresh(token).has_value()) << token;
  }
  EXPECT_TRUE(Refresh(session.refresh_token).has_value());
}

TEST_P(UserStoreTest, ClosesSessions) {
  const User ada = Create("ada");
  const User bob = Create("bob");
  const Session of_bob = OpenSession(bob);
  const Session one = OpenSession(ada);
  const Session used = *Refresh(one.refresh_token);
  const Session two = OpenSession(ada);
  const Session three = OpenSession(ada);
  const auto close = [&](const std::string& token) {
    EXPECT_TRUE(Write([&] { return store_->sessions().Close(token); }).ok());
  };
  close("nonsense");
  close(one.refresh_token);  // used up, but of this session
  EXPECT_FALSE(Refresh(used.refresh_token).has_value());
  EXPECT_TRUE(Refresh(two.refresh_token).has_value());
  ASSERT_TRUE(
      Write([&] { return store_->sessions().CloseAllOf(ada.id); }).ok());
  EXPECT_FALSE(Refresh(three.refresh_token).has_value());
  EXPECT_TRUE(Refresh(of_bob.refresh_token).has_value());
}

TEST_P(UserStoreTest, TheOldestOfTooManySessionsEnds) {
  Open({.sessions = {.max_per_user = 3}});
  const User ada = Create("ada");
  const Session of_bob = OpenSession(Create("bob"));
  std::vector<Session> sessions;
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(1s);
    sessions.push_back(OpenSession(ada));
  }
  EXPECT_FALSE(Refresh(sessions[0].refresh_token).has_value());
  EXPECT_FALSE(Refresh(sessions[1].refresh_token).has_value());
  for (std::size_t i = 2; i < 5; ++i) {
    EXPECT_TRUE(Refresh(sessions[i].refresh_token).has_value()) << i;
  }
  EXPECT_TRUE(Refresh(of_bob.refresh_token).has_value());
}

TEST_P(UserStoreTest, ForgetsExpiredSessions) {
  Open({.sessions = {.lifetime = 1h}});
  const User ada = Create("ada");
  OpenSession(ada);
  clock_.Advance(1h);
  Open({.sessions = {.lifetime = 1h}});  // the first session cleans up
  OpenSession(ada);
  EXPECT_EQ(Rows("sessions"), 1);
}

TEST_P(UserStoreTest, KeepsFailedLogIns) {
  const LoginKey key{.key = "somebody", .known = true};
  const LoginFailures failures{.count = 7,
                               .locked_until = clock_.WallNow() + 1min,
                               .last_at = clock_.WallNow()};
  const auto put = [&](const LoginKey& whose, const LoginFailures& what) {
    EXPECT_TRUE(
        Write([&] { return store_->login_failures().Put(whose, what); }).ok());
  };
  EXPECT_EQ(store_->login_failures().Get(key)->count, 0);
  put(key, {.count = 1});
  put(key, failures);
  Open();
  const LoginFailures kept = *store_->login_failures().Get(key);
  EXPECT_EQ(kept.count, 7);
  EXPECT_EQ(kept.locked_until, failures.locked_until);
  EXPECT_EQ(kept.last_at, failures.last_at);
  ASSERT_TRUE(Write([&] { return store_->login_failures().Clear(key); }).ok());
  EXPECT_EQ(store_->login_failures().Get(key)->count, 0);
}

TEST_P(UserStoreTest, BoundsTheNamesThatNobodyHasButNoAccounts) {
  Open({.login_failures = {.max_unknown = 10}});
  const auto put = [&](const std::string& key, bool known) {
    clock_.Advance(1ms);
    EXPECT_TRUE(Write([&] {
                  return store_->login_failures().Put(
                      {.key = key, .known = known}, {.count = 1});
                }).ok());
  };
  for (int i = 0; i < 20; ++i) put("account-" + std::to_string(i), true);
  for (int i = 0; i < 300; ++i) put("name-" + std::to_string(i), false);
  EXPECT_LE(Rows("login_failures WHERE known = 0"), 10 + 256);
  EXPECT_EQ(Rows("login_failures WHERE known = 1"), 20);
  EXPECT_EQ(store_->login_failures().Get({.key = "name-0"})->count, 0);
  EXPECT_EQ(store_->login_failures().Get({.key = "name-299"})->count, 1);
}

TEST_P(UserStoreTest, ForgetsFailuresAfterAWhile) {
  const auto put = [&](const std::string& key) {
    EXPECT_TRUE(Write([&] {
                  return store_->login_failures().Put(
                      {.key = key, .known = true}, {.count = 1});
                }).ok());
  };
  put("old");
  clock_.Advance(24h);
  Open();  // the first attempt cleans up
  put("new");
  EXPECT_EQ(Rows("login_failures"), 1);
}

TEST_P(UserStoreTest, KeepsSigningKeysInTheirOrder) {
  const auto add = [&](const std::string& id,
                       grpccommon::Clock::WallTime from) {
    return Write([&] {
      return store_->signing_keys().Add(
          {.id = id, .sealed = "sealed-" + id, .signs_from = from});
    });
  };
  ASSERT_TRUE(add("b", clock_.WallNow() + 1h).ok());
  ASSERT_TRUE(add("a", clock_.WallNow()).ok());
  EXPECT_THAT(add("a", clock_.WallNow()),
              StatusIs(absl::StatusCode::kAlreadyExists));
  Open();
  std::vector<StoredKey> keys = *store_->signing_keys().List();
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].id, "a");
  EXPECT_EQ(keys[0].sealed, "sealed-a");
  EXPECT_EQ(keys[0].signs_from, clock_.WallNow());
  EXPECT_EQ(keys[1].id, "b");
  ASSERT_TRUE(Write([&] { return store_->signing_keys().Remove("a"); }).ok());
  EXPECT_EQ(store_->signing_keys().List()->size(), 1u);
}

}  // namespace
}  // namespace platform::user
