// SPDX-License-Identifier: Apache-2.0
#include "services/execution/execution_service.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/baton.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/stream/writer.h"
#include "services/common/caller.h"
#include "services/execution/in_order.h"

namespace platform::execution {
namespace {

using grpccommon::MutexLock;
using grpccommon::ToGrpcStatus;
using v1::BatchExecutionUpdate;
using v1::ExecutionUpdate;

using UpdateWriter = grpccommon::StreamWriter<ExecutionUpdate>;
using BatchWriter = grpccommon::StreamWriter<BatchExecutionUpdate>;

absl::StatusOr<Caller> CallerOf(const grpc::CallbackServerContext& context) {
  const auto principal = common::PrincipalOf(context);
  if (!principal.ok()) return principal.status();
  return Caller{.id = common::CallerId(**principal),
                .trusted = (*principal)->HasRole("service") ||
                           (*principal)->HasRole("admin")};
}

// Updates of one execution besides those of its tests; of a problem's tests,
// there are at most 200.
constexpr int kOtherUpdates = 8;
constexpr int kMaxProblemTests = 200;

// A newer position in the queue takes the place of one that a slow client has
// not got yet; nothing else is left out.
std::string KeyOf(int index, const ExecutionUpdate& update) {
  return update.state() == v1::EXECUTION_STATE_QUEUED
             ? absl::StrCat(index, "q")
             : absl::StrCat(index, ".", update.sequence());
}

int MostUpdates(const v1::ExecuteRequest& request) {
  return kOtherUpdates + (request.has_problem()
                              ? kMaxProblemTests
                              : request.test_set().test_cases_size());
}

grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext& context,
                                 const absl::Status& status) {
  auto* const reactor = context.DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

common::v1::ErrorDetails ToErrorDetails(const absl::Status& status) {
  common::v1::ErrorDetails error;
  error.set_code(status.raw_code());
  error.set_message(std::string(status.message()));
  status.ForEachPayload(
      [&error](absl::string_view type, const absl::Cord& value) {
        google::protobuf::Any& detail = *error.add_details();
        detail.set_type_url(std::string(type));
        detail.set_value(std::string(value));
      });
  return error;
}

// The answer to one Execute.
class ExecuteCall final : public grpc::ServerUnaryReactor,
                          public ExecutionListener,
                          public std::enable_shared_from_this<ExecuteCall> {
 public:
  static grpc::ServerUnaryReactor* Start(Executions& executions,
                                         const Caller& caller,
                                         const v1::ExecuteRequest& request,
                                         v1::ExecuteResponse& response) {
    const auto call =
        std::make_shared<ExecuteCall>(request.detached(), response);
    call->self_ = call;
    call->leave_ = executions.Submit(caller, request, call);
    call->started_.Pass();
    return call.get();
  }

  ExecuteCall(bool detached, v1::ExecuteResponse& response)
      : detached_(detached), response_(response) {}

 private:
  void OnUpdate(const ExecutionUpdate& update) override {
    if (update.has_execution()) execution_ = update.execution();
  }
  void OnAccepted(const v1::Execution& execution) override {
    if (detached_) Answer(execution);
  }
  void OnEnd(const absl::Status& status) override {
    if (status.ok()) {
      Answer(execution_);
    } else if (!finished_.exchange(true)) {
      Finish(ToGrpcStatus(status));
    }
  }

  void Answer(const v1::Execution& execution) {
    // The response is gRPC's again once the call is finished.
    if (finished_.exchange(true)) return;
    *response_.mutable_execution() = execution;
    Finish(grpc::Status::OK);
  }

  void OnCancel() override {
    if (finished_.exchange(true)) return;
    Finish(ToGrpcStatus(absl::CancelledError("the client has gone")));
  }
  void OnDone() override {
    started_.Take();
    leave_();
    const std::shared_ptr<ExecuteCall> self = std::move(self_);
  }

  const bool detached_;
  v1::ExecuteResponse& response_;
  std::function<void()> leave_;
  std::shared_ptr<ExecuteCall> self_;
  grpccommon::Baton started_;  // from Start to OnDone
  v1::Execution execution_;
  std::atomic<bool> finished_ = false;
};

class StreamListener final : public ExecutionListener {
 public:
  explicit StreamListener(std::shared_ptr<UpdateWriter> writer)
      : writer_(std::move(writer)) {}

  void OnUpdate(const ExecutionUpdate& update) override {
    (void)writer_->Write(update);  // fails when the client has gone
  }
  void OnAccepted(const v1::Execution& /*execution*/) override {}
  void OnEnd(const absl::Status& status) override { writer_->Finish(status); }

 private:
  const std::shared_ptr<UpdateWriter> writer_;
};

// Puts the updates of many executions into one stream.
class Batch {
 public:
  Batch(std::shared_ptr<BatchWriter> writer, int total)
      : writer_(std::move(writer)), total_(total) {}

  void Send(BatchExecutionUpdate update, bool ended) {
    {
      const MutexLock lock(mutex_);
      if (ended) ++completed_;
      update.set_completed(completed_);
      update.set_total(total_);
      writes_.Add([this, update = std::move(update),
                   last = ended && completed_ == total_]() mutable {
        (void)writer_->Write(std::move(update));
        if (last) writer_->Finish(absl::OkStatus());
      });
    }
    writes_.Call();
  }

 private:
  const std::shared_ptr<BatchWriter> writer_;
  const int total_;
  grpccommon::Mutex mutex_;
  int completed_ ABSL_GUARDED_BY(mutex_) = 0;
  InOrder writes_;
};

class BatchListener final : public ExecutionListener {
 public:
  BatchListener(std::shared_ptr<Batch> batch, int index)
      : batch_(std::move(batch)), index_(index) {}

  void OnUpdate(const ExecutionUpdate& update) override {
    BatchExecutionUpdate message;
    message.set_index(index_);
    *message.mutable_update() = update;
    batch_->Send(std::move(message), update.has_execution());
  }
  void OnAccepted(const v1::Execution& /*execution*/) override {}
  void OnEnd(const absl::Status& status) override {
    if (status.ok()) return;  // the last update has told
    BatchExecutionUpdate message;
    message.set_index(index_);
    *message.mutable_error() = ToErrorDetails(status);
    batch_->Send(std::move(message), true);
  }

 private:
  const std::shared_ptr<Batch> batch_;
  const int index_;
};

}  // namespace

grpc::ServerUnaryReactor* ExecutionService::Execute(
    grpc::CallbackServerContext* context, const v1::ExecuteRequest* request,
    v1::ExecuteResponse* response) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return Finish(*context, caller.status());
  return ExecuteCall::Start(executions_, *caller, *request, *response);
}

grpc::ServerWriteReactor<ExecutionUpdate>* ExecutionService::ExecuteStream(
    grpc::CallbackServerContext* context, const v1::ExecuteRequest* request) {
  const auto writer = UpdateWriter::Create(
      *context,
      {.max_queued = static_cast<std::size_t>(MostUpdates(*request)),
       .slow_reader = grpccommon::SlowReader::kKeepLatest,
       .key = [](const ExecutionUpdate& update) { return KeyOf(0, update); }});
  const auto caller = CallerOf(*context);
  if (caller.ok()) {
    writer->WhenDone(executions_.Submit(
        *caller, *request, std::make_shared<StreamListener>(writer)));
  } else {
    writer->Finish(caller.status());
  }
  return writer->reactor();
}

grpc::ServerWriteReactor<BatchExecutionUpdate>*
ExecutionService::ExecuteBatchStream(grpc::CallbackServerContext* context,
                                     const v1::ExecuteBatchRequest* request) {
  std::size_t most_updates = 0;
  for (const v1::ExecuteRequest& execution : request->executions()) {
    most_updates += static_cast<std::size_t>(MostUpdates(execution));
  }
  const auto writer = BatchWriter::Create(
      *context, {.max_queued = std::max<std::size_t>(most_updates, 1),
                 .slow_reader = grpccommon::SlowReader::kKeepLatest,
                 .key = [](const BatchExecutionUpdate& update) {
                   return update.has_error()
                              ? absl::StrCat(update.index(), "e")
                              : KeyOf(update.index(), update.update());
                 }});
  const auto caller = CallerOf(*context);
  if (!caller.ok() || request->executions().empty()) {
    writer->Finish(caller.status());
    return writer->reactor();
  }
  const auto batch =
      std::make_shared<Batch>(writer, request->executions_size());
  std::vector<std::function<void()>> leave;
  leave.reserve(static_cast<std::size_t>(request->executions_size()));
  for (int i = 0; i < request->executions_size(); ++i) {
    leave.push_back(
        executions_.Submit(*caller, request->executions(i),
                           std::make_shared<BatchListener>(batch, i)));
  }
  // The last one first, so that no place that becomes free is taken by another
  // that is to end as well.
  writer->WhenDone([leave = std::move(leave)] {
    for (auto one = leave.rbegin(); one != leave.rend(); ++one) (*one)();
  });
  return writer->reactor();
}

grpc::ServerUnaryReactor* ExecutionService::GetExecution(
    grpc::CallbackServerContext* context,
    const v1::GetExecutionRequest* request,
    v1::GetExecutionResponse* response) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return Finish(*context, caller.status());
  auto execution = executions_.Get(*caller, request->execution_id());
  const absl::Status status = execution.status();
  if (status.ok()) *response->mutable_execution() = *std::move(execution);
  return Finish(*context, status);
}

grpc::ServerUnaryReactor* ExecutionService::CancelExecution(
    grpc::CallbackServerContext* context,
    const v1::CancelExecutionRequest* request,
    v1::CancelExecutionResponse* response) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return Finish(*context, caller.status());
  auto* const reactor = context->DefaultReactor();
  executions_.Cancel(
      *caller, request->execution_id(),
      [reactor, response](absl::StatusOr<v1::Execution> execution) {
        const grpc::Status end = ToGrpcStatus(execution.status());
        if (execution.ok()) {
          *response->mutable_execution() = *std::move(execution);
        }
        reactor->Finish(end);
      });
  return reactor;
}

grpc::ServerUnaryReactor* ExecutionService::ListLanguages(
    grpc::CallbackServerContext* context,
    const v1::ListLanguagesRequest* /*request*/,
    v1::ListLanguagesResponse* response) {
  for (const Language& language : executions_.languages().all()) {
    auto& listed = *response->add_languages();
    listed.set_id(language.id);
    listed.set_name(language.name);
    listed.set_version(language.version);
    listed.set_compiled(language.compiled);
    listed.set_file_name(language.file_name);
  }
  return Finish(*context, absl::OkStatus());
}

}  // namespace platform::execution
