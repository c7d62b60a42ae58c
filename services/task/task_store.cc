// SPDX-License-Identifier: Apache-2.0
#include "services/task/task_store.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "services/task/migrations.h"

namespace platform::task {
namespace {

using grpccommon::Clock;
using grpccommon::NotFound;
using grpccommon::ToAbsl;
using nlohmann::json;
using soci::into;
using soci::use;

// What other connections' commits may take.
constexpr int kBusySeconds = 5;

// Deleting old changes costs a little, so it is done once in so many.
constexpr std::int64_t kPruneInterval = 256;

constexpr char kColumns[] =
    "created_sequence, id, owner, title, description, status, priority, "
    "labels, metadata, created_at, updated_at";

std::int64_t ToNanoseconds(Clock::WallTime time) {
  return time.time_since_epoch().count();
}

Clock::WallTime FromNanoseconds(std::int64_t nanoseconds) {
  return Clock::WallTime(std::chrono::nanoseconds(nanoseconds));
}

absl::Status ToStatus(const std::exception& error) {
  const auto* const sql = dynamic_cast<const soci::sqlite3_soci_error*>(&error);
  if (sql == nullptr) return absl::InternalError("the task store failed");
  switch (sql->result() & 0xff) {  // the rest says it more exactly
    case SQLITE_FULL:
      return grpccommon::WithReason(
          absl::ResourceExhaustedError("the task store's disk is full"),
          "STORE_FULL", "taskservice");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
      return grpccommon::WithReason(
          absl::UnavailableError("the task store cannot be used"),
          "STORE_UNAVAILABLE", "taskservice");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return grpccommon::WithReason(
          absl::DataLossError("the task store is damaged"), "STORE_DAMAGED",
          "taskservice");
    default:
      return absl::InternalError("the task store failed");
  }
}

// What went wrong, without the statement that SOCI adds, values and all.
std::string_view WhatOf(const std::exception& error) {
  const std::string_view what = error.what();
  return what.substr(0, what.find(" while "));
}

// A row as SOCI reads and writes it.
struct Row {
  long long created_sequence = 0;
  std::string id;
  std::string owner;
  std::string title;
  std::string description;
  int status = 0;
  int priority = 0;
  std::string labels;
  std::string metadata;
  long long created_at = 0;
  long long updated_at = 0;

  void ReadBy(soci::statement& statement) {
    statement.exchange(into(created_sequence));
    statement.exchange(into(id));
    statement.exchange(into(owner));
    statement.exchange(into(title));
    statement.exchange(into(description));
    statement.exchange(into(status));
    statement.exchange(into(priority));
    statement.exchange(into(labels));
    statement.exchange(into(metadata));
    statement.exchange(into(created_at));
    statement.exchange(into(updated_at));
  }
  void WriteBy(soci::statement& statement) {
    statement.exchange(use(created_sequence, "created_sequence"));
    statement.exchange(use(id, "id"));
    statement.exchange(use(owner, "owner"));
    statement.exchange(use(title, "title"));
    statement.exchange(use(description, "description"));
    statement.exchange(use(status, "status"));
    statement.exchange(use(priority, "priority"));
    statement.exchange(use(labels, "labels"));
    statement.exchange(use(metadata, "metadata"));
    statement.exchange(use(created_at, "created_at"));
    statement.exchange(use(updated_at, "updated_at"));
  }
};

constexpr char kPlaces[] =
    ":created_sequence, :id, :owner, :title, :description, :status, :priority, "
    ":labels, :metadata, :created_at, :updated_at";

Task FromRow(const Row& row) {
  return {.id = row.id,
          .owner = row.owner,
          .title = row.title,
          .description = row.description,
          .status = static_cast<Status>(row.status),
          .priority = static_cast<Priority>(row.priority),
          .labels = json::parse(row.labels).get<Labels>(),
          .metadata = json::parse(row.metadata).get<Metadata>(),
          .created_at = FromNanoseconds(row.created_at),
          .updated_at = FromNanoseconds(row.updated_at),
          .created_sequence = row.created_sequence};
}

Row ToRow(const Task& task) {
  return {.created_sequence = task.created_sequence,
          .id = task.id,
          .owner = task.owner,
          .title = task.title,
          .description = task.description,
          .status = static_cast<int>(task.status),
          .priority = static_cast<int>(task.priority),
          .labels = json(task.labels).dump(),
          .metadata = json(task.metadata).dump(),
          .created_at = ToNanoseconds(task.created_at),
          .updated_at = ToNanoseconds(task.updated_at)};
}

// A LIKE pattern for "contains this".
std::string LikePattern(std::string_view text) {
  std::string pattern = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern.push_back('\\');
    pattern.push_back(c);
  }
  pattern.push_back('%');
  return pattern;
}

// The part of a WHERE clause that chooses by scope and filter, and what it
// refers to. The text is ours; what callers say is bound.
class Choice {
 public:
  Choice(const Scope& scope, std::string_view filter) : owner_(scope.owner) {
    if (!scope.all) absl::StrAppend(&clause_, " AND owner = :owner");
    by_owner_ = !scope.all;
    if (filter.empty()) return;
    pattern_ = LikePattern(filter);
    absl::StrAppend(&clause_,
                    " AND (title LIKE :pattern ESCAPE '\\'"
                    " OR description LIKE :pattern ESCAPE '\\')");
  }

  const std::string& clause() const { return clause_; }
  void BindTo(soci::statement& statement) const {
    if (by_owner_) statement.exchange(use(owner_, "owner"));
    if (!pattern_.empty()) statement.exchange(use(pattern_, "pattern"));
  }

 private:
  const std::string owner_;
  bool by_owner_;
  std::string pattern_;
  std::string clause_;
};

char Lower(char c) {
  return absl::ascii_tolower(static_cast<unsigned char>(c));
}

bool Contains(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return Lower(a) == Lower(b); }) !=
         text.end();
}

}  // namespace

bool Matches(const Task& task, std::string_view filter) {
  return filter.empty() || Contains(task.title, filter) ||
         Contains(task.description, filter);
}

struct TaskStore::Impl {
  Impl(TaskStoreOptions o, const Clock& c) : options(std::move(o)), clock(c) {}

  const TaskStoreOptions options;
  const Clock& clock;
  soci::session sql;
  // Of the transaction: what failed in it first.
  absl::Status failure;
  std::int64_t pruned_at = 0;

  // Runs `work`, which may throw what SOCI and JSON throw.
  template <typename Result, typename Work>
  Result Fenced(Work work) {
    try {
      return work();
    } catch (const std::exception& error) {
      return Fail(error);
    }
  }
  absl::Status Fail(const std::exception& error) {
    options.on_error(WhatOf(error));
    absl::Status status = ToStatus(error);
    if (failure.ok()) failure = status;
    return status;
  }

  void Execute(const std::string& statement) { sql << statement; }

  long long ReadNumber(const std::string& query) {
    long long number = 0;
    sql << query, into(number);
    return number;
  }

  void RollBack() {
    try {
      Execute("ROLLBACK");
    } catch (const std::exception&) {
      // SQLite has done so itself, as it does when the disk is full.
    }
  }

  void Migrate() {
    const auto known = static_cast<long long>(kMigrations.size());
    // Also shows at once whether the database can be written.
    Execute("BEGIN IMMEDIATE");
    for (long long version = ReadNumber("PRAGMA user_version"); version < known;
         ++version) {
      const std::string_view script =
          kMigrations[static_cast<std::size_t>(version)];
      for (const auto statement : absl::StrSplit(ToAbsl(script), ";\n")) {
        if (!absl::StripAsciiWhitespace(statement).empty()) {
          Execute(std::string(statement));
        }
      }
      Execute(absl::StrCat("PRAGMA user_version = ", version + 1));
    }
    Execute("COMMIT");
  }

  long long Latest() {
    // The counter of AUTOINCREMENT, which stays when rows are deleted.
    return ReadNumber(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence"
        " WHERE name = 'task_changes'");
  }

  bool Find(const Scope& scope, std::string_view id, Row& row) {
    const Choice choice(scope, "");
    const std::string key(id);
    soci::statement statement(sql);
    statement.alloc();
    statement.prepare(absl::StrCat(
        "SELECT ", kColumns, " FROM tasks WHERE id = :id", choice.clause()));
    row.ReadBy(statement);
    statement.exchange(use(key, "id"));
    choice.BindTo(statement);
    statement.define_and_bind();
    return statement.execute(true);
  }

  // Notes a change, whose number is the result's.
  Change Note(ChangeType type, Task task) {
    Change change{.type = type, .at = clock.WallNow(), .task = std::move(task)};
    const int type_number = static_cast<int>(type);
    const long long at = ToNanoseconds(change.at);
    Row row = ToRow(change.task);
    soci::statement statement(sql);
    statement.alloc();
    statement.prepare(absl::StrCat("INSERT INTO task_changes (type, at, ",
                                   kColumns, ") VALUES (:type, :at, ", kPlaces,
                                   ")"));
    statement.exchange(use(type_number, "type"));
    statement.exchange(use(at, "at"));
    row.WriteBy(statement);
    statement.define_and_bind();
    statement.execute(true);
    change.sequence = ReadNumber("SELECT last_insert_rowid()");
    if (type == ChangeType::kCreated) {
      change.task.created_sequence = change.sequence;
      Execute(absl::StrCat(
          "UPDATE task_changes SET created_sequence = ", change.sequence,
          " WHERE sequence = ", change.sequence));
    }
    if (change.sequence - pruned_at >= kPruneInterval) {
      pruned_at = change.sequence;
      Execute(absl::StrCat("DELETE FROM task_changes WHERE sequence <= ",
                           change.sequence - options.kept_changes));
    }
    return change;
  }
};

TaskStore::TaskStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TaskStore::~TaskStore() = default;

absl::StatusOr<std::unique_ptr<TaskStore>> TaskStore::Open(
    TaskStoreOptions options, const Clock& clock) {
  auto store =
      absl::WrapUnique(new TaskStore(std::make_unique<Impl>(options, clock)));
  Impl& impl = *store->impl_;
  try {
    impl.sql.open(soci::sqlite3, absl::StrCat("dbname=\"", options.path,
                                              "\" timeout=", kBusySeconds));
    if (options.read_only) {
      impl.Execute("PRAGMA query_only = ON");
    } else {
      std::string mode;
      impl.sql << "PRAGMA journal_mode = WAL", into(mode);
      impl.Execute("PRAGMA synchronous = FULL");
      impl.Migrate();
    }
    const long long version = impl.ReadNumber("PRAGMA user_version");
    if (version > static_cast<long long>(kMigrations.size())) {
      return absl::FailedPreconditionError(absl::StrCat(
          options.path, ": was written by a newer version of this program (",
          version, ", this one knows ", kMigrations.size(), ")"));
    }
    impl.pruned_at = impl.Latest();
  } catch (const std::exception& error) {
    impl.options.on_error(WhatOf(error));
    const absl::Status status = ToStatus(error);
    return absl::Status(status.code(),
                        absl::StrCat("cannot open the database ", options.path,
                                     options.read_only ? "" : " for writing",
                                     ": ", ToAbsl(WhatOf(error))));
  }
  return store;
}

absl::Status TaskStore::Begin() {
  impl_->failure = absl::OkStatus();
  return impl_->Fenced<absl::Status>([&] {
    impl_->Execute("BEGIN IMMEDIATE");
    return absl::OkStatus();
  });
}

absl::Status TaskStore::Commit() {
  if (impl_->failure.ok()) {
    (void)impl_->Fenced<absl::Status>([&] {
      impl_->Execute("COMMIT");
      return absl::OkStatus();
    });
  }
  if (!impl_->failure.ok()) impl_->RollBack();
  return std::exchange(impl_->failure, absl::OkStatus());
}

absl::StatusOr<Change> TaskStore::Create(std::string_view owner, NewTask task) {
  return impl_->Fenced<absl::StatusOr<Change>>([&] {
    const Clock::WallTime now = impl_->clock.WallNow();
    Change change = impl_->Note(ChangeType::kCreated,
                                {.id = grpccommon::UuidV7(impl_->clock),
                                 .owner = std::string(owner),
                                 .title = std::move(task.title),
                                 .description = std::move(task.description),
                                 .priority = task.priority,
                                 .labels = std::move(task.labels),
                                 .metadata = std::move(task.metadata),
                                 .created_at = now,
                                 .updated_at = now});
    Row row = ToRow(change.task);
    soci::statement statement(impl_->sql);
    statement.alloc();
    statement.prepare(absl::StrCat("INSERT INTO tasks (", kColumns,
                                   ") VALUES (", kPlaces, ")"));
    row.WriteBy(statement);
    statement.define_and_bind();
    statement.execute(true);
    return change;
  });
}

absl::StatusOr<TaskStore::Updated> TaskStore::Update(const Scope& scope,
                                                     std::string_view id,
                                                     const TaskUpdate& update) {
  return impl_->Fenced<absl::StatusOr<Updated>>(
      [&]() -> absl::StatusOr<Updated> {
        Row row;
        if (!impl_->Find(scope, id, row)) return NotFound("task", id);
        Task task = FromRow(row);
        const auto same = [](const auto& wanted, const auto& is) {
          return !wanted.has_value() || *wanted == is;
        };
        if (same(update.title, task.title) &&
            same(update.description, task.description) &&
            same(update.status, task.status) &&
            same(update.priority, task.priority)) {
          return Updated{.task = std::move(task)};
        }
        if (update.title.has_value()) task.title = *update.title;
        if (update.description.has_value()) {
          task.description = *update.description;
        }
        if (update.status.has_value()) task.status = *update.status;
        if (update.priority.has_value()) task.priority = *update.priority;
        task.updated_at = impl_->clock.WallNow();
        Change change = impl_->Note(ChangeType::kUpdated, task);
        row = ToRow(task);
        impl_->sql << "UPDATE tasks SET title = :title, "
                      "description = :description, status = :status, "
                      "priority = :priority, updated_at = :updated_at "
                      "WHERE created_sequence = :created_sequence",
            use(row.title, "title"), use(row.description, "description"),
            use(row.status, "status"), use(row.priority, "priority"),
            use(row.updated_at, "updated_at"),
            use(row.created_sequence, "created_sequence");
        return Updated{.task = std::move(task), .change = std::move(change)};
      });
}

absl::StatusOr<Change> TaskStore::Delete(const Scope& scope,
                                         std::string_view id) {
  return impl_->Fenced<absl::StatusOr<Change>>([&]() -> absl::StatusOr<Change> {
    Row row;
    if (!impl_->Find(scope, id, row)) return NotFound("task", id);
    impl_->sql << "DELETE FROM tasks WHERE created_sequence = :sequence",
        use(row.created_sequence, "sequence");
    return impl_->Note(ChangeType::kDeleted, FromRow(row));
  });
}

absl::StatusOr<Task> TaskStore::Get(const Scope& scope, std::string_view id) {
  return impl_->Fenced<absl::StatusOr<Task>>([&]() -> absl::StatusOr<Task> {
    Row row;
    if (!impl_->Find(scope, id, row)) return NotFound("task", id);
    return FromRow(row);
  });
}

absl::StatusOr<TaskPage> TaskStore::List(const Scope& scope,
                                         std::string_view filter,
                                         std::int64_t after,
                                         std::size_t limit) {
  return impl_->Fenced<absl::StatusOr<TaskPage>>([&] {
    // One more tells whether there are more; one transaction, so that
    // `sequence` is that of the tasks.
    soci::transaction transaction(impl_->sql);
    TaskPage page;
    page.sequence = impl_->Latest();
    const Choice choice(scope, filter);
    const long long after_number = after;
    const long long rows = static_cast<long long>(limit) + 1;
    Row row;
    soci::statement statement(impl_->sql);
    statement.alloc();
    statement.prepare(absl::StrCat(
        "SELECT ", kColumns, " FROM tasks WHERE created_sequence > :after",
        choice.clause(), " ORDER BY created_sequence LIMIT :rows"));
    row.ReadBy(statement);
    statement.exchange(use(after_number, "after"));
    statement.exchange(use(rows, "rows"));
    choice.BindTo(statement);
    statement.define_and_bind();
    statement.execute();
    while (statement.fetch()) {
      page.last = page.tasks.size() < limit;
      if (!page.last) break;
      page.tasks.push_back(FromRow(row));
    }
    return page;
  });
}

absl::StatusOr<std::int64_t> TaskStore::Count(const Scope& scope,
                                              std::string_view filter) {
  return impl_->Fenced<absl::StatusOr<std::int64_t>>([&] {
    const Choice choice(scope, filter);
    long long count = 0;
    soci::statement statement(impl_->sql);
    statement.alloc();
    statement.prepare(absl::StrCat("SELECT count(*) FROM tasks WHERE 1 = 1",
                                   choice.clause()));
    statement.exchange(into(count));
    choice.BindTo(statement);
    statement.define_and_bind();
    statement.execute(true);
    return std::int64_t{count};
  });
}

absl::StatusOr<ChangePage> TaskStore::Changes(const Scope& scope,
                                              std::string_view filter,
                                              std::int64_t after,
                                              std::size_t limit) {
  return impl_->Fenced<absl::StatusOr<ChangePage>>(
      [&]() -> absl::StatusOr<ChangePage> {
        soci::transaction transaction(impl_->sql);
        const long long latest = impl_->Latest();
        if (after > latest || after < 0) {
          return absl::InvalidArgumentError(
              "there was no such change in this store");
        }
        const long long oldest =
            impl_->ReadNumber(absl::StrCat("SELECT coalesce(min(sequence), ",
                                           latest + 1, ") FROM task_changes"));
        if (after + 1 < oldest) {
          return absl::OutOfRangeError(
              "changes since then are not kept any more");
        }
        // All are looked at here, and not chosen by the database, so that a
        // page of changes of which few are wanted ends, too.
        ChangePage page{.sequence = after};
        const long long after_number = after;
        const auto rows = static_cast<long long>(limit);
        int type = 0;
        long long sequence = 0;
        long long at = 0;
        Row row;
        soci::statement statement(impl_->sql);
        statement.alloc();
        statement.prepare(
            absl::StrCat("SELECT sequence, type, at, ", kColumns,
                         " FROM task_changes WHERE sequence > :after"
                         " ORDER BY sequence LIMIT :rows"));
        statement.exchange(into(sequence));
        statement.exchange(into(type));
        statement.exchange(into(at));
        row.ReadBy(statement);
        statement.exchange(use(after_number, "after"));
        statement.exchange(use(rows, "rows"));
        statement.define_and_bind();
        statement.execute();
        while (statement.fetch()) {
          page.sequence = sequence;
          if (!scope.all && row.owner != scope.owner) continue;
          Task task = FromRow(row);
          if (!Matches(task, filter)) continue;
          page.changes.push_back({.sequence = sequence,
                                  .type = static_cast<ChangeType>(type),
                                  .at = FromNanoseconds(at),
                                  .task = std::move(task)});
        }
        page.last = page.sequence >= latest;
        return page;
      });
}

}  // namespace platform::task
