// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grpccommon/testing/certificates.h"
#include "services/seed/clients.h"
#include "services/seed/content.h"
#include "services/seed/contestant.h"
#include "services/seed/seeder.h"
#include "services/seed/standings.h"
#include "support/postgres_process.h"

namespace platform::test {

/// Nanoseconds since 1970, by the clock that services stamp with.
std::int64_t WallNow();

/// The PostgreSQL that the services keep everything in, each in a database of
/// its own, if PLATFORM_DATABASE is "postgresql"; else null, and each has a
/// SQLite file.
grpccommon::test::PostgresProcess* Postgresql();

/// The judge platform as it is deployed: the built programs, each a process of
/// its own with its data in a folder of its own, found through the registry.
/// Killed with the object.
class Platform {
 public:
  using Settings = std::map<std::string, std::string>;

  /// `more` goes to every process, by environment variables.
  explicit Platform(Settings more = {});
  ~Platform();
  Platform(const Platform&) = delete;
  Platform& operator=(const Platform&) = delete;

  /// registry, user, problem, execution and contest; false if one is not
  /// healthy, which is said on standard error.
  bool StartAll();
  /// A process that does not run; its data is as it was left. `execution-2` is
  /// a second instance of `execution`.
  bool Start(const std::string& name, const Settings& more = {});
  /// As `kill -9`.
  void Kill(const std::string& name);
  /// As an operator; returns the exit code, or minus the signal.
  int Stop(const std::string& name);

  seed::Clients& clients();
  /// The admin that the user service makes.
  absl::StatusOr<seed::Session> Admin();
  const std::string& admin_password() const { return admin_password_; }
  /// Registered, and logged in as author if `author`. Passwords are in
  /// `passwords()`.
  absl::StatusOr<seed::Session> Enter(const std::string& name,
                                      bool author = false);
  const std::map<std::string, std::string>& passwords() const {
    return passwords_;
  }
  /// Tests may add to it.
  seed::Content& content() { return content_; }

  /// With role instance and service, or those of `arguments` of dev_token.
  std::string TokenOf(const std::string& arguments) const;
  const std::string& folder() const { return folder_.path(); }
  std::string Log(const std::string& name) const;
  /// The body of a page of the process's HTTP port.
  std::string Page(const std::string& name, const std::string& path) const;
  pid_t pid(const std::string& name) const { return processes_.at(name).pid; }
  /// Of the process, in bytes.
  std::int64_t ResidentBytes(const std::string& name) const;

 private:
  struct Process {
    pid_t pid = 0;
    int grpc_port = 0;
    int http_port = 0;
  };

  Settings EnvironmentOf(const std::string& name) const;
  bool WaitReady(const std::string& name);

  const grpccommon::testing::TemporaryFolder folder_;
  const Settings more_;
  // By service.
  std::map<std::string, std::string> database_urls_;
  seed::Content content_;
  const std::string admin_password_;
  std::map<std::string, Process> processes_;
  std::map<std::string, std::string> passwords_;
  std::unique_ptr<seed::Clients> clients_;
};

/// A contest that runs, with problems of the content and people on its board,
/// and a record of what they hand in.
class Contest {
 public:
  /// Problems by slug, people by name; both become those of the board, in
  /// order. Aborts the program if something fails, saying what.
  Contest(Platform& platform, const std::vector<std::string>& problems,
          const std::vector<std::string>& people);

  /// Hands in a solution of the problem (from 0) and records it as
  /// acknowledged; thread-safe.
  absl::StatusOr<contest::v1::Submission> HandIn(const std::string& who,
                                                 int problem,
                                                 const std::string& solution);
  /// Expects every acknowledged submission to have the verdict that its program
  /// says, to be there once, and the board to be what a recomputation from the
  /// record makes.
  void ExpectAllJudged();

  const std::string& id() const { return contest_.id(); }
  const seed::Session& judge() const { return judge_; }
  const seed::Session& person(const std::string& name) const {
    return people_.at(name);
  }
  const std::vector<std::string>& names() const { return names_; }
  std::size_t acknowledged() const;
  contest::v1::Leaderboard Expected() const;

 private:
  struct Record {
    std::string submission_id;
    const seed::Solution* solution = nullptr;
    seed::RecordedAttempt attempt;
  };

  Platform& platform_;
  const std::vector<std::string> problems_;
  const std::vector<std::string> names_;
  seed::Session judge_;
  std::map<std::string, seed::Session> people_;
  contest::v1::Contest contest_;
  seed::Rules rules_;
  mutable grpccommon::Mutex mutex_;
  std::vector<Record> records_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace platform::test
