// SPDX-License-Identifier: Apache-2.0
// The calls, through the library's whole chain, over a sandbox that runs
// nothing.
#include "services/execution/execution_service.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpccommon/testing/test_server.h"
#include "grpccommon/v1/options.pb.h"
#include "gtest/gtest.h"
#include "services/execution/fake_sandbox.h"
#include "support/believer.h"

namespace platform::execution {
namespace {

using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::MessageIs;
using grpccommon::testing::StatusIs;
using grpccommon::testing::TestServer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kId[] = "0191b2c3-0000-7000-8000-000000000001";
constexpr char kProblem[] = "0191b2c3-0000-7000-8000-0000000000aa";

// Has every problem, with two hidden tests.
class FakeProblems final : public ProblemSource {
 public:
  void GetProblem(
      const std::string& /*id*/,
      std::function<void(absl::StatusOr<problem::v1::Problem>)> done) override {
    done(problem::v1::Problem());
  }
  void ListTestCases(
      const std::string& /*id*/,
      std::function<void(absl::StatusOr<std::vector<problem::v1::TestCase>>)>
          done) override {
    std::vector<problem::v1::TestCase> cases(2);
    for (problem::v1::TestCase& test : cases) {
      test.set_input("hidden");
      test.set_expected_output("hidden");
    }
    done(cases);
  }
};

class ExecutionServiceTest : public ::testing::Test {
 protected:
  ExecutionServiceTest() { sandbox_.PumpByItself(); }
  void SetUp() override { Start({.parallel = 2}); }

  void Start(const RunQueueOptions& queue) {
    Stop();
    queue_ = *RunQueue::Create(queue);
    programs_ = std::make_unique<ProgramCache>(sandbox_, ProgramCacheOptions(),
                                               *metrics_, grpccommon::Logger());
    executions_ = *Executions::Create(
        {languages_, *queue_, *tests_, {sandbox_, *programs_, *metrics_, {}}},
        {}, registry_);
    service_ = std::make_unique<ExecutionService>(*executions_);
    grpccommon::ServerOptions options;
    options.grpc_address = "127.0.0.1:0";
    options.auth.make_authenticator = [](grpccommon::Scheduler&,
                                         const grpccommon::Logger&) {
      return std::make_unique<grpccommon::test::Believer>();
    };
    server_ = *TestServer<v1::ExecutionService>::Start(*service_, options);
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // a window of 64 KiB
    channel_ = grpc::CreateCustomChannel(
        "127.0.0.1:" + std::to_string(server_->server().grpc_port()),
        grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::ExecutionService::NewStub(channel_);
  }
  void Stop() {
    server_.reset();
    executions_.reset();
  }
  void TearDown() override { Stop(); }

  static std::unique_ptr<grpc::ClientContext> As(const std::string& who) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(30));
    if (!who.empty()) context->AddMetadata("authorization", who);
    return context;
  }
  static v1::ExecuteRequest Request(const std::string& source,
                                    const std::string& id = "") {
    v1::ExecuteRequest request;
    request.set_execution_id(id);
    request.set_language("cpp");
    request.set_source(source);
    auto& test = *request.mutable_test_set()->add_test_cases();
    test.set_input("1");
    test.set_expected_output("1");
    return request;
  }
  absl::StatusOr<v1::Execution> Execute(const v1::ExecuteRequest& request,
                                        const std::string& who = "ada") {
    v1::ExecuteResponse response;
    const grpc::Status status =
        stub_->Execute(As(who).get(), request, &response);
    if (!status.ok()) return grpccommon::FromGrpcStatus(status);
    return response.execution();
  }
  absl::StatusOr<v1::Execution> Get(const std::string& id,
                                    const std::string& who = "ada") {
    v1::GetExecutionRequest request;
    request.set_execution_id(id);
    v1::GetExecutionResponse response;
    const grpc::Status status =
        stub_->GetExecution(As(who).get(), request, &response);
    if (!status.ok()) return grpccommon::FromGrpcStatus(status);
    return response.execution();
  }
  absl::StatusOr<v1::Execution> Cancel(const std::string& id,
                                       const std::string& who = "ada") {
    v1::CancelExecutionRequest request;
    request.set_execution_id(id);
    v1::CancelExecutionResponse response;
    const grpc::Status status =
        stub_->CancelExecution(As(who).get(), request, &response);
    if (!status.ok()) return grpccommon::FromGrpcStatus(status);
    return response.execution();
  }
  v1::Execution WaitForEnd(const std::string& id) {
    for (;;) {
      const auto execution = Get(id, "root admin");
      if (execution.ok() &&
          (execution->state() == v1::EXECUTION_STATE_DONE ||
           execution->state() == v1::EXECUTION_STATE_CANCELLED)) {
        return *execution;
      }
      std::this_thread::yield();
    }
  }
  void WaitForHeld(std::size_t count) {
    while (sandbox_.held() != count) std::this_thread::yield();
  }
  grpc::Status Batch(const v1::ExecuteBatchRequest& request,
                     std::vector<v1::BatchExecutionUpdate>& updates,
                     const std::string& who = "ada") {
    const auto context = As(who);
    const auto reader = stub_->ExecuteBatchStream(context.get(), request);
    v1::BatchExecutionUpdate update;
    while (reader->Read(&update)) updates.push_back(update);
    return reader->Finish();
  }

  const Languages languages_ = testing::FakeLanguages();
  testing::FakeSandbox sandbox_{testing::Interpret};
  FakeProblems problems_;
  grpccommon::MetricsRegistry registry_;
  std::unique_ptr<ExecutionMetrics> metrics_ =
      *ExecutionMetrics::Create(registry_);
  std::unique_ptr<ProblemTests> tests_ =
      *ProblemTests::Create(problems_, {}, *metrics_);
  std::unique_ptr<RunQueue> queue_;
  std::unique_ptr<ProgramCache> programs_;
  std::unique_ptr<Executions> executions_;
  std::unique_ptr<ExecutionService> service_;
  std::unique_ptr<TestServer<v1::ExecutionService>> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ExecutionService::Stub> stub_;
};

TEST_F(ExecutionServiceTest, AnswersWithTheVerdict) {
  const auto execution = Execute(Request("echo", kId));
  ASSERT_TRUE(execution.ok()) << execution.status();
  EXPECT_EQ(execution->id(), kId);
  EXPECT_EQ(execution->state(), v1::EXECUTION_STATE_DONE);
  EXPECT_EQ(execution->verdict(), v1::VERDICT_ACCEPTED);
  EXPECT_EQ(execution->tests(0).output(), "1");
  EXPECT_EQ(Execute(Request("print 2"))->verdict(), v1::VERDICT_WRONG_ANSWER);
  const auto broken = Execute(Request("nonsense"));
  EXPECT_EQ(broken->verdict(), v1::VERDICT_COMPILE_ERROR);
  EXPECT_THAT(broken->compiler_output(), HasSubstr("error"));
}

TEST_F(ExecutionServiceTest, AnswersADetachedOneAtOnce) {
  v1::ExecuteRequest request = Request("spin", kId);
  request.set_detached(true);
  const auto execution = Execute(request);
  ASSERT_TRUE(execution.ok()) << execution.status();
  EXPECT_EQ(execution->id(), kId);
  EXPECT_EQ(execution->state(), v1::EXECUTION_STATE_QUEUED);
  WaitForHeld(1);
  EXPECT_EQ(Get(kId)->state(), v1::EXECUTION_STATE_RUNNING);
  const auto cancelled = Cancel(kId);
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->state(), v1::EXECUTION_STATE_CANCELLED);
  EXPECT_EQ(Get(kId)->state(), v1::EXECUTION_STATE_CANCELLED);
}

// However a problem's author spreads what its tests may take, a program that
// does nothing wrong but to take it gets its verdict.
TEST_F(ExecutionServiceTest, AStreamLastsAsLongAsTestsMayTake) {
  // What the problem service lets a problem's tests be.
  constexpr int kMostTests = 200;
  constexpr std::chrono::minutes kMostTime{10};
  const auto longest =
      BuildRequest(languages_.all()[0], "", nullptr).limits.wall_time +
      kMostTests * RunRequest(languages_.all()[0], nullptr, "",
                              {.cpu_time = kMostTime / kMostTests,
                               .memory_bytes = 1,
                               .output_bytes = 1})
                       .limits.wall_time;
  const auto& contract =
      google::protobuf::DescriptorPool::generated_pool()
          ->FindMethodByName(
              "platform.execution.v1.ExecutionService.ExecuteStream")
          ->options()
          .GetExtension(grpccommon::v1::method);
  EXPECT_GT(std::chrono::seconds(contract.timeout().seconds()),
            longest + std::chrono::minutes(20))
      << "and some time in the queue";
}

TEST_F(ExecutionServiceTest, StreamsEachStep) {
  const auto context = As("ada");
  const auto reader = stub_->ExecuteStream(context.get(), Request("echo"));
  std::vector<v1::ExecutionState> states;
  v1::ExecutionUpdate update;
  while (reader->Read(&update)) {
    states.push_back(update.state());
    EXPECT_EQ(update.sequence(), static_cast<int>(states.size()));
  }
  EXPECT_THAT(reader->Finish(), IsOk());
  EXPECT_THAT(
      states,
      ElementsAre(v1::EXECUTION_STATE_QUEUED, v1::EXECUTION_STATE_COMPILING,
                  v1::EXECUTION_STATE_RUNNING, v1::EXECUTION_STATE_DONE));
  EXPECT_EQ(update.execution().verdict(), v1::VERDICT_ACCEPTED);
  EXPECT_EQ(update.test_result().test(), 1);
}

TEST_F(ExecutionServiceTest, AClientThatGoesTakesItsProgramWithIt) {
  {
    const auto context = As("ada");
    const auto reader =
        stub_->ExecuteStream(context.get(), Request("spin", kId));
    v1::ExecutionUpdate update;
    ASSERT_TRUE(reader->Read(&update));
    WaitForHeld(1);
    context->TryCancel();
    EXPECT_THAT(reader->Finish(), StatusIs(absl::StatusCode::kCancelled));
  }
  EXPECT_EQ(WaitForEnd(kId).state(), v1::EXECUTION_STATE_CANCELLED);
  EXPECT_EQ(sandbox_.held(), 0u);
}

TEST_F(ExecutionServiceTest, SoDoesOneThatWaitsForItsAnswer) {
  const auto context = As("ada");
  std::thread client([&] {
    v1::ExecuteResponse response;
    EXPECT_THAT(stub_->Execute(context.get(), Request("forever-compiling", kId),
                               &response),
                StatusIs(absl::StatusCode::kCancelled));
  });
  WaitForHeld(1);
  context->TryCancel();
  client.join();
  EXPECT_EQ(WaitForEnd(kId).state(), v1::EXECUTION_STATE_CANCELLED);
}

TEST_F(ExecutionServiceTest, ADetachedStreamLeavesItsProgramRunning) {
  v1::ExecuteRequest request = Request("spin", kId);
  request.set_detached(true);
  {
    const auto context = As("ada");
    const auto reader = stub_->ExecuteStream(context.get(), request);
    v1::ExecutionUpdate update;
    ASSERT_TRUE(reader->Read(&update));
    context->TryCancel();
    (void)reader->Finish();
  }
  WaitForHeld(1);
  EXPECT_TRUE(Cancel(kId).ok());
}

TEST_F(ExecutionServiceTest, ASlowReaderGetsAllResultsAndTheEnd) {
  v1::ExecuteRequest request = Request("echo");
  request.set_run_all_tests(true);
  request.mutable_test_set()->clear_test_cases();
  for (int i = 0; i < 100; ++i) {
    auto& test = *request.mutable_test_set()->add_test_cases();
    test.set_input(std::string(8000, 'x'));
    test.set_expected_output(test.input());
  }
  request.set_detached(true);
  request.set_execution_id(kId);
  const auto context = As("ada");
  const auto reader = stub_->ExecuteStream(context.get(), request);
  EXPECT_EQ(WaitForEnd(kId).passed_count(), 100);  // before a byte was read
  int results = 0;
  int sequence = 0;
  v1::ExecutionUpdate update;
  while (reader->Read(&update)) {
    if (update.has_test_result()) {
      EXPECT_EQ(update.test_result().test(), ++results);
    }
    EXPECT_GT(update.sequence(), sequence);
    sequence = update.sequence();
  }
  EXPECT_THAT(reader->Finish(), IsOk());
  EXPECT_EQ(results, 100);
  EXPECT_EQ(update.execution().verdict(), v1::VERDICT_ACCEPTED);
}

TEST_F(ExecutionServiceTest, CancellingAnswersWhoeverWaits) {
  const auto context = As("ada");
  const auto reader = stub_->ExecuteStream(context.get(), Request("spin", kId));
  WaitForHeld(1);
  EXPECT_EQ(Cancel(kId, "root admin")->state(), v1::EXECUTION_STATE_CANCELLED);
  v1::ExecutionUpdate update;
  while (reader->Read(&update)) {
  }
  EXPECT_THAT(reader->Finish(), IsOk());
  EXPECT_EQ(update.execution().state(), v1::EXECUTION_STATE_CANCELLED);
}

TEST_F(ExecutionServiceTest, RunsABatch) {
  v1::ExecuteBatchRequest request;
  for (int i = 0; i < 50; ++i) {
    *request.add_executions() = Request(i % 2 == 0 ? "echo" : "print 2");
  }
  std::vector<v1::BatchExecutionUpdate> updates;
  EXPECT_THAT(Batch(request, updates), IsOk());
  std::map<int, int> sequences;
  std::map<int, v1::Verdict> verdicts;
  int completed = 0;
  for (const v1::BatchExecutionUpdate& update : updates) {
    EXPECT_EQ(update.total(), 50);
    EXPECT_GE(update.completed(), completed);
    completed = update.completed();
    EXPECT_GT(update.update().sequence(), sequences[update.index()]);
    sequences[update.index()] = update.update().sequence();
    if (update.update().has_execution()) {
      verdicts[update.index()] = update.update().execution().verdict();
    }
  }
  EXPECT_EQ(completed, 50);
  ASSERT_THAT(verdicts, SizeIs(50));
  for (const auto& [index, verdict] : verdicts) {
    EXPECT_EQ(verdict,
              index % 2 == 0 ? v1::VERDICT_ACCEPTED : v1::VERDICT_WRONG_ANSWER);
  }
  EXPECT_EQ(sandbox_.builds(), 2);
}

TEST_F(ExecutionServiceTest, OneOfABatchThatIsRefusedDoesNotStopTheOthers) {
  v1::ExecuteBatchRequest request;
  *request.add_executions() = Request("echo", kId);
  *request.add_executions() = Request("echo", kId);
  *request.add_executions() = Request("echo");
  request.mutable_executions(2)->set_language("cobol");
  *request.add_executions() = Request("echo");
  request.mutable_executions(3)->mutable_problem()->set_problem_id(kProblem);
  std::vector<v1::BatchExecutionUpdate> updates;
  EXPECT_THAT(Batch(request, updates), IsOk());
  std::map<int, common::v1::ErrorDetails> errors;
  for (const v1::BatchExecutionUpdate& update : updates) {
    if (update.has_error()) errors[update.index()] = update.error();
  }
  ASSERT_THAT(errors, SizeIs(3));
  EXPECT_EQ(errors[1].code(),
            static_cast<int>(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(errors[2].code(),
            static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(errors[2].message(), HasSubstr("language"));
  google::rpc::BadRequest fields;
  bool found = false;
  for (const auto& detail : errors[2].details()) {
    found = found || detail.UnpackTo(&fields);
  }
  ASSERT_TRUE(found);
  EXPECT_EQ(fields.field_violations(0).field(), "language");
  EXPECT_EQ(errors[3].code(),
            static_cast<int>(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(updates.back().completed(), 4);
}

TEST_F(ExecutionServiceTest, ABatchWhoseClientGoesEnds) {
  v1::ExecuteBatchRequest request;
  for (int i = 0; i < 50; ++i) *request.add_executions() = Request("spin");
  {
    const auto context = As("ada");
    const auto reader = stub_->ExecuteBatchStream(context.get(), request);
    WaitForHeld(2);
    context->TryCancel();
    v1::BatchExecutionUpdate update;
    while (reader->Read(&update)) {
    }
    (void)reader->Finish();
  }
  while (queue_->running() + queue_->waiting() > 0) std::this_thread::yield();
  EXPECT_EQ(sandbox_.held(), 0u);
  EXPECT_EQ(sandbox_.runs(), 2);
}

TEST_F(ExecutionServiceTest, AFullQueueSaysWhenToComeAgain) {
  Start({.parallel = 1, .max_waiting = 1, .max_waiting_per_caller = 1});
  v1::ExecuteBatchRequest request;
  for (int i = 0; i < 3; ++i) *request.add_executions() = Request("spin");
  const auto context = As("ada");
  const auto reader = stub_->ExecuteBatchStream(context.get(), request);
  while (queue_->running() + queue_->waiting() < 2) std::this_thread::yield();
  const auto refused = Execute(Request("echo"), "bob");
  EXPECT_THAT(refused, AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                             HasReason("QUEUE_FULL")));
  EXPECT_GE(grpccommon::RetryDelayOf(refused.status()),
            std::chrono::seconds(1));
  context->TryCancel();
  (void)reader->Finish();
}

TEST_F(ExecutionServiceTest, LetsInWhomItShould) {
  EXPECT_THAT(Execute(Request("echo"), ""),
              StatusIs(absl::StatusCode::kUnauthenticated));
  v1::ExecuteRequest request = Request("echo", kId);
  request.mutable_problem()->set_problem_id(kProblem);
  EXPECT_THAT(Execute(request, "ada"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  const auto judged = Execute(request, "contest service");
  ASSERT_TRUE(judged.ok()) << judged.status();
  EXPECT_EQ(judged->verdict(), v1::VERDICT_ACCEPTED);
  EXPECT_EQ(judged->SerializeAsString().find("hidden"), std::string::npos);

  EXPECT_THAT(Get(kId, "bob"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Cancel(kId, "bob"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(Get(kId, "contest service").ok());
  EXPECT_TRUE(Get(kId, "root admin").ok());
}

TEST_F(ExecutionServiceTest, RefusesWhatTheContractForbids) {
  EXPECT_THAT(Execute(Request(std::string(10 << 20, 'x'))),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Execute(Request(std::string(262'145, 'x'))),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs(HasSubstr("source"))));
  EXPECT_THAT(Execute(Request("")),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs(HasSubstr("source"))));
  EXPECT_THAT(Execute(Request("echo", "'; DROP TABLE executions; --")),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs(HasSubstr("execution_id"))));
  for (const char* language : {"cobol", "%s%n", "c;", ""}) {
    v1::ExecuteRequest request = Request("echo");
    request.set_language(language);
    EXPECT_THAT(Execute(request),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr("language"))))
        << language;
  }
  v1::ExecuteRequest request = Request("echo");
  request.mutable_test_set()->mutable_limits()->set_memory_bytes(std::int64_t{2}
                                                                 << 30);
  EXPECT_THAT(Execute(request), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(Execute(Request("echo", kId)).ok());
  EXPECT_THAT(Execute(Request("echo", kId)),
              AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                    HasReason("EXECUTION_EXISTS")));
  EXPECT_EQ(sandbox_.runs(), 1);
}

TEST_F(ExecutionServiceTest, RefusesASourceThatIsNotUtf8) {
  // By hand, for protobuf refuses to write it: language, then source.
  const std::string bytes =
      "\x12\x03"
      "cpp\x1a\x02\xff\xfe";
  grpc::GenericStub generic(channel_);
  const auto context = As("ada");
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  grpc::CompletionQueue queue;
  const auto call = generic.PrepareUnaryCall(
      context.get(), "/platform.execution.v1.ExecutionService/Execute", request,
      &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(sandbox_.builds(), 0);
}

TEST_F(ExecutionServiceTest, ListsItsLanguagesToEverybody) {
  v1::ListLanguagesResponse response;
  ASSERT_THAT(stub_->ListLanguages(As("").get(), {}, &response), IsOk());
  ASSERT_THAT(response.languages(), SizeIs(2));
  EXPECT_EQ(response.languages(0).id(), "cpp");
  EXPECT_EQ(response.languages(0).version(), "g++ 1.2");
  EXPECT_TRUE(response.languages(0).compiled());
  EXPECT_EQ(response.languages(1).file_name(), "Main.java");
}

TEST_F(ExecutionServiceTest, DrainingRefusesAndLetsRunningOnesFinish) {
  Start({.parallel = 1});
  const auto running_context = As("ada");
  const auto running =
      stub_->ExecuteStream(running_context.get(), Request("spin", kId));
  WaitForHeld(1);
  const auto queued_context = As("ada");
  const auto queued =
      stub_->ExecuteStream(queued_context.get(), Request("echo"));
  v1::ExecutionUpdate update;
  ASSERT_TRUE(queued->Read(&update));
  executions_->Drain();
  while (queued->Read(&update)) {
  }
  EXPECT_THAT(queued->Finish(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Execute(Request("echo")),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Get(kId)->state(), v1::EXECUTION_STATE_RUNNING);
  EXPECT_TRUE(Cancel(kId).ok());
}

TEST_F(ExecutionServiceTest, TellsNothingSecretToTheLog) {
  v1::ExecuteRequest request = Request("print very-secret");
  request.mutable_test_set()->mutable_test_cases(0)->set_input("very-secret");
  ASSERT_TRUE(Execute(request).ok());
  request.set_source("nonsense");
  ASSERT_TRUE(Execute(request).ok());
  request.set_language("very-secret");
  EXPECT_FALSE(Execute(request).ok());
  server_->server().Shutdown(std::chrono::nanoseconds(0),
                             std::chrono::seconds(1));
  const auto lines = server_->log().lines();
  EXPECT_FALSE(lines.empty());
  for (const std::string& line : lines) {
    EXPECT_EQ(line.find("very-secret"), std::string::npos) << line;
    EXPECT_EQ(line.find("nonsense"), std::string::npos) << line;
  }
  EXPECT_EQ(registry_.Expose().find("very-secret"), std::string::npos);
}

}  // namespace
}  // namespace platform::execution
