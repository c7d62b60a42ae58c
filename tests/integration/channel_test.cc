// SPDX-License-Identifier: Apache-2.0
// Stock stubs on our channels, against real servers: what interceptors decide
// holds for every kind of call, in the synchronous and the callback API.

#include "grpccommon/client/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>

#include "google/protobuf/message_lite.h"
#include "grpccommon/base/baton.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/client_call.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/client/outgoing_context.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpcpp/generic/generic_stub.h"
#include "guarded/v1/guarded_service.grpc.pb.h"
#include "support/echo_services.h"
#include "support/every_call.h"
#include "support/test_server.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using test::CallResult;
using test::EchoRequest;
using test::EchoResponse;
using test::EchoService;
using test::Style;
using test::TestServer;
using ::testing::AllOf;
using testing::HasReason;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::MessageIs;
using testing::StatusIs;

// Writes down how each call went, and does what a test wants.
class Probe : public ClientInterceptor {
 public:
  explicit Probe(Stage stage = Stage::kUser) : stage_(stage) {}
  std::string_view name() const override { return "probe"; }
  Stage stage() const override { return stage_; }

  absl::StatusOr<ClientHooks> Register(const Method&) override {
    ++registered;
    return ClientHooks{.attempts = true, .messages = true};
  }
  absl::Status OnStart(ClientCall& call) override {
    ++started;
    return on_start ? on_start(call) : absl::OkStatus();
  }
  absl::Status OnAttemptStart(ClientCall&, ClientAttempt& attempt) override {
    ++attempts_started;
    return on_attempt ? on_attempt(attempt) : absl::OkStatus();
  }
  void OnAttemptEnd(ClientCall&, ClientAttempt&,
                    const grpc::Status& status) override {
    ++attempts_ended;
    attempt_code = status.error_code();
  }
  void OnMessageSent(ClientCall&) override { ++messages_sent; }
  void OnMessageReceived(ClientCall&) override { ++messages_received; }
  void OnFinish(ClientCall& call, grpc::Status& status) override {
    if (on_finish) on_finish(call, status);
    const MutexLock lock(mutex);
    ++finished;
    code = status.error_code();
    attempts = call.attempts();
    sent = call.messages_sent();
    received = call.messages_received();
    refused_by = call.refused_by();
    request_id = call.request_id();
    endpoint = call.endpoint();
    ended.NotifyAll();
  }
  // False after ten seconds.
  bool WaitForFinish() {
    const auto until = std::chrono::steady_clock::now() + 10s;
    const MutexLock lock(mutex);
    while (finished == 0) {
      if (!ended.WaitUntil(mutex, until)) return finished > 0;
    }
    return true;
  }

  std::function<absl::Status(ClientCall&)> on_start;
  std::function<absl::Status(ClientAttempt&)> on_attempt;
  std::function<void(ClientCall&, grpc::Status&)> on_finish;
  std::atomic<int> registered{0};
  std::atomic<int> started{0};
  std::atomic<int> attempts_started{0};
  std::atomic<int> attempts_ended{0};
  std::atomic<int> attempt_code{-1};
  std::atomic<int> messages_sent{0};
  std::atomic<int> messages_received{0};
  Mutex mutex;
  CondVar ended;
  int finished = 0;
  int code = -1;
  int attempts = -1;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  const ClientInterceptor* refused_by = nullptr;
  std::string request_id;
  std::string endpoint;

 private:
  const Stage stage_;
};

// The calls of TestServer::CallOn by the callback API.
CallResult CallbackCall(EchoService::Stub& stub, CallKind kind,
                        grpc::ClientContext& context) {
  CallResult result;
  EchoRequest request;
  request.set_text("hello");
  request.set_repeat(3);
  EchoResponse response;
  std::promise<grpc::Status> done;
  const auto take = [&result, &response] {
    ++result.messages;
    result.text += response.text();
  };
  switch (kind) {
    case CallKind::kUnary:
      stub.async()->Unary(
          &context, &request, &response,
          [&done](grpc::Status status) { done.set_value(std::move(status)); });
      result.status = done.get_future().get();
      if (!response.text().empty()) take();
      break;
    case CallKind::kClientStream: {
      struct Reactor : grpc::ClientWriteReactor<EchoRequest> {
        void OnWriteDone(bool ok) override {
          if (!ok) return;
          writing.Take();
          if (--left == 0) {
            StartWritesDone();
          } else {
            writing.Pass();
            StartWrite(request);
          }
        }
        void OnDone(const grpc::Status& status) override {
          done->set_value(status);
        }
        Baton writing;
        const EchoRequest* request;
        std::promise<grpc::Status>* done;
        int left = 3;
      } reactor;
      reactor.request = &request;
      reactor.done = &done;
      stub.async()->ClientStream(&context, &response, &reactor);
      reactor.writing.Pass();
      reactor.StartWrite(&request);
      reactor.StartCall();
      result.status = done.get_future().get();
      if (!response.text().empty()) take();
      break;
    }
    case CallKind::kServerStream: {
      struct Reactor : grpc::ClientReadReactor<EchoResponse> {
        void OnReadDone(bool ok) override {
          if (!ok) return;
          reading.Take();
          take();
          reading.Pass();
          StartRead(response);
        }
        void OnDone(const grpc::Status& status) override {
          reading.Take();
          done->set_value(status);
        }
        Baton reading;
        EchoResponse* response;
        std::function<void()> take;
        std::promise<grpc::Status>* done;
      } reactor;
      reactor.response = &response;
      reactor.take = take;
      reactor.done = &done;
      stub.async()->ServerStream(&context, &request, &reactor);
      reactor.reading.Pass();
      reactor.StartRead(&response);
      reactor.StartCall();
      result.status = done.get_future().get();
      break;
    }
    case CallKind::kBidiStream: {
      struct Reactor : grpc::ClientBidiReactor<EchoRequest, EchoResponse> {
        void OnReadDone(bool ok) override {
          if (!ok) return;
          reading.Take();
          take();
          reading.Pass();
          StartRead(response);
        }
        void OnWriteDone(bool ok) override {
          if (!ok) return;
          writing.Take();
          if (--left == 0) {
            StartWritesDone();
          } else {
            writing.Pass();
            StartWrite(request);
          }
        }
        void OnDone(const grpc::Status& status) override {
          reading.Take();
          done->set_value(status);
        }
        Baton reading;
        Baton writing;
        const EchoRequest* request;
        EchoResponse* response;
        std::function<void()> take;
        std::promise<grpc::Status>* done;
        int left = 3;
      } reactor;
      reactor.request = &request;
      reactor.response = &response;
      reactor.take = take;
      reactor.done = &done;
      stub.async()->BidiStream(&context, &reactor);
      reactor.reading.Pass();
      reactor.writing.Pass();
      reactor.StartRead(&response);
      reactor.StartWrite(&request);
      reactor.StartCall();
      result.status = done.get_future().get();
      break;
    }
  }
  return result;
}

// A channel to `server` with what a test adds to it.
std::unique_ptr<EchoService::Stub> StubOn(
    const TestServer& server, bool tls, testing::TemporaryFolder& folder,
    std::vector<std::shared_ptr<ClientInterceptor>> interceptors,
    const Logger& logger = {}) {
  ChannelOptions options = {.interceptors = std::move(interceptors)};
  if (tls) {
    options.tls =
        ChannelTlsOptions{.ca_file = folder.Write("ca.pem", server.ca_pem())};
  }
  auto channel = CreateChannel(server.address(), options, logger);
  EXPECT_THAT(channel, IsOk());
  return EchoService::NewStub(*channel);
}

void SetDeadline(grpc::ClientContext& context,
                 std::chrono::milliseconds from_now = 20s) {
  context.set_deadline(std::chrono::system_clock::now() + from_now);
}

using Case = std::tuple<Style, CallKind, bool /*tls*/>;

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  const auto& [style, kind, tls] = info.param;
  return test::NameOf(style, kind) + (tls ? "_tls" : "_plaintext");
}

class ChannelMatrixTest : public ::testing::TestWithParam<Case> {
 protected:
  CallResult Call(grpc::ClientContext& context) {
    return style_ == Style::kSync ? TestServer::CallOn(*stub_, kind_, context)
                                  : CallbackCall(*stub_, kind_, context);
  }
  CallResult Call() {
    grpc::ClientContext context;
    SetDeadline(context);
    return Call(context);
  }

  const Style style_ = std::get<0>(GetParam());
  const CallKind kind_ = std::get<1>(GetParam());
  const bool tls_ = std::get<2>(GetParam());
  testing::TemporaryFolder folder_;
  const std::shared_ptr<Probe> outer_ =
      std::make_shared<Probe>(Stage::kObserve);
  const std::shared_ptr<Probe> middle_ =
      std::make_shared<Probe>(Stage::kIdentify);
  const std::shared_ptr<Probe> inner_ = std::make_shared<Probe>();
  TestServer server_{Style::kCallback, tls_};
  const std::unique_ptr<EchoService::Stub> stub_ =
      StubOn(server_, tls_, folder_, {inner_, middle_, outer_});
};

TEST_P(ChannelMatrixTest, ACallPassesUnchangedAndIsSeenOnce) {
  std::string seen;
  server_.probe().on_enter = [&seen](grpc::ServerContextBase& context) {
    const ServerCall* const call = ServerCall::Of(context);
    seen = std::string(call->metadata("x-call")) + " " +
           std::string(call->metadata("x-attempt")) + " " +
           std::string(call->request_id());
  };
  middle_->on_start = [this](ClientCall& call) {
    EXPECT_EQ(call.secure(), tls_);
    EXPECT_EQ(call.target(), server_.address());
    EXPECT_LE(call.remaining(), 20s);
    EXPECT_GT(call.remaining(), 10s);
    const bool has_request =
        kind_ == CallKind::kUnary || kind_ == CallKind::kServerStream;
    EXPECT_EQ(call.request() != nullptr, has_request);
    if (has_request) {
      EXPECT_EQ(call.request()->GetTypeName(), "echo.v1.EchoRequest");
    }
    call.AddMetadata("x-call", "1");
    return absl::OkStatus();
  };
  inner_->on_attempt = [](ClientAttempt& attempt) {
    attempt.AddMetadata("x-attempt", std::to_string(attempt.number()));
    return absl::OkStatus();
  };
  const CallResult result = Call();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_EQ(result.text, test::ExpectedText(kind_));
  server_.Stop();
  EXPECT_EQ(seen, "1 1 " + outer_->request_id);
  for (const auto& probe : {outer_, middle_, inner_}) {
    EXPECT_EQ(probe->registered, 1);
    EXPECT_EQ(probe->started, 1);
    EXPECT_EQ(probe->attempts_started, 1);
    EXPECT_EQ(probe->attempts_ended, 1);
    EXPECT_EQ(probe->finished, 1);
    EXPECT_EQ(probe->code, grpc::StatusCode::OK);
  }
  const bool sends =
      kind_ == CallKind::kClientStream || kind_ == CallKind::kBidiStream;
  const bool receives =
      kind_ == CallKind::kServerStream || kind_ == CallKind::kBidiStream;
  EXPECT_EQ(outer_->attempts, 1);
  EXPECT_EQ(outer_->sent, sends ? 3u : 1u);
  EXPECT_EQ(outer_->received, receives ? 3u : 1u);
  EXPECT_EQ(outer_->messages_sent, sends ? 3 : 0);
  EXPECT_EQ(outer_->messages_received, receives ? 3 : 0);
  EXPECT_THAT(outer_->endpoint, HasSubstr("127.0.0.1:"));
}

TEST_P(ChannelMatrixTest, ARefusedCallIsNotSent) {
  middle_->on_start = [](ClientCall&) {
    return WithReason(absl::UnauthenticatedError("no token yet"), "NO_TOKEN",
                      "test");
  };
  const CallResult result = Call();
  EXPECT_THAT(result.status,
              AllOf(StatusIs(grpc::StatusCode::UNAUTHENTICATED),
                    MessageIs("no token yet"), HasReason("NO_TOKEN")));
  EXPECT_EQ(result.messages, 0);
  server_.Stop();
  EXPECT_EQ(server_.probe().entered, 0);
  EXPECT_TRUE(server_.log().LinesWhere("msg", "call").empty());
  EXPECT_EQ(inner_->started, 0);
  EXPECT_EQ(inner_->finished, 0);
  for (const auto& probe : {outer_, middle_}) {
    EXPECT_EQ(probe->finished, 1);
    EXPECT_EQ(probe->code, grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(probe->refused_by, middle_.get());
    EXPECT_EQ(probe->attempts, 0);
    EXPECT_EQ(probe->attempts_started, 0);
  }
}

TEST_P(ChannelMatrixTest, ARefusedAttemptIsNotSentEither) {
  middle_->on_attempt = [](ClientAttempt&) {
    return absl::ResourceExhaustedError("no budget");
  };
  const CallResult result = Call();
  EXPECT_THAT(result.status, StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED));
  server_.Stop();
  EXPECT_EQ(server_.probe().entered, 0);
  EXPECT_EQ(outer_->attempts_ended, 1);
  EXPECT_EQ(outer_->attempt_code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(inner_->attempts_started, 0);
  EXPECT_EQ(inner_->attempts_ended, 0);
  EXPECT_EQ(outer_->finished, 1);
  EXPECT_EQ(inner_->finished, 1) << "its start hook ran";
}

TEST_P(ChannelMatrixTest, MetadataThatCannotBeSentFailsTheCall) {
  middle_->on_start = [](ClientCall& call) {
    call.AddMetadata("x-token", "a\nb");
    return absl::OkStatus();
  };
  EXPECT_THAT(Call().status, AllOf(StatusIs(grpc::StatusCode::INTERNAL),
                                   MessageIs(HasSubstr("\"x-token\""))));
  middle_->on_start = [](ClientCall& call) {
    call.AddMetadata("X-Token", "a");
    return absl::OkStatus();
  };
  EXPECT_THAT(Call().status, StatusIs(grpc::StatusCode::INTERNAL));
  server_.Stop();
  EXPECT_EQ(server_.probe().entered, 0);
}

TEST_P(ChannelMatrixTest, AFinishHookMayReplaceTheStatus) {
  inner_->on_finish = [](ClientCall&, grpc::Status& status) {
    status = grpc::Status(grpc::StatusCode::DATA_LOSS, "bad checksum");
  };
  EXPECT_THAT(Call().status, AllOf(StatusIs(grpc::StatusCode::DATA_LOSS),
                                   MessageIs("bad checksum")));
  EXPECT_EQ(inner_->attempt_code, grpc::StatusCode::OK);
  EXPECT_EQ(outer_->code, grpc::StatusCode::DATA_LOSS);
}

TEST_P(ChannelMatrixTest, TheServersStatusComesThrough) {
  server_.probe().on_enter = [](grpc::ServerContextBase&) {
    throw std::runtime_error("handler");
  };
  EXPECT_THAT(Call().status, StatusIs(grpc::StatusCode::INTERNAL));
  EXPECT_EQ(outer_->finished, 1);
  EXPECT_EQ(outer_->code, grpc::StatusCode::INTERNAL);
}

TEST_P(ChannelMatrixTest, ACallThatIsCancelledFinishesOnce) {
  std::promise<void> entered;
  std::promise<void> go_on;
  server_.probe().on_enter = [&](grpc::ServerContextBase&) {
    entered.set_value();
    go_on.get_future().wait();
  };
  grpc::ClientContext context;
  SetDeadline(context);
  std::thread canceller([&] {
    entered.get_future().wait();
    context.TryCancel();
  });
  EXPECT_THAT(Call(context).status, StatusIs(grpc::StatusCode::CANCELLED));
  go_on.set_value();
  canceller.join();
  server_.Stop();  // the handler refers to this function's variables
  EXPECT_EQ(outer_->finished, 1);
  EXPECT_EQ(outer_->code, grpc::StatusCode::CANCELLED);
  EXPECT_EQ(outer_->attempts_ended, 1);
}

TEST_P(ChannelMatrixTest, ACallThatIsLateFinishesOnce) {
  std::promise<void> go_on;
  server_.probe().on_enter = [&](grpc::ServerContextBase&) {
    go_on.get_future().wait();
  };
  // So that connecting does not use the time up.
  ASSERT_TRUE(server_.channel()->WaitForConnected(
      std::chrono::system_clock::now() + 10s));
  grpc::ClientContext context;
  SetDeadline(context, 200ms);
  EXPECT_THAT(Call(context).status,
              StatusIs(grpc::StatusCode::DEADLINE_EXCEEDED));
  go_on.set_value();
  server_.Stop();
  EXPECT_EQ(outer_->finished, 1);
  EXPECT_EQ(outer_->code, grpc::StatusCode::DEADLINE_EXCEEDED);
}

INSTANTIATE_TEST_SUITE_P(Matrix, ChannelMatrixTest,
                         ::testing::Combine(test::EveryStyle(),
                                            test::EveryKind(),
                                            ::testing::Bool()),
                         CaseName);

class ChannelCallTest : public ::testing::Test {
 protected:
  std::unique_ptr<EchoService::Stub> Stub(const Logger& logger = {}) {
    return StubOn(server_, false, folder_, {probe_}, logger);
  }
  static absl::Status AnswerCached(ClientCall& call) {
    EchoResponse response;
    response.set_text("cached");
    EXPECT_TRUE(call.Answer(response));
    return absl::OkStatus();
  }

  testing::TemporaryFolder folder_;
  const std::shared_ptr<Probe> probe_ = std::make_shared<Probe>();
  TestServer server_{Style::kCallback, false};
  grpc::ClientContext context_;
  EchoRequest request_;
  EchoResponse response_;
};

TEST_F(ChannelCallTest, AnAnsweredCallIsNotSent) {
  probe_->on_start = AnswerCached;
  const auto stub = Stub();
  for (const auto& call : {&TestServer::CallOn, &CallbackCall}) {
    grpc::ClientContext context;
    const CallResult result = call(*stub, CallKind::kUnary, context);
    EXPECT_THAT(result.status, IsOk());
    EXPECT_EQ(result.text, "cached");
  }
  server_.Stop();
  EXPECT_EQ(server_.probe().entered, 0);
  EXPECT_EQ(probe_->finished, 2);
  EXPECT_EQ(probe_->code, grpc::StatusCode::OK);
  EXPECT_EQ(probe_->attempts, 0);
  EXPECT_EQ(probe_->refused_by, nullptr);
}

TEST_F(ChannelCallTest, AnAnswerThatAFinishHookRejectsIsAnError) {
  probe_->on_start = AnswerCached;
  probe_->on_finish = [](ClientCall&, grpc::Status& status) {
    status = grpc::Status(grpc::StatusCode::ABORTED, "stale");
  };
  EXPECT_THAT(Stub()->Unary(&context_, request_, &response_),
              StatusIs(grpc::StatusCode::ABORTED));
  EXPECT_EQ(response_.text(), "");
}

TEST_F(ChannelCallTest, AStreamThatIsDroppedHalfWayFinishesOnce) {
  {
    grpc::ClientContext context;
    const auto stream = Stub()->BidiStream(&context);
    request_.set_text("a");
    ASSERT_TRUE(stream->Write(request_));
    ASSERT_TRUE(stream->Read(&response_));
    EXPECT_EQ(probe_->finished, 0);
  }
  EXPECT_EQ(probe_->finished, 1);
  EXPECT_EQ(probe_->code, grpc::StatusCode::CANCELLED);
  EXPECT_EQ(probe_->attempts_ended, 1);
  EXPECT_EQ(probe_->received, 1u);
}

TEST_F(ChannelCallTest, AnExceptionAtTheStartFailsTheCall) {
  probe_->on_start = [](ClientCall&) -> absl::Status {
    throw std::runtime_error("oops");
  };
  const auto sink = std::make_shared<testing::RecordingLogSink>();
  EXPECT_THAT(
      Stub(Logger(sink, "test"))->Unary(&context_, request_, &response_),
      AllOf(StatusIs(grpc::StatusCode::INTERNAL),
            HasReason("INTERCEPTOR_FAILED")));
  EXPECT_EQ(sink->LinesWhere("exception", "oops").size(), 1u);
  EXPECT_EQ(server_.probe().entered, 0);
}

TEST_F(ChannelCallTest, TheCallersOwnRequestIdIsTheCalls) {
  std::string seen;
  server_.probe().on_enter = [&seen](grpc::ServerContextBase& context) {
    seen = ServerCall::Of(context)->request_id();
  };
  context_.AddMetadata("x-request-id", "mine");
  EXPECT_THAT(Stub()->Unary(&context_, request_, &response_), IsOk());
  EXPECT_EQ(seen, "mine");
  EXPECT_EQ(probe_->request_id, "mine");
}

TEST_F(ChannelCallTest, CredentialsOfTheCallGoBeforeTheChannels) {
  std::vector<std::string> seen;
  server_.probe().on_enter = [&seen](grpc::ServerContextBase& context) {
    ServerCall::Of(context)->ForEachMetadata(
        [&seen](std::string_view key, std::string_view value) {
          if (key == "authorization" || key == "traceparent") {
            seen.emplace_back(value);
          }
        });
  };
  probe_->on_start = [](ClientCall& call) {
    call.AddMetadata("authorization", "channel");
    call.AddMetadata("traceparent", "new");
    return absl::OkStatus();
  };
  context_.AddMetadata("authorization", "call");
  context_.AddMetadata("traceparent", "old");
  EXPECT_THAT(Stub()->Unary(&context_, request_, &response_), IsOk());
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre("call", "new"));
}

TEST_F(ChannelCallTest, AGenericStubsCallCannotBeTakenForTyped) {
  bool has_request = true;
  probe_->on_start = [&has_request](ClientCall& call) {
    has_request = call.request() != nullptr;
    return absl::OkStatus();
  };
  auto channel = *CreateChannel(server_.address(), {.interceptors = {probe_}});
  grpc::GenericStub stub(channel);
  const auto call = [&stub] {
    grpc::ClientContext context;
    EchoRequest request;
    request.set_text("raw");
    const grpc::Slice slice(request.SerializeAsString());
    const grpc::ByteBuffer bytes(&slice, 1);
    grpc::ByteBuffer response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(
        &context, "/echo.v1.EchoService/Unary", {}, &bytes, &response,
        [&done](grpc::Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  };
  EXPECT_THAT(call(), IsOk());
  EXPECT_FALSE(has_request);
  probe_->on_start = AnswerCached;
  EXPECT_THAT(call(), AllOf(StatusIs(grpc::StatusCode::INTERNAL),
                            MessageIs(HasSubstr("not known to be protobuf"))));
}

TEST_F(ChannelCallTest, AChannelHasOneMethodHoweverManyThreadsCallIt) {
  const auto stub = Stub();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&stub] {
      for (int j = 0; j < 50; ++j) {
        grpc::ClientContext context;
        EchoResponse response;
        EXPECT_THAT(stub->Unary(&context, EchoRequest(), &response), IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(probe_->started, 200);
  EXPECT_EQ(probe_->finished, 200);
  EXPECT_LE(probe_->registered, 4);
}

// A server whose handlers call another one.
class OutgoingContextTest : public ::testing::Test {
 protected:
  testing::TemporaryFolder folder_;
  const std::shared_ptr<Probe> probe_ = std::make_shared<Probe>();
  TestServer behind_{Style::kSync, false};
  TestServer front_{Style::kSync, false};
  const std::unique_ptr<EchoService::Stub> stub_ =
      StubOn(behind_, false, folder_, {probe_});
};

TEST_F(OutgoingContextTest, CarriesWhatTheParentHas) {
  const ServerCall* parent = nullptr;
  const ServerCall* seen_parent = nullptr;
  bool forwards = false;
  Clock::Duration front_left{};
  Clock::Duration call_left{};
  std::string front_id;
  std::string behind_id;
  probe_->on_start = [&](ClientCall& call) {
    seen_parent = call.parent();
    forwards = call.forward_credentials();
    call_left = call.remaining();
    return absl::OkStatus();
  };
  behind_.probe().on_enter = [&](grpc::ServerContextBase& context) {
    behind_id = ServerCall::Of(context)->request_id();
  };
  front_.probe().on_enter = [&](grpc::ServerContextBase& context) {
    parent = ServerCall::Of(context);
    front_left = parent->remaining();
    front_id = parent->request_id();
    auto outgoing = OutgoingContext::Create(
        parent, {.timeout = 1h, .forward_credentials = true});
    ASSERT_THAT(outgoing, IsOk());
    EchoResponse response;
    EXPECT_THAT(stub_->Unary((*outgoing)->get(), EchoRequest(), &response),
                IsOk());
  };
  const CallResult result =
      front_.Call(CallKind::kUnary, [](grpc::ClientContext& context) {
        SetDeadline(context, 10s);
        context.AddMetadata("x-request-id", "order-7");
      });
  EXPECT_THAT(result.status, IsOk());
  EXPECT_EQ(seen_parent, parent);
  EXPECT_TRUE(forwards);
  EXPECT_EQ(front_id, "order-7");
  EXPECT_EQ(behind_id, "order-7");
  EXPECT_EQ(probe_->request_id, "order-7");
  EXPECT_LE(call_left, front_left - 10ms);
  EXPECT_GT(call_left, 5s);
}

TEST_F(OutgoingContextTest, IsRefusedWhenTheParentHasNoTimeLeft) {
  front_.probe().on_enter = [&](grpc::ServerContextBase& context) {
    EXPECT_THAT(OutgoingContext::Create(ServerCall::Of(context),
                                        {.deadline = {.min_useful = 1s}}),
                AllOf(StatusIs(absl::StatusCode::kDeadlineExceeded),
                      HasReason("PARENT_DEADLINE_TOO_NEAR")));
  };
  front_.Call(CallKind::kUnary, [](grpc::ClientContext& context) {
    SetDeadline(context, 900ms);
  });
  EXPECT_EQ(front_.probe().entered, 1);
  EXPECT_THAT(OutgoingContext::Create(nullptr, {.timeout = -1s}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(OutgoingContextTest, ACancelledParentTakesItsCallsWithIt) {
  std::promise<void> entered;
  std::promise<void> go_on;
  behind_.probe().on_enter = [&](grpc::ServerContextBase&) {
    entered.set_value();
    go_on.get_future().wait();
  };
  grpc::Status inner;
  std::promise<void> front_done;
  front_.probe().on_enter = [&](grpc::ServerContextBase& context) {
    auto outgoing = *OutgoingContext::Create(ServerCall::Of(context));
    EchoResponse response;
    inner = stub_->Unary(outgoing->get(), EchoRequest(), &response);
    front_done.set_value();
  };
  grpc::ClientContext context;
  SetDeadline(context);
  std::thread canceller([&] {
    entered.get_future().wait();
    context.TryCancel();
  });
  EXPECT_THAT(front_.Call(CallKind::kUnary, context).status,
              StatusIs(grpc::StatusCode::CANCELLED));
  canceller.join();
  front_done.get_future().wait();
  EXPECT_THAT(inner, StatusIs(grpc::StatusCode::CANCELLED));
  EXPECT_EQ(probe_->finished, 1);
  go_on.set_value();
  behind_.Stop();
  front_.Stop();
}

TEST_F(OutgoingContextTest, WithoutAParentACallIsBoundedAndHasAnId) {
  std::string id;
  behind_.probe().on_enter = [&](grpc::ServerContextBase& context) {
    id = ServerCall::Of(context)->request_id();
  };
  probe_->on_start = [](ClientCall& call) {
    EXPECT_LE(call.remaining(), 15s);
    EXPECT_GT(call.remaining(), 5s);
    return absl::OkStatus();
  };
  auto outgoing = *OutgoingContext::Create(nullptr);
  EchoResponse response;
  EXPECT_THAT(stub_->Unary(outgoing->get(), EchoRequest(), &response), IsOk());
  EXPECT_EQ(id.size(), 36u);
  EXPECT_EQ(id, probe_->request_id);
}

// What channels do on the wire.
class ChannelWireTest : public ::testing::Test {
 protected:
  static grpc::Status Try(const std::shared_ptr<grpc::Channel>& channel,
                          std::chrono::milliseconds timeout = 5s) {
    grpc::ClientContext context;
    SetDeadline(context, timeout);
    EchoResponse response;
    return EchoService::NewStub(channel)->Unary(&context, EchoRequest(),
                                                &response);
  }
  testing::TemporaryFolder folder_;
};

TEST_F(ChannelWireTest, KeepaliveDoesNotAngerOurServer) {
  // A server's least, and a client that pings as often as that allows.
  TestServer server(Style::kCallback, false, {},
                    {.keepalive = {.minimum_client_interval = 1s}});
  const auto channel = *CreateChannel(
      server.address(), {.keepalive = {.without_calls = true},
                         .arguments = {{GRPC_ARG_KEEPALIVE_TIME_MS, 1100}}});
  const auto stub = EchoService::NewStub(channel);
  grpc::ClientContext context;
  EchoRequest request;
  request.set_text("a");
  EchoResponse response;
  const auto stream = stub->BidiStream(&context);
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  // Four pings: a server takes no more than two that come too soon.
  EXPECT_FALSE(channel->WaitForStateChange(
      GRPC_CHANNEL_READY, std::chrono::system_clock::now() + 5s))
      << "the connection was lost";
  ASSERT_TRUE(stream->Write(request));
  EXPECT_TRUE(stream->Read(&response));
  stream->WritesDone();
  EXPECT_THAT(stream->Finish(), IsOk());
}

TEST_F(ChannelWireTest, AnAuthorityIsReloaded) {
  TestServer server(Style::kCallback, true);
  const testing::CertificateAuthority stranger;
  const std::string ca = folder_.Write("ca.pem", stranger.certificate_pem());
  const ChannelOptions options = {
      .tls = ChannelTlsOptions{.ca_file = ca, .reload_interval = 1s},
      .reconnect = {.initial_backoff = 100ms, .max_backoff = 100ms}};
  const auto channel = *CreateChannel(server.address(), options);
  EXPECT_THAT(Try(channel), StatusIs(grpc::StatusCode::UNAVAILABLE));
  folder_.Write("ca.pem", server.ca_pem());
  EXPECT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() +
                                        std::chrono::seconds(20)));
  EXPECT_THAT(Try(channel), IsOk());
}

TEST_F(ChannelWireTest, TheServersNameIsVerified) {
  TestServer server(Style::kCallback, true);
  const std::string ca = folder_.Write("ca.pem", server.ca_pem());
  const auto named = [&](const std::string& name) {
    return *CreateChannel(
        server.address(),
        {.tls = ChannelTlsOptions{.ca_file = ca, .server_name = name}});
  };
  EXPECT_THAT(Try(named("")), IsOk());
  EXPECT_THAT(Try(named("localhost")), IsOk());
  EXPECT_THAT(Try(named("other.example")),
              StatusIs(grpc::StatusCode::UNAVAILABLE));
}

TEST_F(ChannelWireTest, AClientShowsItsCertificate) {
  const testing::CertificateAuthority authority;
  const testing::Certificate mine = authority.Issue();
  const testing::Certificate theirs = authority.Issue();
  test::EchoProbe probe;
  test::SyncEcho echo(probe);
  const std::string ca = folder_.Write("ca.pem", authority.certificate_pem());
  auto server = *Server::Create(
      {.name = "echo",
       .grpc_address = "127.0.0.1:0",
       .tls = TlsOptions{.certificate_file = folder_.Write(
                             "server.pem", theirs.certificate_pem),
                         .private_key_file = folder_.Write(
                             "server.key", theirs.private_key_pem),
                         .client_ca_file = ca},
       .log_sink = std::make_shared<testing::RecordingLogSink>()});
  server->Add<EchoService>(echo);
  ASSERT_THAT(server->Start(), IsOk());
  const std::string address =
      "127.0.0.1:" + std::to_string(server->grpc_port());
  const auto channel = *CreateChannel(
      address,
      {.tls = ChannelTlsOptions{.ca_file = ca,
                                .certificate_file = folder_.Write(
                                    "client.pem", mine.certificate_pem),
                                .private_key_file = folder_.Write(
                                    "client.key", mine.private_key_pem)}});
  EXPECT_THAT(Try(channel), IsOk());
  const auto without =
      *CreateChannel(address, {.tls = ChannelTlsOptions{.ca_file = ca}});
  EXPECT_THAT(Try(without), StatusIs(grpc::StatusCode::UNAVAILABLE));
}

// Fails as often as a test wants, and is slow where its contract has a timeout.
class Troubled : public guarded::v1::GuardedService::Service {
 public:
  grpc::Status Retried(grpc::ServerContext* context,
                       const guarded::v1::RetriedRequest*,
                       guarded::v1::RetriedResponse*) override {
    ++calls;
    const auto agent = context->client_metadata().find("user-agent");
    user_agent.assign(agent->second.data(), agent->second.size());
    return failures-- > 0 ? Failure() : grpc::Status::OK;
  }
  grpc::Status Known(grpc::ServerContext*, const guarded::v1::KnownRequest*,
                     guarded::v1::KnownResponse*) override {
    ++calls;
    return Failure();
  }
  grpc::Status Bounded(grpc::ServerContext*, const guarded::v1::BoundedRequest*,
                       guarded::v1::BoundedResponse*) override {
    if (block) go_on.get_future().wait_for(std::chrono::seconds(20));
    return grpc::Status::OK;
  }
  static grpc::Status Failure() {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
  }

  std::atomic<int> calls{0};
  std::atomic<int> failures{0};
  std::atomic<bool> block{false};
  std::promise<void> go_on;
  std::string user_agent;
};

class ChannelContractTest : public ::testing::Test {
 protected:
  ChannelContractTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = guarded::v1::GuardedService::NewStub(*CreateChannel(
        "127.0.0.1:" + std::to_string(port),
        {.user_agent = "orders/1.4",
         .services = {guarded::v1::GuardedService::service_full_name()}}));
  }
  Troubled service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<guarded::v1::GuardedService::Stub> stub_;
  grpc::ClientContext context_;
};

TEST_F(ChannelContractTest, AnIdempotentMethodIsRetriedAsItsContractSays) {
  service_.failures = 2;
  guarded::v1::RetriedResponse response;
  EXPECT_THAT(stub_->Retried(&context_, {}, &response), IsOk());
  EXPECT_EQ(service_.calls, 3);
  service_.failures = 3;
  grpc::ClientContext again;
  EXPECT_THAT(stub_->Retried(&again, {}, &response),
              StatusIs(grpc::StatusCode::UNAVAILABLE));
  EXPECT_EQ(service_.calls, 6);
  EXPECT_THAT(service_.user_agent,
              ::testing::StartsWith("orders/1.4 grpc-c++"));
}

TEST_F(ChannelContractTest, AnotherMethodIsSentOnce) {
  guarded::v1::KnownResponse response;
  EXPECT_THAT(stub_->Known(&context_, {}, &response),
              StatusIs(grpc::StatusCode::UNAVAILABLE));
  EXPECT_EQ(service_.calls, 1);
}

TEST_F(ChannelContractTest, TheContractsTimeoutBoundsACallWithoutADeadline) {
  guarded::v1::BoundedResponse response;
  EXPECT_THAT(stub_->Bounded(&context_, {}, &response), IsOk());
  service_.block = true;
  grpc::ClientContext late;
  EXPECT_THAT(stub_->Bounded(&late, {}, &response),
              StatusIs(grpc::StatusCode::DEADLINE_EXCEEDED));
  service_.go_on.set_value();
}

TEST_F(ChannelWireTest, AMessageThatIsTooLargeIsRefusedHere) {
  TestServer server(Style::kCallback, false);
  const auto channel =
      *CreateChannel(server.address(), {.max_send_message_bytes = 100});
  grpc::ClientContext context;
  EchoRequest request;
  request.set_text(std::string(101, 'x'));
  EchoResponse response;
  EXPECT_THAT(
      EchoService::NewStub(channel)->Unary(&context, request, &response),
      StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_EQ(server.probe().entered, 0);
}

TEST_F(ChannelWireTest, ArgumentsGoBeforeOptions) {
  TestServer server(Style::kCallback, false);
  const auto channel = *CreateChannel(
      server.address(),
      {.max_receive_message_bytes = 100,
       .arguments = {{GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, 1 << 20}}});
  grpc::ClientContext context;
  EchoRequest request;
  request.set_text(std::string(1000, 'x'));
  EchoResponse response;
  EXPECT_THAT(
      EchoService::NewStub(channel)->Unary(&context, request, &response),
      IsOk());
}

TEST_F(ChannelWireTest, WithoutABootstrapAnXdsTargetSaysSo) {
  unsetenv("GRPC_XDS_BOOTSTRAP");
  unsetenv("GRPC_XDS_BOOTSTRAP_CONFIG");
  const auto channel = CreateChannel("xds:///users");
  ASSERT_THAT(channel, IsOk());
  EXPECT_THAT(Try(*channel), AllOf(StatusIs(grpc::StatusCode::UNAVAILABLE),
                                   MessageIs(HasSubstr("GRPC_XDS_BOOTSTRAP"))));
}

}  // namespace
}  // namespace grpccommon
