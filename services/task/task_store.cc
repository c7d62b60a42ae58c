// SPDX-License-Identifier: Apache-2.0
#include "services/task/task_store.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "services/common/id.h"
#include "services/common/query.h"
#include "services/task/migrations.h"

namespace platform::task {
namespace {

using common::CanonicalId;
using common::Database;
using common::LikePattern;
using common::Query;
using grpccommon::Clock;
using grpccommon::NotFound;
using nlohmann::json;

// Deleting old changes costs a little, so it is done once in so many.
constexpr std::int64_t kPruneInterval = 256;

// Rows of one query: the client of PostgreSQL holds all of them, whatever their
// size.
constexpr std::size_t kRowsAtATime = 32;

// What a task's message has besides its texts: id, times, numbers and tags.
constexpr std::size_t kTaskOverhead = 100;

constexpr char kColumns[] =
    "created_sequence, id, owner, title, description, status, priority, "
    "labels, metadata, created_at, updated_at";
constexpr char kPlaces[] =
    ":created_sequence, :id, :owner, :title, :description, :status, :priority, "
    ":labels, :metadata, :created_at, :updated_at";

// A task as a row has it.
struct Row {
  Task task;
  std::string labels;
  std::string metadata;

  void ReadBy(Query& query) {
    query.Into(task.created_sequence, task.id, task.owner, task.title,
               task.description, task.status, task.priority, labels, metadata,
               task.created_at, task.updated_at);
  }
  // About as many as its message has.
  std::size_t Bytes() const {
    return task.title.size() + task.description.size() + labels.size() +
           metadata.size() + kTaskOverhead;
  }
  Task Parsed() const {
    Task result = task;
    result.labels = json::parse(labels).get<Labels>();
    result.metadata = json::parse(metadata).get<Metadata>();
    return result;
  }
};

void BindTo(Query& query, const Task& task) {
  query.Bind("created_sequence", task.created_sequence)
      .Bind("id", task.id)
      .Bind("owner", task.owner)
      .Bind("title", task.title)
      .Bind("description", task.description)
      .Bind("status", task.status)
      .Bind("priority", task.priority)
      .Bind("labels", json(task.labels).dump())
      .Bind("metadata", json(task.metadata).dump())
      .Bind("created_at", task.created_at)
      .Bind("updated_at", task.updated_at);
}

// The part of a WHERE clause that chooses by scope and filter, and what it
// refers to. The text is ours; what callers say is bound.
struct Choice {
  Choice(const Database& database, const Scope& scope, std::string_view filter)
      : owner(scope.owner), by_owner(!scope.all) {
    if (by_owner) absl::StrAppend(&clause, " AND owner = :owner");
    if (filter.empty()) return;
    pattern = LikePattern(filter);
    absl::StrAppend(&clause, " AND (", database.Contains("title", "pattern"),
                    " OR ", database.Contains("description", "pattern"), ")");
  }

  void BindTo(Query& query) const {
    if (by_owner) query.Bind("owner", owner);
    if (!pattern.empty()) query.Bind("pattern", pattern);
  }

  std::string clause;
  std::string owner;
  bool by_owner;
  std::string pattern;
};

std::int64_t LatestOf(soci::session& sql) {
  std::int64_t latest = 0;
  Query(sql, "SELECT latest FROM task_sequence").Into(latest).Next();
  return latest;
}

absl::StatusOr<Task> Find(const Database& database, soci::session& sql,
                          const Scope& scope, std::string_view id) {
  const Choice choice(database, scope, "");
  Row row;
  Query query(sql, absl::StrCat("SELECT ", kColumns,
                                " FROM tasks WHERE id = :id", choice.clause));
  query.Bind("id", CanonicalId(id));
  choice.BindTo(query);
  row.ReadBy(query);
  if (!query.Next()) return NotFound("task", id);
  return row.Parsed();
}

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

TaskStore::TaskStore(std::unique_ptr<Database> database,
                     std::int64_t kept_changes, const Clock& clock)
    : database_(std::move(database)),
      kept_changes_(kept_changes),
      clock_(clock) {}

TaskStore::~TaskStore() = default;

absl::StatusOr<std::unique_ptr<TaskStore>> TaskStore::Open(
    TaskStoreOptions options, const Clock& clock) {
  auto database = Database::Open({.url = std::move(options.url),
                                  .service = "task",
                                  .migrations = kMigrations,
                                  .read_only = options.read_only,
                                  .on_error = std::move(options.on_error)});
  if (!database.ok()) return database.status();
  return absl::WrapUnique(
      new TaskStore(*std::move(database), options.kept_changes, clock));
}

// Notes a change, whose number is the result's.
Change TaskStore::Note(soci::session& sql, ChangeType type, Task task) {
  Change change{.type = type, .at = clock_.WallNow(), .task = std::move(task)};
  Query(sql, "UPDATE task_sequence SET latest = latest + 1 RETURNING latest")
      .Into(change.sequence)
      .Next();
  if (type == ChangeType::kCreated) {
    change.task.created_sequence = change.sequence;
  }
  Query insert(sql, absl::StrCat("INSERT INTO task_changes (sequence, type, "
                                 "at, ",
                                 kColumns, ") VALUES (:sequence, :type, :at, ",
                                 kPlaces, ")"));
  insert.Bind("sequence", change.sequence)
      .Bind("type", type)
      .Bind("at", change.at);
  BindTo(insert, change.task);
  insert.Run();
  if (change.sequence - pruned_at_ >= kPruneInterval) {
    pruned_at_ = change.sequence;
    Query(sql, "DELETE FROM task_changes WHERE sequence <= :sequence")
        .Bind("sequence", change.sequence - kept_changes_)
        .Run();
  }
  return change;
}

absl::StatusOr<Change> TaskStore::Create(std::string_view owner, NewTask task) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Change> {
    const Clock::WallTime now = clock_.WallNow();
    Change change = Note(sql, ChangeType::kCreated,
                         {.id = grpccommon::UuidV7(clock_),
                          .owner = std::string(owner),
                          .title = std::move(task.title),
                          .description = std::move(task.description),
                          .priority = task.priority,
                          .labels = std::move(task.labels),
                          .metadata = std::move(task.metadata),
                          .created_at = now,
                          .updated_at = now});
    Query insert(sql, absl::StrCat("INSERT INTO tasks (", kColumns,
                                   ") VALUES (", kPlaces, ")"));
    BindTo(insert, change.task);
    insert.Run();
    return change;
  });
}

absl::StatusOr<TaskStore::Updated> TaskStore::Update(const Scope& scope,
                                                     std::string_view id,
                                                     const TaskUpdate& update) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Updated> {
    absl::StatusOr<Task> found = Find(*database_, sql, scope, id);
    if (!found.ok()) return found.status();
    Task& task = *found;
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
    if (update.description.has_value()) task.description = *update.description;
    if (update.status.has_value()) task.status = *update.status;
    if (update.priority.has_value()) task.priority = *update.priority;
    task.updated_at = clock_.WallNow();
    Change change = Note(sql, ChangeType::kUpdated, task);
    Query(sql,
          "UPDATE tasks SET title = :title, description = :description, "
          "status = :status, priority = :priority, updated_at = :updated_at "
          "WHERE created_sequence = :created_sequence")
        .Bind("title", task.title)
        .Bind("description", task.description)
        .Bind("status", task.status)
        .Bind("priority", task.priority)
        .Bind("updated_at", task.updated_at)
        .Bind("created_sequence", task.created_sequence)
        .Run();
    return Updated{.task = std::move(task), .change = std::move(change)};
  });
}

absl::StatusOr<Change> TaskStore::Delete(const Scope& scope,
                                         std::string_view id) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Change> {
    absl::StatusOr<Task> task = Find(*database_, sql, scope, id);
    if (!task.ok()) return task.status();
    Query(sql, "DELETE FROM tasks WHERE created_sequence = :sequence")
        .Bind("sequence", task->created_sequence)
        .Run();
    return Note(sql, ChangeType::kDeleted, *std::move(task));
  });
}

absl::StatusOr<Task> TaskStore::Get(const Scope& scope, std::string_view id) {
  return database_->Run(
      [&](soci::session& sql) { return Find(*database_, sql, scope, id); });
}

absl::StatusOr<TaskPage> TaskStore::List(const Scope& scope,
                                         std::string_view filter,
                                         std::int64_t after, std::size_t limit,
                                         std::size_t max_bytes) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<TaskPage> {
    TaskPage page{.sequence = LatestOf(sql)};
    const Choice choice(*database_, scope, filter);
    std::size_t bytes = 0;
    for (bool more = true; more;) {
      // One more tells whether there are more.
      const std::size_t wanted =
          std::min(kRowsAtATime, limit + 1 - page.tasks.size());
      Row row;
      Query query(sql,
                  absl::StrCat("SELECT ", kColumns,
                               " FROM tasks WHERE created_sequence > :after",
                               choice.clause,
                               " ORDER BY created_sequence LIMIT :rows"));
      query.Bind("after", after).Bind("rows", wanted);
      choice.BindTo(query);
      row.ReadBy(query);
      std::size_t rows = 0;
      for (; query.Next(); ++rows) {
        bytes += row.Bytes();
        page.last = page.tasks.size() < limit &&
                    (page.tasks.empty() || bytes <= max_bytes);
        if (!page.last) return page;
        page.tasks.push_back(row.Parsed());
        after = row.task.created_sequence;
      }
      more = rows == wanted;
    }
    return page;
  });
}

absl::StatusOr<std::int64_t> TaskStore::Count(const Scope& scope,
                                              std::string_view filter) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<std::int64_t> {
        const Choice choice(*database_, scope, filter);
        std::int64_t count = 0;
        Query query(sql, absl::StrCat("SELECT count(*) FROM tasks WHERE 1 = 1",
                                      choice.clause));
        choice.BindTo(query);
        query.Into(count).Next();
        return count;
      });
}

absl::StatusOr<std::int64_t> TaskStore::Latest() {
  return database_->Run([](soci::session& sql) -> absl::StatusOr<std::int64_t> {
    return LatestOf(sql);
  });
}

absl::StatusOr<ChangePage> TaskStore::Changes(const Scope& scope,
                                              std::string_view filter,
                                              std::int64_t after,
                                              std::size_t limit,
                                              std::size_t max_bytes) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<ChangePage> {
    const std::int64_t latest = LatestOf(sql);
    if (after > latest || after < 0) {
      return absl::InvalidArgumentError(
          "there was no such change in this store");
    }
    std::int64_t oldest = latest + 1;
    Query(sql, "SELECT coalesce(min(sequence), :none) FROM task_changes")
        .Bind("none", oldest)
        .Into(oldest)
        .Next();
    if (after + 1 < oldest) {
      return absl::OutOfRangeError("changes since then are not kept any more");
    }
    // All are looked at here, and not chosen by the database, so that a page of
    // changes of which few are wanted ends, too.
    ChangePage page{.sequence = after};
    std::size_t bytes = 0;
    for (bool more = true; more && limit > 0;) {
      const std::size_t wanted = std::min(kRowsAtATime, limit);
      Change change;
      Row row;
      Query query(sql, absl::StrCat("SELECT sequence, type, at, ", kColumns,
                                    " FROM task_changes WHERE sequence > :after"
                                    " ORDER BY sequence LIMIT :rows"));
      query.Bind("after", page.sequence).Bind("rows", wanted);
      query.Into(change.sequence, change.type, change.at);
      row.ReadBy(query);
      std::size_t rows = 0;
      for (; query.Next(); ++rows) {
        if (scope.Covers(row.task) && Matches(row.task, filter)) {
          bytes += row.Bytes();
          page.last = page.changes.empty() || bytes <= max_bytes;
          if (!page.last) return page;
          change.task = row.Parsed();
          page.changes.push_back(change);
        }
        page.sequence = change.sequence;
      }
      more = rows == wanted;
      limit -= rows;
    }
    page.last = page.sequence >= latest;
    return page;
  });
}

}  // namespace platform::task
