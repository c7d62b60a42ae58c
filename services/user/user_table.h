// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "services/common/database.h"
#include "services/user/user.h"

namespace platform::user {

struct NewUser {
  std::string username;
  std::string email;
  /// Empty: the user name.
  std::string display_name;
  std::string password_hash;
  RoleSet roles = {Role::kUser};
};

/// What is absent stays.
struct UserChanges {
  /// Empty: the user name.
  std::optional<std::string> display_name;
  std::optional<std::string> email;
};

struct Credentials {
  User user;
  std::string password_hash;
};

struct UserFilter {
  /// Part of the name, the display name or the address.
  std::string text;
  std::optional<Role> role;
};

struct UserPage {
  std::vector<User> users;
  /// Whether no user comes after these.
  bool last = true;
};

/// The accounts. Deleted ones are not there, but their names stay taken.
///
/// Changes are made in a transaction. Errors of every method but those it
/// names: those of Database.
class UserTable {
 public:
  /// Both are borrowed.
  UserTable(common::Database& database, const grpccommon::Clock& clock)
      : database_(database), clock_(clock) {}

  /// Errors: kAlreadyExists, reason USERNAME_TAKEN or EMAIL_TAKEN.
  absl::StatusOr<User> Create(const NewUser& user);

  /// Errors: kNotFound.
  absl::StatusOr<User> Get(std::string_view id);
  absl::StatusOr<Credentials> CredentialsOf(std::string_view id);
  /// By name, or by address if there is an @; none if nobody has it.
  absl::StatusOr<std::optional<Credentials>> FindByLogin(
      std::string_view login);

  /// Errors: kNotFound, kAlreadyExists (EMAIL_TAKEN), kAborted
  /// (VERSION_CONFLICT).
  absl::StatusOr<User> Update(std::string_view id, const UserChanges& changes,
                              std::int64_t expected_version);
  /// Errors: kNotFound, kFailedPrecondition (LAST_ADMIN).
  absl::StatusOr<User> SetRoles(std::string_view id, RoleSet roles);
  absl::Status Delete(std::string_view id);

  /// Puts a hash in the place of `old`; false if that is not the hash.
  absl::StatusOr<bool> ReplacePasswordHash(std::string_view id,
                                           std::string_view old,
                                           std::string_view hash);

  /// At most `limit` users who registered after the one with number `after`, in
  /// that order.
  absl::StatusOr<UserPage> List(const UserFilter& filter, std::int64_t after,
                                std::size_t limit);
  absl::StatusOr<std::int64_t> Count(const UserFilter& filter);

 private:
  absl::Status CheckAnotherAdmin(const User& user);

  common::Database& database_;
  const grpccommon::Clock& clock_;
};

}  // namespace platform::user
