// SPDX-License-Identifier: Apache-2.0
#include "services/user/user_table.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "services/common/query.h"

namespace platform::user {
namespace {

using common::Query;
using grpccommon::Clock;
using grpccommon::NotFound;
using grpccommon::ToAbsl;
using grpccommon::WithReason;

constexpr char kDomain[] = "platform.user";

constexpr char kColumns[] =
    "sequence, id, username, display_name, email, password_hash, roles, "
    "created_at, updated_at, version";

// A row as it is read.
struct Row {
  Credentials read;
  int roles = 0;

  void ReadBy(Query& query) {
    User& user = read.user;
    query.Into(user.sequence, user.id, user.username, user.display_name,
               user.email, read.password_hash, roles, user.created_at,
               user.updated_at, user.version);
  }
  Credentials Take() const {
    Credentials credentials = read;
    credentials.user.roles = RoleSet::FromBits(roles);
    return credentials;
  }
};

std::string KeyOf(std::string_view text) {
  return absl::AsciiStrToLower(ToAbsl(text));
}

// The one row where `column` has this value; none for a deleted account.
std::optional<Credentials> FindBy(soci::session& sql, std::string_view column,
                                  std::string_view value) {
  Row row;
  Query query(sql,
              absl::StrCat("SELECT ", kColumns, " FROM users WHERE ",
                           ToAbsl(column), " = :value AND deleted_at IS NULL"));
  query.Bind("value", value);
  row.ReadBy(query);
  if (!query.Next()) return std::nullopt;
  return row.Take();
}

absl::StatusOr<Credentials> FindById(soci::session& sql, std::string_view id) {
  std::optional<Credentials> found = FindBy(sql, "id", KeyOf(id));
  if (!found.has_value()) return NotFound("user", id);
  return *std::move(found);
}

absl::Status Taken(std::string_view reason, std::string_view message) {
  return WithReason(absl::AlreadyExistsError(ToAbsl(message)), reason, kDomain);
}

absl::Status CheckEmailIsFree(soci::session& sql, std::string_view key,
                              std::string_view but_for_id) {
  std::string id;
  Query query(sql, "SELECT id FROM users WHERE email_key = :key AND id <> :id");
  query.Bind("key", key).Bind("id", but_for_id).Into(id);
  if (!query.Next()) return absl::OkStatus();
  return Taken("EMAIL_TAKEN", "an account with this address exists");
}

// The part of a WHERE clause that chooses by filter, and what it refers to.
// The text is ours; what callers say is bound.
struct Choice {
  Choice(const common::Database& database, const UserFilter& filter) {
    if (filter.role.has_value()) {
      role_bit = RoleSet({*filter.role}).bits();
      absl::StrAppend(&clause, " AND (roles & CAST(:role AS INTEGER)) <> 0");
    }
    if (filter.text.empty()) return;
    // A pattern for each: a name may be bound once.
    pattern = common::LikePattern(filter.text);
    absl::StrAppend(&clause, " AND (", database.Contains("username", "in_name"),
                    " OR ", database.Contains("display_name", "in_display"),
                    " OR ", database.Contains("email", "in_email"), ")");
  }

  void BindTo(Query& query) const {
    if (role_bit != 0) query.Bind("role", role_bit);
    if (pattern.empty()) return;
    query.Bind("in_name", pattern)
        .Bind("in_display", pattern)
        .Bind("in_email", pattern);
  }

  std::string clause;
  int role_bit = 0;
  std::string pattern;
};

}  // namespace

absl::StatusOr<User> UserTable::Create(const NewUser& user) {
  return database_.Run([&](soci::session& sql) -> absl::StatusOr<User> {
    const std::string username_key = KeyOf(user.username);
    const std::string email_key = KeyOf(user.email);
    std::string id;
    // Nobody else writes meanwhile: see Database.
    if (Query(sql, "SELECT id FROM users WHERE username_key = :key")
            .Bind("key", username_key)
            .Into(id)
            .Next()) {
      return Taken("USERNAME_TAKEN", "an account with this user name exists");
    }
    const absl::Status free = CheckEmailIsFree(sql, email_key, "");
    if (!free.ok()) return free;
    User created{.id = grpccommon::UuidV7(clock_),
                 .username = user.username,
                 .display_name = user.display_name.empty() ? user.username
                                                           : user.display_name,
                 .email = user.email,
                 .roles = user.roles,
                 .created_at = clock_.WallNow(),
                 .version = 1};
    created.updated_at = created.created_at;
    Query(sql, "SELECT coalesce(max(sequence), 0) + 1 FROM users")
        .Into(created.sequence)
        .Next();
    Query(sql, absl::StrCat("INSERT INTO users (", kColumns,
                            ", username_key, email_key) VALUES (:sequence, "
                            ":id, :username, :display_name, :email, "
                            ":password_hash, :roles, :created_at, :updated_at, "
                            ":version, :username_key, :email_key)"))
        .Bind("sequence", created.sequence)
        .Bind("id", created.id)
        .Bind("username", created.username)
        .Bind("display_name", created.display_name)
        .Bind("email", created.email)
        .Bind("password_hash", user.password_hash)
        .Bind("roles", created.roles.bits())
        .Bind("created_at", created.created_at)
        .Bind("updated_at", created.updated_at)
        .Bind("version", created.version)
        .Bind("username_key", username_key)
        .Bind("email_key", email_key)
        .Run();
    return created;
  });
}

absl::StatusOr<User> UserTable::Get(std::string_view id) {
  absl::StatusOr<Credentials> found = CredentialsOf(id);
  if (!found.ok()) return found.status();
  return std::move(found->user);
}

absl::StatusOr<Credentials> UserTable::CredentialsOf(std::string_view id) {
  return database_.Run([&](soci::session& sql) { return FindById(sql, id); });
}

absl::StatusOr<std::optional<Credentials>> UserTable::FindByLogin(
    std::string_view login) {
  const bool address = login.find('@') != std::string_view::npos;
  return database_.Run(
      [&](soci::session& sql) -> absl::StatusOr<std::optional<Credentials>> {
        return FindBy(sql, address ? "email_key" : "username_key",
                      KeyOf(login));
      });
}

absl::StatusOr<User> UserTable::Update(std::string_view id,
                                       const UserChanges& changes,
                                       std::int64_t expected_version) {
  return database_.Run([&](soci::session& sql) -> absl::StatusOr<User> {
    const absl::StatusOr<Credentials> found = FindById(sql, id);
    if (!found.ok()) return found.status();
    User user = found->user;
    if (user.version != expected_version) {
      return grpccommon::VersionConflict("user", id, user.version);
    }
    if (changes.display_name.has_value()) {
      user.display_name =
          changes.display_name->empty() ? user.username : *changes.display_name;
    }
    if (changes.email.has_value()) user.email = *changes.email;
    if (user.display_name == found->user.display_name &&
        user.email == found->user.email) {
      return user;
    }
    const absl::Status free = CheckEmailIsFree(sql, KeyOf(user.email), user.id);
    if (!free.ok()) return free;
    user.updated_at = clock_.WallNow();
    ++user.version;
    Query(sql,
          "UPDATE users SET display_name = :display_name, email = :email, "
          "email_key = :email_key, updated_at = :updated_at, "
          "version = :version WHERE id = :id")
        .Bind("display_name", user.display_name)
        .Bind("email", user.email)
        .Bind("email_key", KeyOf(user.email))
        .Bind("updated_at", user.updated_at)
        .Bind("version", user.version)
        .Bind("id", user.id)
        .Run();
    return user;
  });
}

absl::Status UserTable::CheckAnotherAdmin(const User& user) {
  if (!user.roles.Has(Role::kAdmin)) return absl::OkStatus();
  const absl::StatusOr<std::int64_t> admins =
      Count({.text = {}, .role = Role::kAdmin});
  if (!admins.ok()) return admins.status();
  if (*admins > 1) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError("this is the last admin; make another one "
                                    "first"),
      "LAST_ADMIN", kDomain);
}

absl::StatusOr<User> UserTable::SetRoles(std::string_view id, RoleSet roles) {
  return database_.Run([&](soci::session& sql) -> absl::StatusOr<User> {
    absl::StatusOr<Credentials> found = FindById(sql, id);
    if (!found.ok()) return found.status();
    User& user = found->user;
    if (user.roles == roles) return user;
    if (!roles.Has(Role::kAdmin)) {
      const absl::Status another = CheckAnotherAdmin(user);
      if (!another.ok()) return another;
    }
    user.roles = roles;
    user.updated_at = clock_.WallNow();
    ++user.version;
    Query(sql,
          "UPDATE users SET roles = :roles, updated_at = :updated_at, "
          "version = :version WHERE id = :id")
        .Bind("roles", user.roles.bits())
        .Bind("updated_at", user.updated_at)
        .Bind("version", user.version)
        .Bind("id", user.id)
        .Run();
    return user;
  });
}

absl::Status UserTable::Delete(std::string_view id) {
  return database_.Run([&](soci::session& sql) -> absl::Status {
    const absl::StatusOr<Credentials> found = FindById(sql, id);
    if (!found.ok()) return found.status();
    absl::Status another = CheckAnotherAdmin(found->user);
    if (!another.ok()) return another;
    Query(sql,
          "UPDATE users SET display_name = '', email = '', email_key = NULL, "
          "password_hash = '', roles = 0, deleted_at = :now, "
          "version = version + 1 WHERE id = :id")
        .Bind("now", clock_.WallNow())
        .Bind("id", found->user.id)
        .Run();
    return absl::OkStatus();
  });
}

absl::StatusOr<bool> UserTable::ReplacePasswordHash(std::string_view id,
                                                    std::string_view old,
                                                    std::string_view hash) {
  return database_.Run([&](soci::session& sql) -> absl::StatusOr<bool> {
    return Query(sql,
                 "UPDATE users SET password_hash = :hash WHERE id = :id AND "
                 "password_hash = :old AND deleted_at IS NULL")
               .Bind("hash", hash)
               .Bind("id", KeyOf(id))
               .Bind("old", old)
               .Run() == 1;
  });
}

absl::StatusOr<UserPage> UserTable::List(const UserFilter& filter,
                                         std::int64_t after,
                                         std::size_t limit) {
  return database_.Run([&](soci::session& sql) -> absl::StatusOr<UserPage> {
    UserPage page;
    const Choice choice(database_, filter);
    Row row;
    Query query(sql,
                absl::StrCat("SELECT ", kColumns,
                             " FROM users WHERE sequence > :after"
                             " AND deleted_at IS NULL",
                             choice.clause, " ORDER BY sequence LIMIT :rows"));
    // One more tells whether there are more.
    query.Bind("after", after).Bind("rows", limit + 1);
    choice.BindTo(query);
    row.ReadBy(query);
    while (query.Next()) {
      page.last = page.users.size() < limit;
      if (!page.last) break;
      page.users.push_back(row.Take().user);
    }
    return page;
  });
}

absl::StatusOr<std::int64_t> UserTable::Count(const UserFilter& filter) {
  return database_.Run([&](soci::session& sql) -> absl::StatusOr<std::int64_t> {
    const Choice choice(database_, filter);
    std::int64_t count = 0;
    Query query(sql, absl::StrCat("SELECT count(*) FROM users WHERE "
                                  "deleted_at IS NULL",
                                  choice.clause));
    choice.BindTo(query);
    query.Into(count).Next();
    return count;
  });
}

}  // namespace platform::user
