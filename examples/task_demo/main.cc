// SPDX-License-Identifier: Apache-2.0
// Drives a running task service over all four kinds of call, admitted and
// refused, and prints what was answered beside what should be.
//
//   task_demo <target>
//
// Tokens come from the environment, so that no list of processes shows them:
// ALICE_TOKEN and BOB_TOKEN of two users, ADMIN_TOKEN of one with role admin,
// EAGER_TOKEN of one who has not called yet. Exits with 0 if every answer was
// right. `./dev demo` runs it.

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "taskservice/task_service.grpc.pb.h"

using namespace std::chrono_literals;
using taskservice::TaskService;

namespace {

/// Prints each step with its verdict, and remembers whether all were right.
class Transcript {
 public:
  void Title(std::string_view title) { std::cout << '\n' << title << '\n'; }

  void Step(std::string_view what, bool right, std::string_view answer) {
    std::cout << (right ? "  ok     " : "  WRONG  ") << what << "\n         → "
              << answer << '\n';
    all_right_ = all_right_ && right;
  }

  /// A step that must be refused with `code`; the answer is the whole refusal.
  void Refused(std::string_view what, const grpc::Status& status,
               grpc::StatusCode code, bool also = true) {
    std::string answer(grpccommon::CodeName(status.error_code()));
    answer += ": " + status.error_message();
    const absl::Status refusal = grpccommon::FromGrpcStatus(status);
    if (const std::string reason = grpccommon::ReasonOf(refusal);
        !reason.empty()) {
      answer += "\n           reason " + reason;
    }
    google::rpc::BadRequest fields;
    if (grpccommon::GetDetail(refusal, fields)) {
      for (const auto& field : fields.field_violations()) {
        answer +=
            "\n           field " + field.field() + ": " + field.description();
      }
    }
    if (const auto delay = grpccommon::RetryDelayOf(refusal)) {
      answer +=
          "\n           retry in " +
          std::to_string(
              std::chrono::duration_cast<std::chrono::milliseconds>(*delay)
                  .count()) +
          " ms";
    }
    Step(what, status.error_code() == code && also, answer);
  }

  bool all_right() const { return all_right_; }

 private:
  bool all_right_ = true;
};

/// A client context with a deadline and, if given, a bearer token.
std::unique_ptr<grpc::ClientContext> Call(const std::string& token = "") {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + 10s);
  if (!token.empty()) {
    context->AddMetadata("authorization", "Bearer " + token);
  }
  return context;
}

std::string Text(const grpc::Status& status, const std::string& when_ok) {
  if (status.ok()) return when_ok;
  return std::string(grpccommon::CodeName(status.error_code())) + ": " +
         status.error_message();
}

class Demo {
 public:
  explicit Demo(const std::string& target)
      : stub_(TaskService::NewStub(
            grpc::CreateChannel(target, grpc::InsecureChannelCredentials()))) {}

  bool Run() {
    Unary();
    ServerStream();
    ClientStream();
    BidiStream();
    RateLimit();
    std::cout << (transcript_.all_right() ? "\nevery answer was right\n"
                                          : "\nsome answer was WRONG\n");
    return transcript_.all_right();
  }

 private:
  static std::string Token(const char* variable) {
    const char* value = std::getenv(variable);
    return value == nullptr ? "" : value;
  }

  taskservice::Task Create(const std::string& title) {
    taskservice::CreateTaskRequest request;
    request.set_title(title);
    taskservice::Task task;
    stub_->CreateTask(Call(alice_).get(), request, &task);
    return task;
  }

  void Unary() {
    transcript_.Title("unary calls");
    taskservice::CreateTaskRequest create;
    create.set_title("write the report");
    taskservice::Task task;
    grpc::Status status = stub_->CreateTask(Call(alice_).get(), create, &task);
    transcript_.Step(
        "Alice creates a task",
        status.ok() && task.status() == taskservice::TASK_STATUS_TODO,
        Text(status, "id " + task.id() + ", " +
                         taskservice::TaskStatus_Name(task.status())));

    taskservice::GetTaskRequest get;
    get.set_id(task.id());
    taskservice::Task seen;
    status = stub_->GetTask(Call(admin_).get(), get, &seen);
    transcript_.Step("an admin reads it",
                     status.ok() && seen.title() == create.title(),
                     Text(status, "\"" + seen.title() + "\""));

    transcript_.Refused("Bob reads it",
                        stub_->GetTask(Call(bob_).get(), get, &seen),
                        grpc::StatusCode::NOT_FOUND);
    transcript_.Refused("someone without a token reads it",
                        stub_->GetTask(Call().get(), get, &seen),
                        grpc::StatusCode::UNAUTHENTICATED);
    const std::string forged =
        alice_.substr(0, alice_.rfind('.') + 1) + std::string(86, 'A');
    transcript_.Refused("someone with a forged token reads it",
                        stub_->GetTask(Call(forged).get(), get, &seen),
                        grpc::StatusCode::UNAUTHENTICATED);

    taskservice::CreateTaskRequest invalid;
    invalid.set_title(std::string(201, 'x'));
    invalid.add_labels("");
    transcript_.Refused("Alice creates one that breaks the contract",
                        stub_->CreateTask(Call(alice_).get(), invalid, &seen),
                        grpc::StatusCode::INVALID_ARGUMENT);
  }

  void ServerStream() {
    transcript_.Title("server stream");
    const taskservice::Task task = Create("watch me");
    taskservice::WatchTasksRequest request;
    request.set_filter("watch me");
    const auto context = Call(alice_);
    const auto reader = stub_->WatchTasks(context.get(), request);

    std::vector<taskservice::TaskEvent> events(3);
    bool received = reader->Read(&events[0]);  // what is there
    taskservice::UpdateTaskRequest update;
    update.set_id(task.id());
    update.set_status(taskservice::TASK_STATUS_DONE);
    taskservice::Task updated;
    received = received &&
               stub_->UpdateTask(Call(alice_).get(), update, &updated).ok() &&
               reader->Read(&events[1]);
    taskservice::DeleteTaskRequest remove;
    remove.set_id(task.id());
    google::protobuf::Empty nothing;
    received = received &&
               stub_->DeleteTask(Call(alice_).get(), remove, &nothing).ok() &&
               reader->Read(&events[2]);
    context->TryCancel();
    reader->Finish();
    std::string answer;
    for (const taskservice::TaskEvent& event : events) {
      answer += taskservice::EventType_Name(event.event_type()) + " (" +
                taskservice::TaskStatus_Name(event.task().status()) + ") ";
    }
    transcript_.Step(
        "Alice watches a task while it is changed and deleted",
        received && events[0].initial() &&
            events[1].event_type() == taskservice::EVENT_TYPE_UPDATED &&
            events[1].task().status() == taskservice::TASK_STATUS_DONE &&
            events[2].event_type() == taskservice::EVENT_TYPE_DELETED,
        answer);

    const auto anonymous = Call();
    const auto refused = stub_->WatchTasks(anonymous.get(), request);
    taskservice::TaskEvent event;
    const bool payload = refused->Read(&event);
    transcript_.Refused("someone without a token watches", refused->Finish(),
                        grpc::StatusCode::UNAUTHENTICATED, !payload);
  }

  void ClientStream() {
    transcript_.Title("client stream");
    const auto context = Call(alice_);
    taskservice::BulkCreateResponse response;
    const auto writer = stub_->BulkCreateTasks(context.get(), &response);
    for (const char* title : {"first", "second", "", "fourth"}) {
      taskservice::CreateTaskRequest request;
      request.set_title(title);
      writer->Write(request);
    }
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    std::string answer = std::to_string(response.tasks_size()) + " created";
    for (const auto& error : response.errors()) {
      answer +=
          "; number " + std::to_string(error.index()) + ": " + error.message();
    }
    transcript_.Step("Alice sends four tasks, one without a title",
                     status.ok() && response.tasks_size() == 3 &&
                         response.errors_size() == 1 &&
                         response.errors(0).index() == 2,
                     Text(status, answer));

    const auto anonymous = Call();
    const auto refused = stub_->BulkCreateTasks(anonymous.get(), &response);
    refused->WritesDone();
    transcript_.Refused("someone without a token sends tasks",
                        refused->Finish(), grpc::StatusCode::UNAUTHENTICATED);
  }

  void BidiStream() {
    transcript_.Title("bidirectional stream");
    const auto context = Call(alice_);
    const auto stream = stub_->ProcessTaskStream(context.get());
    taskservice::TaskCommand command;
    command.set_correlation_id("make");
    command.mutable_create()->set_title("one of a stream");
    taskservice::TaskResult made;
    bool right = stream->Write(command) && stream->Read(&made) &&
                 made.success() && made.correlation_id() == "make";
    command.set_correlation_id("remove");
    command.mutable_delete_()->set_id(made.task().id());
    taskservice::TaskResult removed;
    right = right && stream->Write(command) && stream->Read(&removed) &&
            removed.success();
    command.set_correlation_id("remove again");
    taskservice::TaskResult missing;
    right = right && stream->Write(command) && stream->Read(&missing) &&
            !missing.success() &&
            missing.error_code() == grpc::StatusCode::NOT_FOUND;
    stream->WritesDone();
    const grpc::Status status = stream->Finish();
    std::string answer;
    for (const auto* result : {&made, &removed, &missing}) {
      answer += result->correlation_id() + ": " +
                (result->success() ? "done" : result->error_message()) + "; ";
    }
    transcript_.Step("Alice makes a task, removes it, and removes it again",
                     right && status.ok(), Text(status, answer));

    const auto anonymous = Call();
    const auto refused = stub_->ProcessTaskStream(anonymous.get());
    refused->WritesDone();
    taskservice::TaskResult result;
    const bool payload = refused->Read(&result);
    transcript_.Refused("someone without a token sends commands",
                        refused->Finish(), grpc::StatusCode::UNAUTHENTICATED,
                        !payload);
  }

  // The contract gives each caller a burst of 50 streams, and 10 a second.
  void RateLimit() {
    transcript_.Title("rate limit");
    constexpr int kBurst = 50;
    constexpr int kMost = 10 * kBurst;
    int admitted = 0;
    grpc::Status status;
    while (status.ok() && admitted < kMost) {
      const auto context = Call(eager_);
      const auto stream = stub_->ProcessTaskStream(context.get());
      stream->WritesDone();
      status = stream->Finish();
      if (status.ok()) ++admitted;
    }
    transcript_.Refused(
        "someone eager opens stream after stream; " + std::to_string(admitted) +
            " were admitted",
        status, grpc::StatusCode::RESOURCE_EXHAUSTED,
        admitted >= kBurst &&
            grpccommon::RetryDelayOf(grpccommon::FromGrpcStatus(status)));
  }

  const std::string alice_ = Token("ALICE_TOKEN");
  const std::string bob_ = Token("BOB_TOKEN");
  const std::string admin_ = Token("ADMIN_TOKEN");
  const std::string eager_ = Token("EAGER_TOKEN");
  const std::unique_ptr<TaskService::Stub> stub_;
  Transcript transcript_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: task_demo <target>\n";
    return 64;
  }
  return Demo(argv[1]).Run() ? 0 : 1;
}
