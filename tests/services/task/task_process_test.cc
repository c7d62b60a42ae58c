// SPDX-License-Identifier: Apache-2.0
// The task service as it is deployed: the built program, its whole chain, and
// what becomes of its data when it is killed.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "gtest/gtest.h"
#include "http/raw_client.h"
#include "services/common/service_process.h"
#include "services/common/temp_folder.h"
#include "services/task/task_store.h"
#include "support/postgres_process.h"
#include "taskservice/task_service.grpc.pb.h"

namespace platform::task {
namespace {

using common::CallWith;
using grpccommon::FromGrpcStatus;
using grpccommon::test::PostgresProcess;
using taskservice::CreateTaskRequest;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class TaskProcessTest : public ::testing::Test {
 protected:
  TaskProcessTest() {
    service_.Set("APP_DATABASE", folder_ / "tasks.db");
    service_.Set("APP_DATABASE_CHECK_INTERVAL", "100ms");
  }

  std::string TokenOf(const std::string& arguments) {
    return common::DevToken(folder_ / "", arguments);
  }
  void Start() {
    channel_ = service_.Start();
    stub_ = taskservice::TaskService::NewStub(channel_);
  }

  absl::Status Create(const CreateTaskRequest& request,
                      const std::string& token, std::string* id = nullptr) {
    taskservice::Task task;
    const grpc::Status status =
        stub_->CreateTask(CallWith(token).get(), request, &task);
    if (id != nullptr) *id = task.id();
    return FromGrpcStatus(status);
  }
  std::set<std::string> List(const std::string& token) {
    std::set<std::string> ids;
    taskservice::ListTasksRequest request;
    request.set_page_size(1000);
    do {
      taskservice::ListTasksResponse response;
      const grpc::Status status =
          stub_->ListTasks(CallWith(token).get(), request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      for (const taskservice::Task& task : response.tasks()) {
        EXPECT_TRUE(ids.insert(task.id()).second);
      }
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return ids;
  }

  grpccommon::testing::RawResponse Readiness() const {
    grpccommon::testing::RawClient client(service_.HttpPort());
    client.Send("GET /healthz/ready HTTP/1.1\r\nhost: x\r\n\r\n");
    return client.ReadResponse();
  }

  common::TempFolder folder_;
  common::ServiceProcess service_{TASK_SERVICE, folder_ / ""};
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<taskservice::TaskService::Stub> stub_;
};

// Four clients create tasks until `harm` is done; returns what was
// acknowledged.
std::set<std::string> CreateUntil(
    const std::function<absl::Status(std::string*)>& create,
    const std::function<void()>& harm) {
  std::mutex mutex;
  std::set<std::string> acknowledged;
  std::atomic<int> count = 0;
  std::atomic<bool> harmed = false;
  std::vector<std::thread> clients;
  for (int t = 0; t < 4; ++t) {
    clients.emplace_back([&] {
      for (std::string id;;) {
        const bool after = harmed;
        if (create(&id).ok()) {
          const std::lock_guard lock(mutex);
          acknowledged.insert(id);
          ++count;
        } else if (after) {
          return;
        }
      }
    });
  }
  while (count < 100) std::this_thread::yield();
  harm();
  harmed = true;
  for (std::thread& client : clients) client.join();
  return acknowledged;
}

TEST_F(TaskProcessTest, KeepsEveryAcknowledgedTaskWhenKilled) {
  const std::string token = TokenOf("--subject ada");
  CreateTaskRequest request;
  request.set_title("task");
  request.set_description(std::string(1000, 'x'));
  const bool has_postgresql = PostgresProcess::Available();
  for (const bool on_postgresql : {false, true}) {
    if (on_postgresql && !has_postgresql) continue;
    if (on_postgresql) {
      service_.Set("APP_DATABASE", PostgresProcess::Shared().NewDatabase());
    }
    std::set<std::string> acknowledged;
    for (int round = 0; round < 3; ++round) {
      Start();
      acknowledged.merge(CreateUntil(
          [&](std::string* id) { return Create(request, token, id); },
          [&] { EXPECT_EQ(service_.Kill(SIGKILL), -SIGKILL); }));
    }
    Start();
    const std::set<std::string> kept = List(token);
    for (const std::string& id : acknowledged) EXPECT_EQ(kept.count(id), 1u);
    EXPECT_GE(acknowledged.size(), 300u);
    service_.Kill(SIGKILL);
  }
}

TEST_F(TaskProcessTest, KeepsEveryAcknowledgedTaskWhenItsDatabaseIsKilled) {
  if (!PostgresProcess::Available()) GTEST_SKIP() << "needs PostgreSQL";
  PostgresProcess& server = PostgresProcess::Shared();
  service_.Set("APP_DATABASE", server.NewDatabase());
  const std::string token = TokenOf("--subject ada");
  Start();
  CreateTaskRequest request;
  request.set_title("task");
  std::set<std::string> acknowledged;
  for (int round = 0; round < 2; ++round) {
    absl::Status refused;
    std::mutex mutex;
    acknowledged.merge(CreateUntil(
        [&](std::string* id) {
          absl::Status created = Create(request, token, id);
          const std::lock_guard lock(mutex);
          if (!created.ok()) refused = created;
          return created;
        },
        [&] { server.Kill(); }));
    EXPECT_THAT(refused.code(), ::testing::AnyOf(absl::StatusCode::kUnavailable,
                                                 absl::StatusCode::kUnknown));
    server.Start();
    // The process is the same, and has found its database again.
    while (!Create(request, token).ok()) std::this_thread::yield();
  }
  const std::set<std::string> kept = List(token);
  for (const std::string& id : acknowledged) EXPECT_EQ(kept.count(id), 1u);
  EXPECT_EQ(service_.Kill(SIGTERM), 0) << service_.Log();
}

TEST_F(TaskProcessTest, StopsOnASignalAndKeepsItsData) {
  const std::string token = TokenOf("--subject ada");
  Start();
  CreateTaskRequest request;
  request.set_title("task");
  ASSERT_TRUE(Create(request, token).ok());
  const auto context = CallWith(token);
  const auto watch =
      stub_->WatchTasks(context.get(), taskservice::WatchTasksRequest());
  taskservice::TaskEvent event;
  ASSERT_TRUE(watch->Read(&event));
  service_.Signal(SIGTERM);
  EXPECT_FALSE(watch->Read(&event));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(service_.WaitForExit(), 0) << service_.Log();
  Start();
  EXPECT_THAT(List(token), SizeIs(1));
}

TEST_F(TaskProcessTest, WatchesTellWhatAnotherProcessChanges) {
  const std::string token = TokenOf("--subject ada");
  Start();
  const auto context = CallWith(token);
  const auto watch =
      stub_->WatchTasks(context.get(), taskservice::WatchTasksRequest());
  common::ServiceProcess other(TASK_SERVICE, folder_ / "", "other");
  other.Set("APP_DATABASE", folder_ / "tasks.db");
  stub_ = taskservice::TaskService::NewStub(other.Start());
  CreateTaskRequest request;
  request.set_title("theirs");
  // The first may come as the watch begins.
  for (int i = 0; i < 3; ++i) {
    std::string id;
    ASSERT_TRUE(Create(request, token, &id).ok());
    taskservice::TaskEvent event;
    ASSERT_TRUE(watch->Read(&event)) << watch->Finish().error_message();
    EXPECT_EQ(event.task().id(), id);
  }
}

TEST_F(TaskProcessTest, LetsInWhomTheContractLetsIn) {
  const std::string ada = TokenOf("--subject ada");
  const std::string bob = TokenOf("--subject bob");
  const std::string admin = TokenOf("--subject root --role admin");
  Start();
  CreateTaskRequest request;
  request.set_title("ada's");
  EXPECT_EQ(Create(request, "").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Create(request, ada + "x").code(),
            absl::StatusCode::kUnauthenticated);
  std::string id;
  ASSERT_TRUE(Create(request, ada, &id).ok());
  taskservice::GetTaskRequest get;
  get.set_id(id);
  taskservice::Task task;
  EXPECT_EQ(stub_->GetTask(CallWith(bob).get(), get, &task).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(stub_->GetTask(CallWith(admin).get(), get, &task).ok());
  EXPECT_THAT(List(bob), SizeIs(0));
  EXPECT_THAT(List(admin), SizeIs(1));
}

// The field that an INVALID_ARGUMENT names first.
std::string InvalidField(const grpc::Status& grpc_status) {
  const absl::Status status = FromGrpcStatus(grpc_status);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  google::rpc::BadRequest details;
  if (!grpccommon::GetDetail(status, details)) return "";
  return details.field_violations(0).field();
}

TEST_F(TaskProcessTest, RefusesWhatTheContractForbidsAndChangesNothing) {
  const std::string token = TokenOf("--subject ada");
  Start();
  const auto invalid = [&](auto change) {
    CreateTaskRequest request;
    request.set_title("title");
    change(request);
    return InvalidField(grpccommon::ToGrpcStatus(Create(request, token)));
  };
  EXPECT_EQ(invalid([](auto& r) { r.clear_title(); }), "title");
  EXPECT_EQ(invalid([](auto& r) { r.set_title(std::string(201, 'x')); }),
            "title");
  EXPECT_EQ(invalid([](auto& r) { r.set_title(std::string(1, '\0')); }),
            "title");
  EXPECT_EQ(
      invalid([](auto& r) { r.set_description(std::string(10'001, 'x')); }),
      "description");
  EXPECT_EQ(invalid([](auto& r) {
              r.set_priority(static_cast<taskservice::Priority>(99));
            }),
            "priority");
  EXPECT_EQ(invalid([](auto& r) {
              for (int i = 0; i < 21; ++i) r.add_labels("x");
            }),
            "labels");
  EXPECT_EQ(invalid([](auto& r) { r.add_labels(std::string(51, 'x')); }),
            "labels[0]");
  EXPECT_EQ(invalid([](auto& r) { r.add_labels(""); }), "labels[0]");
  EXPECT_EQ(invalid([](auto& r) {
              for (int i = 0; i < 21; ++i) {
                (*r.mutable_metadata())[std::to_string(i)] = "x";
              }
            }),
            "metadata");

  taskservice::Task task;
  taskservice::GetTaskRequest get;
  get.set_id("' OR 1=1 --");
  EXPECT_EQ(InvalidField(stub_->GetTask(CallWith(token).get(), get, &task)),
            "id");
  taskservice::UpdateTaskRequest update;
  EXPECT_EQ(
      InvalidField(stub_->UpdateTask(CallWith(token).get(), update, &task)),
      "id");
  taskservice::DeleteTaskRequest remove;
  google::protobuf::Empty nothing;
  EXPECT_EQ(
      InvalidField(stub_->DeleteTask(CallWith(token).get(), remove, &nothing)),
      "id");
  for (const int size : {-1, 1001}) {
    taskservice::ListTasksRequest list;
    list.set_page_size(size);
    taskservice::ListTasksResponse page;
    EXPECT_EQ(
        InvalidField(stub_->ListTasks(CallWith(token).get(), list, &page)),
        "page_size");
  }
  EXPECT_THAT(List(token), SizeIs(0));
}

TEST_F(TaskProcessTest, CountsTextInCodePoints) {
  const std::string token = TokenOf("--subject ada");
  Start();
  CreateTaskRequest request;
  for (int i = 0; i < 200; ++i) *request.mutable_title() += "\xF0\x9F\x98\x80";
  EXPECT_TRUE(Create(request, token).ok());
  *request.mutable_title() += "x";
  EXPECT_EQ(InvalidField(grpccommon::ToGrpcStatus(Create(request, token))),
            "title");
}

TEST_F(TaskProcessTest, RefusesTextThatIsNotUtf8) {
  const std::string token = TokenOf("--subject ada");
  Start();
  // By hand, for protobuf refuses to write it: field 1, three bytes.
  const std::string bytes = "\x0a\x03x\xff\xfe";
  grpc::GenericStub generic(channel_);
  const auto context = CallWith(token);
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  grpc::CompletionQueue queue;
  const auto call = generic.PrepareUnaryCall(
      context.get(), "/taskservice.TaskService/CreateTask", request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(List(token), SizeIs(0));
}

TEST_F(TaskProcessTest, StreamsSucceedInPartBehindTheChain) {
  const std::string token = TokenOf("--subject ada");
  Start();
  const auto context = CallWith(token);
  taskservice::BulkCreateResponse response;
  const auto writer = stub_->BulkCreateTasks(context.get(), &response);
  CreateTaskRequest request;
  writer->Write(request);
  request.set_title("title");
  writer->Write(request);
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.tasks(), SizeIs(1));
  ASSERT_THAT(response.errors(), SizeIs(1));
  EXPECT_THAT(response.errors(0).message(), HasSubstr("title"));
}

TEST_F(TaskProcessTest, AFullDiskRefusesWritesAndLosesNothing) {
  const std::string token = TokenOf("--subject ada");
  service_.LimitFiles(300'000);
  Start();
  service_.LimitFiles(std::nullopt);
  CreateTaskRequest request;
  request.set_title("task");
  request.set_description(std::string(9'000, 'x'));
  std::set<std::string> acknowledged;
  absl::Status refused;
  for (std::string id; acknowledged.size() < 1000;) {
    refused = Create(request, token, &id);
    if (!refused.ok()) break;
    acknowledged.insert(id);
  }
  EXPECT_THAT(refused.code(),
              ::testing::AnyOf(absl::StatusCode::kResourceExhausted,
                               absl::StatusCode::kUnavailable));
  EXPECT_EQ(List(token), acknowledged);
  EXPECT_EQ(service_.Kill(SIGTERM), 0) << service_.Log();
  Start();
  EXPECT_EQ(List(token), acknowledged);
  EXPECT_TRUE(Create(request, token).ok());
}

TEST_F(TaskProcessTest, DoesNotServeWhileItsDatabaseCannotBeUsed) {
  using grpc::health::v1::HealthCheckResponse;
  Start();
  const auto context = CallWith("");
  const auto watch = grpc::health::v1::Health::NewStub(channel_)->Watch(
      context.get(), grpc::health::v1::HealthCheckRequest());
  const auto wait_for = [&watch](HealthCheckResponse::ServingStatus status) {
    HealthCheckResponse response;
    while (watch->Read(&response)) {
      if (response.status() == status) return true;
    }
    return false;
  };
  ASSERT_TRUE(wait_for(HealthCheckResponse::SERVING)) << service_.Log();
  EXPECT_EQ(Readiness().status, 200);
  EXPECT_THAT(Readiness().body,
              HasSubstr(R"("name":"database","status":"up")"));
  {
    // Somebody holds SQLite's lock.
    const auto other = *TaskStore::Open({.url = folder_ / "tasks.db"});
    ASSERT_TRUE(other->database().Begin().ok());
    ASSERT_TRUE(wait_for(HealthCheckResponse::NOT_SERVING)) << service_.Log();
    const auto readiness = Readiness();
    EXPECT_EQ(readiness.status, 503);
    EXPECT_THAT(readiness.body,
                HasSubstr(R"("name":"database","status":"down")"));
    ASSERT_TRUE(other->database().Commit().ok());
  }
  EXPECT_TRUE(wait_for(HealthCheckResponse::SERVING)) << service_.Log();
  EXPECT_EQ(Readiness().status, 200);
}

TEST_F(TaskProcessTest, RefusesACheckIntervalThatIsNone) {
  for (const std::string interval : {"soon", "1ns", "25h"}) {
    service_.Set("APP_DATABASE_CHECK_INTERVAL", interval);
    service_.Launch();
    EXPECT_EQ(service_.WaitForExit(), 78) << interval << service_.Log();
  }
  EXPECT_THAT(service_.Log(),
              HasSubstr("GRPCCOMMON_APP_DATABASE_CHECK_INTERVAL"));
}

TEST_F(TaskProcessTest, DoesNotStartWithoutADatabaseThatItCanWrite) {
  service_.Set("APP_DATABASE", "/proc/tasks.db");
  service_.Launch();
  EXPECT_EQ(service_.WaitForExit(), 69);
  EXPECT_THAT(service_.Log(), HasSubstr("/proc/tasks.db"));
}

}  // namespace
}  // namespace platform::task
