// SPDX-License-Identifier: Apache-2.0
#include "services/task/task_service.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <future>
#include <map>
#include <thread>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "gtest/gtest.h"
#include "services/common/query.h"
#include "services/common/test_database.h"

namespace platform::task {
namespace {

using grpccommon::FromGrpcStatus;
using grpccommon::ReasonOf;
using grpccommon::testing::FakeClock;
using taskservice::BulkCreateResponse;
using taskservice::CreateTaskRequest;
using taskservice::TaskCommand;
using taskservice::TaskEvent;
using taskservice::TaskResult;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Holds up the first who asks it for the date.
class GateClock final : public grpccommon::Clock {
 public:
  TimePoint Now() const override { return clock_.Now(); }
  WallTime WallNow() const override {
    if (!asked_.exchange(true)) {
      waiting_.set_value();
      open_.get_future().wait();
    }
    return clock_.WallNow();
  }
  void WaitUntilAsked() { waiting_.get_future().wait(); }
  void Open() { open_.set_value(); }

 private:
  FakeClock clock_;
  mutable std::atomic<bool> asked_ = false;
  mutable std::promise<void> waiting_;
  mutable std::promise<void> open_;
};

// The service on a stock server; who calls is what metadata says. The chain
// (credentials, contract) has its test with the real process.
class TaskServiceTest : public common::DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (!IsSkipped()) Start();
  }
  void TearDown() override { Stop(); }

  void Start(TaskServiceOptions options = {},
             common::StoreQueueOptions queue = {},
             std::int64_t kept_changes = 10'000) {
    store_ = *StoreQueue::Create(
        [&](bool read_only) {
          return TaskStore::Open({.url = url(),
                                  .read_only = read_only,
                                  .kept_changes = kept_changes},
                                 *store_clock_);
        },
        queue);
    options.scope_of = [](const grpc::CallbackServerContext& context)
        -> absl::StatusOr<Scope> {
      const auto user = context.client_metadata().find("user");
      if (user == context.client_metadata().end()) {
        return absl::UnauthenticatedError("nobody");
      }
      const std::string name(user->second.data(), user->second.size());
      return Scope{.owner = name, .all = name == "admin"};
    };
    service_ = *TaskService::Create(*store_, options, clock_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // a window of 64 KiB
    stub_ = taskservice::TaskService::NewStub(grpc::CreateCustomChannel(
        "127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(),
        arguments));
  }
  void Stop() {
    if (server_ == nullptr) return;
    service_->EndWatches();
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
    store_.reset();
    service_.reset();
  }

  static std::unique_ptr<grpc::ClientContext> As(const std::string& user) {
    auto context = std::make_unique<grpc::ClientContext>();
    if (!user.empty()) context->AddMetadata("user", user);
    return context;
  }

  absl::StatusOr<taskservice::Task> Create(const std::string& title,
                                           const std::string& user = "ada") {
    CreateTaskRequest request;
    request.set_title(title);
    return Create(request, user);
  }
  absl::StatusOr<taskservice::Task> Create(const CreateTaskRequest& request,
                                           const std::string& user = "ada") {
    taskservice::Task task;
    const grpc::Status status =
        stub_->CreateTask(As(user).get(), request, &task);
    if (!status.ok()) return FromGrpcStatus(status);
    return task;
  }
  // The largest that there may be, nearly: 120 KB.
  absl::StatusOr<taskservice::Task> CreateLarge(const std::string& title) {
    CreateTaskRequest request;
    request.set_title(title);
    request.set_description(Characters(10'000));
    const std::string value = Characters(1000);
    for (int i = 0; i < 20; ++i) {
      (*request.mutable_metadata())[std::to_string(i)] = value;
    }
    return Create(request);
  }
  // Of four bytes each.
  static std::string Characters(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += "\U0001F600";
    return text;
  }
  absl::StatusOr<taskservice::Task> Get(const std::string& id,
                                        const std::string& user = "ada") {
    taskservice::GetTaskRequest request;
    request.set_id(id);
    taskservice::Task task;
    const grpc::Status status = stub_->GetTask(As(user).get(), request, &task);
    if (!status.ok()) return FromGrpcStatus(status);
    return task;
  }
  absl::StatusOr<taskservice::Task> Update(
      const std::string& id, const std::string& title,
      taskservice::TaskStatus task_status =
          taskservice::TASK_STATUS_UNSPECIFIED,
      const std::string& user = "ada") {
    taskservice::UpdateTaskRequest request;
    request.set_id(id);
    request.set_title(title);
    request.set_status(task_status);
    taskservice::Task task;
    const grpc::Status status =
        stub_->UpdateTask(As(user).get(), request, &task);
    if (!status.ok()) return FromGrpcStatus(status);
    return task;
  }
  absl::Status Delete(const std::string& id, const std::string& user = "ada") {
    taskservice::DeleteTaskRequest request;
    request.set_id(id);
    google::protobuf::Empty response;
    return FromGrpcStatus(
        stub_->DeleteTask(As(user).get(), request, &response));
  }
  absl::StatusOr<taskservice::ListTasksResponse> List(
      int size = 0, const std::string& token = "",
      const std::string& filter = "", const std::string& user = "ada") {
    taskservice::ListTasksRequest request;
    request.set_page_size(size);
    request.set_page_token(token);
    request.set_filter(filter);
    taskservice::ListTasksResponse response;
    const grpc::Status status =
        stub_->ListTasks(As(user).get(), request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }

  struct Watch {
    Watch() = default;
    Watch(Watch&&) = default;
    ~Watch() {
      if (context != nullptr) context->TryCancel();
    }
    TaskEvent Next() const {
      TaskEvent event;
      EXPECT_TRUE(reader->Read(&event)) << reader->Finish().error_message();
      return event;
    }
    std::string NextTitle() const { return Next().task().title(); }
    // How the stream ends, after the events of these titles.
    absl::Status End(std::vector<std::string>& titles) const {
      TaskEvent event;
      while (reader->Read(&event)) titles.push_back(event.task().title());
      return FromGrpcStatus(reader->Finish());
    }

    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientReader<TaskEvent>> reader;
  };
  Watch StartWatch(const taskservice::WatchTasksRequest& request = {},
                   const std::string& user = "ada") {
    Watch watch;
    watch.context = As(user);
    watch.reader = stub_->WatchTasks(watch.context.get(), request);
    return watch;
  }
  // Another process at the same database.
  std::unique_ptr<TaskStore> OtherStore(std::int64_t kept_changes = 10'000) {
    return *TaskStore::Open({.url = url(), .kept_changes = kept_changes},
                            clock_);
  }
  static void ChangeIn(TaskStore& store, const std::string& title,
                       const std::string& owner = "ada") {
    ASSERT_TRUE(store.database().Begin().ok());
    ASSERT_TRUE(store.Create(owner, {.title = title}).ok());
    ASSERT_TRUE(store.database().Commit().ok());
  }
  // Returns once changes are told as they come.
  void WaitForWatchers(std::size_t count) {
    while (service_->watchers() != count) std::this_thread::yield();
  }

  FakeClock clock_;
  const grpccommon::Clock* store_clock_ = &clock_;
  std::unique_ptr<StoreQueue> store_;
  std::unique_ptr<TaskService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<taskservice::TaskService::Stub> stub_;
};

PLATFORM_INSTANTIATE_ON_DATABASES(TaskServiceTest);

std::vector<std::string> Titles(
    const google::protobuf::RepeatedPtrField<taskservice::Task>& tasks) {
  std::vector<std::string> titles;
  for (const taskservice::Task& task : tasks) titles.push_back(task.title());
  return titles;
}

TEST_P(TaskServiceTest, CreatesATaskWithDefaults) {
  CreateTaskRequest request;
  request.set_title("Buy milk");
  request.set_description("two litres");
  request.add_labels("home");
  (*request.mutable_metadata())["key"] = "value";
  const auto task = Create(request);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->title(), "Buy milk");
  EXPECT_EQ(task->description(), "two litres");
  EXPECT_EQ(task->status(), taskservice::TASK_STATUS_TODO);
  EXPECT_EQ(task->priority(), taskservice::PRIORITY_MEDIUM);
  EXPECT_THAT(task->labels(), ElementsAre("home"));
  EXPECT_EQ(task->metadata().at("key"), "value");
  EXPECT_EQ(task->created_at().seconds(), 1767225600);
  EXPECT_EQ(task->updated_at().seconds(), 1767225600);
  EXPECT_EQ(Get(task->id())->SerializeAsString(), task->SerializeAsString());
}

TEST_P(TaskServiceTest, UpdatesWhatIsSet) {
  const auto task = Create("title");
  clock_.Advance(std::chrono::milliseconds(1500));
  const auto updated =
      Update(task->id(), "", taskservice::TASK_STATUS_IN_PROGRESS);
  ASSERT_TRUE(updated.ok());
  EXPECT_EQ(updated->title(), "title");
  EXPECT_EQ(updated->status(), taskservice::TASK_STATUS_IN_PROGRESS);
  EXPECT_EQ(updated->created_at().seconds(), 1767225600);
  EXPECT_EQ(updated->updated_at().seconds(), 1767225601);
  EXPECT_EQ(updated->updated_at().nanos(), 500'000'000);
}

TEST_P(TaskServiceTest, DeletesATask) {
  const auto task = Create("title");
  EXPECT_TRUE(Delete(task->id()).ok());
  EXPECT_EQ(Get(task->id()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Delete(task->id()).code(), absl::StatusCode::kNotFound);
}

TEST_P(TaskServiceTest, ATaskOfAnotherIsNotFound) {
  const std::string id = Create("ada's")->id();
  EXPECT_EQ(Get(id, "bob").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Update(id, "x", {}, "bob").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Delete(id, "bob").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(List(0, "", "", "bob")->total_count(), 0);
  EXPECT_TRUE(Get(id, "admin").ok());
  EXPECT_TRUE(Update(id, "by admin", {}, "admin").ok());
  EXPECT_THAT(Titles(List()->tasks()), ElementsAre("by admin"));
}

TEST_P(TaskServiceTest, RefusesACallerWhoIsNobody) {
  const auto nobody = absl::StatusCode::kUnauthenticated;
  EXPECT_EQ(Create("x", "").status().code(), nobody);
  EXPECT_EQ(Get("x", "").status().code(), nobody);
  EXPECT_EQ(Update("x", "x", {}, "").status().code(), nobody);
  EXPECT_EQ(Delete("x", "").code(), nobody);
  EXPECT_EQ(List(0, "", "", "").status().code(), nobody);
  TaskEvent event;
  const Watch watch = StartWatch({}, "");
  EXPECT_FALSE(watch.reader->Read(&event));
  EXPECT_EQ(FromGrpcStatus(watch.reader->Finish()).code(), nobody);
  grpc::ClientContext bulk_context;
  BulkCreateResponse response;
  EXPECT_EQ(
      FromGrpcStatus(stub_->BulkCreateTasks(&bulk_context, &response)->Finish())
          .code(),
      nobody);
  grpc::ClientContext stream_context;
  EXPECT_EQ(FromGrpcStatus(stub_->ProcessTaskStream(&stream_context)->Finish())
                .code(),
            nobody);
}

TEST_P(TaskServiceTest, ListsPagesThatSurviveInserts) {
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(Create(std::to_string(i)).ok());
  auto page = List();
  EXPECT_THAT(page->tasks(), SizeIs(10));
  EXPECT_EQ(page->total_count(), 25);
  std::vector<std::string> titles = Titles(page->tasks());
  for (int i = 25; !page->next_page_token().empty(); ++i) {
    if (i < 28) {
      ASSERT_TRUE(Create(std::to_string(i)).ok());
    }
    page = List(7, page->next_page_token());
    ASSERT_TRUE(page.ok()) << page.status();
    const auto more = Titles(page->tasks());
    titles.insert(titles.end(), more.begin(), more.end());
  }
  ASSERT_THAT(titles, SizeIs(28));
  for (int i = 0; i < 28; ++i) EXPECT_EQ(titles[i], std::to_string(i));
}

TEST_P(TaskServiceTest, APageOfLargeTasksEndsBeforeItOutgrowsAMessage) {
  constexpr int kCount = 60;
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE(CreateLarge(std::to_string(i)).ok());
  }
  std::vector<std::string> titles;
  std::string token;
  do {
    const auto page = List(1000, token);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LE(page->ByteSizeLong(), 3u << 20);
    EXPECT_EQ(page->total_count(), kCount);
    for (const std::string& title : Titles(page->tasks())) {
      titles.push_back(title);
    }
    token = page->next_page_token();
  } while (!token.empty());
  ASSERT_THAT(titles, SizeIs(kCount));
  for (int i = 0; i < kCount; ++i) EXPECT_EQ(titles[i], std::to_string(i));
}

TEST_P(TaskServiceTest, APageHasATaskHoweverLarge) {
  Stop();
  Start({.max_page_bytes = 1000});
  for (const char* title : {"one", "two"}) {
    ASSERT_TRUE(CreateLarge(title).ok());
  }
  const auto page = List();
  EXPECT_THAT(Titles(page->tasks()), ElementsAre("one"));
  const auto next = List(0, page->next_page_token());
  EXPECT_THAT(Titles(next->tasks()), ElementsAre("two"));
  EXPECT_EQ(next->next_page_token(), "");
}

TEST_P(TaskServiceTest, KeysOfMetadataHaveALimit) {
  CreateTaskRequest request;
  request.set_title("x");
  std::string key;
  for (int i = 0; i < 100; ++i) key += "\u00e9";
  (*request.mutable_metadata())[key] = "";
  EXPECT_TRUE(Create(request).ok());
  (*request.mutable_metadata())[key + "e"] = "";
  const absl::Status status = Create(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  google::rpc::BadRequest details;
  ASSERT_TRUE(grpccommon::GetDetail(status, details));
  EXPECT_EQ(details.field_violations(0).field(), "metadata");

  BulkCreateResponse response;
  const auto bulk_context = As("ada");
  const auto writer = stub_->BulkCreateTasks(bulk_context.get(), &response);
  writer->Write(request);
  writer->WritesDone();
  EXPECT_TRUE(writer->Finish().ok());
  ASSERT_THAT(response.errors(), SizeIs(1));
  EXPECT_THAT(response.errors(0).message(), HasSubstr("metadata"));

  const auto context = As("ada");
  const auto stream = stub_->ProcessTaskStream(context.get());
  TaskCommand command;
  *command.mutable_create() = request;
  stream->Write(command);
  stream->WritesDone();
  TaskResult result;
  ASSERT_TRUE(stream->Read(&result));
  EXPECT_THAT(result.error_message(), HasSubstr("create.metadata"));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(List()->total_count(), 1);
}

TEST_P(TaskServiceTest, FiltersAList) {
  EXPECT_TRUE(Create("Milk").ok());
  EXPECT_TRUE(Create("bread").ok());
  const auto page = List(0, "", "mIL");
  EXPECT_THAT(Titles(page->tasks()), ElementsAre("Milk"));
  EXPECT_EQ(page->total_count(), 1);
}

TEST_P(TaskServiceTest, NamesThePageTokenThatIsNone) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Create("x").ok());
  const std::string token = List(1, "", "x")->next_page_token();
  EXPECT_TRUE(List(1, token, "x").ok());
  for (const auto& [bad, filter] :
       {std::pair<std::string, std::string>{"10", ""},
        {"'; DROP TABLE tasks; --", ""},
        {token + "A", "x"},
        {token, "y"}}) {
    const absl::Status status = List(1, bad, filter).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    google::rpc::BadRequest details;
    ASSERT_TRUE(grpccommon::GetDetail(status, details));
    EXPECT_EQ(details.field_violations(0).field(), "page_token");
  }
}

TEST_P(TaskServiceTest, KeepsTasksOverARestart) {
  const auto task = Create("before");
  const std::string token = List(1)->next_page_token();
  Stop();
  Start();
  EXPECT_EQ(Get(task->id())->SerializeAsString(), task->SerializeAsString());
}

TEST_P(TaskServiceTest, WatchBeginsWithTheTasksAsTheyAre) {
  EXPECT_TRUE(Create("one").ok());
  EXPECT_TRUE(Create("two").ok());
  EXPECT_TRUE(Create("bob's", "bob").ok());
  const Watch watch = StartWatch();
  for (const char* title : {"one", "two"}) {
    const TaskEvent event = watch.Next();
    EXPECT_EQ(event.event_type(), taskservice::EVENT_TYPE_CREATED);
    EXPECT_EQ(event.task().title(), title);
    EXPECT_TRUE(event.initial());
    EXPECT_EQ(event.resume_token(), "");
  }
}

TEST_P(TaskServiceTest, WatchTellsChangesAsTheyCome) {
  const Watch watch = StartWatch();
  WaitForWatchers(1);
  const auto task = Create("one");
  EXPECT_TRUE(Create("bob's", "bob").ok());
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_TRUE(Update(task->id(), "two").ok());
  EXPECT_TRUE(Update(task->id(), "two").ok());  // changes nothing
  EXPECT_TRUE(Delete(task->id()).ok());
  TaskEvent event = watch.Next();
  EXPECT_EQ(event.event_type(), taskservice::EVENT_TYPE_CREATED);
  EXPECT_EQ(event.task().SerializeAsString(), task->SerializeAsString());
  EXPECT_FALSE(event.initial());
  EXPECT_NE(event.resume_token(), "");
  event = watch.Next();
  EXPECT_EQ(event.event_type(), taskservice::EVENT_TYPE_UPDATED);
  EXPECT_EQ(event.task().title(), "two");
  EXPECT_EQ(event.timestamp().seconds(), 1767225605);
  event = watch.Next();
  EXPECT_EQ(event.event_type(), taskservice::EVENT_TYPE_DELETED);
  EXPECT_EQ(event.task().id(), task->id());
}

TEST_P(TaskServiceTest, WatchTellsAnAdminOfAll) {
  const Watch watch = StartWatch({}, "admin");
  WaitForWatchers(1);
  EXPECT_TRUE(Create("ada's").ok());
  EXPECT_TRUE(Create("bob's", "bob").ok());
  EXPECT_EQ(watch.NextTitle(), "ada's");
  EXPECT_EQ(watch.NextTitle(), "bob's");
}

TEST_P(TaskServiceTest, WatchFilters) {
  EXPECT_TRUE(Create("Milk 1").ok());
  EXPECT_TRUE(Create("bread 1").ok());
  taskservice::WatchTasksRequest request;
  request.set_filter("milk");
  const Watch watch = StartWatch(request);
  EXPECT_EQ(watch.NextTitle(), "Milk 1");
  WaitForWatchers(1);
  EXPECT_TRUE(Create("bread 2").ok());
  EXPECT_TRUE(Create("Milk 2").ok());
  EXPECT_EQ(watch.NextTitle(), "Milk 2");
}

TEST_P(TaskServiceTest, WatchLeavesTheTasksOutWhenAskedTo) {
  EXPECT_TRUE(Create("before").ok());
  taskservice::WatchTasksRequest request;
  request.set_include_initial(false);
  const Watch watch = StartWatch(request);
  WaitForWatchers(1);
  EXPECT_TRUE(Create("after").ok());
  EXPECT_EQ(watch.NextTitle(), "after");
}

TEST_P(TaskServiceTest, WatchResumesAfterAnEvent) {
  std::string token;
  {
    const Watch watch = StartWatch();
    WaitForWatchers(1);
    EXPECT_TRUE(Create("one").ok());
    token = watch.Next().resume_token();
  }
  const auto task = Create("two");
  EXPECT_TRUE(Update(task->id(), "three").ok());
  Stop();
  Start();
  EXPECT_TRUE(Create("four").ok());
  taskservice::WatchTasksRequest request;
  request.set_resume_token(token);
  const Watch watch = StartWatch(request);
  EXPECT_EQ(watch.NextTitle(), "two");
  EXPECT_EQ(watch.NextTitle(), "three");
  const TaskEvent event = watch.Next();
  EXPECT_EQ(event.task().title(), "four");
  EXPECT_FALSE(event.initial());
  WaitForWatchers(1);
  EXPECT_TRUE(Create("five").ok());
  EXPECT_EQ(watch.NextTitle(), "five");
}

TEST_P(TaskServiceTest, WatchRefusesATokenThatIsNoneOrTooOld) {
  Stop();
  Start({}, {}, /*kept_changes=*/10);
  std::string token;
  {
    const Watch watch = StartWatch();
    WaitForWatchers(1);
    EXPECT_TRUE(Create("one").ok());
    token = watch.Next().resume_token();
  }
  for (int i = 0; i < 600; ++i) EXPECT_TRUE(Create("x").ok());
  taskservice::WatchTasksRequest request;
  request.set_resume_token(token);
  TaskEvent event;
  const Watch old = StartWatch(request);
  EXPECT_FALSE(old.reader->Read(&event));
  absl::Status status = FromGrpcStatus(old.reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(status), "RESUME_TOKEN_EXPIRED");

  request.set_resume_token("nonsense");
  const Watch bad = StartWatch(request);
  EXPECT_FALSE(bad.reader->Read(&event));
  status = FromGrpcStatus(bad.reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("resume_token"));
}

// What a client knows that applies the events of a watch.
class Mirror {
 public:
  // False if an event does not fit to what came before.
  bool Apply(const TaskEvent& event) {
    const std::string& id = event.task().id();
    const bool known = tasks_.count(id) > 0;
    switch (event.event_type()) {
      case taskservice::EVENT_TYPE_CREATED:
        tasks_[id] = event.task();
        return !known;
      case taskservice::EVENT_TYPE_UPDATED: {
        const bool newer = known && tasks_[id].title() != event.task().title();
        tasks_[id] = event.task();
        return newer;
      }
      default:
        return tasks_.erase(id) > 0;
    }
  }
  std::map<std::string, std::string> titles() const {
    std::map<std::string, std::string> titles;
    for (const auto& [id, task] : tasks_) titles[id] = task.title();
    return titles;
  }

 private:
  std::map<std::string, taskservice::Task> tasks_;
};

TEST_P(TaskServiceTest, NothingIsLostOrDoubledBetweenTheTasksAndTheChanges) {
  Stop();
  // Pages of a few tasks each, so that much changes between them.
  Start({.watch_queue = 8});
  std::vector<std::string> ids;
  for (int i = 0; i < 200; ++i) ids.push_back(Create(std::to_string(i))->id());
  std::atomic<bool> stop = false;
  std::atomic<int> number = 0;
  std::thread changer([&] {
    for (int i = 0; !stop; ++i) {
      const std::string title = "change " + std::to_string(number++);
      switch (i % 4) {
        case 0:
          (void)Update(ids[(i * 7) % 150], title);
          break;
        case 1:
          (void)Create(title);
          break;
        case 2:
          (void)Update(ids[(i * 13) % 150], title);
          break;
        default:
          if (!ids.empty() && ids.size() > 150) {
            (void)Delete(ids.back());
            ids.pop_back();
          }
      }
    }
    (void)Create("the last");
  });
  for (int round = 0; round < 5; ++round) {
    const Watch watch = StartWatch();
    Mirror mirror;
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(mirror.Apply(watch.Next()));
    if (round < 4) continue;
    // Only changes have a token: the tasks there were have all come. Else the
    // last could be one of them, and changes would still be on their way.
    TaskEvent event;
    while (event.resume_token().empty()) {
      event = watch.Next();
      ASSERT_TRUE(mirror.Apply(event));
    }
    stop = true;
    while (event.task().title() != "the last") {
      event = watch.Next();
      ASSERT_TRUE(mirror.Apply(event));
    }
    changer.join();
    std::map<std::string, std::string> titles;
    const auto all = List(1000);
    for (const taskservice::Task& task : all->tasks()) {
      titles[task.id()] = task.title();
    }
    EXPECT_EQ(mirror.titles(), titles);
  }
}

TEST_P(TaskServiceTest, ASlowWatcherIsToldSoAndResumes) {
  Stop();
  Start({.watch_queue = 4});
  CreateTaskRequest large;
  large.set_description(std::string(10'000, 'x'));
  Watch watch = StartWatch();
  WaitForWatchers(1);
  int created = 0;
  while (service_->watchers() == 1 && created < 1000) {
    large.set_title(std::to_string(created++));
    ASSERT_TRUE(Create(large).ok());
  }
  large.set_title(std::to_string(created++));
  ASSERT_TRUE(Create(large).ok());
  ASSERT_LT(created, 1000);

  int next = 0;
  TaskEvent event;
  while (watch.reader->Read(&event)) {
    EXPECT_EQ(event.task().title(), std::to_string(next++));
  }
  const absl::Status status = FromGrpcStatus(watch.reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "SLOW_READER");
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(grpccommon::GetDetail(status, info));
  EXPECT_EQ(info.metadata().at("resume_token"), event.resume_token());

  taskservice::WatchTasksRequest request;
  request.set_resume_token(event.resume_token());
  const Watch resumed = StartWatch(request);
  while (next < created) {
    EXPECT_EQ(resumed.NextTitle(), std::to_string(next++));
  }
}

TEST_P(TaskServiceTest, ALargeListWaitsForASlowWatcher) {
  CreateTaskRequest large;
  large.set_description(std::string(10'000, 'x'));
  for (int i = 0; i < 60; ++i) {
    large.set_title(std::to_string(i));
    ASSERT_TRUE(Create(large).ok());
  }
  Stop();
  Start({.watch_queue = 2});
  const Watch watch = StartWatch();
  EXPECT_TRUE(Create("changed meanwhile").ok());
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(watch.NextTitle(), std::to_string(i));
  }
  EXPECT_EQ(watch.NextTitle(), "changed meanwhile");
}

TEST_P(TaskServiceTest, FewLargeEventsMakeAWatcherSlow) {
  const Watch watch = StartWatch();
  WaitForWatchers(1);
  int created = 0;
  while (service_->watchers() == 1 && created < 300) {
    ASSERT_TRUE(CreateLarge(std::to_string(created++)).ok());
  }
  EXPECT_LT(created, 150);  // 16 MiB, and what the connection takes
  std::vector<std::string> titles;
  EXPECT_EQ(ReasonOf(watch.End(titles)), "SLOW_READER");
}

TEST_P(TaskServiceTest, ASlowWatcherOfNoChangeYetResumesWhereItsTasksEnd) {
  Stop();
  Start({.watch_queue = 2});
  // Larger than what the connection takes: it stays the last that was sent.
  ASSERT_TRUE(CreateLarge("there before").ok());
  const Watch watch = StartWatch();
  WaitForWatchers(1);
  for (int i = 0; service_->watchers() == 1; ++i) {
    ASSERT_TRUE(Create(std::to_string(i)).ok());
  }
  std::vector<std::string> titles;
  const absl::Status status = watch.End(titles);
  EXPECT_THAT(titles, ElementsAre("there before"));
  EXPECT_EQ(ReasonOf(status), "SLOW_READER");
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(grpccommon::GetDetail(status, info));
  taskservice::WatchTasksRequest request;
  request.set_resume_token(info.metadata().at("resume_token"));
  const Watch resumed = StartWatch(request);
  for (const char* title : {"0", "1", "2"}) {
    EXPECT_EQ(resumed.NextTitle(), title);
  }
}

TEST_P(TaskServiceTest, ReadsLargeTasksForAWatcherOnlyAsItTakesThem) {
  constexpr int kCount = 40;
  std::string last;
  for (int i = 0; i < kCount; ++i) {
    last = CreateLarge(std::to_string(i))->id();
  }
  const Watch watch = StartWatch();
  EXPECT_EQ(watch.NextTitle(), "0");
  // It has not been read yet, or it would come.
  ASSERT_TRUE(Delete(last).ok());
  ASSERT_TRUE(Create("the end").ok());
  for (int i = 1; i < kCount - 1; ++i) {
    EXPECT_EQ(watch.NextTitle(), std::to_string(i));
  }
  EXPECT_EQ(watch.NextTitle(), "the end");
}

TEST_P(TaskServiceTest, AWatcherWhoseChangesAreNotKeptIsToldSo) {
  Stop();
  Start({.watch_queue = 2}, {}, /*kept_changes=*/10);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(CreateLarge(std::to_string(i)).ok());
  }
  const Watch watch = StartWatch();
  EXPECT_EQ(watch.NextTitle(), "0");
  const std::string id = Create("changes")->id();
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(Update(id, std::to_string(i)).ok());
  }
  std::vector<std::string> titles;
  const absl::Status status = watch.End(titles);
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(status), "CHANGES_NOT_KEPT");
  EXPECT_THAT(titles, SizeIs(20));
}

TEST_P(TaskServiceTest, WatchTellsWhatOtherProcessesChange) {
  const auto other = OtherStore();
  const Watch early = StartWatch();
  WaitForWatchers(1);
  ChangeIn(*other, "theirs 1");
  ChangeIn(*other, "theirs of bob", "bob");
  // Begins after changes that the first has not been told.
  taskservice::WatchTasksRequest live;
  live.set_include_initial(false);
  const Watch late = StartWatch(live);
  WaitForWatchers(2);
  ChangeIn(*other, "theirs 2");
  ASSERT_TRUE(Create("ours 1").ok());
  ASSERT_TRUE(Create("ours 2").ok());
  ChangeIn(*other, "theirs 3");
  service_->LookForChangesOfOthers();
  for (const char* title :
       {"theirs 1", "theirs 2", "ours 1", "ours 2", "theirs 3"}) {
    EXPECT_EQ(early.NextTitle(), title);
  }
  for (const char* title : {"theirs 2", "ours 1", "ours 2", "theirs 3"}) {
    EXPECT_EQ(late.NextTitle(), title);
  }
}

TEST_P(TaskServiceTest, WatchTellsManyChangesOfOthersInOrder) {
  constexpr int kCount = 600;  // more than are read at a time
  const auto other = OtherStore();
  const Watch watch = StartWatch();
  WaitForWatchers(1);
  ASSERT_TRUE(other->database().Begin().ok());
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE(other->Create("ada", {.title = std::to_string(i)}).ok());
  }
  ASSERT_TRUE(other->database().Commit().ok());
  service_->LookForChangesOfOthers();
  for (int i = 0; i < kCount; ++i) {
    EXPECT_EQ(watch.NextTitle(), std::to_string(i));
  }
}

TEST_P(TaskServiceTest, WatchEndsIfTheDatabaseIsPutBack) {
  // Seen by a change of this process, or by a look.
  for (const bool changed : {true, false}) {
    ASSERT_TRUE(Create("x").ok());
    taskservice::WatchTasksRequest request;
    request.set_include_initial(false);
    const Watch watch = StartWatch(request);
    WaitForWatchers(1);
    auto database = common::Database::Open({.url = url(), .service = "other"});
    ASSERT_TRUE((*database)->Begin().ok());
    ASSERT_TRUE(
        (*database)
            ->Run([](soci::session& sql) {
              common::Query(sql, "DELETE FROM task_changes").Run();
              common::Query(sql, "UPDATE task_sequence SET latest = 0").Run();
              return absl::OkStatus();
            })
            .ok());
    ASSERT_TRUE((*database)->Commit().ok());
    if (changed) {
      ASSERT_TRUE(Delete(List()->tasks(0).id()).ok());
    } else {
      service_->LookForChangesOfOthers();
    }
    std::vector<std::string> titles;
    EXPECT_EQ(ReasonOf(watch.End(titles)), "CHANGES_NOT_KEPT");
    EXPECT_THAT(titles, IsEmpty());
    WaitForWatchers(0);
  }
}

TEST_P(TaskServiceTest, WatchEndsIfChangesOfOthersAreNotKept) {
  const auto other = OtherStore(/*kept_changes=*/10);
  const Watch watch = StartWatch();
  WaitForWatchers(1);
  for (int i = 0; i < 300; ++i) ChangeIn(*other, "x");
  service_->LookForChangesOfOthers();
  std::vector<std::string> titles;
  const absl::Status status = watch.End(titles);
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(status), "CHANGES_NOT_KEPT");
  EXPECT_THAT(titles, IsEmpty());
  const Watch again = StartWatch();  // others may come
  EXPECT_EQ(again.NextTitle(), "x");
}

TEST_P(TaskServiceTest, ForgetsAWatcherThatHasGone) {
  {
    const Watch watch = StartWatch();
    WaitForWatchers(1);
  }
  WaitForWatchers(0);
  EXPECT_TRUE(Create("x").ok());
}

TEST_P(TaskServiceTest, NobodyTakesAllPlacesOfWatchers) {
  Stop();
  Start({.max_watches_per_owner = 1});
  EXPECT_TRUE(Create("x").ok());
  TaskEvent event;
  {
    const Watch first = StartWatch();
    EXPECT_EQ(first.NextTitle(), "x");
    const Watch second = StartWatch();
    EXPECT_FALSE(second.reader->Read(&event));
    const absl::Status refused = FromGrpcStatus(second.reader->Finish());
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(refused), "CALLER_WATCHES_TOO_MUCH");
    const Watch of_bob = StartWatch({}, "bob");
    WaitForWatchers(2);
  }
  // The place is free once the server has seen the end of the stream.
  for (bool watching = false; !watching;) {
    const Watch again = StartWatch();
    watching = again.reader->Read(&event);
  }
}

TEST_P(TaskServiceTest, EndsWatchesSoThatTheServerCanDrain) {
  EXPECT_TRUE(Create("x").ok());
  const Watch watch = StartWatch();
  WaitForWatchers(1);
  service_->EndWatches();
  EXPECT_EQ(watch.NextTitle(), "x");
  TaskEvent event;
  EXPECT_FALSE(watch.reader->Read(&event));
  EXPECT_EQ(watch.reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  const Watch late = StartWatch();
  EXPECT_FALSE(late.reader->Read(&event));
  EXPECT_EQ(late.reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_P(TaskServiceTest, AClientThatDoesNotReadDoesNotHoldUpTheDrain) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(CreateLarge(std::to_string(i)).ok());
  }
  const Watch watch = StartWatch();
  // Comes with the first event, which is more than the connection takes.
  watch.reader->WaitForInitialMetadata();
  const auto begin = std::chrono::system_clock::now();
  service_->EndWatches();
  server_->Shutdown(begin + std::chrono::seconds(40));
  EXPECT_LT(std::chrono::system_clock::now(), begin + std::chrono::seconds(20));
  std::vector<std::string> titles;
  const absl::Status status = watch.End(titles);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the server stops"));
}

TEST_P(TaskServiceTest, BulkCreationSucceedsInPart) {
  const Watch watch = StartWatch();
  WaitForWatchers(1);
  BulkCreateResponse response;
  const auto context = As("ada");
  const auto writer = stub_->BulkCreateTasks(context.get(), &response);
  for (int i = 0; i < 250; ++i) {
    CreateTaskRequest request;
    if (i != 3) request.set_title(std::to_string(i));
    if (i == 240) request.set_title(std::string(201, 'x'));
    if (i == 5) request.set_priority(static_cast<taskservice::Priority>(99));
    ASSERT_TRUE(writer->Write(request));
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.tasks(), SizeIs(247));
  ASSERT_THAT(response.errors(), SizeIs(3));
  EXPECT_EQ(response.errors(0).index(), 3);
  EXPECT_EQ(response.errors(0).code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(response.errors(0).message(), HasSubstr("title"));
  EXPECT_EQ(response.errors(1).index(), 5);
  EXPECT_THAT(response.errors(1).message(), HasSubstr("priority"));
  EXPECT_EQ(response.errors(2).index(), 240);
  EXPECT_EQ(List(1000)->total_count(), 247);
  for (const taskservice::Task& task : response.tasks()) {
    EXPECT_EQ(watch.Next().task().id(), task.id());
  }
}

TEST_P(TaskServiceTest, BulkCreationOfNothing) {
  BulkCreateResponse response;
  const auto context = As("ada");
  const auto writer = stub_->BulkCreateTasks(context.get(), &response);
  writer->WritesDone();
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_THAT(response.tasks(), IsEmpty());
}

TEST_P(TaskServiceTest, BulkCreationStopsBeforeItsAnswerGetsTooLarge) {
  Stop();
  Start({.max_bulk_bytes = 100'000});
  BulkCreateResponse response;
  const auto context = As("ada");
  const auto writer = stub_->BulkCreateTasks(context.get(), &response);
  CreateTaskRequest request;
  request.set_title("x");
  request.set_description(std::string(9'800, 'y'));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(writer->Write(request));
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_THAT(response.tasks(), SizeIs(10));
  ASSERT_THAT(response.errors(), SizeIs(1));
  EXPECT_EQ(response.errors(0).index(), 10);
  EXPECT_EQ(response.errors(0).code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(List()->total_count(), 10);
}

TEST_P(TaskServiceTest, ABulkCreationThatBreaksOffIsNotAnswered) {
  {
    BulkCreateResponse response;
    const auto context = As("ada");
    const auto writer = stub_->BulkCreateTasks(context.get(), &response);
    CreateTaskRequest request;
    request.set_title("x");
    for (int i = 0; i < 50; ++i) writer->Write(request);
    context->TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  // Fewer than a batch had come, and half a stream is not a whole one.
  EXPECT_EQ(List()->total_count(), 0);
}

TEST_P(TaskServiceTest, CommandsAreAnsweredInOrder) {
  const auto existing = Create("existing");
  const std::string other = Create("bob's", "bob")->id();
  const auto context = As("ada");
  const auto stream = stub_->ProcessTaskStream(context.get());
  std::vector<TaskCommand> commands(8);
  commands[0].mutable_create()->set_title("new");
  commands[1].mutable_get()->set_id(existing->id());
  commands[2].mutable_update()->set_id(existing->id());
  commands[2].mutable_update()->set_title("renamed");
  commands[3].mutable_get()->set_id(existing->id());
  commands[4].mutable_create();              // without a title
  commands[5].mutable_get()->set_id(other);  // somebody else's
  commands[6].mutable_delete_()->set_id(existing->id());
  for (std::size_t i = 0; i < commands.size(); ++i) {
    commands[i].set_correlation_id("c" + std::to_string(i));
    ASSERT_TRUE(stream->Write(commands[i]));
  }
  stream->WritesDone();
  std::vector<TaskResult> results;
  TaskResult result;
  while (stream->Read(&result)) results.push_back(result);
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_THAT(results, SizeIs(8));
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].correlation_id(), "c" + std::to_string(i));
    EXPECT_EQ(results[i].success(), i != 4 && i != 5 && i != 7) << i;
    EXPECT_EQ(results[i].success(), results[i].error_code() == 0) << i;
    EXPECT_EQ(results[i].success(), results[i].error_message().empty()) << i;
  }
  EXPECT_EQ(results[0].task().title(), "new");
  EXPECT_EQ(results[1].task().title(), "existing");
  EXPECT_EQ(results[2].task().title(), "renamed");
  EXPECT_EQ(results[3].task().title(), "renamed");
  EXPECT_EQ(results[4].error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(results[4].error_message(), HasSubstr("create.title"));
  EXPECT_EQ(results[5].error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_FALSE(results[6].has_task());
  EXPECT_THAT(results[7].error_message(), HasSubstr("command"));
  EXPECT_THAT(Titles(List()->tasks()), ElementsAre("new"));
}

TEST_P(TaskServiceTest, ManyCommandsAreAnsweredAtTheClientsPace) {
  constexpr int kCount = 500;
  const auto context = As("ada");
  const auto stream = stub_->ProcessTaskStream(context.get());
  std::thread client([&] {
    for (int i = 0; i < kCount; ++i) {
      TaskCommand command;
      command.set_correlation_id(std::to_string(i));
      if (i % 10 != 9) command.mutable_create()->set_title("x");
      stream->Write(command);
    }
    stream->WritesDone();
  });
  client.join();  // reads nothing before everything is written
  TaskResult result;
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE(stream->Read(&result));
    EXPECT_EQ(result.correlation_id(), std::to_string(i));
    EXPECT_EQ(result.success(), i % 10 != 9);
  }
  EXPECT_FALSE(stream->Read(&result));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(List()->total_count(), kCount * 9 / 10);
}

TEST_P(TaskServiceTest, ACommandStreamThatBreaksOffLeavesNoTrace) {
  for (int round = 0; round < 30; ++round) {
    const auto context = As("ada");
    const auto stream = stub_->ProcessTaskStream(context.get());
    TaskCommand command;
    command.mutable_create()->set_title("x");
    for (int i = 0; i < round; ++i) stream->Write(command);
    context->TryCancel();
    (void)stream->Finish();
  }
  EXPECT_TRUE(List().ok());
}

TEST_P(TaskServiceTest, AJobMayEndAfterItsStreamAndTheService) {
  for (const bool bulk : {true, false}) {
    Stop();
    GateClock clock;
    store_clock_ = &clock;
    Start();
    const auto context = As("ada");
    BulkCreateResponse response;
    std::unique_ptr<grpc::ClientWriter<CreateTaskRequest>> creation;
    std::unique_ptr<grpc::ClientReaderWriter<TaskCommand, TaskResult>> commands;
    TaskCommand command;
    command.mutable_create()->set_title("x");
    if (bulk) {
      creation = stub_->BulkCreateTasks(context.get(), &response);
      creation->Write(command.create());
      creation->WritesDone();
    } else {
      commands = stub_->ProcessTaskStream(context.get());
      commands->Write(command);
    }
    clock.WaitUntilAsked();
    context->TryCancel();
    const grpc::Status status = bulk ? creation->Finish() : commands->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
    service_.reset();
    clock.Open();
    store_.reset();
    store_clock_ = &clock_;
  }
}

TEST_P(TaskServiceTest, RefusesCallsWhenTooManyWait) {
  Stop();
  Start({}, {.max_waiting = 1});
  std::promise<void> go_on;
  std::promise<void> running;
  ASSERT_TRUE(store_
                  ->ReadBetweenWrites([&](TaskStore&) {
                    running.set_value();
                    go_on.get_future().wait();
                  })
                  .ok());
  running.get_future().wait();
  ASSERT_TRUE(store_
                  ->Write({.run = [](TaskStore&) { return absl::OkStatus(); },
                           .done = [](const absl::Status&) {}})
                  .ok());
  const absl::Status refused = Create("refused").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), "STORE_BUSY");

  const auto context = As("ada");
  const auto stream = stub_->ProcessTaskStream(context.get());
  TaskCommand command;
  command.mutable_create()->set_title("refused");
  stream->Write(command);
  TaskResult result;
  ASSERT_TRUE(stream->Read(&result));
  EXPECT_EQ(result.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());

  BulkCreateResponse response;
  const auto bulk_context = As("ada");
  const auto bulk = stub_->BulkCreateTasks(bulk_context.get(), &response);
  CreateTaskRequest request;
  request.set_title("refused");
  bulk->Write(request);
  bulk->WritesDone();
  EXPECT_TRUE(bulk->Finish().ok());
  ASSERT_THAT(response.errors(), SizeIs(1));
  EXPECT_EQ(response.errors(0).code(), grpc::StatusCode::RESOURCE_EXHAUSTED);

  go_on.set_value();
  EXPECT_EQ(List()->total_count(), 0);
}

}  // namespace
}  // namespace platform::task
