// SPDX-License-Identifier: Apache-2.0
// Streams of clients against real servers in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grpccommon/base/baton.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/cancellation.h"
#include "grpccommon/call/client_call.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "support/test_server.h"

namespace grpccommon::test {
namespace {

using namespace std::chrono_literals;
using Stub = EchoService::Stub;

constexpr int kMessages = 3;

EchoRequest Hello(std::string text = "hello") {
  EchoRequest request;
  request.set_text(std::move(text));
  request.set_repeat(kMessages);
  return request;
}

/// What a server does beside echoing.
struct Script {
  /// So many calls fail at once.
  std::atomic<int> fail_first{0};
  grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE;
  /// Client streams and bidirectional ones fail after so many messages read.
  std::atomic<int> fail_after_reads{-1};
  /// After the first message: waits until the call is cancelled, or fails.
  bool hold = false;
  bool fail_after_first = false;

  std::atomic<int> calls{0};
  std::atomic<int> cancelled{0};
  std::atomic<bool> had_deadline{false};

  grpc::Status Enter(const grpc::ServerContext& context) {
    ++calls;
    had_deadline =
        context.deadline() < std::chrono::system_clock::time_point::max();
    return fail_first-- > 0 ? Failure() : grpc::Status::OK;
  }
  grpc::Status AfterFirst(const grpc::ServerContext& context) {
    if (hold) {
      while (!context.IsCancelled()) std::this_thread::yield();
      ++cancelled;
      return grpc::Status::CANCELLED;
    }
    return fail_after_first ? Failure() : grpc::Status::OK;
  }
  grpc::Status Failure() const { return {code, "scripted"}; }
};

/// A stock server, which says nothing about what it has processed.
class ScriptedServer : private EchoService::Service {
 public:
  ScriptedServer() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~ScriptedServer() override { Stop(); }

  Script& script() { return script_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void Stop() { server_->Shutdown(std::chrono::system_clock::now()); }

 private:
  grpc::Status ServerStream(grpc::ServerContext* context,
                            const EchoRequest* request,
                            grpc::ServerWriter<EchoResponse>* writer) override {
    grpc::Status status = script_.Enter(*context);
    EchoResponse response;
    response.set_text(request->text());
    for (int i = 0; status.ok() && i < request->repeat(); ++i) {
      if (!writer->Write(response)) break;
      if (i == 0) status = script_.AfterFirst(*context);
    }
    return status;
  }
  grpc::Status ClientStream(grpc::ServerContext* context,
                            grpc::ServerReader<EchoRequest>* reader,
                            EchoResponse* response) override {
    grpc::Status status = script_.Enter(*context);
    EchoRequest request;
    for (int i = 0; status.ok() && reader->Read(&request); ++i) {
      response->mutable_text()->append(request.text());
      if (i == 0) status = script_.AfterFirst(*context);
      if (script_.fail_after_reads == i + 1) status = script_.Failure();
    }
    return status;
  }
  grpc::Status BidiStream(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<EchoResponse, EchoRequest>* stream) override {
    grpc::Status status = script_.Enter(*context);
    EchoRequest request;
    EchoResponse response;
    for (int i = 0; status.ok() && stream->Read(&request); ++i) {
      if (script_.fail_after_reads == i + 1) return script_.Failure();
      if (script_.fail_after_reads > i + 1) continue;
      response.set_text(request.text());
      if (!stream->Write(response)) break;
      if (i == 0) status = script_.AfterFirst(*context);
    }
    return status;
  }

  Script script_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

/// Counts, and may refuse.
class Watcher : public ClientInterceptor {
 public:
  std::string_view name() const override { return "watcher"; }
  Stage stage() const override { return Stage::kUser; }
  absl::StatusOr<ClientHooks> Register(const Method&) override {
    return ClientHooks{.attempts = true, .messages = true};
  }
  absl::Status OnStart(ClientCall&) override { return refuse_with; }
  absl::Status OnAttemptStart(ClientCall&, ClientAttempt&) override {
    ++attempts_started;
    return absl::OkStatus();
  }
  void OnAttemptEnd(ClientCall&, ClientAttempt&, const grpc::Status&) override {
    ++attempts_ended;
  }
  void OnMessageSent(ClientCall&) override { ++sent; }
  void OnMessageReceived(ClientCall&) override { ++received; }
  void OnFinish(ClientCall&, grpc::Status& status) override {
    ++finished;
    last_code = status.error_code();
  }

  absl::Status refuse_with;
  std::atomic<int> attempts_started{0};
  std::atomic<int> attempts_ended{0};
  std::atomic<int> sent{0};
  std::atomic<int> received{0};
  std::atomic<int> finished{0};
  std::atomic<int> last_code{-1};
};

struct StreamResult {
  grpc::Status status;
  int messages = 0;
  std::string text;
};

/// Called after each message that came, or for a client stream was sent.
using OnProgress = std::function<void(int)>;

StreamResult RunBlocking(Client<EchoService>& client, CallKind kind,
                         const CallOptions& options,
                         const OnProgress& on_progress) {
  StreamResult result;
  EchoResponse response;
  const auto take = [&] {
    result.text += response.text();
    ++result.messages;
    if (on_progress) on_progress(result.messages);
  };
  switch (kind) {
    case CallKind::kServerStream: {
      const auto stream = client.Open(&Stub::ServerStream, Hello(), options);
      while (stream->Read(&response)) take();
      result.status = stream->Finish();
      break;
    }
    case CallKind::kClientStream: {
      const auto stream = client.Open(&Stub::ClientStream, &response, options);
      for (int i = 0; i < kMessages && stream->Write(Hello()); ++i) {
        if (on_progress) on_progress(i + 1);
      }
      stream->WritesDone();
      result.status = stream->Finish();
      result.text = response.text();
      break;
    }
    case CallKind::kBidiStream: {
      const auto stream = client.Open(&Stub::BidiStream, options);
      for (int i = 0;
           i < kMessages && stream->Write(Hello()) && stream->Read(&response);
           ++i) {
        take();
      }
      stream->WritesDone();
      // gRPC has no status while messages are unread.
      while (stream->Read(&response)) take();
      result.status = stream->Finish();
      break;
    }
    case CallKind::kUnary:
      break;
  }
  return result;
}

/// Reactors that do the same, each step from the reaction to the one before.
template <typename Base>
class Talker : public Base {
 public:
  explicit Talker(const OnProgress& on_progress) : on_progress_(on_progress) {}
  StreamResult Wait() { return promise_.get_future().get(); }

  void OnDone(const grpc::Status& status) override {
    result_.status = status;
    promise_.set_value(std::move(result_));
  }

 protected:
  void Take() {
    result_.text += response_.text();
    ++result_.messages;
    Progress(result_.messages);
  }
  void Progress(int messages) {
    if (on_progress_) on_progress_(messages);
  }
  const OnProgress& on_progress_;
  const EchoRequest request_ = Hello();
  EchoResponse response_;
  StreamResult result_;
  std::promise<StreamResult> promise_;
};

class ReadTalker : public Talker<grpc::ClientReadReactor<EchoResponse>> {
 public:
  using Talker::Talker;
  void Start() {
    StartRead(&response_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    Take();
    StartRead(&response_);
  }
};

class WriteTalker : public Talker<grpc::ClientWriteReactor<EchoRequest>> {
 public:
  using Talker::Talker;
  void Start() {
    StartWrite(&request_);
    StartCall();
  }
  EchoResponse& response() { return response_; }
  void OnWriteDone(bool ok) override {
    if (!ok) return;
    Progress(++written_);
    if (written_ == kMessages) {
      StartWritesDone();
    } else {
      StartWrite(&request_);
    }
  }
  void OnDone(const grpc::Status& status) override {
    result_.text = response_.text();
    Talker::OnDone(status);
  }

 private:
  int written_ = 0;
};

class BidiTalker
    : public Talker<grpc::ClientBidiReactor<EchoRequest, EchoResponse>> {
 public:
  using Talker::Talker;
  void Start() {
    StartWrite(&request_);
    StartCall();
  }
  // Also if it failed: gRPC has no status while messages are unread.
  void OnWriteDone(bool /*ok*/) override { StartRead(&response_); }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    Take();
    if (result_.messages < kMessages) {
      StartWrite(&request_);
    } else {
      StartWritesDone();
    }
  }
};

StreamResult RunCallback(Client<EchoService>& client, CallKind kind,
                         const CallOptions& options,
                         const OnProgress& on_progress) {
  switch (kind) {
    case CallKind::kServerStream: {
      ReadTalker talker(on_progress);
      client.Open(&Stub::ServerStream, Hello(), options, &talker);
      talker.Start();
      return talker.Wait();
    }
    case CallKind::kClientStream: {
      WriteTalker talker(on_progress);
      client.Open(&Stub::ClientStream, &talker.response(), options, &talker);
      talker.Start();
      return talker.Wait();
    }
    default: {
      BidiTalker talker(on_progress);
      client.Open(&Stub::BidiStream, options, &talker);
      talker.Start();
      return talker.Wait();
    }
  }
}

enum class Api { kBlocking, kCallback };

class ClientStreamTest
    : public ::testing::TestWithParam<std::tuple<Api, CallKind>> {
 protected:
  ~ClientStreamTest() override {
    client_.reset();
    manager_.reset();
  }

  static CallKind kind() { return std::get<CallKind>(GetParam()); }

  /// Nothing but the policy under test stops a call.
  static ClientOptions Patient() {
    ClientOptions options;
    options.breaker.reset();
    options.discovery.ejection.reset();
    options.retry_limit = RetryBudgetOptions{.min_retries_per_second = 1000};
    return options;
  }

  void Register(const std::string& address) {
    registrations_.push_back(
        *registry_->Register("echo", {.address = address}));
  }

  Client<EchoService>& Connect(
      Idempotency idempotency = Idempotency::kIdempotent,
      ClientOptions options = Patient()) {
    options.methods.push_back({.idempotency = idempotency});
    options.retry.backoff = {.initial = 1ms, .max = 1ms};
    options.interceptors.push_back(watcher_);
    manager_ = *ClientManager::Create(
        {.registry = registry_, .defaults = std::move(options)});
    client_ = *manager_->Get<EchoService>("echo");
    return *client_;
  }

  StreamResult Run(Client<EchoService>& client, CallOptions options = {},
                   const OnProgress& on_progress = {}) {
    return std::get<Api>(GetParam()) == Api::kBlocking
               ? RunBlocking(client, kind(), options, on_progress)
               : RunCallback(client, kind(), options, on_progress);
  }

  void ExpectNothingInFlight() {
    for (const ServiceStats& service : manager_->Stats()) {
      EXPECT_EQ(service.in_flight, 0);
      for (const EndpointStats& endpoint : service.endpoints) {
        EXPECT_EQ(endpoint.in_flight, 0) << endpoint.address;
      }
    }
    EXPECT_EQ(watcher_->attempts_started, watcher_->attempts_ended);
  }

  std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  std::shared_ptr<Registry> registry_ = CreateMemoryRegistry(*scheduler_);
  std::vector<std::unique_ptr<Registration>> registrations_;
  std::shared_ptr<Watcher> watcher_ = std::make_shared<Watcher>();
  std::unique_ptr<ClientManager> manager_;
  std::shared_ptr<Client<EchoService>> client_;
};

TEST_P(ClientStreamTest, CarriesMessages) {
  TestServer server(Style::kCallback, false);
  Register("127.0.0.1:" + std::to_string(server.server().grpc_port()));
  CallInfo info;
  const StreamResult result = Run(Connect(), {.info = &info});
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.text, "hellohellohello");
  EXPECT_EQ(info.attempts, 1);
  EXPECT_EQ(info.stop_reason, StopReason::kNone);
  EXPECT_EQ(info.endpoint,
            "127.0.0.1:" + std::to_string(server.server().grpc_port()));
  EXPECT_FALSE(info.request_id.empty());
  ExpectNothingInFlight();
}

TEST_P(ClientStreamTest, TellsInterceptorsOfEachMessageAndOneEnd) {
  ScriptedServer server;
  server.script().fail_first = 1;
  Register(server.address());
  EXPECT_TRUE(Run(Connect()).status.ok());
  const CallKind k = kind();
  // Once each, although it was sent twice.
  EXPECT_EQ(watcher_->sent, k == CallKind::kServerStream ? 0 : kMessages);
  EXPECT_EQ(watcher_->received, k == CallKind::kClientStream ? 0 : kMessages);
  EXPECT_EQ(watcher_->attempts_started, 2);
  EXPECT_EQ(watcher_->attempts_ended, 2);
  EXPECT_EQ(watcher_->finished, 1);
  EXPECT_EQ(watcher_->last_code, 0);
}

TEST_P(ClientStreamTest, IsTriedAgainBeforeTheFirstMessage) {
  ScriptedServer server;
  server.script().fail_first = 2;
  Register(server.address());
  CallInfo info;
  const StreamResult result = Run(Connect(), {.info = &info});
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.text, "hellohellohello");
  EXPECT_EQ(info.attempts, 3);
  EXPECT_EQ(server.script().calls, 3);
  ExpectNothingInFlight();
}

TEST_P(ClientStreamTest, GivesUpAfterAsManyAttemptsAsThePolicyAllows) {
  ScriptedServer server;
  server.script().fail_first = 1000;
  Register(server.address());
  CallInfo info;
  const StreamResult result = Run(Connect(), {.info = &info});
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(result.status.error_message(), "scripted");
  EXPECT_EQ(info.attempts, 3);
  EXPECT_EQ(info.stop_reason, StopReason::kAttempts);
  EXPECT_EQ(server.script().calls, 3);
  ExpectNothingInFlight();
}

TEST_P(ClientStreamTest, IsTriedOnceIfTheCallerSaysSo) {
  ScriptedServer server;
  server.script().fail_first = 1;
  Register(server.address());
  const StreamResult result = Run(Connect(), {.retry = false});
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.script().calls, 1);
}

TEST_P(ClientStreamTest, ThatIsNotIdempotentIsNotSentTwice) {
  ScriptedServer server;
  server.script().fail_first = 1;
  Register(server.address());
  CallInfo info;
  const StreamResult result =
      Run(Connect(Idempotency::kUnknown), {.info = &info});
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(info.stop_reason, StopReason::kNotIdempotent);
  EXPECT_EQ(server.script().calls, 1);
}

// Answers each call with these bytes, and an OK.
class Babbler : private grpc::CallbackGenericService {
 public:
  explicit Babbler(std::vector<std::string> messages)
      : messages_(std::move(messages)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
  }
  ~Babbler() override {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int calls() const { return calls_; }

 private:
  class Call : public grpc::ServerGenericBidiReactor {
   public:
    explicit Call(const std::vector<std::string>& messages)
        : messages_(messages) {
      Next();
    }

   private:
    void Next() {
      if (next_ == messages_.size()) {
        baton_.Pass();
        Finish(grpc::Status::OK);
        return;
      }
      const grpc::Slice slice(messages_[next_++]);
      message_ = grpc::ByteBuffer(&slice, 1);
      baton_.Pass();
      StartWrite(&message_);
    }
    void OnWriteDone(bool ok) override {
      baton_.Take();
      if (!ok) next_ = messages_.size();
      Next();
    }
    void OnDone() override {
      baton_.Take();
      delete this;
    }

    Baton baton_;

    const std::vector<std::string>& messages_;
    std::size_t next_ = 0;
    grpc::ByteBuffer message_;
  };
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* /*context*/) override {
    ++calls_;
    return new Call(messages_);
  }

  const std::vector<std::string> messages_;
  std::atomic<int> calls_{0};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_P(ClientStreamTest, AMessageThatDoesNotParseIsNotTheEnd) {
  const std::string good("\x0a\x01y");
  for (const std::string& bad :
       {std::string("\xff\xff"), std::string("\x0a\x01\xff")}) {
    for (const bool first : {true, false}) {
      // A client stream has one answer.
      if (!first && kind() == CallKind::kClientStream) continue;
      const Babbler server(first ? std::vector{bad, good}
                                 : std::vector{good, bad});
      Register(server.address());
      CallInfo info;
      const StreamResult result = Run(Connect(), {.info = &info});
      EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INTERNAL);
      EXPECT_THAT(result.status.error_message(),
                  ::testing::HasSubstr("does not parse"));
      EXPECT_EQ(ReasonOf(FromGrpcStatus(result.status)), "MALFORMED_RESPONSE");
      // What parsed of a single answer is nobody's promise.
      EXPECT_EQ(result.messages, first ? 0 : 1);
      EXPECT_EQ(info.attempts, 1);
      EXPECT_EQ(server.calls(), 1);
      ExpectNothingInFlight();
      registrations_.clear();
    }
  }
}

TEST_P(ClientStreamTest, ThatWasCertainlyNotProcessedIsSentAgain) {
  // Refused before the handler, which the server says.
  class RefuseFirst : public ServerInterceptor {
   public:
    std::string_view name() const override { return "refuse_first"; }
    Stage stage() const override { return Stage::kProtect; }
    absl::Status OnStart(ServerCall&) override {
      return calls_++ == 0 ? absl::UnavailableError("not now")
                           : absl::OkStatus();
    }

   private:
    std::atomic<int> calls_{0};
  };
  TestServer server(Style::kCallback, false,
                    [](Server& s) { s.Use(std::make_shared<RefuseFirst>()); });
  Register("127.0.0.1:" + std::to_string(server.server().grpc_port()));
  CallInfo info;
  const StreamResult result =
      Run(Connect(Idempotency::kUnknown), {.info = &info});
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.text, "hellohellohello");
  EXPECT_EQ(info.attempts, 2);
  EXPECT_EQ(server.probe().entered, 1);
}

TEST_P(ClientStreamTest, IsNotTriedAgainAfterAMessage) {
  if (kind() == CallKind::kClientStream) return;  // it has one at its end only
  ScriptedServer server;
  server.script().fail_after_first = true;
  Register(server.address());
  CallInfo info;
  const StreamResult result = Run(Connect(), {.info = &info});
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(result.messages, 1);
  EXPECT_EQ(info.attempts, 1);
  EXPECT_EQ(server.script().calls, 1);
  ExpectNothingInFlight();
}

TEST_P(ClientStreamTest, GoesAroundAnInstanceThatIsDown) {
  ScriptedServer good;
  ScriptedServer bad;
  Register(good.address());
  Register(bad.address());
  Client<EchoService>& client = Connect();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Run(client).status.ok());
  bad.Stop();
  for (int i = 0; i < 50; ++i) {
    const StreamResult result = Run(client);
    ASSERT_TRUE(result.status.ok()) << result.status.error_message();
    ASSERT_EQ(result.text, "hellohellohello");
  }
  ExpectNothingInFlight();
}

TEST_P(ClientStreamTest, SaysThatNoInstanceIsRegistered) {
  ClientOptions options = Patient();
  options.discovery.max_wait = 10ms;
  const StreamResult result = Run(Connect(Idempotency::kIdempotent, options));
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(result.status)), "NO_ENDPOINT");
}

TEST_P(ClientStreamTest, ThatIsRefusedIsNotSent) {
  ScriptedServer server;
  Register(server.address());
  watcher_->refuse_with = absl::PermissionDeniedError("not for you");
  const StreamResult result = Run(Connect());
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(result.status.error_message(), "not for you");
  EXPECT_EQ(result.messages, 0);
  EXPECT_EQ(server.script().calls, 0);
  EXPECT_EQ(watcher_->finished, 1);
  ExpectNothingInFlight();
}

TEST_P(ClientStreamTest, EndsAtItsDeadline) {
  ScriptedServer server;
  Register(server.address());
  Client<EchoService>& client = Connect();
  // Connected, so that the time is the server's alone.
  ASSERT_TRUE(Run(client).status.ok());
  server.script().hold = true;
  const StreamResult result = Run(client, {.timeout = 100ms});
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  ExpectNothingInFlight();
}

TEST_P(ClientStreamTest, HasADeadlineUnlessAskedForByName) {
  ScriptedServer server;
  Register(server.address());
  Client<EchoService>& client = Connect();
  EXPECT_TRUE(Run(client).status.ok());
  EXPECT_TRUE(server.script().had_deadline);
  EXPECT_TRUE(Run(client, {.unbounded = true}).status.ok());
  EXPECT_FALSE(server.script().had_deadline);
}

TEST_P(ClientStreamTest, ObeysItsCancellation) {
  ScriptedServer server;
  server.script().hold = true;
  Register(server.address());
  Cancellation cancellation;
  const StreamResult result = Run(Connect(), {.cancellation = &cancellation},
                                  [&](int) { cancellation.Cancel(); });
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::CANCELLED);
  ExpectNothingInFlight();
}

TEST_P(ClientStreamTest, ThatWasCancelledBeforeIsNotSent) {
  ScriptedServer server;
  Register(server.address());
  Cancellation cancellation;
  cancellation.Cancel();
  const StreamResult result = Run(Connect(), {.cancellation = &cancellation});
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(server.script().calls, 0);
}

TEST_P(ClientStreamTest, IsCancelledWithItsParent) {
  ScriptedServer server;
  server.script().hold = true;
  Register(server.address());
  Client<EchoService>& client = Connect();
  TestServer front(Style::kSync, false);
  grpc::ClientContext caller;
  StreamResult result;
  CallInfo info;
  std::string parent_id;
  front.probe().on_enter = [&](grpc::ServerContextBase& context) {
    ServerCall* const parent = ServerCall::Of(context);
    parent_id = parent->request_id();
    result = Run(client, {.parent = parent, .info = &info},
                 [&](int) { caller.TryCancel(); });
  };
  EXPECT_EQ(front.Call(CallKind::kUnary, caller).status.error_code(),
            grpc::StatusCode::CANCELLED);
  front.Stop();
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(info.request_id, parent_id);
  ExpectNothingInFlight();
}

TEST_P(ClientStreamTest, IsCancelledByShutdown) {
  ScriptedServer server;
  server.script().hold = true;
  Register(server.address());
  Client<EchoService>& client = Connect();
  std::thread shutdown;
  const StreamResult result = Run(client, {}, [&](int) {
    if (shutdown.joinable()) return;
    shutdown = std::thread([this] { manager_->Shutdown(0s); });
  });
  shutdown.join();
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::CANCELLED);
  const StreamResult late = Run(client);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(late.status)), "CLIENT_SHUT_DOWN");
}

TEST_P(ClientStreamTest, ManyRunBesideEachOther) {
  ScriptedServer servers[3];
  for (ScriptedServer& server : servers) {
    server.script().fail_first = 5;
    Register(server.address());
  }
  ClientOptions options = Patient();
  options.retry.max_attempts = 10;
  Client<EchoService>& client = Connect(Idempotency::kIdempotent, options);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 25; ++j) {
        const StreamResult result = Run(client);
        good += result.status.ok() && result.text == "hellohellohello";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
  EXPECT_EQ(watcher_->attempts_started, 200 + 15);
  ExpectNothingInFlight();
}

std::string NameOf(
    const ::testing::TestParamInfo<std::tuple<Api, CallKind>>& info) {
  const auto [api, kind] = info.param;
  return std::string(api == Api::kBlocking ? "Blocking_" : "Callback_") +
         std::string(CallKindName(kind));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ClientStreamTest,
    ::testing::Combine(::testing::Values(Api::kBlocking, Api::kCallback),
                       ::testing::Values(CallKind::kServerStream,
                                         CallKind::kClientStream,
                                         CallKind::kBidiStream)),
    NameOf);

class BlockingStreamTest : public ClientStreamTest {};

TEST_F(BlockingStreamTest, DroppingItCancelsTheCall) {
  ScriptedServer server;
  server.script().hold = true;
  Register(server.address());
  Client<EchoService>& client = Connect();
  {
    const auto reader = client.Open(&Stub::ServerStream, Hello());
    EchoResponse response;
    ASSERT_TRUE(reader->Read(&response));
  }
  ExpectNothingInFlight();
  EXPECT_EQ(watcher_->finished, 1);
  EXPECT_EQ(watcher_->last_code, grpc::StatusCode::CANCELLED);
  while (server.script().cancelled == 0) std::this_thread::yield();
}

TEST_F(BlockingStreamTest, DroppingItUnreadLeavesNothing) {
  ScriptedServer server;
  Register(server.address());
  Client<EchoService>& client = Connect();
  EchoResponse response;
  static_cast<void>(client.Open(&Stub::ServerStream, Hello()));
  static_cast<void>(client.Open(&Stub::ClientStream, &response));
  static_cast<void>(client.Open(&Stub::BidiStream));
  ExpectNothingInFlight();
  EXPECT_EQ(watcher_->finished, 3);
}

TEST_F(BlockingStreamTest, WhatIsTooMuchToBeKeptIsNotSentAgain) {
  ScriptedServer server;
  server.script().fail_after_reads = 70;
  Register(server.address());
  Client<EchoService>& client = Connect();
  const EchoRequest request = Hello(std::string(1000, 'x'));
  EchoResponse response;
  CallInfo info;
  const auto writer =
      client.Open(&Stub::ClientStream, &response, {.info = &info});
  for (int i = 0; i < 70 && writer->Write(request); ++i) {
  }
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(info.stop_reason, StopReason::kNotRepeatable);

  const auto stream = client.Open(&Stub::BidiStream, {.info = &info});
  for (int i = 0; i < 70 && stream->Write(request); ++i) {
  }
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(info.stop_reason, StopReason::kNotRepeatable);
  EXPECT_EQ(server.script().calls, 2);
}

TEST_F(BlockingStreamTest, ABidiStreamIsReplayedWhileAnotherThreadWrites) {
  ScriptedServer server;
  Register(server.address());
  Client<EchoService>& client = Connect();
  for (int round = 0; round < 20; ++round) {
    server.script().fail_first = 2;
    const auto stream = client.Open(&Stub::BidiStream);
    std::thread writer([&] {
      for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(stream->Write(Hello(std::to_string(i))));
      }
      EXPECT_TRUE(stream->WritesDone());
    });
    EchoResponse response;
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(stream->Read(&response)) << i;
      ASSERT_EQ(response.text(), std::to_string(i));
    }
    EXPECT_FALSE(stream->Read(&response));
    writer.join();
    EXPECT_TRUE(stream->Finish().ok());
  }
  ExpectNothingInFlight();
}

TEST_F(BlockingStreamTest, AnEmptyStreamIsASuccess) {
  ScriptedServer server;
  Register(server.address());
  Client<EchoService>& client = Connect();
  EchoRequest none;
  const auto reader = client.Open(&Stub::ServerStream, none);
  EchoResponse response;
  reader->WaitForInitialMetadata();
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(server.script().calls, 1);
}

TEST_F(BlockingStreamTest, ABreakerHearsOfTheFirstMessage) {
  ScriptedServer server;
  server.script().hold = true;
  Register(server.address());
  ClientOptions options;
  options.breaker = BreakerPolicy();
  Client<EchoService>& client = Connect(Idempotency::kUnknown, options);
  const auto stream = client.Open(&Stub::ServerStream, Hello());
  const std::shared_ptr<CircuitBreaker> breaker =
      manager_->FindBreaker("echo", "/echo.v1.EchoService/ServerStream");
  ASSERT_NE(breaker, nullptr);
  EXPECT_EQ(breaker->stats().calls, 0u);
  EchoResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(breaker->stats().calls, 1u);
}

class CallbackStreamTest : public ClientStreamTest {};

/// Writes from a thread of the test's and reads in reactions.
class HoldingTalker
    : public Talker<grpc::ClientBidiReactor<EchoRequest, EchoResponse>> {
 public:
  using Talker::Talker;
  void Start() {
    AddHold();
    StartRead(&response_);
    StartCall();
  }
  bool WriteAndWait(const EchoRequest& request) {
    written_ = std::promise<bool>();
    StartWrite(&request);
    return written_.get_future().get();
  }
  bool FinishWriting() {
    written_ = std::promise<bool>();
    StartWritesDone();
    const bool ok = written_.get_future().get();
    RemoveHold();
    return ok;
  }
  void OnReadInitialMetadataDone(bool ok) override {
    metadata_ += ok ? 1 : 100;
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    Take();
    StartRead(&response_);
  }
  void OnWriteDone(bool ok) override { written_.set_value(ok); }
  void OnWritesDoneDone(bool ok) override { written_.set_value(ok); }
  int metadata() const { return metadata_; }

 private:
  std::promise<bool> written_;
  std::atomic<int> metadata_{0};
};

TEST_F(CallbackStreamTest, IsReplayedWhileAnotherThreadWrites) {
  ScriptedServer server;
  Register(server.address());
  Client<EchoService>& client = Connect();
  const OnProgress none;
  for (int round = 0; round < 20; ++round) {
    server.script().fail_first = 2;
    HoldingTalker talker(none);
    client.Open(&Stub::BidiStream, {}, &talker);
    talker.Start();
    std::string expected;
    for (int i = 0; i < 50; ++i) {
      const std::string text = std::to_string(i);
      expected += text;
      EXPECT_TRUE(talker.WriteAndWait(Hello(text)));
    }
    EXPECT_TRUE(talker.FinishWriting());
    const StreamResult result = talker.Wait();
    EXPECT_TRUE(result.status.ok()) << result.status.error_message();
    EXPECT_EQ(result.text, expected);
    EXPECT_EQ(talker.metadata(), 1);
  }
  ExpectNothingInFlight();
}

TEST_F(CallbackStreamTest, IsDoneOnlyWhenTheLastHoldIsGone) {
  ScriptedServer server;
  Register(server.address());
  watcher_->refuse_with = absl::PermissionDeniedError("not for you");
  Client<EchoService>& client = Connect();
  const OnProgress none;
  HoldingTalker talker(none);
  client.Open(&Stub::BidiStream, {}, &talker);
  talker.Start();
  // The call has ended, but operations are still answered.
  EXPECT_FALSE(talker.WriteAndWait(Hello()));
  EXPECT_FALSE(talker.WriteAndWait(Hello()));
  EXPECT_EQ(watcher_->finished, 0);
  EXPECT_FALSE(talker.FinishWriting());
  EXPECT_EQ(talker.Wait().status.error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(talker.metadata(), 100);
  EXPECT_EQ(watcher_->finished, 1);
}

TEST_F(CallbackStreamTest, WhatIsTooMuchToBeKeptIsNotSentAgain) {
  ScriptedServer server;
  server.script().fail_after_reads = 70;
  Register(server.address());
  Client<EchoService>& client = Connect();
  const OnProgress none;
  HoldingTalker talker(none);
  CallInfo info;
  client.Open(&Stub::BidiStream, {.info = &info}, &talker);
  talker.Start();
  const EchoRequest request = Hello(std::string(1000, 'x'));
  for (int i = 0; i < 70; ++i) talker.WriteAndWait(request);
  talker.FinishWriting();
  EXPECT_EQ(talker.Wait().status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(info.stop_reason, StopReason::kNotRepeatable);
  EXPECT_EQ(server.script().calls, 1);
}

TEST_F(BlockingStreamTest, AUnaryCallCannotBeUnbounded) {
  Client<EchoService>& client = Connect();
  EXPECT_EQ(
      client.Call(&Stub::Unary, Hello(), {.unbounded = true}).status().code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace grpccommon::test
