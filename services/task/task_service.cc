// SPDX-License-Identifier: Apache-2.0
#include "services/task/task_service.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/stream/reader.h"
#include "services/common/caller.h"
#include "services/common/rpc.h"
#include "services/common/token.h"
#include "services/task/convert.h"
#include "services/task/task_watch.h"

namespace platform::task {
namespace {

using common::MakeToken;
using common::Place;
using common::ReadPageToken;
using common::ReadToken;
using common::TokenKind;
using grpccommon::Flow;
using grpccommon::InvalidFields;
using grpccommon::MutexLock;
using grpccommon::Validator;
using taskservice::BulkCreateResponse;
using taskservice::CreateTaskRequest;
using taskservice::TaskCommand;
using taskservice::TaskEvent;
using taskservice::TaskResult;

constexpr int kDefaultPageSize = 10;

// How many tasks of a bulk creation share a transaction.
constexpr std::size_t kBulkBatch = 100;

// What an answer has for each task besides what the request had.
constexpr std::size_t kBulkOverhead = 100;

// Commands of one stream that may be in the store's queue at a time: enough for
// them to share transactions, few enough for other callers.
constexpr std::size_t kCommandsInFlight = 32;

// A contract has no rules for the keys of a map.
constexpr std::size_t kMaxKeyCharacters = 100;

std::size_t CharactersOf(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

absl::Status CheckKeys(const CreateTaskRequest& request,
                       const std::string& field = "metadata") {
  for (const auto& [key, value] : request.metadata()) {
    if (CharactersOf(key) > kMaxKeyCharacters) {
      return InvalidFields({{field, "has a key of more than 100 characters"}});
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Scope> ScopeOfPrincipal(
    const grpc::CallbackServerContext& context) {
  const auto principal = common::PrincipalOf(context);
  if (!principal.ok()) return principal.status();
  return Scope{.owner = common::CallerId(**principal),
               .all = (*principal)->HasRole("admin")};
}

absl::StatusOr<std::unique_ptr<TaskService>> TaskService::Create(
    StoreQueue& store, TaskServiceOptions options,
    const grpccommon::Clock& clock) {
  auto create_rules = Validator::Create(*CreateTaskRequest::descriptor());
  if (!create_rules.ok()) return create_rules.status();
  auto command_rules = Validator::Create(*TaskCommand::descriptor());
  if (!command_rules.ok()) return command_rules.status();
  return absl::WrapUnique(new TaskService(store, std::move(options), clock,
                                          *std::move(create_rules),
                                          *std::move(command_rules)));
}

TaskService::TaskService(StoreQueue& store, TaskServiceOptions options,
                         const grpccommon::Clock& clock,
                         std::unique_ptr<Validator> create_rules,
                         std::unique_ptr<Validator> command_rules)
    : store_(store),
      options_(std::move(options)),
      clock_(clock),
      create_rules_(std::move(create_rules)),
      command_rules_(std::move(command_rules)),
      feed_(std::make_shared<ChangeFeed>(store, options_.max_watchers)),
      watches_({.max_watchers = options_.max_watchers}),
      quota_(options_.max_watches_per_owner) {}

TaskService::~TaskService() = default;

void TaskService::EndWatches() {
  watches_.Cut(absl::UnavailableError(
      "the server stops: watch again with the last resume_token"));
}

// A call of somebody: `read` and `write` get their scope.
template <typename Read, typename Answer>
grpc::ServerUnaryReactor* TaskService::ReadAs(
    grpc::CallbackServerContext& context, Read read, Answer answer) {
  const absl::StatusOr<Scope> scope = options_.scope_of(context);
  if (!scope.ok()) return common::Finish(context, scope.status());
  return common::ReadAndAnswer(
      store_, context,
      [scope = *scope, read](TaskStore& store) { return read(store, scope); },
      answer);
}

template <typename Write, typename Answer>
grpc::ServerUnaryReactor* TaskService::WriteAs(
    grpc::CallbackServerContext& context, Write write, Answer answer) {
  const absl::StatusOr<Scope> scope = options_.scope_of(context);
  if (!scope.ok()) return common::Finish(context, scope.status());
  return common::WriteAndAnswer(
      store_, context,
      [scope = *scope, write](TaskStore& store) { return write(store, scope); },
      answer);
}

grpc::ServerUnaryReactor* TaskService::CreateTask(
    grpc::CallbackServerContext* context, const CreateTaskRequest* request,
    taskservice::Task* response) {
  const absl::Status valid = CheckKeys(*request);
  if (!valid.ok()) return common::Finish(*context, valid);
  return WriteAs(
      *context,
      [request](TaskStore& store, const Scope& scope) {
        return store.Create(scope.owner, FromProto(*request));
      },
      [this, response](const Change& change) {
        feed_->Publish(change);
        *response = ToProto(change.task);
      });
}

grpc::ServerUnaryReactor* TaskService::GetTask(
    grpc::CallbackServerContext* context,
    const taskservice::GetTaskRequest* request, taskservice::Task* response) {
  return ReadAs(
      *context,
      [request](TaskStore& store, const Scope& scope) {
        return store.Get(scope, request->id());
      },
      [response](const Task& task) { *response = ToProto(task); });
}

grpc::ServerUnaryReactor* TaskService::UpdateTask(
    grpc::CallbackServerContext* context,
    const taskservice::UpdateTaskRequest* request,
    taskservice::Task* response) {
  return WriteAs(
      *context,
      [request](TaskStore& store, const Scope& scope) {
        return store.Update(scope, request->id(), FromProto(*request));
      },
      [this, response](const TaskStore::Updated& updated) {
        if (updated.change.has_value()) feed_->Publish(*updated.change);
        *response = ToProto(updated.task);
      });
}

grpc::ServerUnaryReactor* TaskService::DeleteTask(
    grpc::CallbackServerContext* context,
    const taskservice::DeleteTaskRequest* request,
    google::protobuf::Empty* /*response*/) {
  return WriteAs(
      *context,
      [request](TaskStore& store, const Scope& scope) {
        return store.Delete(scope, request->id());
      },
      [this](const Change& change) { feed_->Publish(change); });
}

grpc::ServerUnaryReactor* TaskService::ListTasks(
    grpc::CallbackServerContext* context,
    const taskservice::ListTasksRequest* request,
    taskservice::ListTasksResponse* response) {
  struct Answer {
    TaskPage page;
    std::int64_t count = 0;
  };
  return ReadAs(
      *context,
      [request, max_bytes = options_.max_page_bytes](
          TaskStore& store, const Scope& scope) -> absl::StatusOr<Answer> {
        const absl::StatusOr<std::optional<Place>> after =
            ReadPageToken(request->page_token(), {request->filter()});
        if (!after.ok()) return after.status();
        const int size =
            request->page_size() > 0 ? request->page_size() : kDefaultPageSize;
        absl::StatusOr<TaskPage> page = store.List(
            scope, request->filter(), after->value_or(Place()).number,
            static_cast<std::size_t>(size), max_bytes);
        if (!page.ok()) return page.status();
        const absl::StatusOr<std::int64_t> count =
            store.Count(scope, request->filter());
        if (!count.ok()) return count.status();
        return Answer{.page = *std::move(page), .count = *count};
      },
      [request, response](const Answer& answer) {
        for (const Task& task : answer.page.tasks) {
          *response->add_tasks() = ToProto(task);
        }
        if (!answer.page.last) {
          response->set_next_page_token(
              MakeToken(TokenKind::kPage,
                        {.number = answer.page.tasks.back().created_sequence},
                        {request->filter()}));
        }
        response->set_total_count(static_cast<int>(answer.count));
      });
}

grpc::ServerWriteReactor<TaskEvent>* TaskService::WatchTasks(
    grpc::CallbackServerContext* context,
    const taskservice::WatchTasksRequest* request) {
  const auto watch = std::make_shared<TaskWatch>(*context, options_.watch_queue,
                                                 store_, feed_, clock_);
  const auto& writer = watch->writer();
  const absl::StatusOr<Scope> scope = options_.scope_of(*context);
  absl::Status taken = scope.status();
  if (taken.ok()) taken = watches_.Subscribe(writer);
  if (taken.ok()) taken = quota_.Take(scope->owner, writer);
  if (!taken.ok()) {
    writer->Finish(taken);
    return writer->reactor();
  }
  TaskWatch::Start start{
      .scope = *scope,
      .filter = request->filter(),
      .initial = !request->has_include_initial() || request->include_initial()};
  if (!request->resume_token().empty()) {
    const std::optional<Place> place =
        ReadToken(TokenKind::kResume, request->resume_token());
    if (!place.has_value()) {
      writer->Finish(InvalidFields(
          {{"resume_token", "is not the resume_token of an event"}}));
      return writer->reactor();
    }
    start.resume_after = place->number;
  }
  watch->Run(std::move(start));
  return writer->reactor();
}

// Collects the tasks of a stream into batches, each of which is one
// transaction; the client waits meanwhile.
class TaskService::BulkCreation final
    : public grpccommon::StreamReader<CreateTaskRequest, BulkCreateResponse> {
 public:
  BulkCreation(TaskService& service, const grpc::CallbackServerContext& context,
               BulkCreateResponse* response, Scope scope)
      : StreamReader(context, response),
        service_(service),
        feed_(service.feed_),
        scope_(std::move(scope)) {}

 private:
  struct Item {
    int index = 0;
    NewTask task;
  };
  struct Batch {
    std::vector<Item> items;
    std::vector<absl::StatusOr<Change>> results;
  };

  Flow OnMessage(CreateTaskRequest& request) override {
    if (full_) return Flow::kNext;
    const int index = next_index_++;
    absl::Status valid = service_.create_rules_->Validate(request);
    if (valid.ok()) valid = CheckKeys(request);
    // Counted as it comes: the answer is too large to be measured each time.
    bytes_ += kBulkOverhead + (valid.ok() ? request.ByteSizeLong() : 0);
    if (bytes_ > service_.options_.max_bulk_bytes) {
      // The rest is read all the same: a client whose write waits for us does
      // not hear of an answer that comes early.
      full_ = true;
      AddError(index, absl::ResourceExhaustedError(
                          "too much for one stream: this task and those after "
                          "it were not looked at"));
      return Flow::kNext;
    }
    if (!valid.ok()) {
      AddError(index, valid);
    } else {
      batch_.push_back({.index = index, .task = FromProto(request)});
    }
    if (batch_.size() < kBulkBatch) return Flow::kNext;
    Store();
    return Flow::kPause;
  }

  void OnEnd() override {
    ended_ = true;
    Store();
  }

  // Nothing else happens to this stream until it is done.
  void Store() {
    const auto batch =
        std::make_shared<Batch>(Batch{.items = std::move(batch_)});
    batch_.clear();
    const auto self =
        std::static_pointer_cast<BulkCreation>(shared_from_this());
    const absl::Status status = service_.store_.Write(
        {.run =
             [self, batch](TaskStore& store) {
               self->Run(store, *batch);
               return absl::OkStatus();  // each task has its own
             },
         .done =
             [self, batch](const absl::Status& committed) {
               self->Done(*batch, committed);
             }});
    if (!status.ok()) Done(*batch, status);
  }

  void Run(TaskStore& store, Batch& batch) {
    batch.results.clear();
    for (const Item& item : batch.items) {
      batch.results.push_back(closed()
                                  ? absl::CancelledError("the client has gone")
                                  : store.Create(scope_.owner, item.task));
    }
  }

  void Done(Batch& batch, const absl::Status& committed) {
    for (std::size_t i = 0; i < batch.items.size(); ++i) {
      const absl::Status status =
          committed.ok() ? batch.results[i].status() : committed;
      if (!status.ok()) {
        AddError(batch.items[i].index, status);
        continue;
      }
      feed_->Publish(*batch.results[i]);
      *response_.add_tasks() = ToProto(batch.results[i]->task);
    }
    if (ended_) {
      Finish(std::move(response_));
    } else {
      Resume();
    }
  }

  void AddError(int index, const absl::Status& status) {
    taskservice::BulkError& error = *response_.add_errors();
    error.set_index(index);
    error.set_message(std::string(status.message()));
    error.set_code(static_cast<int>(status.code()));
    bytes_ += error.ByteSizeLong();
  }

  TaskService& service_;  // until the call is done
  // A job may end after its call, and the service.
  const std::shared_ptr<ChangeFeed> feed_;
  const Scope scope_;
  BulkCreateResponse response_;
  std::vector<Item> batch_;
  std::size_t bytes_ = 0;
  int next_index_ = 0;
  bool ended_ = false;
  bool full_ = false;
};

grpc::ServerReadReactor<CreateTaskRequest>* TaskService::BulkCreateTasks(
    grpc::CallbackServerContext* context, BulkCreateResponse* response) {
  absl::StatusOr<Scope> scope = options_.scope_of(*context);
  const absl::Status status = scope.status();
  const auto stream = std::make_shared<BulkCreation>(
      *this, *context, response, scope.ok() ? *std::move(scope) : Scope());
  if (!status.ok()) stream->Finish(status);
  return BulkCreation::Start(stream);
}

// Runs the commands of a stream through the store's queue, several at a time,
// and returns their results in the commands' order.
class TaskService::CommandStream final
    : public grpccommon::StreamBidi<TaskCommand, TaskResult> {
 public:
  CommandStream(TaskService& service,
                const grpc::CallbackServerContext& context, Scope scope)
      : StreamBidi(context, {.max_queued = 4 * kCommandsInFlight}),
        service_(service),
        feed_(service.feed_),
        scope_(std::move(scope)) {}

 private:
  struct Outcome {
    absl::Status status;
    std::optional<Task> task;
    std::optional<Change> change;
  };

  Flow OnMessage(TaskCommand& command) override {
    std::uint64_t number;
    {
      const MutexLock lock(mutex_);
      number = first_ + results_.size();
      results_.emplace_back();
    }
    const auto self =
        std::static_pointer_cast<CommandStream>(shared_from_this());
    const std::string id = command.correlation_id();
    absl::Status status = service_.command_rules_->Validate(command);
    if (status.ok() && command.command_case() == TaskCommand::COMMAND_NOT_SET) {
      status = InvalidFields({{"command", "is required"}});
    }
    if (status.ok()) status = CheckKeys(command.create(), "create.metadata");
    if (status.ok()) {
      const auto shared = std::make_shared<TaskCommand>(std::move(command));
      const auto outcome = std::make_shared<Outcome>();
      status = service_.store_.Write(
          {.run =
               [self, shared, outcome](TaskStore& store) {
                 *outcome = self->Run(store, *shared);
                 return outcome->status;
               },
           .done =
               [self, number, id, outcome](const absl::Status& committed) {
                 if (!committed.ok()) *outcome = {.status = committed};
                 if (outcome->change.has_value()) {
                   self->feed_->Publish(*outcome->change);
                 }
                 self->Answer(number, id, *outcome);
               }});
    }
    if (!status.ok()) Answer(number, id, {.status = status});
    const MutexLock lock(mutex_);
    paused_ = results_.size() >= kCommandsInFlight;
    return paused_ ? Flow::kPause : Flow::kNext;
  }

  void OnEnd() override {
    {
      const MutexLock lock(mutex_);
      ended_ = true;
      if (!results_.empty() || answering_) return;
    }
    Finish(absl::OkStatus());
  }

  Outcome Run(TaskStore& store, const TaskCommand& command) const {
    if (closed())
      return {.status = absl::CancelledError("the client has gone")};
    switch (command.command_case()) {
      case TaskCommand::kCreate: {
        auto change = store.Create(scope_.owner, FromProto(command.create()));
        if (!change.ok()) return {.status = change.status()};
        return {.task = change->task, .change = *std::move(change)};
      }
      case TaskCommand::kUpdate: {
        auto updated = store.Update(scope_, command.update().id(),
                                    FromProto(command.update()));
        if (!updated.ok()) return {.status = updated.status()};
        return {.task = std::move(updated->task),
                .change = std::move(updated->change)};
      }
      case TaskCommand::kDelete: {
        auto change = store.Delete(scope_, command.delete_().id());
        if (!change.ok()) return {.status = change.status()};
        return {.change = *std::move(change)};
      }
      case TaskCommand::kGet: {
        auto task = store.Get(scope_, command.get().id());
        if (!task.ok()) return {.status = task.status()};
        return {.task = *std::move(task)};
      }
      default:
        return {.status = absl::InternalError("an unknown command")};
    }
  }

  // Sends every result that no earlier command's is missing for.
  void Answer(std::uint64_t number, const std::string& id,
              const Outcome& outcome) {
    TaskResult result;
    result.set_correlation_id(id);
    result.set_success(outcome.status.ok());
    if (outcome.task.has_value())
      *result.mutable_task() = ToProto(*outcome.task);
    if (!outcome.status.ok()) {
      result.set_error_message(std::string(outcome.status.message()));
      result.set_error_code(static_cast<int>(outcome.status.code()));
    }
    bool resume = false;
    bool finish = false;
    {
      MutexLock lock(mutex_);
      results_[number - first_] = std::move(result);
      if (answering_) return;
      answering_ = true;
    }
    for (;;) {
      {
        const MutexLock lock(mutex_);
        if (results_.empty() || !results_.front().has_value()) {
          answering_ = false;
          resume = std::exchange(paused_, false);
          finish = ended_ && results_.empty();
          break;
        }
        result = *std::move(results_.front());
        results_.pop_front();
        ++first_;
      }
      (void)Write(std::move(result));  // fails when the client has gone
    }
    if (finish) Finish(absl::OkStatus());
    if (resume) Resume();
  }

  TaskService& service_;  // until the call is done
  // A job may end after its call, and the service.
  const std::shared_ptr<ChangeFeed> feed_;
  const Scope scope_;
  grpccommon::Mutex mutex_;
  // Of the commands from number `first_` on; empty ones are not done yet.
  std::deque<std::optional<TaskResult>> results_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t first_ ABSL_GUARDED_BY(mutex_) = 0;
  bool answering_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

grpc::ServerBidiReactor<TaskCommand, TaskResult>*
TaskService::ProcessTaskStream(grpc::CallbackServerContext* context) {
  absl::StatusOr<Scope> scope = options_.scope_of(*context);
  const absl::Status status = scope.status();
  const auto stream = std::make_shared<CommandStream>(
      *this, *context, scope.ok() ? *std::move(scope) : Scope());
  if (!status.ok()) stream->Finish(status);
  return CommandStream::Start(stream);
}

}  // namespace platform::task
