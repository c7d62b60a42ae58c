// SPDX-License-Identifier: Apache-2.0
// What a callback handler completes at once is answered on its own thread. Each
// reaction is run once all the same, however the handler and the client behave.

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
#include <utility>
#include <vector>

#include "grpccommon/base/baton.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/server/server.h"
#include "support/call_recorder.h"
#include "support/delay_proxy.h"
#include "support/every_call.h"
#include "support/test_server.h"

namespace grpccommon {
namespace {

using test::CallRecorder;
using test::CallResult;
using test::EchoRequest;
using test::EchoResponse;
using test::EchoService;
using test::TestServer;
using ::testing::Each;
using ::testing::SizeIs;
using namespace std::chrono_literals;

// A server on loopback with a recorder, and a client of it.
class Served {
 public:
  template <typename Service>
  explicit Served(Service& service) {
    server_ = *Server::Create({.name = "served",
                               .grpc_address = "127.0.0.1:0",
                               .drain_delay = 0s,
                               .log = {.destination = "/dev/null"}});
    server_->Add<EchoService>(service).Use(recorder_);
    if (!server_->Start().ok()) std::abort();
    stub_ = EchoService::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(port()),
                            grpc::InsecureChannelCredentials()));
  }
  ~Served() { Stop(); }

  Server& server() { return *server_; }
  int port() const { return server_->grpc_port(); }
  EchoService::Stub& stub() { return *stub_; }

  /// How all calls ended, when all hooks have run.
  std::vector<int> Stop(std::chrono::nanoseconds grace = 10s) {
    server_->Shutdown(0s, grace);
    return recorder_->WaitForCodes(0);
  }

 private:
  const std::shared_ptr<CallRecorder> recorder_ =
      std::make_shared<CallRecorder>();
  std::unique_ptr<Server> server_;
  std::unique_ptr<EchoService::Stub> stub_;
};

// Reactions of all calls.
struct Tally {
  std::atomic<int> metadata{0};
  std::atomic<int> cancelled{0};
  std::atomic<int> done{0};
};

// What all reactors below have in common.
template <typename Base>
class Tallied : public Base {
 public:
  explicit Tallied(Tally& tally) : tally_(tally) { baton_.Pass(); }
  void OnSendInitialMetadataDone(bool /*ok*/) override {
    baton_.Take();
    ++tally_.metadata;
    baton_.Pass();
  }
  void OnCancel() override {
    baton_.Take();
    ++tally_.cancelled;
    baton_.Pass();
  }
  void OnDone() override {
    baton_.Take();
    Tally& tally = tally_;
    delete this;
    ++tally.done;
  }

 protected:
  Tally& tally_;
  Baton baton_;
};

// Echoes, and starts all that it can at once.
class EagerEcho : public EchoService::CallbackService {
 public:
  Tally tally;
  std::optional<grpc_compression_algorithm> compression;

 private:
  void Enter(grpc::CallbackServerContext& context) {
    if (compression.has_value()) {
      context.set_compression_algorithm(*compression);
    }
  }

  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const EchoRequest* request,
                                  EchoResponse* response) override {
    Enter(*context);
    class Reactor : public Tallied<grpc::ServerUnaryReactor> {
     public:
      explicit Reactor(Tally& tally) : Tallied(tally) {
        StartSendInitialMetadata();
        baton_.Pass();
        Finish(grpc::Status::OK);
      }
    };
    response->set_text(request->text());
    return new Reactor(tally);
  }

  grpc::ServerReadReactor<EchoRequest>* ClientStream(
      grpc::CallbackServerContext* context, EchoResponse* response) override {
    Enter(*context);
    class Reactor : public Tallied<grpc::ServerReadReactor<EchoRequest>> {
     public:
      Reactor(Tally& tally, EchoResponse& response)
          : Tallied(tally), response_(response) {
        StartSendInitialMetadata();
        Read();
      }
      void OnReadDone(bool ok) override {
        baton_.Take();
        if (!ok) return Finish(grpc::Status::OK);
        response_.mutable_text()->append(request_.text());
        Read();
      }

     private:
      void Read() {
        baton_.Pass();
        StartRead(&request_);
      }
      EchoResponse& response_;
      EchoRequest request_;
    };
    return new Reactor(tally, *response);
  }

  grpc::ServerWriteReactor<EchoResponse>* ServerStream(
      grpc::CallbackServerContext* context,
      const EchoRequest* request) override {
    Enter(*context);
    class Reactor : public Tallied<grpc::ServerWriteReactor<EchoResponse>> {
     public:
      Reactor(Tally& tally, const EchoRequest& request)
          : Tallied(tally), left_(request.repeat()) {
        response_.set_text(request.text());
        StartSendInitialMetadata();
        Write();
      }
      void OnWriteDone(bool ok) override {
        baton_.Take();
        if (!ok) return Finish(grpc::Status::CANCELLED);
        Write();
      }

     private:
      void Write() {
        const bool last = --left_ == 0;
        baton_.Pass();
        if (last) {
          StartWriteAndFinish(&response_, {}, grpc::Status::OK);
        } else {
          StartWrite(&response_);
        }
      }
      int left_;
      EchoResponse response_;
    };
    return new Reactor(tally, *request);
  }

  grpc::ServerBidiReactor<EchoRequest, EchoResponse>* BidiStream(
      grpc::CallbackServerContext* context) override {
    Enter(*context);
    class Reactor
        : public Tallied<grpc::ServerBidiReactor<EchoRequest, EchoResponse>> {
     public:
      explicit Reactor(Tally& tally) : Tallied(tally) {
        StartSendInitialMetadata();
        Read();
      }
      void OnReadDone(bool ok) override {
        baton_.Take();
        if (!ok) return Finish(grpc::Status::OK);
        response_.set_text(request_.text());
        baton_.Pass();
        StartWrite(&response_);
      }
      void OnWriteDone(bool ok) override {
        baton_.Take();
        if (!ok) return Finish(grpc::Status::CANCELLED);
        Read();
      }

     private:
      void Read() {
        baton_.Pass();
        StartRead(&request_);
      }
      EchoRequest request_;
      EchoResponse response_;
    };
    return new Reactor(tally);
  }
};

class ReactionTest : public ::testing::TestWithParam<CallKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, ReactionTest, test::EveryKind(),
                         [](const auto& parameter) {
                           return std::string(CallKindName(parameter.param));
                         });

TEST_P(ReactionTest, OfManyCallsAtOnceEachReactionIsRunOnce) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 100;
  EagerEcho service;
  Served served(service);
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int i = 0; i < kThreads; ++i) {
    clients.emplace_back([&] {
      for (int j = 0; j < kCalls; ++j) {
        grpc::ClientContext context;
        const CallResult result =
            TestServer::CallOn(served.stub(), GetParam(), context);
        good +=
            result.status.ok() && result.text == test::ExpectedText(GetParam());
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, kThreads * kCalls);
  const std::vector<int> codes = served.Stop();
  EXPECT_THAT(codes, SizeIs(kThreads * kCalls));
  EXPECT_THAT(codes, Each(grpc::StatusCode::OK));
  EXPECT_EQ(service.tally.metadata, kThreads * kCalls);
  EXPECT_EQ(service.tally.cancelled, 0);
  EXPECT_EQ(service.tally.done, kThreads * kCalls);
}

TEST_P(ReactionTest, ACallWithoutADeadlineEndsWell) {
  EagerEcho service;
  Served served(service);
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    EXPECT_TRUE(
        TestServer::CallOn(served.stub(), GetParam(), context).status.ok());
  }
  EXPECT_THAT(served.Stop(), Each(grpc::StatusCode::OK));
}

TEST(InlineCompletionsTest, WhatDoesNotFitTheWindowIsWrittenWhole) {
  for (const auto compression :
       {std::optional<grpc_compression_algorithm>(),
        std::optional<grpc_compression_algorithm>(GRPC_COMPRESS_GZIP)}) {
    EagerEcho service;
    service.compression = compression;
    Served served(service);
    EchoRequest request;
    request.set_text(std::string(3'000'000, 'x'));
    request.set_repeat(5);
    EchoResponse response;
    grpc::ClientContext unary;
    EXPECT_TRUE(served.stub().Unary(&unary, request, &response).ok());
    EXPECT_EQ(response.text(), request.text());
    grpc::ClientContext from_server;
    const auto reader = served.stub().ServerStream(&from_server, request);
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(reader->Read(&response));
      EXPECT_EQ(response.text(), request.text());
    }
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_TRUE(reader->Finish().ok());
    served.Stop();
    EXPECT_EQ(service.tally.metadata, 2);
    EXPECT_EQ(service.tally.done, 2);
  }
}

// Does what a test says; the reply is the default reactor's.
class ToldEcho : public EchoService::CallbackService {
 public:
  std::function<void(const grpc::CallbackServerContext&, const EchoRequest&,
                     grpc::ServerUnaryReactor&)>
      told;

 private:
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const EchoRequest* request,
                                  EchoResponse* response) override {
    response->set_text(request->text());
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    told(*context, *request, *reactor);
    return reactor;
  }
};

TEST(InlineCompletionsTest, AnotherThreadMayFinishWhileTheHandlerRuns) {
  for (const bool joined : {true, false}) {
    ToldEcho service;
    Mutex mutex;
    std::vector<std::thread> finishers;
    service.told = [&](const grpc::CallbackServerContext&, const EchoRequest&,
                       grpc::ServerUnaryReactor& reactor) {
      std::thread finisher([&reactor] { reactor.Finish(grpc::Status::OK); });
      if (joined) return finisher.join();
      const MutexLock lock(mutex);
      finishers.push_back(std::move(finisher));
    };
    Served served(service);
    for (int i = 0; i < 200; ++i) {
      grpc::ClientContext context;
      EchoRequest request;
      request.set_text("hello");
      EchoResponse response;
      EXPECT_TRUE(served.stub().Unary(&context, request, &response).ok());
      EXPECT_EQ(response.text(), "hello");
    }
    const std::vector<int> codes = served.Stop();
    EXPECT_THAT(codes, SizeIs(200));
    EXPECT_THAT(codes, Each(grpc::StatusCode::OK));
    for (std::thread& finisher : finishers) finisher.join();
  }
}

TEST(InlineCompletionsTest, AHandlerMayCallItsOwnServer) {
  for (const bool in_process : {false, true}) {
    ToldEcho service;
    std::unique_ptr<EchoService::Stub> own;
    service.told = [&](const grpc::CallbackServerContext&,
                       const EchoRequest& request,
                       grpc::ServerUnaryReactor& reactor) {
      grpc::Status status;
      if (request.repeat() > 0) {
        EchoRequest inner = request;
        inner.set_repeat(0);
        grpc::ClientContext client;
        EchoResponse response;
        status = own->Unary(&client, inner, &response);
        EXPECT_EQ(response.text(), "hello");
      }
      reactor.Finish(status);
    };
    Served served(service);
    own = EchoService::NewStub(
        in_process
            ? served.server().InProcessChannel()
            : grpc::CreateChannel("127.0.0.1:" + std::to_string(served.port()),
                                  grpc::InsecureChannelCredentials()));
    for (int i = 0; i < 50; ++i) {
      grpc::ClientContext context;
      EchoRequest request;
      request.set_text("hello");
      request.set_repeat(1);
      EchoResponse response;
      EXPECT_TRUE(served.stub().Unary(&context, request, &response).ok());
    }
    const std::vector<int> codes = served.Stop();
    EXPECT_THAT(codes, SizeIs(100));
    EXPECT_THAT(codes, Each(grpc::StatusCode::OK));
  }
}

TEST(InlineCompletionsTest, AConnectionThatBreaksIsSeenByALongHandler) {
  ToldEcho service;
  std::promise<void> entered;
  service.told = [&](const grpc::CallbackServerContext& context,
                     const EchoRequest&, grpc::ServerUnaryReactor& reactor) {
    entered.set_value();
    while (!context.IsCancelled()) std::this_thread::yield();
    reactor.Finish(grpc::Status::OK);
  };
  Served served(service);
  test::DelayProxy proxy(served.port());
  const auto stub = EchoService::NewStub(
      grpc::CreateChannel(proxy.address(), grpc::InsecureChannelCredentials()));
  grpc::Status status;
  std::thread client([&] {
    grpc::ClientContext context;
    EchoResponse response;
    status = stub->Unary(&context, EchoRequest(), &response);
  });
  entered.get_future().wait();
  proxy.Reset();
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(served.Stop(), std::vector<int>{grpc::StatusCode::CANCELLED});
}

// Answers when it is cancelled.
class PatientEcho : public EchoService::CallbackService {
 public:
  Tally tally;
  std::function<void(grpc::CallbackServerContext&)> told;

 private:
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const EchoRequest*, EchoResponse*) override {
    class Reactor : public Tallied<grpc::ServerUnaryReactor> {
     public:
      using Tallied::Tallied;
      void OnCancel() override {
        Tallied::OnCancel();
        Finish(grpc::Status::CANCELLED);
      }
    };
    auto* const reactor = new Reactor(tally);
    told(*context);
    return reactor;
  }
};

TEST(InlineCompletionsTest, OnCancelIsCalledOnceWheneverTheClientGoes) {
  enum class Gone { kSeenByHandler, kWhileItRuns, kAfterIt };
  for (const Gone gone :
       {Gone::kSeenByHandler, Gone::kWhileItRuns, Gone::kAfterIt}) {
    PatientEcho service;
    std::promise<void> entered;
    std::promise<void> leave;
    service.told = [&](grpc::CallbackServerContext& context) {
      entered.set_value();
      if (gone == Gone::kWhileItRuns) leave.get_future().wait();
      while (gone == Gone::kSeenByHandler && !context.IsCancelled()) {
        std::this_thread::yield();
      }
    };
    Served served(service);
    grpc::ClientContext context;
    grpc::Status status;
    std::thread client([&] {
      EchoResponse response;
      status = served.stub().Unary(&context, EchoRequest(), &response);
    });
    entered.get_future().wait();
    context.TryCancel();
    client.join();
    leave.set_value();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_EQ(served.Stop(), std::vector<int>{grpc::StatusCode::CANCELLED});
    EXPECT_EQ(service.tally.cancelled, 1);
    EXPECT_EQ(service.tally.done, 1);
  }
}

TEST(InlineCompletionsTest, AServerIsGoneAsSoonAsItsLongHandlersHaveReturned) {
  // As many as gRPC has threads on a small machine.
  constexpr int kHandlers = 2;
  for (int i = 0; i < 10; ++i) {
    ToldEcho service;
    std::atomic<int> entered{0};
    std::promise<void> all_entered;
    std::promise<void> leave;
    const std::shared_future<void> left = leave.get_future().share();
    service.told = [&](const grpc::CallbackServerContext&, const EchoRequest&,
                       grpc::ServerUnaryReactor& reactor) {
      if (++entered == kHandlers) all_entered.set_value();
      left.wait();
      reactor.Finish(grpc::Status::OK);
    };
    std::optional<Served> served(std::in_place, service);
    std::vector<std::thread> clients;
    for (int j = 0; j < kHandlers; ++j) {
      clients.emplace_back([&] {
        grpc::ClientContext context;
        EchoResponse response;
        // By the time it is answered, it may have been cancelled.
        served->stub().Unary(&context, EchoRequest(), &response);
      });
    }
    all_entered.get_future().wait();
    // Some are let go before the first sweep, some when the server has been
    // told to end their calls.
    const auto grace = std::chrono::milliseconds(20 * i);
    std::thread stopping([&] { served->Stop(grace); });
    if (i % 2 == 1) {
      while (served->server().phase() != ServerPhase::kStopping) {
        std::this_thread::yield();
      }
    }
    leave.set_value();
    stopping.join();
    EXPECT_THAT(served->Stop(), SizeIs(kHandlers));
    for (std::thread& client : clients) client.join();
    served.reset();
  }
}

TEST(InlineCompletionsTest, OfManyCallsInFlightNoneIsLost) {
  constexpr int kAtATime = 64;
  constexpr int kCalls = 10'000;
  ToldEcho service;
  service.told = [](const grpc::CallbackServerContext&, const EchoRequest&,
                    grpc::ServerUnaryReactor& reactor) {
    reactor.Finish(grpc::Status::OK);
  };
  Served served(service);
  struct Call {
    grpc::ClientContext context;
    EchoResponse response;
  };
  // Kept here rather than by the callbacks, the last of which could be the last
  // to know the channel: gRPC 1.51 frees its queue twice if a channel is
  // destroyed on one of its own threads.
  std::vector<Call> calls(kCalls);
  const EchoRequest request;
  std::atomic<int> started{0};
  std::atomic<int> good{0};
  std::atomic<int> ended{0};
  std::promise<void> all_ended;
  const std::function<void()> next = [&] {
    const int i = started++;
    if (i >= kCalls) return;
    Call& call = calls[i];
    served.stub().async()->Unary(&call.context, &request, &call.response,
                                 [&](const grpc::Status& status) {
                                   good += status.ok();
                                   next();
                                   if (++ended == kCalls) all_ended.set_value();
                                 });
  };
  for (int i = 0; i < kAtATime; ++i) next();
  all_ended.get_future().wait();
  EXPECT_EQ(good, kCalls);
  EXPECT_THAT(served.Stop(), SizeIs(kCalls));
}

// Echoes, and waits for each reply to be written where the message was read.
class WaitingEcho : public EchoService::CallbackService {
 private:
  class Reactor : public grpc::ServerBidiReactor<EchoRequest, EchoResponse> {
   public:
    Reactor() { Read(); }
    void OnReadDone(bool ok) override {
      baton_.Take();
      if (!ok) return Finish(grpc::Status::OK);
      response_.set_text(request_.text());
      std::promise<bool> written;
      {
        const MutexLock lock(mutex_);
        written_ = &written;
      }
      StartWrite(&response_);
      if (!written.get_future().get()) return Finish(grpc::Status::CANCELLED);
      Read();
    }
    void OnWriteDone(bool ok) override {
      const MutexLock lock(mutex_);
      written_->set_value(ok);
    }
    void OnDone() override {
      baton_.Take();
      delete this;
    }

   private:
    void Read() {
      baton_.Pass();
      StartRead(&request_);
    }
    Baton baton_;
    EchoRequest request_;
    EchoResponse response_;
    Mutex mutex_;
    std::promise<bool>* written_ ABSL_GUARDED_BY(mutex_) = nullptr;
  };

  grpc::ServerBidiReactor<EchoRequest, EchoResponse>* BidiStream(
      grpc::CallbackServerContext*) override {
    return new Reactor;
  }
};

TEST(InlineCompletionsTest, AReaderMayWaitForAWrite) {
  WaitingEcho service;
  Served served(service);
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 20s);
    const auto stream = served.stub().BidiStream(&context);
    for (int j = 0; j < 20; ++j) {
      EchoRequest request;
      request.set_text(std::to_string(j));
      EchoResponse response;
      ASSERT_TRUE(stream->Write(request) && stream->Read(&response)) << i;
      EXPECT_EQ(response.text(), request.text());
    }
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  }
}

// Every other message is sent by a thread of the application's, while the
// reaction to the one before it has not returned.
class RelayingEcho : public EchoService::CallbackService {
 private:
  class Reactor : public grpc::ServerWriteReactor<EchoResponse> {
   public:
    explicit Reactor(int messages) : left_(messages) { Write(); }
    void OnWriteDone(bool ok) override {
      baton_.Take();
      if (!ok) return Finish(grpc::Status::CANCELLED);
      if (left_ % 2 == 0) return Write();
      std::thread([this] { Write(); }).join();
    }
    void OnDone() override {
      baton_.Take();
      delete this;
    }

   private:
    void Write() {
      const bool last = left_-- == 0;
      response_.set_text(std::to_string(left_));
      baton_.Pass();
      if (last) return Finish(grpc::Status::OK);
      StartWrite(&response_);
    }
    Baton baton_;
    int left_;
    EchoResponse response_;
  };

  grpc::ServerWriteReactor<EchoResponse>* ServerStream(
      grpc::CallbackServerContext*, const EchoRequest* request) override {
    return new Reactor(request->repeat());
  }
};

TEST(InlineCompletionsTest, AnotherThreadMaySendWhileAReactionRuns) {
  constexpr int kMessages = 500;
  RelayingEcho service;
  Served served(service);
  EchoRequest request;
  request.set_repeat(kMessages);
  for (int i = 0; i < 5; ++i) {
    grpc::ClientContext context;
    const auto reader = served.stub().ServerStream(&context, request);
    EchoResponse response;
    for (int j = 1; j <= kMessages; ++j) {
      ASSERT_TRUE(reader->Read(&response));
      EXPECT_EQ(response.text(), std::to_string(kMessages - j));
    }
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_TRUE(reader->Finish().ok());
  }
}

TEST(InlineCompletionsTest, AStreamMayBeCancelledAmidItsMessages) {
  constexpr int kStreams = 50;
  EagerEcho service;
  Served served(service);
  EchoRequest request;
  request.set_text("x");
  request.set_repeat(1 << 30);
  for (int i = 0; i < kStreams; ++i) {
    grpc::ClientContext context;
    const auto reader = served.stub().ServerStream(&context, request);
    EchoResponse response;
    for (int j = 0; j <= i; ++j) ASSERT_TRUE(reader->Read(&response));
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  const std::vector<int> codes = served.Stop();
  EXPECT_THAT(codes, SizeIs(kStreams));
  EXPECT_THAT(codes, Each(grpc::StatusCode::CANCELLED));
  EXPECT_EQ(service.tally.cancelled, kStreams);
  EXPECT_EQ(service.tally.done, kStreams);
}

// Keeps its calls until one comes that says "go".
class ParkingEcho : public EchoService::CallbackService {
 public:
  std::atomic<int> parked{0};

 private:
  class Reactor : public grpc::ServerUnaryReactor {
   public:
    explicit Reactor(ParkingEcho& echo) : echo_(echo) { baton_.Pass(); }
    void OnDone() override {
      baton_.Take();
      ParkingEcho& echo = echo_;
      delete this;
      echo.ReleaseOne();
    }

   private:
    ParkingEcho& echo_;
    Baton baton_;
  };

  void ReleaseOne() {
    Reactor* next = nullptr;
    {
      const MutexLock lock(mutex_);
      if (waiting_.empty()) return;
      next = waiting_.back();
      waiting_.pop_back();
    }
    next->Finish(grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext*,
                                  const EchoRequest* request,
                                  EchoResponse*) override {
    auto* const reactor = new Reactor(*this);
    if (request->text() == "go") {
      reactor->Finish(grpc::Status::OK);
    } else {
      const MutexLock lock(mutex_);
      waiting_.push_back(reactor);
      ++parked;
    }
    return reactor;
  }

  Mutex mutex_;
  std::vector<Reactor*> waiting_ ABSL_GUARDED_BY(mutex_);
};

TEST(InlineCompletionsTest, TheEndOfOneCallMayBeTheEndOfTheNext) {
  constexpr int kParked = 100;
  ParkingEcho service;
  Served served(service);
  std::vector<grpc::ClientContext> contexts(kParked);
  std::vector<EchoResponse> responses(kParked);
  std::vector<std::promise<grpc::Status>> ended(kParked);
  const EchoRequest wait;
  for (int i = 0; i < kParked; ++i) {
    served.stub().async()->Unary(
        &contexts[i], &wait, &responses[i],
        [&ended, i](grpc::Status status) { ended[i].set_value(status); });
  }
  while (service.parked < kParked) std::this_thread::yield();
  EchoRequest go;
  go.set_text("go");
  EchoResponse response;
  grpc::ClientContext context;
  EXPECT_TRUE(served.stub().Unary(&context, go, &response).ok());
  for (auto& end : ended) EXPECT_TRUE(end.get_future().get().ok());
  const std::vector<int> codes = served.Stop();
  EXPECT_THAT(codes, SizeIs(kParked + 1));
  EXPECT_THAT(codes, Each(grpc::StatusCode::OK));
}

}  // namespace
}  // namespace grpccommon
