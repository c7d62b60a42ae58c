// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace soci {
class session;
}

namespace platform::common {

struct DatabaseOptions {
  /// "postgresql://user@host:port/name" with libpq's parameters, or
  /// "sqlite:path", or the path alone. A file is made if it is not there; a
  /// PostgreSQL database must be there.
  std::string url;
  /// Whose tables these are, such as "task". Services may share a PostgreSQL
  /// database, each under a name of its own, as long as their tables' names
  /// differ.
  std::string service;
  /// The scripts of migrations/, in their order (`platform_migrations` in
  /// CMake makes them into `kMigrations`). One that has been released is never
  /// changed: a new one follows it.
  std::span<const std::string_view> migrations;
  /// Nothing can be changed by this connection, nor the tables be brought up
  /// to date.
  bool read_only = false;
  /// Gets what went wrong in the database, for the operator's eyes, without
  /// the values of statements; callers get less. May be called by any method.
  std::function<void(std::string_view)> on_error = [](std::string_view) {};
};

/// One connection to a service's database, SQLite or PostgreSQL, from which
/// the same statements get the same answers.
///
/// What is written is written in transactions, between `Begin` and `Commit`,
/// of which a database has one at a time, whatever the number of processes:
/// SQLite knows no other way, and with PostgreSQL a lock keeps it so. So a
/// transaction may look and then change what it saw, and is never undone for
/// another's sake. What is read outside of one is read from one snapshot.
///
/// Committed is what survives the loss of power: SQLite syncs its write-ahead
/// log at every commit, and PostgreSQL does by default.
///
/// SQL that both understand: types TEXT, BIGINT, SMALLINT (0 and 1 for false
/// and true), DOUBLE PRECISION; times as BIGINT, in nanoseconds since 1970
/// (`Query` converts them); bytes as TEXT in hex or base64; keys that the
/// program makes (UuidV7), not AUTOINCREMENT; INSERT … ON CONFLICT … and
/// … RETURNING; CAST(:x AS BIGINT) where PostgreSQL cannot tell a value's
/// type; `Contains` for LIKE. Foreign keys are enforced. Text has no NUL and is
/// UTF-8, as contracts and protobuf see to.
///
/// A connection to PostgreSQL that has been lost is made again when the next
/// transaction or read begins. Used by one thread at a time.
///
/// Errors of every method, of `Run` those of the work as well:
/// kAlreadyExists (a row with this key is there), kFailedPrecondition (a
/// foreign key leads nowhere), kResourceExhausted (the disk is full),
/// kUnavailable (locked too long, not readable or writable, away), kAborted
/// (PostgreSQL wants the transaction to be run again), kDataLoss (not a
/// database, or a damaged one), kInternal (the rest, which is our mistake).
/// Each but the last has a reason: STORE_DUPLICATE, STORE_REFERENCE,
/// STORE_FULL, STORE_UNAVAILABLE, STORE_CONFLICT, STORE_DAMAGED.
class Database {
 public:
  /// Opens the database and, unless read-only, brings its tables up to date:
  /// in one transaction, one process at a time, only what is missing.
  /// Errors, naming the database but no password: as above, kInvalidArgument
  /// for a URL that is none, kFailedPrecondition if a newer program has
  /// written it (or if it is read-only and an older one has).
  static absl::StatusOr<std::unique_ptr<Database>> Open(
      DatabaseOptions options);
  ~Database();

  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Runs `work`, which gets a soci::session& and returns a Status or a
  /// StatusOr, and turns what SOCI throws in it into a status. Between `Begin`
  /// and `Commit` it belongs to that transaction; elsewhere it may only read,
  /// and sees one snapshot. `Run` within `Run` is part of it. Once something
  /// has failed in the database, the rest of a transaction is not run.
  template <typename Work>
  std::invoke_result_t<Work&, soci::session&> Run(Work&& work);

  /// Begins a transaction that may write.
  absl::Status Begin();
  /// Ends it. Undoes it all if something has failed in the database since
  /// `Begin`, even if nobody minded, and tells what.
  /// Errors: also kUnknown (STORE_OUTCOME_UNKNOWN), if PostgreSQL went away
  /// while it committed and cannot be asked: it may have happened or not. With
  /// every other error nothing has changed.
  absl::Status Commit();
  /// Ends it and undoes it all.
  void Rollback();
  /// Runs a part of a transaction that is undone alone if `work` returns an
  /// error, which is the result, or fails in the database.
  absl::Status Attempt(const std::function<absl::Status()>& work);

  /// Whether tables can be read.
  absl::Status Ping();

  /// The condition that the text `column` contains what is bound to `name` as
  /// a `LikePattern`, whatever the case of ASCII letters (of others it
  /// matters).
  std::string Contains(std::string_view column, std::string_view name) const;

  bool is_postgresql() const { return postgresql_; }

 private:
  enum class State { kIdle, kSnapshot, kTransaction };

  Database(DatabaseOptions options, bool postgresql);

  void Connect();
  void UseWriteAheadLog();
  void Migrate();
  long long Version();
  void Execute(const std::string& statement);
  void BeginAnew(State state);
  absl::Status BeginAs(State state);
  bool InTransaction();
  absl::Status CommitAgain();
  void EndSnapshot();
  // Maps what was thrown and tells the operator.
  absl::Status Fail(const std::exception& error);

  const DatabaseOptions options_;
  const bool postgresql_;
  const std::unique_ptr<soci::session> sql_;
  State state_ = State::kIdle;
  bool lost_ = false;
  // Of the transaction: what failed in it first, and PostgreSQL's id of it.
  absl::Status failure_;
  std::string transaction_id_;
};

/// The pattern for "contains this": `text` between wildcards, its own taken
/// literally by ESCAPE '\'.
std::string LikePattern(std::string_view text);

template <typename Work>
std::invoke_result_t<Work&, soci::session&> Database::Run(Work&& work) {
  const bool snapshot = state_ == State::kIdle;
  absl::Status ready = snapshot ? BeginAs(State::kSnapshot) : failure_;
  if (!ready.ok()) return ready;
  try {
    auto result = work(*sql_);
    if (snapshot) EndSnapshot();
    return result;
  } catch (const std::exception& error) {
    absl::Status status = Fail(error);
    if (snapshot) EndSnapshot();
    return status;
  }
}

}  // namespace platform::common
