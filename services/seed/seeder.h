// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/contest/v1/contest_service.pb.h"
#include "services/seed/clients.h"
#include "services/seed/content.h"

namespace platform::seed {

/// Everything here may be done again, also after it was cut short: what is
/// there stays as it is.

/// An account; one that is there must have this password. Errors: those of
/// Register and Login.
absl::StatusOr<Session> EnsureUser(Clients& clients,
                                   const std::string& username,
                                   const std::string& password,
                                   const std::string& display_name);

/// Makes a user an author. Their next log-in has the role.
absl::Status MakeAuthor(Clients& clients, const Session& admin,
                        const std::string& user_id);

/// A published problem with its tests; nobody else sees it before they are all
/// there.
absl::StatusOr<problem::v1::Problem> EnsureProblem(
    Clients& clients, const Session& author, const ProblemContent& content);

struct SeedOptions {
  std::string admin_login;
  std::string admin_password;
  /// Of those who get an account, by user name.
  std::map<std::string, std::string> passwords;
};

struct SeedSummary {
  std::map<std::string, std::string> users;  // name → id
  std::map<std::string, std::string> problems;
  contest::v1::Contest contest;

  friend bool operator==(const SeedSummary& a, const SeedSummary& b) {
    return a.users == b.users && a.problems == b.problems &&
           a.contest.id() == b.contest.id();
  }
};

/// The people of the seed, of whom `author()` writes problems and contests.
const std::map<std::string, std::string>& People();  // name → as shown
inline const char* Author() { return "judge"; }

/// Users, all problems of `content`, and a contest that runs, with everybody on
/// its board.
absl::StatusOr<SeedSummary> Seed(Clients& clients, const Content& content,
                                 const SeedOptions& options);

}  // namespace platform::seed
