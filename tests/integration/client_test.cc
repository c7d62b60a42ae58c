// SPDX-License-Identifier: Apache-2.0
// Clients against real servers in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/cancellation.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "support/test_server.h"

namespace grpccommon::test {
namespace {

using namespace std::chrono_literals;
using testing::StatusIs;

std::string AddressOf(TestServer& server) {
  return "127.0.0.1:" + std::to_string(server.server().grpc_port());
}

EchoRequest Hello() {
  EchoRequest request;
  request.set_text("hello");
  return request;
}

class ClientTest : public ::testing::Test {
 protected:
  void Register(const std::string& address) {
    registrations_.push_back(
        *registry_->Register("echo", {.address = address}));
  }

  std::shared_ptr<Client<EchoService>> Connect(ClientOptions options = {}) {
    // Idempotent, as the contract of this service does not say.
    options.methods.push_back({.idempotency = Idempotency::kIdempotent});
    manager_ = *ClientManager::Create(
        {.registry = registry_, .defaults = std::move(options)});
    return *manager_->Get<EchoService>("echo");
  }

  std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  std::shared_ptr<Registry> registry_ = CreateMemoryRegistry(*scheduler_);
  std::vector<std::unique_ptr<Registration>> registrations_;
  std::unique_ptr<ClientManager> manager_;
};

TEST_F(ClientTest, CallsAnInstanceThatTheRegistryKnows) {
  TestServer server(Style::kCallback, false);
  Register(AddressOf(server));
  const auto client = Connect();
  CallInfo info;
  const auto response =
      client->Call(&EchoService::Stub::Unary, Hello(), {.info = &info});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->text(), "hello");
  EXPECT_EQ(info.attempts, 1);
  EXPECT_EQ(info.endpoint, AddressOf(server));
}

TEST_F(ClientTest, CallsBackWithTheResponse) {
  TestServer server(Style::kSync, false);
  Register(AddressOf(server));
  const auto client = Connect();
  std::promise<absl::StatusOr<EchoResponse>> promise;
  client->CallAsync(&EchoService::Stub::Unary, Hello(), {},
                    [&promise](absl::StatusOr<EchoResponse> response) {
                      promise.set_value(std::move(response));
                    });
  const absl::StatusOr<EchoResponse> response = promise.get_future().get();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->text(), "hello");
}

TEST_F(ClientTest, SaysThatNoInstanceIsRegistered) {
  ClientOptions options;
  options.discovery.max_wait = 50ms;
  const auto client = Connect(options);
  const auto response = client->Call(&EchoService::Stub::Unary, Hello());
  EXPECT_THAT(response.status(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(std::string(response.status().message()),
              ::testing::HasSubstr("no instance of 'echo'"));
  EXPECT_EQ(ReasonOf(response.status()), "NO_ENDPOINT");
}

TEST_F(ClientTest, WaitsForAnInstanceThatComesLate) {
  ClientOptions options;
  options.discovery.max_wait = 10s;
  const auto client = Connect(options);
  TestServer server(Style::kCallback, false);
  std::thread late([&] { Register(AddressOf(server)); });
  const auto response = client->Call(&EchoService::Stub::Unary, Hello());
  late.join();
  EXPECT_TRUE(response.ok()) << response.status();
}

// Notes when each attempt begins.
class BeginningOfAttempts : public ClientInterceptor {
 public:
  std::string_view name() const override { return "beginning"; }
  Stage stage() const override { return Stage::kUser; }
  absl::StatusOr<ClientHooks> Register(const Method&) override {
    return ClientHooks{.attempts = true};
  }
  absl::Status OnAttemptStart(ClientCall&, ClientAttempt& attempt) override {
    last = attempt.started_at();
    return absl::OkStatus();
  }
  std::atomic<Clock::TimePoint> last{Clock::TimePoint()};
};

// Or the instance would seem as slow as the wait was long.
TEST_F(ClientTest, TheWaitForAnInstanceIsNoPartOfTheAttempt) {
  TestServer server(Style::kCallback, false);
  const auto beginning = std::make_shared<BeginningOfAttempts>();
  ClientOptions options;
  options.discovery.max_wait = 20s;
  options.interceptors = {beginning};
  const auto client = Connect(options);
  std::promise<absl::Status> ended;
  client->CallAsync(&EchoService::Stub::Unary, Hello(), {},
                    [&ended](const absl::StatusOr<EchoResponse>& response) {
                      ended.set_value(response.status());
                    });
  // It has begun to wait by now.
  const Clock::TimePoint registered = SteadyClock().Now();
  Register(AddressOf(server));
  EXPECT_TRUE(ended.get_future().get().ok());
  EXPECT_GE(beginning->last.load(), registered);
}

TEST_F(ClientTest, GoesToAnotherInstanceWhenOneIsUnavailable) {
  TestServer good(Style::kCallback, false);
  TestServer bad(Style::kCallback, false);
  bad.probe().on_enter = [](grpc::ServerContextBase&) {};
  Register(AddressOf(good));
  Register(AddressOf(bad));
  const auto client = Connect();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client->Call(&EchoService::Stub::Unary, Hello()).ok());
  }
  bad.Stop();
  for (int i = 0; i < 100; ++i) {
    const auto response = client->Call(&EchoService::Stub::Unary, Hello());
    ASSERT_TRUE(response.ok()) << response.status();
  }
}

TEST_F(ClientTest, CallsManyAndKeepsTheirOrder) {
  TestServer server(Style::kCallback, false);
  Register(AddressOf(server));
  const auto client = Connect();
  std::vector<EchoRequest> requests(200);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].set_text(std::to_string(i));
  }
  const auto responses = client->CallAll(&EchoService::Stub::Unary, requests,
                                         {}, {.max_parallel = 8});
  ASSERT_EQ(responses.size(), requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ASSERT_TRUE(responses[i].ok()) << responses[i].status();
    EXPECT_EQ(responses[i]->text(), std::to_string(i));
  }
}

TEST_F(ClientTest, ACallIsBoundedInTime) {
  TestServer server(Style::kSync, false);
  Register(AddressOf(server));
  const auto client = Connect();
  // So that connecting does not use the time up.
  ASSERT_TRUE(client->Call(&EchoService::Stub::Unary, Hello()).ok());
  std::atomic<bool> release{false};
  server.probe().on_enter = [&release](grpc::ServerContextBase& context) {
    while (!release && !context.IsCancelled()) std::this_thread::yield();
  };
  const auto response =
      client->Call(&EchoService::Stub::Unary, Hello(), {.timeout = 100ms});
  EXPECT_THAT(response.status(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  release = true;
}

// Takes until a call's deadline has passed.
class Dawdler : public ClientInterceptor {
 public:
  std::string_view name() const override { return "dawdler"; }
  Stage stage() const override { return Stage::kUser; }
  absl::Status OnStart(ClientCall& call) override {
    while (SteadyClock().Now() <= *call.deadline()) std::this_thread::yield();
    return absl::OkStatus();
  }
};

TEST_F(ClientTest, ADeadlineThatPassesBeforeTheCallIsSentIsNobodysFailure) {
  TestServer server(Style::kSync, false);
  Register(AddressOf(server));
  const auto client = Connect({.interceptors = {std::make_shared<Dawdler>()}});
  // Enough to open a breaker.
  for (int i = 0; i < 50; ++i) {
    CallInfo info;
    EXPECT_THAT(client
                    ->Call(&EchoService::Stub::Unary, Hello(),
                           {.timeout = 100us, .info = &info})
                    .status(),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
    EXPECT_EQ(info.attempts, 0);
  }
  const std::vector<EchoRequest> requests(50, Hello());
  for (const auto& response : client->CallAll(&EchoService::Stub::Unary,
                                              requests, {.timeout = 100us})) {
    EXPECT_THAT(response.status(),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
  }
  EXPECT_EQ(server.probe().entered, 0);
}

TEST_F(ClientTest, ABlockingCallCanBeCancelled) {
  TestServer server(Style::kSync, false);
  std::promise<void> entered;
  server.probe().on_enter = [&entered](grpc::ServerContextBase& context) {
    entered.set_value();
    while (!context.IsCancelled()) std::this_thread::yield();
  };
  Register(AddressOf(server));
  const auto client = Connect();
  Cancellation cancellation;
  std::thread canceller([&] {
    entered.get_future().wait();
    cancellation.Cancel();
  });
  const auto response = client->Call(&EchoService::Stub::Unary, Hello(),
                                     {.cancellation = &cancellation});
  canceller.join();
  EXPECT_THAT(response.status(), StatusIs(absl::StatusCode::kCancelled));
}

// Refuses as many calls as it is told to, before any handler.
class RefuseFirst : public ServerInterceptor {
 public:
  explicit RefuseFirst(int calls) : left_(calls) {}
  std::string_view name() const override { return "refuse_first"; }
  Stage stage() const override { return Stage::kProtect; }
  absl::Status OnStart(ServerCall& /*call*/) override {
    return left_.fetch_sub(1) > 0 ? absl::UnavailableError("not now")
                                  : absl::OkStatus();
  }

 private:
  std::atomic<int> left_;
};

TEST_F(ClientTest, TriesAgainWhatNoHandlerSawEvenIfItIsNotIdempotent) {
  TestServer server(Style::kCallback, false, [](Server& s) {
    s.Use(std::make_shared<RefuseFirst>(1),
          Selector::Service("echo.v1.EchoService"));
  });
  Register(AddressOf(server));
  manager_ = *ClientManager::Create({.registry = registry_});
  const auto client = *manager_->Get<EchoService>("echo");
  CallInfo info;
  const auto response =
      client->Call(&EchoService::Stub::Unary, Hello(), {.info = &info});
  EXPECT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(info.attempts, 2);
  EXPECT_EQ(server.probe().entered, 1);
}

TEST_F(ClientTest, DoesNotTryAgainWhatAHandlerMayHaveDone) {
  TestServer server(Style::kSync, false);
  server.probe().on_enter = [](grpc::ServerContextBase& context) {
    // Ends as UNAVAILABLE for the caller, and the handler has run.
    context.TryCancel();
  };
  Register(AddressOf(server));
  manager_ = *ClientManager::Create({.registry = registry_});
  const auto client = *manager_->Get<EchoService>("echo");
  CallInfo info;
  EXPECT_FALSE(
      client->Call(&EchoService::Stub::Unary, Hello(), {.info = &info}).ok());
  EXPECT_EQ(info.attempts, 1);
  EXPECT_EQ(server.probe().entered, 1);
}

TEST_F(ClientTest, AnswersForAServiceThatFails) {
  ClientOptions options;
  options.discovery.max_wait = 1ms;
  const auto client = Connect(options);
  EchoResponse cached;
  cached.set_text("from the cache");
  EXPECT_EQ(client->CallOr(&EchoService::Stub::Unary, Hello(), cached).text(),
            "from the cache");
  const auto told = client->CallOr<EchoRequest, EchoResponse>(
      &EchoService::Stub::Unary, Hello(),
      [](const absl::Status& status) -> absl::StatusOr<EchoResponse> {
        return absl::InternalError("because " + std::string(status.message()));
      });
  EXPECT_THAT(told.status(), StatusIs(absl::StatusCode::kInternal));
}

TEST_F(ClientTest, LeavesAnInstanceThatIsNotHealthy) {
  TestServer good(Style::kCallback, false);
  TestServer ill(Style::kCallback, false);
  Register(AddressOf(good));
  Register(AddressOf(ill));
  ClientOptions options;
  options.discovery.health_service = "echo.v1.EchoService";
  const auto client = Connect(options);
  const auto healthy = [this] {
    int count = 0;
    const ServiceStats stats = manager_->Stats()[0];
    for (const EndpointStats& endpoint : stats.endpoints) {
      if (endpoint.connected && endpoint.healthy) ++count;
    }
    return count;
  };
  while (healthy() < 2) std::this_thread::yield();
  ill.server().health().Hold({"echo.v1.EchoService"});
  while (healthy() > 1) std::this_thread::yield();
  const int before = ill.probe().entered;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client->Call(&EchoService::Stub::Unary, Hello()).ok());
  }
  EXPECT_EQ(ill.probe().entered, before);
  ill.server().health().Release({"echo.v1.EchoService"});
  while (healthy() < 2) std::this_thread::yield();
}

TEST_F(ClientTest, AHedgeOvertakesACallThatHangs) {
  TestServer quick(Style::kCallback, false);
  TestServer stuck(Style::kSync, false);
  stuck.probe().on_enter = [](grpc::ServerContextBase& context) {
    while (!context.IsCancelled()) std::this_thread::yield();
  };
  Register(AddressOf(stuck));
  Register(AddressOf(quick));
  ClientOptions options;
  options.discovery.balancer.kind = BalancerKind::kRoundRobin;
  options.methods.push_back(
      {.hedging = HedgingPolicy{.delay = 20ms, .max_extra = 1},
       .idempotency = Idempotency::kIdempotent});
  const auto client = Connect(options);
  const auto connected = [this] {
    int count = 0;
    const ServiceStats stats = manager_->Stats()[0];
    for (const EndpointStats& endpoint : stats.endpoints) {
      if (endpoint.connected) ++count;
    }
    return count;
  };
  while (connected() < 2) std::this_thread::yield();
  int hedged = 0;
  for (int i = 0; i < 4; ++i) {
    CallInfo info;
    const auto response =
        client->Call(&EchoService::Stub::Unary, Hello(), {.info = &info});
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->text(), "hello");
    EXPECT_EQ(info.endpoint, AddressOf(quick));
    if (info.attempts == 2) ++hedged;
  }
  EXPECT_GE(hedged, 1);
}

TEST_F(ClientTest, ExposesItsEndpointsAndBreakers) {
  TestServer server(Style::kCallback, false);
  Register(AddressOf(server));
  MetricsRegistry metrics;
  manager_ =
      *ClientManager::Create({.registry = registry_, .metrics = &metrics});
  const auto client = *manager_->Get<EchoService>("echo");
  ASSERT_TRUE(client->Call(&EchoService::Stub::Unary, Hello()).ok());
  const auto breaker =
      manager_->FindBreaker("echo", "/echo.v1.EchoService/Unary");
  ASSERT_NE(breaker, nullptr);
  breaker->ForceOpen();
  EXPECT_EQ(ReasonOf(client->Call(&EchoService::Stub::Unary, Hello()).status()),
            "CIRCUIT_OPEN");
  const std::string text = metrics.Expose();
  for (const char* line :
       {"grpccommon_client_endpoints{target=\"echo\",state=\"ready\"} 1",
        "grpccommon_client_endpoints{target=\"echo\",state=\"ejected\"} 0",
        "grpccommon_client_breaker_rejection_ratio{target=\"echo\","
        "breaker=\"/echo.v1.EchoService/Unary\"} 1",
        "grpc_client_handled_total"}) {
    EXPECT_THAT(text, ::testing::HasSubstr(line));
  }
  manager_.reset();
  EXPECT_THAT(
      metrics.Expose(),
      ::testing::Not(::testing::HasSubstr("grpccommon_client_endpoints{")));
}

TEST_F(ClientTest, RefusesWhatCannotBe) {
  EXPECT_FALSE(ClientManager::Create({}).ok());
  const auto error_of = [this](const std::function<void(ClientOptions&)>& set) {
    ClientManagerOptions options{.registry = registry_};
    set(options.defaults);
    auto manager = ClientManager::Create(std::move(options));
    return manager.ok() ? (*manager)->Get<EchoService>("echo").status()
                        : manager.status();
  };
  const struct {
    const char* names;
    std::function<void(ClientOptions&)> set;
  } cases[] = {
      {"max_attempts", [](auto& o) { o.retry.max_attempts = 11; }},
      {"default_timeout", [](auto& o) { o.deadline.default_timeout = 0s; }},
      {"connections_per_endpoint",
       [](auto& o) { o.discovery.connections_per_endpoint = 0; }},
      {"max_endpoints", [](auto& o) { o.discovery.max_endpoints = 0; }},
      {"max_wait", [](auto& o) { o.discovery.max_wait = -1s; }},
      {"interval", [](auto& o) { o.discovery.ejection->interval = 0s; }},
      {"failure_rate",
       [](auto& o) {
         o.breaker->breaker = SlidingWindowBreakerOptions{.failure_rate = 2};
       }},
      {"max_in_flight",
       [](auto& o) { o.bulkhead = BulkheadOptions{.max_in_flight = 0}; }},
      {"retry_share",
       [](auto& o) { o.retry_limit = RetryBudgetOptions{.retry_share = -1}; }},
      {"max_tokens",
       [](auto& o) { o.retry_limit = RetryThrottleOptions{.max_tokens = 0}; }},
      {"idempotent",
       [](auto& o) {
         o.methods.push_back({.hedging = HedgingPolicy{.delay = 1ms}});
       }},
  };
  for (const auto& wrong : cases) {
    const absl::Status status = error_of(wrong.set);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(std::string(status.message()),
                ::testing::HasSubstr(wrong.names));
  }
  manager_ = *ClientManager::Create({.registry = registry_});
  EXPECT_THAT(manager_->Get<EchoService>("no such/name").status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const auto client = *manager_->Get<EchoService>("echo");
  EXPECT_THAT(client->Call(&EchoService::Stub::Unary, Hello(), {.timeout = 0s})
                  .status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ClientTest, RefusesMetadataThatWouldEndTheProcess) {
  TestServer server(Style::kCallback, false);
  Register(AddressOf(server));
  const auto client = Connect();
  for (const auto& [key, value] :
       MetadataList{{"Upper-Case", "x"}, {"line", "a\nb"}, {"", "x"}}) {
    const auto response = client->Call(&EchoService::Stub::Unary, Hello(),
                                       {.metadata = {{key, value}}});
    EXPECT_FALSE(response.ok()) << key;
  }
  EXPECT_EQ(server.probe().entered, 0);
  EXPECT_TRUE(client
                  ->Call(&EchoService::Stub::Unary, Hello(),
                         {.metadata = {{"x-good", "1"}, {"x-bin", "\n"}}})
                  .ok());
}

// gRPC's own threads must not be the last to let go of a channel.
TEST_F(ClientTest, MayEndAsSoonAsTheLastCallHasCalledBack) {
  TestServer server(Style::kCallback, false);
  Register(AddressOf(server));
  for (int round = 0; round < 300; ++round) {
    const auto client = Connect();
    std::promise<void> ended;
    std::atomic<int> running{8};
    for (int i = 0; i < 8; ++i) {
      client->CallAsync(
          &EchoService::Stub::Unary, Hello(), {},
          [&running, &ended](const absl::StatusOr<EchoResponse>& response) {
            EXPECT_TRUE(response.ok()) << response.status();
            if (--running == 0) ended.set_value();
          });
    }
    ended.get_future().wait();
    manager_.reset();
  }
}

TEST_F(ClientTest, AnInstanceMayGoWhileCallsEndThere) {
  TestServer server(Style::kCallback, false);
  TestServer other(Style::kCallback, false);
  Register(AddressOf(other));
  const auto client = Connect();
  ASSERT_TRUE(client->Call(&EchoService::Stub::Unary, Hello()).ok());
  std::atomic<int> running{0};
  for (int round = 0; round < 100; ++round) {
    Register(AddressOf(server));
    for (int i = 0; i < 50; ++i) {
      ++running;
      client->CallAsync(
          &EchoService::Stub::Unary, Hello(), {},
          [&running](const absl::StatusOr<EchoResponse>& response) {
            EXPECT_TRUE(response.ok()) << response.status();
            --running;
          });
    }
    registrations_.pop_back();
    while (running > 100) std::this_thread::yield();
  }
  while (running > 0) std::this_thread::yield();
}

TEST_F(ClientTest, ShutdownCancelsWhatDoesNotEnd) {
  TestServer server(Style::kSync, false);
  std::promise<void> entered;
  server.probe().on_enter = [&entered](grpc::ServerContextBase& context) {
    entered.set_value();
    while (!context.IsCancelled()) std::this_thread::yield();
  };
  Register(AddressOf(server));
  const auto client = Connect();
  std::promise<absl::Status> ended;
  client->CallAsync(&EchoService::Stub::Unary, Hello(), {},
                    [&ended](const absl::StatusOr<EchoResponse>& response) {
                      ended.set_value(response.status());
                    });
  entered.get_future().wait();
  manager_->Shutdown(0s);
  EXPECT_THAT(ended.get_future().get(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(ReasonOf(client->Call(&EchoService::Stub::Unary, Hello()).status()),
            "CLIENT_SHUT_DOWN");
}

}  // namespace
}  // namespace grpccommon::test
