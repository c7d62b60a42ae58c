// SPDX-License-Identifier: Apache-2.0
// Outgoing calls that are called off, by their caller or with their parent.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/cancellation.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/memory_registry.h"
#include "support/number.h"
#include "support/resident_memory.h"
#include "support/sanitized.h"
#include "support/test_server.h"

namespace grpccommon::test {
namespace {

using namespace std::chrono_literals;

double ResidentMebibytes() {
  return static_cast<double>(ResidentBytes()) / (1 << 20);
}

// A million by GRPCCOMMON_CANCELLED_CALLS=1000000; fewer where it is to be
// quick.
int CancelledCalls() {
  const char* const text = std::getenv("GRPCCOMMON_CANCELLED_CALLS");
  return text != nullptr ? ParseNumber(text).value() : 20'000;
}

class ClientCancelTest : public ::testing::Test {
 protected:
  ClientCancelTest() {
    registration_ = *registry_->Register(
        "echo", {.address = "127.0.0.1:" +
                            std::to_string(server_.server().grpc_port())});
    manager_ = *ClientManager::Create({.registry = registry_});
    client_ = *manager_->Get<EchoService>("echo");
  }

  // Without an access log: the test's keeps every line.
  TestServer server_{Style::kCallback, false, {}, {.access_log = std::nullopt}};
  std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  std::shared_ptr<Registry> registry_ = CreateMemoryRegistry(*scheduler_);
  std::unique_ptr<Registration> registration_;
  std::unique_ptr<ClientManager> manager_;
  std::shared_ptr<Client<EchoService>> client_;
};

TEST_F(ClientCancelTest, CallsThatAreCancelledLeaveNothingBehind) {
  EchoRequest request;
  request.set_text(std::string(1000, 'x'));
  std::atomic<int> cancelled{0};
  const auto run = [&](int calls) {
    for (int i = 0; i < calls; i += 50) {
      Cancellation cancellation;
      std::atomic<int> running{50};
      std::promise<void> ended;
      for (int j = 0; j < 50; ++j) {
        client_->CallAsync(&EchoService::Stub::Unary, request,
                           {.cancellation = &cancellation},
                           [&](const absl::StatusOr<EchoResponse>& response) {
                             if (absl::IsCancelled(response.status()))
                               ++cancelled;
                             if (--running == 0) ended.set_value();
                           });
      }
      cancellation.Cancel();
      ended.get_future().wait();
    }
  };
  // Cancelled calls pile up in the server, and what gRPC and the heap keep of
  // that for a while is no leak.
  const auto settled = [this] {
    const auto idle = [this] {
      const ServiceStats stats = manager_->Stats()[0];
      return stats.in_flight == 0 && stats.endpoints[0].in_flight == 0 &&
             server_.running_calls() == 0;
    };
    while (!idle()) std::this_thread::yield();
    malloc_trim(0);
    return ResidentMebibytes();
  };
  run(CancelledCalls() / 5);
  double before = settled();
  double growth = 0;
  // A heap may settle elsewhere once, what is left behind is left each time.
  for (int attempt = 0; attempt < 3; ++attempt) {
    cancelled = 0;
    run(CancelledCalls());
    const double after = settled();
    std::cout << cancelled << " calls cancelled, " << before << " MiB before, "
              << after << " MiB after\n";
    EXPECT_GT(cancelled, CancelledCalls() / 2);
    growth = after - std::exchange(before, after);
    if (growth < 16.0) break;
  }
#ifndef GRPCCOMMON_SANITIZED
  // A kilobyte for each would be 20.
  EXPECT_LT(growth, 16.0);
#endif
}

TEST_F(ClientCancelTest, ACancelledParentTakesItsCallsWithIt) {
  std::promise<void> entered;
  std::promise<bool> child_cancelled;
  server_.probe().on_enter = [&](grpc::ServerContextBase& context) {
    entered.set_value();
    while (!context.IsCancelled()) std::this_thread::yield();
    child_cancelled.set_value(true);
  };
  TestServer front(Style::kSync, false);
  std::promise<absl::Status> seen_by_handler;
  front.probe().on_enter = [&](grpc::ServerContextBase& context) {
    seen_by_handler.set_value(
        client_
            ->Call(&EchoService::Stub::Unary, EchoRequest(),
                   {.parent = ServerCall::Of(context), .timeout = 60s})
            .status());
  };
  grpc::ClientContext context;
  std::thread canceller([&] {
    entered.get_future().wait();
    context.TryCancel();
  });
  EXPECT_EQ(front.Call(CallKind::kUnary, context).status.error_code(),
            grpc::StatusCode::CANCELLED);
  canceller.join();
  EXPECT_TRUE(child_cancelled.get_future().get());
  EXPECT_TRUE(absl::IsCancelled(seen_by_handler.get_future().get()));
}

TEST_F(ClientCancelTest, ACancelledParentEndsAWaitForAnInstance) {
  registration_.reset();
  while (manager_->Stats()[0].instances > 0) std::this_thread::yield();
  TestServer front(Style::kSync, false);
  std::promise<void> entered;
  std::promise<absl::Status> seen_by_handler;
  front.probe().on_enter = [&](grpc::ServerContextBase& context) {
    entered.set_value();
    seen_by_handler.set_value(
        client_
            ->Call(&EchoService::Stub::Unary, EchoRequest(),
                   {.parent = ServerCall::Of(context), .timeout = 60s})
            .status());
  };
  grpc::ClientContext context;
  std::thread canceller([&] {
    entered.get_future().wait();
    context.TryCancel();
  });
  front.Call(CallKind::kUnary, context);
  canceller.join();
  const absl::Status status = seen_by_handler.get_future().get();
  EXPECT_FALSE(status.ok());
}

TEST_F(ClientCancelTest, AChildGetsItsParentsTimeLessAReserve) {
  std::promise<Clock::Duration> given;
  server_.probe().on_enter = [&](grpc::ServerContextBase& context) {
    given.set_value(ServerCall::Of(context)->remaining());
  };
  TestServer front(Style::kSync, false);
  std::promise<std::pair<std::string, Clock::Duration>> parent;
  front.probe().on_enter = [&](grpc::ServerContextBase& context) {
    const ServerCall* const call = ServerCall::Of(context);
    parent.set_value({std::string(call->request_id()), call->remaining()});
    CallInfo info;
    const auto response =
        client_->Call(&EchoService::Stub::Unary, EchoRequest(),
                      {.parent = call, .info = &info});
    EXPECT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(info.request_id, call->request_id());
  };
  EXPECT_TRUE(front
                  .Call(CallKind::kUnary,
                        [](grpc::ClientContext& context) {
                          context.set_deadline(
                              std::chrono::system_clock::now() + 900ms);
                        })
                  .status.ok());
  const auto [request_id, had] = parent.get_future().get();
  const Clock::Duration got = given.get_future().get();
  // 10 ms, and gRPC rounds up to whole milliseconds below a second.
  EXPECT_LT(got, had - 8ms);
  EXPECT_GT(got, 100ms);
}

}  // namespace
}  // namespace grpccommon::test
