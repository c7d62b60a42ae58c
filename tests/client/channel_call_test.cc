// SPDX-License-Identifier: Apache-2.0
#include "client/channel_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/call/client_interceptor.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace grpccommon::internal {
namespace {

using grpc::experimental::ClientRpcInfo;
using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

// Answers each call with its first message.
class OneMessageService : public grpc::CallbackGenericService {
  class Reactor : public grpc::ServerGenericBidiReactor {
   public:
    Reactor() { StartRead(&message_); }

   private:
    void OnReadDone(bool ok) override {
      if (ok) {
        StartWriteAndFinish(&message_, {}, grpc::Status::OK);
      } else {
        Finish(grpc::Status::OK);
      }
    }
    void OnDone() override { delete this; }

    grpc::ByteBuffer message_;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* /*context*/) override {
    return new Reactor;
  }
};

// Writes down which hooks run.
class Recorder : public ClientInterceptor {
 public:
  std::string_view name() const override { return "recorder"; }
  Stage stage() const override { return Stage::kUser; }
  absl::StatusOr<ClientHooks> Register(const Method&) override {
    return ClientHooks{.attempts = true, .messages = true};
  }
  void OnAttemptEnd(ClientCall&, ClientAttempt&, const grpc::Status&) override {
    Note("attempt ended");
  }
  void OnMessageSent(ClientCall&) override { Note("sent"); }
  void OnMessageReceived(ClientCall&) override { Note("received"); }
  void OnFinish(ClientCall& call, grpc::Status&) override {
    EXPECT_EQ(call.messages_sent(), 1u);
    EXPECT_EQ(call.messages_received(), 1u);
    Note("finished");
  }

  std::vector<std::string> notes() const {
    const MutexLock lock(mutex_);
    return notes_;
  }

 private:
  void Note(std::string note) {
    const MutexLock lock(mutex_);
    notes_.push_back(std::move(note));
  }
  mutable Mutex mutex_;
  std::vector<std::string> notes_ ABSL_GUARDED_BY(mutex_);
};

// Tells a ChannelCall of its messages' ends after its status only, as may be
// when gRPC tells of each on a thread of its own.
class StatusFirst : public grpc::experimental::Interceptor {
 public:
  StatusFirst(ClientRpcInfo& info, ChannelEnvironment& environment)
      : call_(info, environment) {}

  void Intercept(InterceptorBatchMethods* batch) override {
    const auto at = [batch](InterceptionHookPoints point) {
      return batch->QueryInterceptionHookPoint(point);
    };
    std::vector<InterceptorBatchMethods*> later;
    {
      const MutexLock lock(mutex_);
      if (at(InterceptionHookPoints::POST_RECV_STATUS)) {
        over_ = true;
        later.swap(later_);
      } else if (!over_ && (at(InterceptionHookPoints::POST_SEND_MESSAGE) ||
                            at(InterceptionHookPoints::POST_RECV_MESSAGE))) {
        later_.push_back(batch);
        return;
      }
    }
    call_.Intercept(batch);
    for (InterceptorBatchMethods* const each : later) call_.Intercept(each);
  }

 private:
  ChannelCall call_;
  Mutex mutex_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<InterceptorBatchMethods*> later_ ABSL_GUARDED_BY(mutex_);
};

class StatusFirstFactory
    : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit StatusFirstFactory(ChannelEnvironment& environment)
      : environment_(environment) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(
      ClientRpcInfo* info) override {
    return new StatusFirst(*info, environment_);
  }

 private:
  ChannelEnvironment& environment_;
};

class OneMessageReactor
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  void Start(grpc::ByteBuffer& message) {
    StartWriteLast(&message, grpc::WriteOptions());
    StartRead(&answer_);
    StartCall();
  }
  grpc::Status Wait() { return done_.get_future().get(); }

 private:
  void OnDone(const grpc::Status& status) override { done_.set_value(status); }

  grpc::ByteBuffer answer_;
  std::promise<grpc::Status> done_;
};

TEST(ChannelCallTest, EndsAfterTheLastMessageThoughTheStatusIsToldFirst) {
  OneMessageService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterCallbackGenericService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();

  const auto recorder = std::make_shared<Recorder>();
  ChannelEnvironment environment("test", false, {}, SteadyClock());
  environment.methods.Use(recorder);
  std::vector<
      std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>>
      factories;
  factories.push_back(std::make_unique<StatusFirstFactory>(environment));
  grpc::GenericStub stub(
      grpc::experimental::CreateCustomChannelWithInterceptors(
          "127.0.0.1:" + std::to_string(port),
          grpc::InsecureChannelCredentials(), {}, std::move(factories)));

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(20));
  const grpc::Slice text("hello");
  grpc::ByteBuffer message(&text, 1);
  OneMessageReactor reactor;
  stub.PrepareBidiStreamingCall(&context, "/test.TestService/Bidi", {},
                                &reactor);
  reactor.Start(message);
  EXPECT_TRUE(reactor.Wait().ok());
  const std::vector<std::string> notes = recorder->notes();
  ASSERT_EQ(notes.size(), 4u);
  EXPECT_THAT(std::vector(notes.begin(), notes.begin() + 2),
              ::testing::UnorderedElementsAre("sent", "received"));
  EXPECT_EQ(notes[2], "attempt ended");
  EXPECT_EQ(notes[3], "finished");
}

}  // namespace
}  // namespace grpccommon::internal
