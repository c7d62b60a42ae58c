// SPDX-License-Identifier: Apache-2.0
#include "services/common/rpc.h"

#include <functional>
#include <future>
#include <stdexcept>
#include <thread>

#include "gmock/gmock.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "gtest/gtest.h"
#include "services/common/name_store.h"
#include "services/common/test_database.h"
#include "support/test_server.h"

namespace platform::common {
namespace {

using grpccommon::FromGrpcStatus;
using grpccommon::ReasonOf;
using grpccommon::test::EchoRequest;
using grpccommon::test::EchoResponse;
using grpccommon::test::EchoService;
using ::testing::HasSubstr;
using ::testing::Not;

// A unary call whose handler is the test's.
class AnyHandler final : public EchoService::CallbackService {
 public:
  using Handler = std::function<grpc::ServerUnaryReactor*(
      grpc::CallbackServerContext&, const EchoRequest&, EchoResponse&)>;

  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const EchoRequest* request,
                                  EchoResponse* response) override {
    return handler(*context, *request, *response);
  }
  Handler handler;
};

class RpcTest : public ::testing::Test {
 protected:
  RpcTest() {
    auto server = grpccommon::Server::Create(
        {.name = "test", .drain_delay = {}, .log_sink = log_});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Add<EchoService>(service_);
    EXPECT_TRUE(server_->Start().ok());
    stub_ = EchoService::NewStub(server_->InProcessChannel());
  }
  ~RpcTest() override { server_->Shutdown({}, std::chrono::seconds(5)); }

  absl::StatusOr<std::string> Call(const std::string& text,
                                   AnyHandler::Handler handler) {
    service_.handler = std::move(handler);
    grpc::ClientContext context;
    EchoRequest request;
    request.set_text(text);
    EchoResponse response;
    const absl::Status status =
        FromGrpcStatus(stub_->Unary(&context, request, &response));
    if (!status.ok()) return status;
    return response.text();
  }
  absl::StatusOr<std::string> Add(const std::string& name,
                                  const absl::Status& result) {
    return Call(name, [&](auto& context, auto& request, auto& response) {
      return WriteAndAnswer(
          *queue_, context,
          [&request, result](NameStore& store) {
            const absl::Status added = store.Add(request.text());
            return added.ok() ? result : added;
          },
          [&response] { response.set_text("added"); });
    });
  }
  absl::StatusOr<std::string> Count() {
    return Call("", [&](auto& context, auto&, auto& response) {
      return ReadAndAnswer(
          *queue_, context,
          [](NameStore& store) -> absl::StatusOr<int> { return store.Count(); },
          [&response](int count) { response.set_text(std::to_string(count)); });
    });
  }

  TempFolder folder_;
  std::unique_ptr<StoreQueue<NameStore>> queue_ =
      *StoreQueue<NameStore>::Create(
          [this](bool read_only) {
            return NameStore::Open(folder_ / "test.db", read_only);
          },
          {.max_waiting = 1});
  AnyHandler service_;
  std::shared_ptr<grpccommon::testing::RecordingLogSink> log_ =
      std::make_shared<grpccommon::testing::RecordingLogSink>();
  std::unique_ptr<grpccommon::Server> server_;
  std::unique_ptr<EchoService::Stub> stub_;
};

TEST_F(RpcTest, AnswersWithWhatIsCommitted) {
  EXPECT_EQ(*Add("a", absl::OkStatus()), "added");
  EXPECT_EQ(*Count(), "1");
}

TEST_F(RpcTest, UndoesWhatAnErrorAnswers) {
  const absl::Status status =
      Add("a", absl::FailedPreconditionError("closed")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "closed");
  EXPECT_EQ(*Count(), "0");
}

TEST_F(RpcTest, TellsWhatTheDatabaseRefused) {
  ASSERT_TRUE(Add("a", absl::OkStatus()).ok());
  EXPECT_EQ(ReasonOf(Add("a", absl::OkStatus()).status()), "STORE_DUPLICATE");
}

TEST_F(RpcTest, AnExceptionEndsTheCallAndUndoesIt) {
  const auto threw = [](const absl::StatusOr<std::string>& result) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal);
    EXPECT_EQ(ReasonOf(result.status()), "HANDLER_FAILED");
    EXPECT_THAT(std::string(result.status().message()),
                Not(HasSubstr("secret")));
  };
  threw(Call("a", [&](auto& context, auto& request, auto&) {
    return WriteAndAnswer(
        *queue_, context,
        [&request](NameStore& store) -> absl::Status {
          (void)store.Add(request.text());
          throw std::runtime_error("secret 1");
        },
        [] {});
  }));
  EXPECT_EQ(*Count(), "0");
  threw(Call("a", [&](auto& context, auto& request, auto&) {
    return WriteAndAnswer(
        *queue_, context,
        [&request](NameStore& store) { return store.Add(request.text()); },
        [] { throw std::runtime_error("secret 2"); });
  }));
  EXPECT_EQ(*Count(), "1");  // it was committed before
  threw(Call("", [&](auto& context, auto&, auto&) {
    return ReadAndAnswer(
        *queue_, context,
        [](NameStore&) -> absl::StatusOr<int> {
          throw std::runtime_error("secret 3");
        },
        [](int) {});
  }));
  for (const char* text : {"secret 1", "secret 2", "secret 3"}) {
    EXPECT_THAT(log_->text(), HasSubstr(text));
  }
}

TEST_F(RpcTest, WritesNothingForACallThatWasCancelledBeforeItsTurn) {
  std::promise<void> running;
  std::promise<void> go_on;
  ASSERT_TRUE(queue_
                  ->ReadBetweenWrites([&](NameStore&) {
                    running.set_value();
                    go_on.get_future().wait();
                  })
                  .ok());
  running.get_future().wait();
  grpc::ClientContext context;
  std::promise<grpc::CallbackServerContext*> waiting;
  service_.handler = [&](auto& server_context, auto& request, auto&) {
    auto* const reactor = WriteAndAnswer(
        *queue_, server_context,
        [&request](NameStore& store) { return store.Add(request.text()); },
        [] {});
    waiting.set_value(&server_context);
    return reactor;
  };
  std::thread calling([&] {
    EchoRequest request;
    request.set_text("a");
    EchoResponse response;
    EXPECT_EQ(stub_->Unary(&context, request, &response).error_code(),
              grpc::StatusCode::CANCELLED);
  });
  grpc::CallbackServerContext* const seen = waiting.get_future().get();
  // One job may wait, and does.
  EXPECT_EQ(ReasonOf(Add("b", absl::OkStatus()).status()), "STORE_BUSY");
  context.TryCancel();
  calling.join();
  while (!seen->IsCancelled()) std::this_thread::yield();
  go_on.set_value();
  while (server_->running_calls() > 0) std::this_thread::yield();
  EXPECT_EQ(*Count(), "0");
}

}  // namespace
}  // namespace platform::common
