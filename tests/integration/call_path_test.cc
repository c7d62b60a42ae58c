// SPDX-License-Identifier: Apache-2.0
// What happens to a call besides being refused or served: cancellation, late
// answers, exceptions, refused messages, slow decisions, a server that stops.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "google/rpc/error_details.pb.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/stream/reader.h"
#include "grpcpp/generic/async_generic_service.h"
#include "support/call_recorder.h"
#include "support/echo_services.h"
#include "support/every_call.h"
#include "support/test_server.h"

namespace {

std::atomic<int> wake_ups{0};

}  // namespace

// In place of the C library's: gRPC wakes a thread out of its poll by this.
extern "C" int eventfd_write(int file, eventfd_t value) {
  ++wake_ups;
  return write(file, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

namespace grpccommon {
namespace {

using test::CallRecorder;
using test::CallResult;
using test::EchoRequest;
using test::EchoResponse;
using test::EchoService;
using test::Style;
using test::TestServer;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;
using namespace std::chrono_literals;

using Case = std::tuple<Style, CallKind>;

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  return test::NameOf(std::get<0>(info.param), std::get<1>(info.param));
}

class CallPathTest : public ::testing::TestWithParam<Case> {
 protected:
  Style style() const { return std::get<0>(GetParam()); }
  CallKind kind() const { return std::get<1>(GetParam()); }
  std::shared_ptr<CallRecorder> recorder_ = std::make_shared<CallRecorder>();
};

INSTANTIATE_TEST_SUITE_P(Kinds, CallPathTest,
                         ::testing::Combine(test::EveryStyle(),
                                            test::EveryKind()),
                         CaseName);

// A call that does not run to its end, on either kind of port, of a server that
// was idle or that was not.
using InterruptedCase =
    std::tuple<Style, CallKind, bool /*tls*/, bool /*busy*/>;

std::string InterruptedCaseName(
    const ::testing::TestParamInfo<InterruptedCase>& info) {
  const auto& [style, kind, tls, busy] = info.param;
  return CaseName({{style, kind}, info.index}) + (tls ? "_tls" : "_plaintext") +
         (busy ? "_busy" : "_idle");
}

class InterruptedCallTest : public ::testing::TestWithParam<InterruptedCase> {
 protected:
  CallKind kind() const { return std::get<1>(GetParam()); }

  // Connected, so that a short deadline is all the call's own.
  std::unique_ptr<TestServer> Serve(std::function<void(Server&)> set_up) {
    auto server = ServeIdle(std::move(set_up));
    if (!std::get<3>(GetParam())) return server;
    // On each of gRPC's threads, most likely.
    constexpr int kCallsBefore = 10;
    for (int i = 0; i < kCallsBefore; ++i) {
      EXPECT_TRUE(server->Call(kind()).status.ok());
    }
    recorder_->Forget(kCallsBefore);
    return server;
  }

  std::unique_ptr<TestServer> ServeIdle(std::function<void(Server&)> set_up) {
    const auto& [style, kind, tls, busy] = GetParam();
    auto server = std::make_unique<TestServer>(style, tls, std::move(set_up));
    EXPECT_TRUE(server->channel()->WaitForConnected(
        std::chrono::system_clock::now() + 20s));
    return server;
  }

  std::shared_ptr<CallRecorder> recorder_ = std::make_shared<CallRecorder>();
};

INSTANTIATE_TEST_SUITE_P(Kinds, InterruptedCallTest,
                         ::testing::Combine(test::EveryStyle(),
                                            test::EveryKind(),
                                            ::testing::Bool(),
                                            ::testing::Bool()),
                         InterruptedCaseName);

TEST_P(CallPathTest, AHandlerThatThrowsIsInternalAndItsTextStaysInTheLog) {
  TestServer server(style(), false, [&](Server& s) { s.Use(recorder_); });
  server.probe().on_enter = [](grpc::ServerContextBase&) {
    throw std::runtime_error("password is hunter2");
  };

  const CallResult result = server.Call(kind(), [](grpc::ClientContext& c) {
    c.AddMetadata("x-request-id", "throwing-call");
  });

  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(result.status.error_message(), HasSubstr("throwing-call"));
  EXPECT_THAT(result.status.error_message(), Not(HasSubstr("hunter2")));
  EXPECT_THAT(result.status.error_details(), Not(HasSubstr("hunter2")));
  EXPECT_EQ(ReasonOf(FromGrpcStatus(result.status)), "HANDLER_FAILED");
  EXPECT_EQ(result.messages, 0);
  server.Stop();
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::INTERNAL});
  const auto lines = server.log().LinesWhere("msg", "handler threw");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("password is hunter2"));
  EXPECT_THAT(lines[0], HasSubstr("throwing-call"));
}

TEST_P(CallPathTest, AnExceptionOfNoKnownTypeIsInternalToo) {
  TestServer server(style(), false, [&](Server& s) { s.Use(recorder_); });
  server.probe().on_enter = [](grpc::ServerContextBase&) { throw 42; };
  const CallResult result = server.Call(kind());
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INTERNAL);
}

TEST_P(CallPathTest, ACallIsFoundFromItsContext) {
  TestServer server(style(), false, [&](Server& s) { s.Use(recorder_); });
  std::string id;
  std::string path;
  std::string peer;
  server.probe().on_enter = [&](grpc::ServerContextBase& context) {
    const ServerCall& call = *ServerCall::Of(context);
    id = call.request_id();
    path = call.path();
    peer = call.peer_address();
    EXPECT_TRUE(call.principal().anonymous());
    EXPECT_GT(call.remaining(), 10s);
    EXPECT_EQ(call.metadata("x-colour"), "blue");
  };
  server.Call(kind(), [](grpc::ClientContext& context) {
    context.AddMetadata("x-request-id", "abc-123");
    context.AddMetadata("x-colour", "blue");
  });
  EXPECT_EQ(id, "abc-123");
  EXPECT_EQ(path, std::string("/echo.v1.EchoService/") +
                      (kind() == CallKind::kUnary          ? "Unary"
                       : kind() == CallKind::kClientStream ? "ClientStream"
                       : kind() == CallKind::kServerStream ? "ServerStream"
                                                           : "BidiStream"));
  EXPECT_THAT(peer, ::testing::AnyOf("127.0.0.1", "::1"));
}

TEST_P(CallPathTest, MessagesAndBytesAreCounted) {
  TestServer server(style(), false, [&](Server& s) { s.Use(recorder_); });
  server.Call(kind());
  recorder_->WaitForCodes(1);
  server.Stop();
  const bool in =
      kind() == CallKind::kClientStream || kind() == CallKind::kBidiStream;
  const bool out =
      kind() == CallKind::kServerStream || kind() == CallKind::kBidiStream;
  EXPECT_EQ(recorder_->received(), in ? 3u : 1u);
  EXPECT_EQ(recorder_->sent(), out ? 3u : 1u);
  // text = "hello" is 7 bytes, repeat = 3 is 2.
  EXPECT_EQ(recorder_->bytes_received(), in ? 27u : 9u);
  EXPECT_EQ(recorder_->bytes_sent(),
            kind() == CallKind::kClientStream ? 17u : (out ? 21u : 7u));
}

TEST_P(InterruptedCallTest, AClientThatGoesAwayIsRecordedAsCancelled) {
  std::promise<void> entered;
  std::promise<void> leave;
  std::shared_future<void> may_leave = leave.get_future().share();
  const auto server = Serve([&](Server& s) { s.Use(recorder_); });
  server->probe().on_enter = [&](grpc::ServerContextBase& context) {
    entered.set_value();
    const ServerCall& call = *ServerCall::Of(context);
    // The handler sees the cancellation, then answers as if nothing were.
    while (!call.cancelled()) std::this_thread::yield();
    may_leave.wait();
  };
  grpc::ClientContext context;
  std::thread client([&] { server->Call(kind(), context); });
  entered.get_future().wait();
  context.TryCancel();
  client.join();
  leave.set_value();
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::CANCELLED});
  server->Stop();
  EXPECT_EQ(recorder_->WaitForCodes(1).size(), 1u) << "finished twice";
}

TEST_P(InterruptedCallTest, AHandlerThatNeverLookedIsRecordedAsCancelledToo) {
  std::promise<void> entered;
  std::promise<void> leave;
  std::atomic<bool> first{true};
  const auto server = Serve([&](Server& s) { s.Use(recorder_); });
  server->probe().on_enter = [&](grpc::ServerContextBase& context) {
    if (!first.exchange(false)) return;
    entered.set_value();
    leave.get_future().wait();
    // Less, and the client might as well have gone after the reply.
    while (ServerCall::Of(context)->duration() < 2ms) std::this_thread::yield();
  };
  grpc::ClientContext context;
  std::thread client([&] { server->Call(kind(), context); });
  entered.get_future().wait();
  context.TryCancel();
  client.join();
  // By the same connection, so the server knows of the cancellation by now.
  EXPECT_TRUE(server->Call(kind()).status.ok());
  leave.set_value();
  EXPECT_EQ(
      recorder_->WaitForCodes(2),
      (std::vector<int>{grpc::StatusCode::OK, grpc::StatusCode::CANCELLED}));
}

TEST_P(InterruptedCallTest, AnExpiredDeadlineIsRecordedAsSuch) {
  const auto server = Serve([&](Server& s) { s.Use(recorder_); });
  server->probe().on_enter = [&](grpc::ServerContextBase& context) {
    const ServerCall& call = *ServerCall::Of(context);
    // The client's deadline comes before the server's by as long as the call
    // was on its way, which on a busy machine is long.
    while (!call.cancelled() || call.remaining() > 5ms) {
      std::this_thread::yield();
    }
  };
  const CallResult result = server->Call(kind(), [](grpc::ClientContext& c) {
    c.set_deadline(std::chrono::system_clock::now() + 50ms);
  });
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::DEADLINE_EXCEEDED});
}

TEST_P(InterruptedCallTest, ADeadlineIsNotTakenForTheHandlersCancellation) {
  const auto server = Serve([&](Server& s) { s.Use(recorder_); });
  server->probe().verdict =
      grpc::Status(grpc::StatusCode::CANCELLED, "heard of it");
  server->probe().on_enter = [&](grpc::ServerContextBase& context) {
    const ServerCall& call = *ServerCall::Of(context);
    while (!call.cancelled() || call.remaining() > 5ms) {
      std::this_thread::yield();
    }
  };
  const CallResult result = server->Call(kind(), [](grpc::ClientContext& c) {
    c.set_deadline(std::chrono::system_clock::now() + 50ms);
  });
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::DEADLINE_EXCEEDED});
}

TEST_P(CallPathTest, TheClientIsNamedAfterItHasGone) {
  std::promise<void> entered;
  TestServer server(style(), false, [&](Server& s) { s.Use(recorder_); });
  server.probe().on_enter = [&](grpc::ServerContextBase& context) {
    entered.set_value();
    while (!ServerCall::Of(context)->cancelled()) std::this_thread::yield();
  };
  grpc::ClientContext context;
  std::thread client([&] {
    const auto channel = grpc::CreateChannel(
        server.address(), grpc::InsecureChannelCredentials());
    TestServer::CallOn(*EchoService::NewStub(channel), kind(), context);
  });
  entered.get_future().wait();
  context.TryCancel();
  client.join();
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::CANCELLED});
  EXPECT_THAT(recorder_->peer(), ::testing::StartsWith("ipv4:127.0.0.1:"));
}

TEST_P(CallPathTest, AReplyThatIsTooLargeIsRecordedAsTheClientSeesIt) {
  TestServer server(style(), false, [&](Server& s) { s.Use(recorder_); },
                    {.max_send_message_bytes = 6});
  // Of two batches of its making, the second's words are gRPC's.
  const bool stream =
      kind() == CallKind::kServerStream || kind() == CallKind::kBidiStream;
  const CallResult result = server.Call(kind());
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(result.status.error_message(),
              HasSubstr(stream ? "larger than max" : "max_send_message_bytes"));
  if (!stream) {
    EXPECT_EQ(ReasonOf(FromGrpcStatus(result.status)), "RESPONSE_TOO_LARGE");
  }
  EXPECT_EQ(result.messages, 0);
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::RESOURCE_EXHAUSTED});
  EXPECT_EQ(recorder_->sent(), 0);
  EXPECT_EQ(recorder_->bytes_sent(), 0);
}

TEST_P(CallPathTest, AStatusThatAFinishHookReplacesGoesWithoutTheReply) {
  class Spoiler : public ServerInterceptor {
   public:
    std::string_view name() const override { return "spoiler"; }
    Stage stage() const override { return Stage::kUser; }
    void OnFinish(ServerCall&, grpc::Status& status) override {
      status = grpc::Status(grpc::StatusCode::DATA_LOSS, "no reply for you");
    }
  };
  TestServer server(style(), false, [&](Server& s) {
    s.Use(recorder_).Use(std::make_shared<Spoiler>());
  });
  const CallResult result = server.Call(kind());
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(result.status.error_message(), "no reply for you");
  if (kind() == CallKind::kUnary || kind() == CallKind::kClientStream) {
    EXPECT_EQ(result.messages, 0) << "the reply leaked";
  }
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::DATA_LOSS});
}

TEST_P(CallPathTest, AnInterceptorThatThrowsRefusesTheCall) {
  class Thrower : public ServerInterceptor {
   public:
    std::string_view name() const override { return "thrower"; }
    Stage stage() const override { return Stage::kCheck; }
    absl::Status OnStart(ServerCall&) override {
      throw std::runtime_error("broken interceptor");
    }
  };
  TestServer server(style(), false,
                    [&](Server& s) { s.Use(std::make_shared<Thrower>()); });
  const CallResult result = server.Call(kind());
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(server.probe().entered, 0);
  EXPECT_THAT(server.log().text(), HasSubstr("broken interceptor"));
}

// Decides on a thread of its own, when told to.
class SlowGate : public AsyncServerInterceptor {
 public:
  explicit SlowGate(absl::Status verdict) : verdict_(std::move(verdict)) {}
  ~SlowGate() override {
    for (std::thread& thread : threads_) thread.join();
  }
  std::string_view name() const override { return "slow_gate"; }
  Stage stage() const override { return Stage::kIdentify; }
  void OnStartAsync(ServerCall& /*call*/, Done done) override {
    const MutexLock lock(mutex_);
    threads_.emplace_back([this, done = std::move(done)] {
      may_decide.get_future().wait();
      done(verdict_);
    });
    asked.set_value();
  }
  std::promise<void> asked;
  std::promise<void> may_decide;

 private:
  const absl::Status verdict_;
  Mutex mutex_;
  std::vector<std::thread> threads_;
};

TEST_P(CallPathTest, ADecisionThatWaitsAdmits) {
  const auto gate = std::make_shared<SlowGate>(absl::OkStatus());
  TestServer server(style(), false,
                    [&](Server& s) { s.Use(recorder_).Use(gate); });
  CallResult result;
  std::thread client([&] { result = server.Call(kind()); });
  gate->asked.get_future().wait();
  EXPECT_EQ(server.probe().entered, 0);
  gate->may_decide.set_value();
  client.join();
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.text, test::ExpectedText(kind()));
  EXPECT_EQ(server.probe().entered, 1);
}

TEST_P(CallPathTest, ADecisionThatWaitsRefuses) {
  const auto gate = std::make_shared<SlowGate>(
      Unauthenticated("TOKEN_REVOKED", "the token was revoked"));
  TestServer server(style(), false,
                    [&](Server& s) { s.Use(recorder_).Use(gate); });
  CallResult result;
  std::thread client([&] { result = server.Call(kind()); });
  gate->asked.get_future().wait();
  gate->may_decide.set_value();
  client.join();
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(result.status)), "TOKEN_REVOKED");
  EXPECT_EQ(server.probe().entered, 0);
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::UNAUTHENTICATED});
}

TEST_P(CallPathTest, ARefusalThatComesAfterTheClientHasGoneDoesNoHarm) {
  const auto gate = std::make_shared<SlowGate>(
      Unauthenticated("TOKEN_REVOKED", "the token was revoked"));
  TestServer server(style(), false,
                    [&](Server& s) { s.Use(recorder_).Use(gate); });
  grpc::ClientContext context;
  CallResult result;
  std::thread client([&] { result = server.Call(kind(), context); });
  gate->asked.get_future().wait();
  context.TryCancel();
  client.join();
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::CANCELLED);
  gate->may_decide.set_value();
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::UNAUTHENTICATED});
  server.Stop();
  EXPECT_EQ(server.running_calls(), 0);
}

TEST_P(InterruptedCallTest, ADecisionThatComesAfterTheClientHasGoneDoesNoHarm) {
  const auto gate = std::make_shared<SlowGate>(absl::OkStatus());
  const auto server = ServeIdle([&](Server& s) { s.Use(recorder_).Use(gate); });
  CallResult result;
  std::thread client([&] {
    result = server->Call(kind(), [](grpc::ClientContext& context) {
      context.set_deadline(std::chrono::system_clock::now() + 50ms);
    });
  });
  gate->asked.get_future().wait();
  client.join();
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  gate->may_decide.set_value();
  EXPECT_EQ(recorder_->WaitForCodes(1).size(), 1u);
}

// Refuses the second message of a stream.
class SecondMessageRefused : public ServerInterceptor {
 public:
  std::string_view name() const override { return "second_refused"; }
  Stage stage() const override { return Stage::kCheck; }
  absl::StatusOr<Hooks> Register(const Method& method) override {
    return Hooks{
        .start = false, .finish = false, .received = method.client_streams()};
  }
  absl::Status OnReceived(ServerCall& /*call*/,
                          const google::protobuf::Message* message) override {
    EXPECT_NE(message, nullptr);
    return ++seen_ == 2 ? InvalidFields({{"text", "must not be second"}})
                        : absl::OkStatus();
  }

 private:
  std::atomic<int> seen_{0};
};

TEST_P(CallPathTest, ARefusedMessageNeverReachesTheHandler) {
  TestServer server(style(), false, [&](Server& s) {
    s.Use(recorder_).Use(std::make_shared<SecondMessageRefused>());
  });
  const CallResult result = server.Call(kind());
  if (kind() == CallKind::kUnary || kind() == CallKind::kServerStream) {
    EXPECT_TRUE(result.status.ok());
    return;
  }
  EXPECT_EQ(server.probe().read, 1);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::BadRequest bad;
  ASSERT_TRUE(GetDetail(FromGrpcStatus(result.status), bad));
  EXPECT_EQ(bad.field_violations(0).field(), "text");
  EXPECT_EQ(result.messages, kind() == CallKind::kBidiStream ? 1 : 0);
  EXPECT_EQ(recorder_->WaitForCodes(1),
            std::vector<int>{grpc::StatusCode::INVALID_ARGUMENT});
}

TEST_P(CallPathTest, NothingOfACallOutlivesIt) {
  // A value that says how many of its kind there are.
  struct Alive {
    explicit Alive(std::atomic<int>& c) : count(&c) { ++*count; }
    Alive(Alive&& other) noexcept : count(other.count) { ++*count; }
    ~Alive() { --*count; }
    std::atomic<int>* count;
  };
  class Marker : public ServerInterceptor {
   public:
    std::string_view name() const override { return "marker"; }
    Stage stage() const override { return Stage::kUser; }
    absl::Status OnStart(ServerCall& call) override {
      call.values().Set(Alive(alive));
      ++marked;
      return refuse ? PermissionDenied("NO", "no") : absl::OkStatus();
    }
    std::atomic<int> alive{0};
    std::atomic<int> marked{0};
    std::atomic<bool> refuse{false};
  };
  const auto marker = std::make_shared<Marker>();
  TestServer server(style(), false, [&](Server& s) { s.Use(marker); });
  for (const bool refuse : {false, true}) {
    marker->refuse = refuse;
    for (int i = 0; i < 20; ++i) server.Call(kind());
  }
  server.Stop();
  EXPECT_EQ(marker->marked, 40);
  EXPECT_EQ(marker->alive, 0) << "gRPC's interceptors were leaked";
}

TEST_P(CallPathTest, MetadataThatAChainAddsReachesTheClient) {
  class Adder : public ServerInterceptor {
   public:
    std::string_view name() const override { return "adder"; }
    Stage stage() const override { return Stage::kUser; }
    absl::Status OnStart(ServerCall& call) override {
      call.AddInitialMetadata("x-early", "1");
      call.AddTrailingMetadata("x-late", "2");
      return absl::OkStatus();
    }
  };
  TestServer server(style(), false,
                    [&](Server& s) { s.Use(std::make_shared<Adder>()); });
  const CallResult result = server.Call(kind());
  EXPECT_EQ(result.headers.count("x-early"), 1u);
  EXPECT_EQ(result.trailers.count("x-late"), 1u);
}

class StyleTest : public ::testing::TestWithParam<Style> {};
INSTANTIATE_TEST_SUITE_P(Styles, StyleTest, test::EveryStyle(),
                         [](const auto& parameter) {
                           return test::NameOf(parameter.param);
                         });

TEST_P(StyleTest, ARequestThatIsNotAMessageIsAnInvalidArgument) {
  const auto recorder = std::make_shared<CallRecorder>();
  TestServer server(GetParam(), false, [&](Server& s) { s.Use(recorder); });
  // Field 1, a string of two bytes that are no UTF-8; then a cut-off field.
  for (const auto& [bytes, fault] :
       {std::pair(std::string("\x0a\x02\xff\xfe"),
                  "field text is not valid UTF-8"),
        std::pair(std::string("\x0a\x7f"), "after text")}) {
    const grpc::Status status =
        TestServer::CallWithBytes(*server.channel(), bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(FromGrpcStatus(status)), "MALFORMED_REQUEST");
    EXPECT_THAT(status.error_message(), HasSubstr(fault));
  }
  EXPECT_EQ(server.probe().entered, 0);
  EXPECT_EQ(recorder->WaitForCodes(2).size(), 2u);
}

// What a client saw that sent these messages, with or without an end.
grpc::Status SendStream(grpc::ChannelInterface& channel, const char* path,
                        const std::vector<std::string>& messages, bool end,
                        std::chrono::microseconds timeout = 20s) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  const auto call = TestServer::BeginCall(channel, context, path);
  for (const std::string& bytes : messages) {
    const grpc::Slice slice(bytes);
    call->Write(grpc::ByteBuffer(&slice, 1));
  }
  if (end) call->WritesDone();
  grpc::ByteBuffer ignored;
  while (call->Read(&ignored)) {
  }
  return call->Finish();
}
constexpr const char* kStreams[] = {"/echo.v1.EchoService/ClientStream",
                                    "/echo.v1.EchoService/BidiStream"};

TEST_P(StyleTest, AMessageOfAStreamThatIsNoneIsAnInvalidArgument) {
  const auto recorder = std::make_shared<CallRecorder>();
  TestServer server(GetParam(), false, [&](Server& s) { s.Use(recorder); });
  const std::string good("\x0a\x01y");
  int calls = 0;
  for (const char* const path : kStreams) {
    for (const std::string& bad :
         {std::string("\xff\xff"), std::string("\x0a\x01\xff")}) {
      for (const bool end : {true, false}) {
        for (const auto& messages :
             {std::vector{good, bad, good}, std::vector{good, bad}}) {
          server.probe().read = 0;
          const grpc::Status status =
              SendStream(*server.channel(), path, messages, end);
          EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
          EXPECT_EQ(ReasonOf(FromGrpcStatus(status)), "MALFORMED_REQUEST");
          EXPECT_THAT(status.error_message(), HasSubstr("message 2 of"));
          EXPECT_EQ(server.probe().read, 1);
          ++calls;
        }
      }
    }
    // The handlers reuse their message; an end is an end still.
    EXPECT_TRUE(
        SendStream(*server.channel(), path, {good, good, good}, true).ok());
    EXPECT_TRUE(SendStream(*server.channel(), path, {}, true).ok());
  }
  std::vector<int> codes(calls, grpc::StatusCode::INVALID_ARGUMENT);
  codes.insert(codes.end(), 4, grpc::StatusCode::OK);
  EXPECT_THAT(recorder->WaitForCodes(codes.size()),
              UnorderedElementsAreArray(codes));
}

TEST_P(StyleTest, AMessageOfAStreamThatIsTooLargeIsNotItsEnd) {
  const auto recorder = std::make_shared<CallRecorder>();
  ServerOptions options;
  options.max_receive_message_bytes = 1000;
  TestServer server(
      GetParam(), false, [&](Server& s) { s.Use(recorder); }, options);
  const std::string good("\x0a\x01y");
  const std::string large =
      std::string("\x0a\x88\x27") + std::string(5000, 'x');
  for (int i = 0; i < 50; ++i) {
    for (const char* const path : kStreams) {
      EXPECT_EQ(SendStream(*server.channel(), path, {good, large}, i % 2 == 0)
                    .error_code(),
                grpc::StatusCode::RESOURCE_EXHAUSTED);
    }
  }
  EXPECT_THAT(recorder->WaitForCodes(100),
              Each(grpc::StatusCode::RESOURCE_EXHAUSTED));
}

// A server of `service` alone.
template <typename Service>
std::unique_ptr<Server> Serve(
    Service& service, std::shared_ptr<ServerInterceptor> interceptor = nullptr,
    ServerOptions options = {}) {
  options.name = "echo";
  options.grpc_address = "127.0.0.1:0";
  options.drain_delay = 0s;
  options.log_sink = std::make_shared<testing::RecordingLogSink>();
  auto server = *Server::Create(std::move(options));
  server->Add<EchoService>(service);
  if (interceptor != nullptr) server->Use(std::move(interceptor));
  EXPECT_TRUE(server->Start().ok());
  return server;
}

std::shared_ptr<grpc::Channel> ChannelTo(const Server& server) {
  return grpc::CreateChannel("127.0.0.1:" + std::to_string(server.grpc_port()),
                             grpc::InsecureChannelCredentials());
}

// Counts whose uploads it was told are whole.
class Uploads : public EchoService::CallbackService {
 public:
  std::atomic<int> whole{0};
  std::atomic<int> lost{0};

 private:
  class Up final : public StreamReader<EchoRequest, EchoResponse> {
   public:
    Up(const grpc::CallbackServerContext& context, EchoResponse* response,
       Uploads& uploads)
        : StreamReader(context, response), uploads_(uploads) {}

   private:
    Flow OnMessage(EchoRequest& /*request*/) override { return Flow::kNext; }
    void OnEnd() override {
      ++uploads_.whole;
      Finish(EchoResponse());
    }
    void OnCancelled() override { ++uploads_.lost; }
    Uploads& uploads_;
  };
  class Both final : public StreamBidi<EchoRequest, EchoResponse> {
   public:
    Both(const grpc::CallbackServerContext& context, Uploads& uploads)
        : StreamBidi(context), uploads_(uploads) {}

   private:
    Flow OnMessage(EchoRequest& /*request*/) override { return Flow::kNext; }
    void OnEnd() override {
      ++uploads_.whole;
      Finish(absl::OkStatus());
    }
    void OnCancelled() override { ++uploads_.lost; }
    Uploads& uploads_;
  };

  grpc::ServerReadReactor<EchoRequest>* ClientStream(
      grpc::CallbackServerContext* context, EchoResponse* response) override {
    return Up::Start(std::make_shared<Up>(*context, response, *this));
  }
  grpc::ServerBidiReactor<EchoRequest, EchoResponse>* BidiStream(
      grpc::CallbackServerContext* context) override {
    return Both::Start(std::make_shared<Both>(*context, *this));
  }
};

TEST(StreamReaderTest, HalfAnUploadIsNeverTakenForAWholeOne) {
  Uploads uploads;
  const auto server =
      Serve(uploads, nullptr, {.max_receive_message_bytes = 1000});
  const auto channel = ChannelTo(*server);
  const std::string good("\x0a\x01y");
  const std::string large =
      std::string("\x0a\x88\x27") + std::string(5000, 'x');
  const std::vector<std::pair<std::string, grpc::StatusCode>> kBad = {
      {std::string("\xff\xff"), grpc::StatusCode::INVALID_ARGUMENT},
      {std::string("\x0a\x01\xff"), grpc::StatusCode::INVALID_ARGUMENT},
      {large, grpc::StatusCode::RESOURCE_EXHAUSTED}};
  int lost = 0;
  for (const char* const path : kStreams) {
    for (int i = 0; i < 50; ++i) {
      for (const auto& [bad, code] : kBad) {
        EXPECT_EQ(
            SendStream(*channel, path, {good, bad}, i % 2 == 0).error_code(),
            code);
        ++lost;
      }
    }
    // Deadlines that pass before the call has come, while it comes, and then.
    for (int i = 0; i < 500; ++i) {
      EXPECT_EQ(SendStream(*channel, path, {good}, false, i * 4us).error_code(),
                grpc::StatusCode::DEADLINE_EXCEEDED);
    }
  }
  EXPECT_EQ(uploads.whole, 0);
  for (const char* const path : kStreams) {
    EXPECT_TRUE(SendStream(*channel, path, {good, good}, true).ok());
  }
  server->Shutdown(0s, 5s);
  EXPECT_EQ(uploads.whole, 2);
  EXPECT_GE(uploads.lost, lost);
}

// An observer that is slow at messages.
class SlowObserver : public ServerInterceptor {
 public:
  std::promise<void> received;
  std::atomic<bool> finished{false};
  std::atomic<bool> overlapped{false};

  std::string_view name() const override { return "slow_observer"; }
  Stage stage() const override { return Stage::kObserve; }
  absl::StatusOr<Hooks> Register(const Method& /*method*/) override {
    return Hooks{.received = true};
  }
  absl::Status OnReceived(ServerCall& /*call*/,
                          const google::protobuf::Message*) override {
    inside_ = true;
    received.set_value();
    // Long enough for an end that does not wait for this.
    const auto until = std::chrono::steady_clock::now() + 50ms;
    while (!finished && std::chrono::steady_clock::now() < until) {
    }
    inside_ = false;
    // Too late to refuse what has ended.
    return finished ? absl::InternalError("after the end") : absl::OkStatus();
  }
  void OnFinish(ServerCall& /*call*/, grpc::Status& /*status*/) override {
    overlapped = inside_.load();
    finished = true;
  }

 private:
  std::atomic<bool> inside_{false};
};

// Its calls are ended by the test, while they wait for a message.
class EndedFromOutside : public EchoService::CallbackService {
 public:
  class Reactor : public grpc::ServerReadReactor<EchoRequest> {
   public:
    Reactor() { StartRead(&request_); }
    void OnDone() override { delete this; }

   private:
    EchoRequest request_;
  };
  std::promise<Reactor*> begun;

 private:
  grpc::ServerReadReactor<EchoRequest>* ClientStream(
      grpc::CallbackServerContext* /*context*/,
      EchoResponse* /*response*/) override {
    auto* const reactor = new Reactor;
    begun.set_value(reactor);
    return reactor;
  }
};

TEST(CallbackStreamTest, AMessageIsObservedBeforeTheEndOrNotAtAll) {
  EndedFromOutside service;
  const auto observer = std::make_shared<SlowObserver>();
  const auto server = Serve(service, observer);
  const auto stub = EchoService::NewStub(ChannelTo(*server));
  grpc::ClientContext context;
  EchoResponse response;
  const auto writer = stub->ClientStream(&context, &response);
  auto* const reactor = service.begun.get_future().get();
  writer->Write(EchoRequest());
  observer->received.get_future().wait();
  reactor->Finish(grpc::Status::OK);
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_TRUE(observer->finished);
  EXPECT_FALSE(observer->overlapped);
  server->Shutdown(0s, 5s);
}

// Reads on after it has ended its call.
class ReadsOn : public EchoService::CallbackService {
 public:
  std::promise<bool> read;

 private:
  class Reactor : public grpc::ServerReadReactor<EchoRequest> {
   public:
    explicit Reactor(ReadsOn& service) : service_(service) {
      StartRead(&request_);
      Finish(grpc::Status::OK);
    }
    void OnReadDone(bool ok) override { service_.read.set_value(ok); }
    void OnDone() override { delete this; }

   private:
    ReadsOn& service_;
    EchoRequest request_;
  };

  grpc::ServerReadReactor<EchoRequest>* ClientStream(
      grpc::CallbackServerContext* /*context*/,
      EchoResponse* /*response*/) override {
    return new Reactor(*this);
  }
};

// Keeps the end of a call back until a read has ended.
class KeepsEndBack : public ServerInterceptor {
 public:
  explicit KeepsEndBack(std::future<bool> read) : read_(std::move(read)) {}

  std::promise<void> ending;
  std::atomic<bool> got_message{false};
  std::atomic<int> observed{0};

  std::string_view name() const override { return "keeps_end_back"; }
  Stage stage() const override { return Stage::kObserve; }
  absl::StatusOr<Hooks> Register(const Method& /*method*/) override {
    return Hooks{.received = true};
  }
  absl::Status OnReceived(ServerCall& /*call*/,
                          const google::protobuf::Message*) override {
    ++observed;
    return absl::OkStatus();
  }
  void OnFinish(ServerCall& /*call*/, grpc::Status& /*status*/) override {
    ending.set_value();
    got_message = read_.get();
  }

 private:
  std::future<bool> read_;
};

TEST(CallbackStreamTest, NobodyGetsAMessageThatNobodyMayObserve) {
  ReadsOn service;
  const auto keeper = std::make_shared<KeepsEndBack>(service.read.get_future());
  const auto server = Serve(service, keeper);
  const auto stub = EchoService::NewStub(ChannelTo(*server));
  grpc::ClientContext context;
  EchoResponse response;
  const auto writer = stub->ClientStream(&context, &response);
  keeper->ending.get_future().wait();
  writer->Write(EchoRequest());
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_FALSE(keeper->got_message);
  EXPECT_EQ(keeper->observed, 0);
  server->Shutdown(0s, 5s);
}

// A unary call whose client does not read the reply, which is larger than what
// the server may send until it does.
TEST_P(StyleTest, AReplyOnItsWayIsNotCutByTheEnd) {
  constexpr std::size_t kBytes = 16 << 20;
  TestServer server(GetParam(), false, {},
                    {.max_receive_message_bytes = 2 * kBytes,
                     .max_send_message_bytes = 2 * kBytes});
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(2 * kBytes));
  const auto channel = grpc::CreateCustomChannel(
      server.address(), grpc::InsecureChannelCredentials(), arguments);
  grpc::ClientContext context;
  const auto call = TestServer::BeginCall(*channel, context);
  EchoRequest request;
  request.set_text(std::string(kBytes, 'x'));
  const grpc::Slice bytes(request.SerializeAsString());
  call->Write(grpc::ByteBuffer(&bytes, 1));
  call->WritesDone();
  call->WaitForInitialMetadata();
  auto ending = std::async(std::launch::async,
                           [&] { server.server().Shutdown(0s, 1min); });
  // Longer than connections without a call have.
  EXPECT_EQ(ending.wait_for(1500ms), std::future_status::timeout);
  EXPECT_EQ(server.running_calls(), 1);
  grpc::ByteBuffer reply;
  EXPECT_TRUE(call->Read(&reply));
  EXPECT_EQ(reply.Length(), bytes.size());
  const grpc::Status status = call->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  ending.get();
  EXPECT_EQ(server.running_calls(), 0);
}

TEST_P(StyleTest, AClientThatGoesAfterItsLastMessageSentNoLargeOne) {
  const auto recorder = std::make_shared<CallRecorder>();
  TestServer server(GetParam(), false, [&](Server& s) { s.Use(recorder); });
  constexpr int kCalls = 1000;
  for (int i = 0; i < kCalls; ++i) {
    grpc::ClientContext context;
    EchoResponse response;
    const auto writer = server.stub().ClientStream(&context, &response);
    writer->Write(EchoRequest());
    writer->WritesDone();
    // Just when the server reads of the end, now and then.
    const auto until = std::chrono::steady_clock::now() +
                       (i % 50) * std::chrono::microseconds(10);
    while (std::chrono::steady_clock::now() < until) {
    }
    context.TryCancel();
    writer->Finish();
  }
  // Some are not seen by the server at all.
  server.Stop();
  EXPECT_THAT(recorder->WaitForCodes(0),
              Each(::testing::AnyOf(grpc::StatusCode::OK,
                                    grpc::StatusCode::CANCELLED)));
}

TEST_P(StyleTest, AHandlerMayCancelItsCall) {
  TestServer server(GetParam(), false);
  server.probe().on_enter = [](grpc::ServerContextBase& context) {
    context.TryCancel();
  };
  for (const CallKind kind : {CallKind::kUnary, CallKind::kClientStream,
                              CallKind::kServerStream, CallKind::kBidiStream}) {
    EXPECT_EQ(server.Call(kind).status.error_code(),
              grpc::StatusCode::CANCELLED);
  }
}

TEST_P(StyleTest, ARequestThatNeverComesIsToldFromOneThatWasGivenUp) {
  const auto recorder = std::make_shared<CallRecorder>();
  TestServer server(GetParam(), false, [&](Server& s) { s.Use(recorder); });
  const auto channel = server.channel();
  const auto begin = [&](grpc::ClientContext& context) {
    auto call = TestServer::BeginCall(*channel, context);
    // When this has been answered, the server has read of the other as well.
    EXPECT_TRUE(server.Call(CallKind::kUnary).status.ok());
    return call;
  };
  {
    grpc::ClientContext context;
    const auto call = begin(context);
    call->WritesDone();
    const grpc::Status status = call->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(FromGrpcStatus(status)), "MALFORMED_REQUEST");
    EXPECT_THAT(status.error_message(), HasSubstr("no message"));
  }
  {
    grpc::ClientContext context;
    const auto call = begin(context);
    context.TryCancel();
    EXPECT_EQ(call->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 100ms);
    const auto call = begin(context);
    EXPECT_EQ(call->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  EXPECT_THAT(recorder->WaitForCodes(6),
              UnorderedElementsAre(grpc::StatusCode::OK, grpc::StatusCode::OK,
                                   grpc::StatusCode::OK,
                                   grpc::StatusCode::INVALID_ARGUMENT,
                                   grpc::StatusCode::CANCELLED,
                                   grpc::StatusCode::DEADLINE_EXCEEDED));
  EXPECT_EQ(server.probe().entered, 3);
}

TEST_P(StyleTest, AMalformedRequestIdIsReplacedByAUuid) {
  TestServer server(GetParam(), false);
  std::string id;
  server.probe().on_enter = [&](grpc::ServerContextBase& context) {
    id = ServerCall::Of(context)->request_id();
  };
  for (const std::string& bad :
       {std::string("a b"), std::string(129, 'x'), std::string("\"quoted\"")}) {
    server.Call(CallKind::kUnary, [&](grpc::ClientContext& context) {
      context.AddMetadata("x-request-id", bad);
    });
    EXPECT_TRUE(IsUuid(id)) << id;
  }
}

TEST_P(StyleTest, AStoppingServerCancelsTheStreamsThatOutliveItsGrace) {
  const auto recorder = std::make_shared<CallRecorder>();
  TestServer server(GetParam(), false, [&](Server& s) { s.Use(recorder); });
  grpc::ClientContext context;
  auto stream = server.stub().BidiStream(&context);
  EchoRequest request;
  request.set_text("hello");
  EchoResponse response;
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  server.server().Shutdown(0s, 20ms);
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(recorder->WaitForCodes(1).size(), 1u);
  EXPECT_EQ(server.server().phase(), ServerPhase::kStopped);
}

TEST_P(StyleTest, ADrainingServerStillServes) {
  std::promise<void> draining;
  TestServer server(GetParam(), false, [&](Server& s) {
    s.OnDrain([&] { draining.set_value(); });
  });
  std::thread stopping([&] { server.server().Shutdown(1h, 1h); });
  draining.get_future().wait();
  EXPECT_TRUE(server.Call(CallKind::kUnary).status.ok());
  EXPECT_EQ(server.server().phase(), ServerPhase::kDraining);
  server.server().ShutdownNow();
  stopping.join();
  EXPECT_EQ(server.server().phase(), ServerPhase::kStopped);
}

TEST_P(StyleTest, TheInProcessChannelPassesTheSameChain) {
  const auto recorder = std::make_shared<CallRecorder>();
  TestServer server(GetParam(), false, [&](Server& s) { s.Use(recorder); });
  const auto stub =
      test::EchoService::NewStub(server.server().InProcessChannel());
  grpc::ClientContext context;
  EchoRequest request;
  request.set_text("hello");
  EchoResponse response;
  EXPECT_TRUE(stub->Unary(&context, request, &response).ok());
  EXPECT_EQ(response.text(), "hello");
  EXPECT_EQ(recorder->WaitForCodes(1), std::vector<int>{0});
}

TEST_P(StyleTest, OversizedMetadataIsRefusedAndTheServerServesOn) {
  TestServer server(GetParam(), false);
  const auto call_with = [&server](int entries) {
    return server.Call(CallKind::kUnary, [entries](grpc::ClientContext& c) {
      for (int i = 0; i < entries; ++i) c.AddMetadata("x-many", "1");
    });
  };
  // 39 bytes each, by HTTP/2's way of counting.
  const CallResult refused = call_with(500);
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED)
      << refused.status.error_message();
  // So many that the connection may break under them.
  EXPECT_FALSE(call_with(10000).status.ok());
  EXPECT_EQ(server.probe().entered, 0);
  // The next call may still go out on the connection that is breaking.
  bool serves = false;
  for (int i = 0; i < 10 && !serves; ++i) serves = call_with(1).status.ok();
  EXPECT_TRUE(serves);
}

// One method in the callback style, the others synchronous.
class MixedEcho : public test::EchoService::WithCallbackMethod_Unary<
                      test::EchoService::Service> {
 public:
  std::atomic<int> entered{0};

 private:
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const EchoRequest* request,
                                  EchoResponse* response) override {
    ++entered;
    response->set_text("callback " + request->text());
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::Status ServerStream(grpc::ServerContext*, const EchoRequest* request,
                            grpc::ServerWriter<EchoResponse>* writer) override {
    ++entered;
    EchoResponse response;
    response.set_text("sync " + request->text());
    writer->Write(response);
    return grpc::Status::OK;
  }
};

// Methods of every kind that get bytes, not messages.
class RawEcho : public test::EchoService::WithRawCallbackMethod_Unary<
                    test::EchoService::WithRawCallbackMethod_ServerStream<
                        test::EchoService::WithRawCallbackMethod_ClientStream<
                            test::EchoService::WithRawCallbackMethod_BidiStream<
                                test::EchoService::Service>>>> {
 public:
  std::atomic<int> entered{0};

 private:
  using Bytes = grpc::ByteBuffer;

  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const Bytes* request,
                                  Bytes* response) override {
    ++entered;
    *response = *request;
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerWriteReactor<Bytes>* ServerStream(grpc::CallbackServerContext*,
                                                const Bytes* request) override {
    ++entered;
    class Reactor : public grpc::ServerWriteReactor<Bytes> {
     public:
      explicit Reactor(const Bytes& bytes) : bytes_(bytes) {
        StartWriteAndFinish(&bytes_, grpc::WriteOptions(), grpc::Status::OK);
      }
      void OnDone() override { delete this; }

     private:
      Bytes bytes_;
    };
    return new Reactor(*request);
  }
  grpc::ServerReadReactor<Bytes>* ClientStream(grpc::CallbackServerContext*,
                                               Bytes* response) override {
    ++entered;
    class Reactor : public grpc::ServerReadReactor<Bytes> {
     public:
      explicit Reactor(Bytes* response) : response_(response) {
        StartRead(&bytes_);
      }
      void OnReadDone(bool ok) override {
        if (!ok) return Finish(grpc::Status::OK);
        *response_ = bytes_;
        StartRead(&bytes_);
      }
      void OnDone() override { delete this; }

     private:
      Bytes* const response_;
      Bytes bytes_;
    };
    return new Reactor(response);
  }
  grpc::ServerBidiReactor<Bytes, Bytes>* BidiStream(
      grpc::CallbackServerContext*) override {
    ++entered;
    class Reactor : public grpc::ServerBidiReactor<Bytes, Bytes> {
     public:
      Reactor() { StartRead(&bytes_); }
      void OnReadDone(bool ok) override {
        if (!ok) return Finish(grpc::Status::OK);
        StartWrite(&bytes_);
      }
      void OnWriteDone(bool ok) override {
        if (ok) StartRead(&bytes_);
      }
      void OnDone() override { delete this; }

     private:
      Bytes bytes_;
    };
    return new Reactor();
  }
};

// A unary method and a server stream that are written as streams.
class StreamedEcho
    : public test::EchoService::WithStreamedUnaryMethod_Unary<
          test::EchoService::WithSplitStreamingMethod_ServerStream<
              test::EchoService::Service>> {
 public:
  std::atomic<int> entered{0};

 private:
  template <typename Stream>
  grpc::Status Echo(Stream* stream) {
    ++entered;
    EchoRequest request;
    EchoResponse response;
    stream->Read(&request);
    response.set_text(request.text());
    stream->Write(response);
    return grpc::Status::OK;
  }
  grpc::Status StreamedUnary(
      grpc::ServerContext*,
      grpc::ServerUnaryStreamer<EchoRequest, EchoResponse>* stream) override {
    return Echo(stream);
  }
  grpc::Status StreamedServerStream(
      grpc::ServerContext*,
      grpc::ServerSplitStreamer<EchoRequest, EchoResponse>* stream) override {
    return Echo(stream);
  }
};

// Refuses or admits every call.
class Door : public ServerInterceptor {
 public:
  std::string_view name() const override { return "door"; }
  Stage stage() const override { return Stage::kUser; }
  absl::Status OnStart(ServerCall&) override {
    return open ? absl::OkStatus() : PermissionDenied("CLOSED", "closed");
  }
  std::atomic<bool> open{false};
};

TEST(CallPathTest, MethodsThatGetBytesAreGuarded) {
  const auto door = std::make_shared<Door>();
  RawEcho service;
  auto server = *Server::Create(
      {.name = "raw", .drain_delay = 0s, .log = {.destination = "/dev/null"}});
  server->Add<test::EchoService>(service).Use(door);
  ASSERT_TRUE(server->Start().ok());
  const auto stub = test::EchoService::NewStub(server->InProcessChannel());
  EchoRequest request;
  request.set_text("hello");
  for (const bool open : {false, true}) {
    door->open = open;
    const std::string said = open ? "hello" : "";
    EchoResponse response;
    grpc::ClientContext unary;
    EXPECT_EQ(stub->Unary(&unary, request, &response).ok(), open);
    EXPECT_EQ(response.text(), said);
    response.Clear();
    grpc::ClientContext from_server;
    const auto reader = stub->ServerStream(&from_server, request);
    EXPECT_EQ(reader->Read(&response), open);
    EXPECT_EQ(response.text(), said);
    EXPECT_EQ(reader->Finish().ok(), open);
    response.Clear();
    grpc::ClientContext from_client;
    const auto writer = stub->ClientStream(&from_client, &response);
    writer->Write(request);
    writer->WritesDone();
    EXPECT_EQ(writer->Finish().ok(), open);
    EXPECT_EQ(response.text(), said);
    response.Clear();
    grpc::ClientContext both;
    const auto stream = stub->BidiStream(&both);
    stream->Write(request);
    EXPECT_EQ(stream->Read(&response), open);
    EXPECT_EQ(response.text(), said);
    stream->WritesDone();
    EXPECT_EQ(stream->Finish().ok(), open);
    EXPECT_EQ(service.entered, open ? 4 : 0);
  }
}

TEST(CallPathTest, WhatIsDoneAtOnceWakesNoOtherThread) {
  TestServer server(Style::kCallback, false);
  EXPECT_TRUE(server.Call(CallKind::kUnary).status.ok());
  constexpr int kCalls = 100;
  const int before = wake_ups;
  for (int i = 0; i < kCalls; ++i) {
    EXPECT_TRUE(server.Call(CallKind::kUnary).status.ok());
    // Until all threads wait again, which nobody tells.
    std::this_thread::sleep_for(2ms);
  }
  // For the client's part; 1.7 a call where each completion goes through the
  // queue.
  EXPECT_LT(wake_ups - before, kCalls);
}

TEST(CallPathTest, MethodsThatAreWrittenAsStreamsAreGuarded) {
  const auto door = std::make_shared<Door>();
  StreamedEcho service;
  auto server = *Server::Create({.name = "streamed",
                                 .drain_delay = 0s,
                                 .log = {.destination = "/dev/null"}});
  server->Add<test::EchoService>(service).Use(door);
  ASSERT_TRUE(server->Start().ok());
  const auto stub = test::EchoService::NewStub(server->InProcessChannel());
  EchoRequest request;
  request.set_text("hello");
  for (const bool open : {false, true}) {
    door->open = open;
    EchoResponse response;
    grpc::ClientContext unary;
    EXPECT_EQ(stub->Unary(&unary, request, &response).ok(), open);
    EXPECT_EQ(response.text(), open ? "hello" : "");
    grpc::ClientContext stream;
    const auto reader = stub->ServerStream(&stream, request);
    EXPECT_EQ(reader->Read(&response), open);
    EXPECT_EQ(reader->Finish().ok(), open);
    EXPECT_EQ(service.entered, open ? 2 : 0);
  }
}

TEST(CallPathTest, AServiceThatMixesStylesIsGuardedMethodByMethod) {
  const auto door = std::make_shared<Door>();
  MixedEcho service;
  auto server = *Server::Create({.name = "mixed",
                                 .drain_delay = 0s,
                                 .log = {.destination = "/dev/null"}});
  server->Add<test::EchoService>(service).Use(door);
  ASSERT_TRUE(server->Start().ok());
  const auto stub = test::EchoService::NewStub(server->InProcessChannel());
  EchoRequest request;
  request.set_text("hello");
  EchoResponse response;
  for (const bool open : {false, true}) {
    door->open = open;
    grpc::ClientContext unary;
    EXPECT_EQ(stub->Unary(&unary, request, &response).ok(), open);
    grpc::ClientContext stream;
    auto reader = stub->ServerStream(&stream, request);
    EXPECT_EQ(reader->Read(&response), open);
    EXPECT_EQ(reader->Finish().ok(), open);
    EXPECT_EQ(service.entered, open ? 2 : 0);
  }
  EXPECT_EQ(response.text(), "sync hello");
}

TEST(CallPathTest, ACompletionQueueServiceIsRefusedWithTheWayOut) {
  test::EchoService::AsyncService service;
  auto server = *Server::Create(
      {.name = "echo", .grpc_address = "127.0.0.1:0", .log_sink = nullptr});
  server->Add<test::EchoService>(service);
  const absl::Status status = server->Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("completion queue"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("CallbackService"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("EchoService/Unary"));
}

// As generated, but for the handler.
class OtherService {
 public:
  class Service : public grpc::Service {
   public:
    explicit Service(const char* path) {
      AddMethod(new grpc::internal::RpcServiceMethod(
          path, grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
      MarkMethodCallback(0, new Handler());
    }
  };

 private:
  class Handler : public grpc::internal::MethodHandler {
    void RunHandler(const HandlerParameter& /*parameter*/) override {}
  };
};

TEST(CallPathTest, WhatNobodyKnowsTheMessagesOfIsRefused) {
  for (const auto& [path, fault] :
       {std::pair("/echo.v1.EchoService/Unary", "generated code"),
        std::pair("/unknown.v1.Service/Get", "protobuf contract")}) {
    OtherService::Service service(path);
    auto server = *Server::Create(
        {.name = "other", .grpc_address = "127.0.0.1:0", .log_sink = nullptr});
    server->Add<OtherService>(service);
    const absl::Status status = server->Start();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    EXPECT_THAT(std::string(status.message()), HasSubstr(fault));
  }
}

// Says the path, and ends.
class PathService : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    ++entered;
    class Reactor : public grpc::ServerGenericBidiReactor {
     public:
      explicit Reactor(const std::string& path) {
        EchoResponse response;
        response.set_text(path);
        bool own = false;
        grpc::SerializationTraits<EchoResponse>::Serialize(response, &bytes_,
                                                           &own)
            .ok();
        StartWriteAndFinish(&bytes_, grpc::WriteOptions(), grpc::Status::OK);
      }
      void OnDone() override { delete this; }

     private:
      grpc::ByteBuffer bytes_;
    };
    return new Reactor(context->method());
  }
  std::atomic<int> entered{0};
};

TEST(CallPathTest, AGenericServiceIsGuarded) {
  class Gate : public ServerInterceptor {
   public:
    std::string_view name() const override { return "gate"; }
    Stage stage() const override { return Stage::kUser; }
    absl::Status OnStart(ServerCall& call) override {
      path = call.path();
      return open ? absl::OkStatus()
                  : PermissionDenied("CLOSED", "the gate is closed");
    }
    std::string path;
    std::atomic<bool> open{false};
  };
  const auto gate = std::make_shared<Gate>();
  PathService service;
  auto server = *Server::Create({.name = "generic",
                                 .grpc_address = "127.0.0.1:0",
                                 .drain_delay = 0s,
                                 .log = {.destination = "/dev/null"}});
  server->AddGeneric(service).Use(gate);
  ASSERT_TRUE(server->Start().ok());
  const auto stub = test::EchoService::NewStub(ChannelTo(*server));
  EchoResponse response;
  {
    grpc::ClientContext context;
    const grpc::Status status = stub->Unary(&context, EchoRequest(), &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(service.entered, 0);
    EXPECT_EQ(gate->path, "/echo.v1.EchoService/Unary");
  }
  gate->open = true;
  grpc::ClientContext context;
  EXPECT_TRUE(stub->Unary(&context, EchoRequest(), &response).ok());
  EXPECT_EQ(response.text(), "/echo.v1.EchoService/Unary");
  EXPECT_EQ(service.entered, 1);
}

}  // namespace
}  // namespace grpccommon
