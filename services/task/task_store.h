// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "services/common/database.h"

namespace platform::task {

/// The numbers are those of the database and of the proto.
enum class Status { kTodo = 1, kInProgress = 2, kDone = 3, kCancelled = 4 };
enum class Priority { kLow = 1, kMedium = 2, kHigh = 3, kCritical = 4 };
enum class ChangeType { kCreated = 1, kUpdated = 2, kDeleted = 3 };

using Labels = std::vector<std::string>;
using Metadata = std::map<std::string, std::string>;

struct Task {
  std::string id;
  std::string owner;
  std::string title;
  std::string description;
  Status status = Status::kTodo;
  Priority priority = Priority::kMedium;
  Labels labels;
  Metadata metadata;
  grpccommon::Clock::WallTime created_at;
  grpccommon::Clock::WallTime updated_at;
  /// The number of the change that created it.
  std::int64_t created_sequence = 0;
};

struct NewTask {
  std::string title;
  std::string description;
  Priority priority = Priority::kMedium;
  Labels labels;
  Metadata metadata;
};

/// What is absent stays.
struct TaskUpdate {
  std::optional<std::string> title;
  std::optional<std::string> description;
  std::optional<Status> status;
  std::optional<Priority> priority;
};

struct Change {
  std::int64_t sequence = 0;
  ChangeType type = ChangeType::kCreated;
  grpccommon::Clock::WallTime at;
  /// As it is after the change; a deleted one as it was.
  Task task;
};

/// Which tasks somebody may see: those of `owner`, or all.
struct Scope {
  std::string owner;
  bool all = false;

  bool Covers(const Task& task) const { return all || task.owner == owner; }
};

/// Whether title or description contains `filter`, whatever the case of ASCII
/// letters: what LIKE does in the database.
bool Matches(const Task& task, std::string_view filter);

struct TaskPage {
  std::vector<Task> tasks;
  /// Whether no task comes after these.
  bool last = true;
  /// The latest change that the page reflects.
  std::int64_t sequence = 0;
};

struct ChangePage {
  std::vector<Change> changes;
  /// The change that was looked at last; the next page begins after it.
  std::int64_t sequence = 0;
  bool last = true;
};

struct TaskStoreOptions {
  /// Of its database, as common::DatabaseOptions has it.
  std::string url;
  bool read_only = false;
  /// How many changes are kept for watchers to resume from, at least 1.
  std::int64_t kept_changes = 10'000;
  /// As that of common::DatabaseOptions.
  std::function<void(std::string_view)> on_error = [](std::string_view) {};
};

/// The tasks, in a database. Several stores may be open on one of them; each is
/// used by one thread at a time. What changes tasks is called in a transaction
/// of `database()`.
///
/// Errors of every method but those it names: those of common::Database.
class TaskStore {
 public:
  static constexpr std::size_t kAnyNumber =
      std::numeric_limits<std::size_t>::max();

  /// Opens the database as common::Database does. `clock` is borrowed.
  static absl::StatusOr<std::unique_ptr<TaskStore>> Open(
      TaskStoreOptions options,
      const grpccommon::Clock& clock = grpccommon::SteadyClock());
  ~TaskStore();

  TaskStore(const TaskStore&) = delete;
  TaskStore& operator=(const TaskStore&) = delete;

  common::Database& database() { return *database_; }

  /// Made by `Create`, `Update` and `Delete`; absent if nothing changed.
  absl::StatusOr<Change> Create(std::string_view owner, NewTask task);
  struct Updated {
    Task task;
    std::optional<Change> change;
  };
  /// Errors: kNotFound.
  absl::StatusOr<Updated> Update(const Scope& scope, std::string_view id,
                                 const TaskUpdate& update);
  /// Errors: kNotFound.
  absl::StatusOr<Change> Delete(const Scope& scope, std::string_view id);

  /// Errors: kNotFound.
  absl::StatusOr<Task> Get(const Scope& scope, std::string_view id);
  /// At most `limit` tasks that were created after `after`, in that order. Of
  /// more than one at most `max_bytes`, about as many as their messages have.
  absl::StatusOr<TaskPage> List(const Scope& scope, std::string_view filter,
                                std::int64_t after, std::size_t limit,
                                std::size_t max_bytes = kAnyNumber);
  absl::StatusOr<std::int64_t> Count(const Scope& scope,
                                     std::string_view filter);
  /// The number of the latest change, 0 if there was none.
  absl::StatusOr<std::int64_t> Latest();
  /// Changes after number `after`, of at most `limit` that are looked at, and
  /// of at most `max_bytes` as in `List`.
  /// Errors: kOutOfRange if some of them are not kept any more;
  /// kInvalidArgument if `after` is in the future.
  absl::StatusOr<ChangePage> Changes(const Scope& scope,
                                     std::string_view filter,
                                     std::int64_t after, std::size_t limit,
                                     std::size_t max_bytes = kAnyNumber);

 private:
  TaskStore(std::unique_ptr<common::Database> database,
            std::int64_t kept_changes, const grpccommon::Clock& clock);

  Change Note(soci::session& sql, ChangeType type, Task task);

  const std::unique_ptr<common::Database> database_;
  const std::int64_t kept_changes_;
  const grpccommon::Clock& clock_;
  std::int64_t pruned_at_ = 0;
};

}  // namespace platform::task
