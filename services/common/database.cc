// SPDX-License-Identifier: Apache-2.0
#include "services/common/database.h"

#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"

namespace platform::common {
namespace {

using grpccommon::ToAbsl;
using grpccommon::WithReason;
using soci::into;
using soci::use;

// What other connections' commits may take.
constexpr int kBusySeconds = 5;

// Held in PostgreSQL by whoever brings tables up to date, of any service; a
// number of our own.
constexpr std::int64_t kMigrationLock = 7'163'420'118'250'071;

constexpr std::string_view kDomain = "platform";

bool IsPostgresql(std::string_view url) {
  return url.starts_with("postgresql://") || url.starts_with("postgres://");
}

std::string_view PathOf(std::string_view url) {
  if (url.starts_with("sqlite:")) url.remove_prefix(7);
  return url;
}

// Makes the file if there is none, for nobody but its owner: SQLite gives the
// files of its log the same mode. Not by open(), since its close() would end
// the locks that other connections of this process have on the file. Where it
// fails, SQLite says why.
void CreatePrivately(const std::string& path) {
  mknod(path.c_str(), S_IFREG | S_IRUSR | S_IWUSR, 0);
}

// For messages: without password and parameters, which may hold one.
std::string NameOf(std::string_view url) {
  if (!IsPostgresql(url)) return std::string(PathOf(url));
  url = url.substr(0, url.find('?'));
  const std::size_t host = url.find("//") + 2;
  const std::size_t at = url.rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  return absl::StrCat(ToAbsl(url.substr(0, host)), ToAbsl(url.substr(at + 1)));
}

// What to give to SOCI.
absl::StatusOr<std::string> ConnectionText(std::string_view url) {
  if (IsPostgresql(url)) {
    // Nobody waits for ever for a server that does not answer.
    std::string text(url);
    for (const std::string_view timeout :
         {"connect_timeout=5", "tcp_user_timeout=10000"}) {
      const std::string_view key = timeout.substr(0, timeout.find('=') + 1);
      if (absl::StrContains(text, ToAbsl(key))) continue;
      absl::StrAppend(&text, absl::StrContains(text, "?") ? "&" : "?",
                      ToAbsl(timeout));
    }
    return text;
  }
  const std::string_view path = PathOf(url);
  if (path.empty() || path == ":memory:" ||
      absl::StrContains(ToAbsl(path), "://") ||
      path.find_first_of("\"\n") != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a database must be postgresql://…, sqlite:path or the path of a "
        "file, got \"",
        ToAbsl(NameOf(url)), "\""));
  }
  return absl::StrCat("dbname=\"", ToAbsl(path), "\" timeout=", kBusySeconds);
}

// FNV-1a, 64 bits (Fowler, Noll, Vo).
std::int64_t LockOf(std::string_view service) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : service) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return static_cast<std::int64_t>(hash);
}

absl::Status Duplicate() {
  return WithReason(absl::AlreadyExistsError("it exists already"),
                    "STORE_DUPLICATE", kDomain);
}
absl::Status BadReference() {
  return WithReason(absl::FailedPreconditionError(
                        "it belongs to something that is not there"),
                    "STORE_REFERENCE", kDomain);
}
absl::Status Full() {
  return WithReason(absl::ResourceExhaustedError("the database's disk is full"),
                    "STORE_FULL", kDomain);
}
absl::Status Unusable() {
  return WithReason(absl::UnavailableError("the database cannot be used"),
                    "STORE_UNAVAILABLE", kDomain);
}
absl::Status Conflict() {
  return WithReason(absl::AbortedError("another change came in between"),
                    "STORE_CONFLICT", kDomain);
}
absl::Status Damaged() {
  return WithReason(absl::DataLossError("the database is damaged"),
                    "STORE_DAMAGED", kDomain);
}
absl::Status OurMistake() { return absl::InternalError("the database failed"); }

// https://www.sqlite.org/rescode.html
absl::Status FromSqlite(int code) {
  switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
      return Duplicate();
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return BadReference();
    default:
      break;
  }
  switch (code & 0xff) {  // the rest says it more exactly
    case SQLITE_FULL:
      return Full();
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
      return Unusable();
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Damaged();
    default:
      return OurMistake();
  }
}

// https://www.postgresql.org/docs/15/errcodes-appendix.html
absl::Status FromSqlState(std::string_view state) {
  if (state == "23505") return Duplicate();
  if (state == "23503") return BadReference();
  if (state == "53100") return Full();
  if (state == "XX001" || state == "XX002") return Damaged();
  if (state.starts_with("40")) return Conflict();
  // Connections, resources, operators, locks and time that ran out, what may
  // only be read, who may not.
  for (const std::string_view group :
       {"08", "53", "57", "58", "55P03", "25006", "28", "42501", "3D000"}) {
    if (state.starts_with(group)) return Unusable();
  }
  return OurMistake();
}

// Of those that end the connection.
bool EndsConnection(std::string_view state) {
  return state.starts_with("08") || state.starts_with("57P");
}

// What went wrong, without the statement and the values that SOCI adds, and
// without those that PostgreSQL quotes when it cannot read them.
std::string TextOf(const std::exception& error) {
  const auto* const sql = dynamic_cast<const soci::soci_error*>(&error);
  if (sql == nullptr) return error.what();
  std::string text = sql->get_error_message();
  const auto* const postgresql =
      dynamic_cast<const soci::postgresql_soci_error*>(sql);
  if (postgresql != nullptr) {
    const std::string state = postgresql->sqlstate();
    if (state.starts_with("22")) text = "a value is malformed";
    absl::StrAppend(&text, " (SQLSTATE ", state, ")");
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

PGconn* PostgresqlOf(soci::session& sql) {
  auto* const backend =
      static_cast<soci::postgresql_session_backend*>(sql.get_backend());
  return backend == nullptr ? nullptr : backend->conn_;
}

}  // namespace

std::string LikePattern(std::string_view text) {
  std::string pattern = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern.push_back('\\');
    pattern.push_back(c);
  }
  pattern.push_back('%');
  return pattern;
}

std::string Database::Contains(std::string_view column,
                               std::string_view name) const {
  // SQLite's LIKE folds ASCII; PostgreSQL's folds nothing, and its "C"
  // collation knows ASCII only.
  if (!postgresql_) {
    return absl::StrCat(ToAbsl(column), " LIKE :", ToAbsl(name),
                        " ESCAPE '\\'");
  }
  return absl::StrCat("lower(", ToAbsl(column),
                      " COLLATE \"C\") LIKE lower(CAST(:", ToAbsl(name),
                      " AS TEXT) COLLATE \"C\") ESCAPE '\\'");
}

Database::Database(DatabaseOptions options, bool postgresql)
    : options_(std::move(options)),
      postgresql_(postgresql),
      sql_(std::make_unique<soci::session>()) {}

Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    DatabaseOptions options) {
  const absl::StatusOr<std::string> text = ConnectionText(options.url);
  if (!text.ok()) return text.status();
  const std::string name = NameOf(options.url);
  const bool postgresql = IsPostgresql(options.url);
  auto database =
      absl::WrapUnique(new Database(std::move(options), postgresql));
  soci::session& sql = *database->sql_;
  const DatabaseOptions& given = database->options_;
  try {
    if (postgresql) {
      sql.open(soci::postgresql, *text);
    } else {
      if (!given.read_only) CreatePrivately(std::string(PathOf(given.url)));
      sql.open(soci::sqlite3, *text);
    }
    database->Connect();
    if (!given.read_only) database->Migrate();
    const long long version = database->Version();
    const auto known = static_cast<long long>(given.migrations.size());
    if (version != known) {
      return absl::FailedPreconditionError(absl::StrCat(
          name, ": was written by ", version > known ? "a newer" : "an older",
          " version of this program (", version, ", this one knows ", known,
          ")"));
    }
  } catch (const std::exception& error) {
    const absl::Status status = database->Fail(error);
    return absl::Status(
        status.code(), absl::StrCat("cannot open the database ", name,
                                    given.read_only ? "" : " for writing", ": ",
                                    TextOf(error)));
  }
  return database;
}

// What holds for a connection from its beginning.
void Database::Connect() {
  state_ = State::kIdle;
  lost_ = false;
  if (postgresql_) {
    PGconn* const connection = PostgresqlOf(*sql_);
    // Details have values in them. Notices would go to standard error.
    PQsetErrorVerbosity(connection, PQERRORS_TERSE);
    PQsetNoticeReceiver(
        connection, [](void*, const PGresult*) {}, nullptr);
    Execute(absl::StrCat("SET lock_timeout = '", kBusySeconds, "s'"));
    Execute("SET statement_timeout = '30s'");
    Execute("SET client_encoding = 'UTF8'");
    Execute("SET standard_conforming_strings = on");
    if (options_.read_only) Execute("SET default_transaction_read_only = on");
    return;
  }
  auto* const backend =
      static_cast<soci::sqlite3_session_backend*>(sql_->get_backend());
  sqlite3_extended_result_codes(backend->conn_, 1);
  if (!options_.read_only) {
    UseWriteAheadLog();
    Execute("PRAGMA synchronous = FULL");
  }
  Execute("PRAGMA foreign_keys = ON");
  Execute("PRAGMA query_only = ON");  // but in transactions that write
}

// SQLite does not wait for others who open the file at the same time here, so
// we do.
void Database::UseWriteAheadLog() {
  constexpr std::chrono::milliseconds kPause(10);
  for (int attempt = 1;; ++attempt) {
    try {
      std::string mode;
      *sql_ << "PRAGMA journal_mode = WAL", into(mode);
      return;
    } catch (const soci::sqlite3_soci_error& error) {
      const bool busy = (error.result() & 0xff) == SQLITE_BUSY;
      if (!busy || attempt * kPause > std::chrono::seconds(kBusySeconds)) {
        throw;
      }
      std::this_thread::sleep_for(kPause);
    }
  }
}

long long Database::Version() {
  long long version = 0;
  *sql_ << "SELECT count(*) FROM platform_migrations WHERE service = :service",
      into(version), use(options_.service, "service");
  return version;
}

void Database::Migrate() {
  if (postgresql_) {
    Execute("BEGIN");
    Execute(absl::StrCat("SELECT pg_advisory_xact_lock(", kMigrationLock, ")"));
  } else {
    Execute("PRAGMA query_only = OFF");
    // Also shows at once whether the database can be written.
    Execute("BEGIN IMMEDIATE");
  }
  Execute(
      "CREATE TABLE IF NOT EXISTS platform_migrations ("
      "service TEXT NOT NULL, number BIGINT NOT NULL, "
      "applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, "
      "PRIMARY KEY (service, number))");
  long long version = Version();
  const auto note = [&](long long number) {
    *sql_ << "INSERT INTO platform_migrations (service, number) "
             "VALUES (:service, :number)",
        use(options_.service, "service"), use(number, "number");
  };
  if (!postgresql_ && version == 0) {
    // Files from before that table have their version in their header.
    *sql_ << "PRAGMA user_version", into(version);
    for (long long number = 1; number <= version; ++number) note(number);
  }
  const auto known = static_cast<long long>(options_.migrations.size());
  for (; version < known; ++version) {
    const std::string_view script =
        options_.migrations[static_cast<std::size_t>(version)];
    for (const auto statement : absl::StrSplit(ToAbsl(script), ";\n")) {
      if (!absl::StripAsciiWhitespace(statement).empty()) {
        Execute(std::string(statement));
      }
    }
    note(version + 1);
  }
  Execute("COMMIT");
  if (!postgresql_) Execute("PRAGMA query_only = ON");
}

void Database::Execute(const std::string& statement) { *sql_ << statement; }

void Database::BeginAnew(State state) {
  if (lost_) {
    sql_->reconnect();
    Connect();
  }
  if (state == State::kSnapshot) {
    Execute(postgresql_ ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
                        : "BEGIN");
  } else if (postgresql_) {
    // Each statement sees what was committed before it: all that others ever
    // will, once the lock is ours.
    Execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
    *sql_ << absl::StrCat(
        "SELECT CAST(pg_current_xact_id() AS TEXT) FROM "
        "pg_advisory_xact_lock(",
        LockOf(options_.service), ")"),
        into(transaction_id_);
  } else {
    Execute("PRAGMA query_only = OFF");
    Execute("BEGIN IMMEDIATE");
  }
  state_ = state;
}

absl::Status Database::BeginAs(State state) {
  if (options_.read_only && state == State::kTransaction) return Unusable();
  for (int attempt = 1;; ++attempt) {
    failure_ = absl::OkStatus();
    try {
      BeginAnew(state);
      return absl::OkStatus();
    } catch (const std::exception& error) {
      absl::Status status = Fail(error);
      // A connection may have been lost long ago, unnoticed.
      if (attempt == 1 && lost_) continue;
      Rollback();
      return status;
    }
  }
}

absl::Status Database::Begin() { return BeginAs(State::kTransaction); }

// Whether the database thinks so too: a failure may have ended it, or, with
// PostgreSQL, made its commit a rollback.
bool Database::InTransaction() {
  if (state_ != State::kTransaction) return false;
  if (postgresql_) {
    PGconn* const connection = PostgresqlOf(*sql_);
    return PQtransactionStatus(connection) == PQTRANS_INTRANS;
  }
  auto* const backend =
      static_cast<soci::sqlite3_session_backend*>(sql_->get_backend());
  return sqlite3_get_autocommit(backend->conn_) == 0;
}

absl::Status Database::Commit() {
  if (failure_.ok() && !InTransaction()) failure_ = OurMistake();
  if (failure_.ok()) {
    try {
      Execute("COMMIT");
      state_ = State::kIdle;
      if (!postgresql_) Execute("PRAGMA query_only = ON");
      return absl::OkStatus();
    } catch (const std::exception& error) {
      (void)Fail(error);
      if (lost_) return CommitAgain();
    }
  }
  absl::Status failure = std::exchange(failure_, absl::OkStatus());
  Rollback();
  return failure;
}

// The connection was lost while it committed: asks whether it did. The lock
// waits until the server has ended that transaction, too.
absl::Status Database::CommitAgain() {
  const std::string id = transaction_id_;
  absl::Status lost = failure_;
  std::string outcome;
  absl::Status asked = Begin();
  if (asked.ok()) {
    (void)Run([&](soci::session& sql) {
      sql << "SELECT coalesce(pg_xact_status(CAST(:id AS xid8)), 'forgotten')",
          use(id, "id"), into(outcome);
      return absl::OkStatus();
    });
    Rollback();
  }
  if (outcome == "committed") return absl::OkStatus();
  if (outcome == "aborted") return lost;
  return WithReason(
      absl::UnknownError("the database went away: the change may have been "
                         "made or not"),
      "STORE_OUTCOME_UNKNOWN", kDomain);
}

void Database::Rollback() {
  state_ = State::kIdle;
  if (lost_) return;  // and the transaction with it
  try {
    Execute("ROLLBACK");
  } catch (const std::exception&) {
    // SQLite has done so itself, as it does when the disk is full.
  }
  failure_ = absl::OkStatus();
  if (postgresql_) return;
  try {
    Execute("PRAGMA query_only = ON");
  } catch (const std::exception& error) {
    (void)Fail(error);
  }
}

absl::Status Database::Attempt(const std::function<absl::Status()>& work) {
  if (!failure_.ok()) return failure_;
  try {
    Execute("SAVEPOINT attempt");
    absl::Status status = work();
    if (failure_.ok() && status.ok()) {
      Execute("RELEASE SAVEPOINT attempt");
      return status;
    }
    if (!failure_.ok()) status = failure_;
    Execute("ROLLBACK TO SAVEPOINT attempt");
    Execute("RELEASE SAVEPOINT attempt");
    failure_ = absl::OkStatus();
    return status;
  } catch (const std::exception& error) {
    // The whole transaction has failed, and `Commit` will say why.
    const absl::Status status = Fail(error);
    return failure_.ok() ? status : failure_;
  }
}

absl::Status Database::Ping() {
  return Run([this](soci::session&) {
    (void)Version();
    return absl::OkStatus();
  });
}

void Database::EndSnapshot() {
  state_ = State::kIdle;
  if (lost_) return;
  try {
    Execute("ROLLBACK");  // nothing was written
  } catch (const std::exception& error) {
    (void)Fail(error);
  }
}

absl::Status Database::Fail(const std::exception& error) {
  options_.on_error(TextOf(error));
  absl::Status status = OurMistake();
  if (const auto* const sqlite =
          dynamic_cast<const soci::sqlite3_soci_error*>(&error)) {
    status = FromSqlite(sqlite->result());
  } else if (postgresql_ &&
             dynamic_cast<const soci::soci_error*>(&error) != nullptr) {
    PGconn* const connection = PostgresqlOf(*sql_);
    lost_ = connection == nullptr || PQstatus(connection) != CONNECTION_OK;
    const auto* const postgresql =
        dynamic_cast<const soci::postgresql_soci_error*>(&error);
    if (postgresql != nullptr) {
      const std::string state = postgresql->sqlstate();
      lost_ = lost_ || EndsConnection(state);
      status = FromSqlState(state);
    }
    if (lost_) status = Unusable();
  }
  if (failure_.ok()) failure_ = status;
  return status;
}

}  // namespace platform::common
