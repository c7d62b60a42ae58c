// SPDX-License-Identifier: Apache-2.0
// What a call that is refused in front of its handler leaves behind, on the
// wire and in the server.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpcpp/support/message_allocator.h"
#include "support/echo_services.h"
#include "support/every_call.h"
#include "support/test_server.h"

namespace grpccommon {
namespace {

using test::CallResult;
using test::EchoRequest;
using test::EchoResponse;
using test::EchoService;
using test::Style;
using test::TestServer;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using namespace std::chrono_literals;

// Refuses every call, after `before`, with `text`.
class Refuser : public ServerInterceptor {
 public:
  explicit Refuser(std::function<void(ServerCall&)> before = {},
                   std::string text = "closed today")
      : before_(std::move(before)), text_(std::move(text)) {}
  std::string_view name() const override { return "refuser"; }
  Stage stage() const override { return Stage::kUser; }
  absl::Status OnStart(ServerCall& call) override {
    ++started;
    if (before_) before_(call);
    return PermissionDenied("CLOSED", text_);
  }
  void OnFinish(ServerCall& /*call*/, grpc::Status& status) override {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    ++finished;
  }
  std::atomic<int> started{0};
  std::atomic<int> finished{0};

 private:
  const std::function<void(ServerCall&)> before_;
  const std::string text_;
};

void ExpectRefused(const CallResult& result) {
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(result.status.error_message(), "closed today");
  EXPECT_EQ(ReasonOf(FromGrpcStatus(result.status)), "CLOSED");
  EXPECT_EQ(result.messages, 0);
  EXPECT_EQ(result.trailers.count(std::string(metadata::kRequestId)), 1u);
  EXPECT_EQ(result.trailers.count(std::string(metadata::kNotProcessed)), 1u);
}

using Case = std::tuple<Style, CallKind>;

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  return test::NameOf(std::get<0>(info.param), std::get<1>(info.param));
}

class RefusedCallTest : public ::testing::TestWithParam<Case> {
 protected:
  CallKind kind() const { return std::get<1>(GetParam()); }

  TestServer& Serve(std::shared_ptr<Refuser> refuser) {
    server_.emplace(std::get<0>(GetParam()), false,
                    [&](Server& server) { server.Use(refuser); });
    return *server_;
  }

 private:
  std::optional<TestServer> server_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, RefusedCallTest,
                         ::testing::Combine(test::EveryStyle(),
                                            test::EveryKind()),
                         CaseName);

TEST_P(RefusedCallTest, WhatTheChainHasAddedIsSent) {
  TestServer& server = Serve(std::make_shared<Refuser>([](ServerCall& call) {
    call.AddInitialMetadata("x-early", "1");
    call.AddTrailingMetadata("x-late", "a value too long for one slice");
    call.AddTrailingMetadata("x-late-bin", std::string("\0\xff", 2));
  }));
  const CallResult result = server.Call(kind());
  ExpectRefused(result);
  EXPECT_THAT(result.headers, UnorderedElementsAre(Pair("x-early", "1")));
  EXPECT_EQ(result.trailers.find("x-late")->second,
            "a value too long for one slice");
  EXPECT_EQ(result.trailers.find("x-late-bin")->second,
            std::string("\0\xff", 2));
  EXPECT_EQ(server.probe().entered, 0);
}

TEST_P(RefusedCallTest, ARequestIdThatTheChainHasAddedIsLeftAlone) {
  TestServer& server = Serve(std::make_shared<Refuser>([](ServerCall& call) {
    call.AddTrailingMetadata(metadata::kRequestId, "mine");
  }));
  const CallResult result = server.Call(kind());
  ExpectRefused(result);
  EXPECT_EQ(result.trailers.find(std::string(metadata::kRequestId))->second,
            "mine");
}

TEST_P(RefusedCallTest, WhatCannotBeSentIsLeftOut) {
  for (const bool early : {false, true}) {
    TestServer& server =
        Serve(std::make_shared<Refuser>([early](ServerCall& call) {
          if (early) {
            call.AddInitialMetadata("X-Upper", "1");
            call.AddInitialMetadata("x-good", "1");
          } else {
            call.AddTrailingMetadata("x-lines", "one\ntwo");
            call.AddTrailingMetadata("x-good", "1");
          }
        }));
    const CallResult result = server.Call(kind());
    ExpectRefused(result);
    const auto& sent = early ? result.headers : result.trailers;
    EXPECT_EQ(sent.count("x-good"), 1u);
    EXPECT_EQ(sent.count(early ? "x-upper" : "x-lines"), 0u);
    EXPECT_THAT(server.log().text(), HasSubstr("metadata cannot be sent"));
  }
}

TEST_P(RefusedCallTest, TheInProcessChannelGetsTheSameAnswer) {
  TestServer& server = Serve(std::make_shared<Refuser>());
  const auto stub = EchoService::NewStub(server.server().InProcessChannel());
  for (int i = 0; i < 10; ++i) {
    grpc::ClientContext context;
    ExpectRefused(TestServer::CallOn(*stub, kind(), context));
  }
}

TEST_P(RefusedCallTest, ClientsThatGoAwayMeanwhileLeaveNothingBehind) {
  const auto refuser = std::make_shared<Refuser>();
  TestServer& server = Serve(refuser);
  static constexpr int kClients = 8;
  static constexpr int kCalls = 100;
  ExpectRefused(server.Call(kind()));  // and is connected
  const auto begin = std::chrono::steady_clock::now();
  ExpectRefused(server.Call(kind()));
  const auto usual = std::chrono::steady_clock::now() - begin;
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&server, usual, this] {
      for (int call = 0; call < kCalls; ++call) {
        // From before it is sent to after it was answered, also among others.
        const auto patience = usual * (call * 2 * kClients) / kCalls;
        const CallResult result =
            server.Call(kind(), [patience](grpc::ClientContext& context) {
              context.set_deadline(std::chrono::system_clock::now() + patience);
            });
        EXPECT_FALSE(result.status.ok());
      }
    });
  }
  for (std::thread& client : clients) client.join();
  server.Stop();
  EXPECT_GT(refuser->started, 2);
  EXPECT_EQ(refuser->finished, refuser->started);
  EXPECT_EQ(server.running_calls(), 0);
}

TEST_P(RefusedCallTest, ARefusalMaySayNothing) {
  TestServer& server = Serve(std::make_shared<Refuser>(nullptr, ""));
  const CallResult result = server.Call(kind());
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(result.status.error_message(), "");
}

// Answers what another interceptor has refused.
class Forgiver : public ServerInterceptor {
 public:
  std::string_view name() const override { return "forgiver"; }
  Stage stage() const override { return Stage::kObserve; }
  void OnFinish(ServerCall& /*call*/, grpc::Status& status) override {
    status = grpc::Status::OK;
  }
};

TEST_P(RefusedCallTest, WhatAFinishHookForgivesIsNotSaidToBeUnprocessed) {
  const auto& [style, kind] = GetParam();
  TestServer server(style, false, [](Server& s) {
    s.Use(std::make_shared<Forgiver>()).Use(std::make_shared<Refuser>());
  });
  const CallResult result = server.Call(kind);
  EXPECT_EQ(result.trailers.count(std::string(metadata::kNotProcessed)), 0u);
  EXPECT_EQ(result.trailers.count(std::string(metadata::kRequestId)), 0u);
  EXPECT_EQ(result.messages, 0);
  EXPECT_EQ(server.probe().entered, 0);
}

TEST_P(RefusedCallTest, AServerMayStopAmidRefusals) {
  const auto refuser = std::make_shared<Refuser>();
  TestServer& server = Serve(refuser);
  std::atomic<bool> stopped{false};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (!stopped) {
        server.Call(kind(), [](grpc::ClientContext& context) {
          context.set_deadline(std::chrono::system_clock::now() + 100ms);
        });
      }
    });
  }
  while (refuser->started < 100) std::this_thread::yield();
  server.Stop();
  stopped = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(refuser->finished, refuser->started);
  EXPECT_EQ(server.running_calls(), 0);
}

using RefusedSenderTest = RefusedCallTest;
INSTANTIATE_TEST_SUITE_P(
    Kinds, RefusedSenderTest,
    ::testing::Combine(test::EveryStyle(),
                       ::testing::Values(CallKind::kClientStream,
                                         CallKind::kBidiStream)),
    CaseName);

TEST_P(RefusedSenderTest, AClientThatGoesOnSendingIsToldToo) {
  TestServer& server = Serve(std::make_shared<Refuser>());
  EchoRequest request;
  request.set_text(std::string(10'000, 'x'));
  const auto send_all = [&request](auto& stream) {
    while (stream->Write(request)) {
    }
    return stream->Finish().error_code();
  };
  grpc::ClientContext context;
  if (kind() == CallKind::kClientStream) {
    EchoResponse response;
    auto stream = server.stub().ClientStream(&context, &response);
    EXPECT_EQ(send_all(stream), grpc::StatusCode::PERMISSION_DENIED);
  } else {
    auto stream = server.stub().BidiStream(&context);
    EXPECT_EQ(send_all(stream), grpc::StatusCode::PERMISSION_DENIED);
  }
}

// Counts what it hands out, and what comes back.
class CountingAllocator
    : public grpc::MessageAllocator<EchoRequest, EchoResponse> {
 public:
  grpc::MessageHolder<EchoRequest, EchoResponse>* AllocateMessages() override {
    ++allocated;
    return new Holder(*this);
  }
  std::atomic<int> allocated{0};
  std::atomic<int> released{0};

 private:
  class Holder : public grpc::MessageHolder<EchoRequest, EchoResponse> {
   public:
    explicit Holder(CountingAllocator& allocator) : allocator_(allocator) {
      set_request(&mine_);
      set_response(&theirs_);
    }
    void Release() override {
      ++allocator_.released;
      delete this;
    }

   private:
    CountingAllocator& allocator_;
    EchoRequest mine_;
    EchoResponse theirs_;
  };
};

TEST(RefusedMessagesTest, MessagesOfAnAllocatorAreGivenBack) {
  CountingAllocator allocator;
  EchoService::CallbackService service;
  service.SetMessageAllocatorFor_Unary(&allocator);
  auto server = *Server::Create(
      {.name = "echo", .drain_delay = 0s, .log = {.destination = "/dev/null"}});
  server->Add<EchoService>(service).Use(std::make_shared<Refuser>());
  ASSERT_TRUE(server->Start().ok());
  const auto stub = EchoService::NewStub(server->InProcessChannel());
  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext context;
    ExpectRefused(TestServer::CallOn(*stub, CallKind::kUnary, context));
  }
  // A text that is cut off.
  const grpc::Status status =
      TestServer::CallWithBytes(*server->InProcessChannel(), "\x0a\x7f");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  server->Shutdown(0s, 5s);
  EXPECT_EQ(allocator.allocated, 4);
  EXPECT_EQ(allocator.released, 4);
}

}  // namespace
}  // namespace grpccommon
