// SPDX-License-Identifier: Apache-2.0
// A client's view of a whole server's health: from its start, through its
// dependencies' troubles, to its drain and its successor.
#include "grpccommon/health/health_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/health/dependency_checks.h"
#include "grpccommon/health/health_registry.h"
#include "grpccommon/server/server.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpcpp/grpcpp.h"
#include "support/delay_proxy.h"
#include "support/echo_services.h"

namespace grpccommon {
namespace {

using testing::IsOkAndHolds;
using testing::StatusIs;
using namespace std::chrono_literals;

constexpr char kEcho[] = "echo.v1.EchoService";

class HealthClientTest : public ::testing::Test {
 protected:
  std::unique_ptr<Server> Serve(ServerOptions options = {}) {
    options.name = "watched";
    if (options.grpc_address.empty()) options.grpc_address = Address();
    options.log_sink = std::make_shared<testing::RecordingLogSink>();
    auto server = *Server::Create(std::move(options));
    server->Add<test::EchoService>(echo_);
    const absl::Status started = server->Start();
    EXPECT_TRUE(started.ok()) << started;
    return server;
  }
  std::string Address() const { return "unix:" + folder_.path() + "/socket"; }

  std::shared_ptr<grpc::Channel> Connect() const { return Connect(Address()); }
  static std::shared_ptr<grpc::Channel> Connect(
      const std::string& address, grpc::ChannelArguments arguments = {}) {
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(
        address, grpc::InsecureChannelCredentials(), arguments);
  }
  std::unique_ptr<HealthWatch> Watch(std::shared_ptr<grpc::Channel> channel) {
    return std::make_unique<HealthWatch>(
        std::move(channel), kEcho, *scheduler_,
        [this](HealthState state) {
          const MutexLock lock(mutex_);
          states_.push_back(state);
          arrived_.NotifyAll();
        },
        HealthWatchOptions{.initial_backoff = 10ms, .max_backoff = 50ms});
  }
  // The next state that is told, within ten seconds.
  HealthState Next() {
    const auto end = std::chrono::steady_clock::now() + 10s;
    const MutexLock lock(mutex_);
    while (states_.empty() && arrived_.WaitUntil(mutex_, end)) {
    }
    if (states_.empty()) return HealthState::kUnknown;
    const HealthState next = states_.front();
    states_.pop_front();
    return next;
  }

  const testing::TemporaryFolder folder_;
  test::EchoProbe probe_;
  test::SyncEcho echo_{probe_};
  const std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  Mutex mutex_;
  CondVar arrived_;
  std::deque<HealthState> states_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(HealthClientTest, FollowsAServerThroughItsLifeAndItsSuccessors) {
  const auto watch = Watch(Connect());
  EXPECT_EQ(Next(), HealthState::kUnreachable);
  for (int life = 0; life < 2; ++life) {
    const auto server = Serve();
    EXPECT_EQ(Next(), HealthState::kServing);
    // The drain is told before the end, so that calls can move.
    std::thread stopping([&server] { server->Shutdown(1h, 1h); });
    EXPECT_EQ(Next(), HealthState::kNotServing);
    EXPECT_EQ(server->phase(), ServerPhase::kDraining);
    server->ShutdownNow();
    stopping.join();
    EXPECT_EQ(Next(), HealthState::kUnreachable);
  }
}

TEST_F(HealthClientTest, SeesADependencyGoAndReturn) {
  const auto server = Serve();
  const auto watch = Watch(Connect());
  EXPECT_EQ(Next(), HealthState::kServing);
  std::atomic<bool> works = false;
  const auto checks =
      std::make_unique<DependencyChecks>(server->health(), server->scheduler());
  ASSERT_TRUE(checks
                  ->Add({.name = "database",
                         .services = {kEcho},
                         .interval = 10ms,
                         .timeout = 10ms},
                        [&works](const DependencyChecks::Done& done) {
                          done(works ? absl::OkStatus()
                                     : absl::UnavailableError("away"));
                        })
                  .ok());
  EXPECT_EQ(Next(), HealthState::kNotServing);
  const HealthClient client(Connect());
  EXPECT_THAT(client.Check(kEcho, 10s),
              IsOkAndHolds(ServingStatus::kNotServing));
  EXPECT_THAT(client.Check("", 10s), IsOkAndHolds(ServingStatus::kServing));
  works = true;
  EXPECT_EQ(Next(), HealthState::kServing);
  EXPECT_THAT(client.Check(kEcho, 10s), IsOkAndHolds(ServingStatus::kServing));
}

TEST_F(HealthClientTest, SeesThatTheServerVanishesWithoutAWord) {
  const auto server = Serve({.grpc_address = "127.0.0.1:0",
                             .keepalive = {.minimum_client_interval = 1s}});
  test::DelayProxy proxy(server->grpc_port());
  // That somebody is still there is for the channel to find out.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  const auto watch = Watch(Connect(proxy.address(), arguments));
  EXPECT_EQ(Next(), HealthState::kServing);
  proxy.SetBlackHole(true);
  EXPECT_EQ(Next(), HealthState::kUnreachable);
  proxy.SetBlackHole(false);
  EXPECT_EQ(Next(), HealthState::kServing);
}

TEST_F(HealthClientTest, SeesThatTheConnectionBreaks) {
  const auto server = Serve({.grpc_address = "127.0.0.1:0"});
  test::DelayProxy proxy(server->grpc_port());
  const auto watch = Watch(Connect(proxy.address()));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Next(), HealthState::kServing);
    proxy.Reset();
    EXPECT_EQ(Next(), HealthState::kUnreachable);
  }
  EXPECT_EQ(Next(), HealthState::kServing);
}

TEST_F(HealthClientTest, AWatchOverTheServersLimitIsToldSoAndTriesAgain) {
  const auto server = Serve({.max_health_watches = 1});
  auto first = Watch(Connect());
  EXPECT_EQ(Next(), HealthState::kServing);
  const auto second = Watch(Connect());
  EXPECT_EQ(Next(), HealthState::kUnreachable);
  EXPECT_THAT(second->last_error(),
              StatusIs(absl::StatusCode::kResourceExhausted));
  first.reset();
  EXPECT_EQ(Next(), HealthState::kServing);
}

}  // namespace
}  // namespace grpccommon
