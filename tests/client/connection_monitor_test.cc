// SPDX-License-Identifier: Apache-2.0
#include "client/connection_monitor.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "grpcpp/create_channel.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace grpccommon::internal {
namespace {

// A server that accepts connections; no call is made in these tests.
class Listener {
 public:
  explicit Listener(int port = 0) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port),
                             grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
  }
  int port() const { return port_; }
  bool listens() const { return server_ != nullptr; }

 private:
  int port_ = 0;
  grpc::CallbackGenericService service_;
  std::unique_ptr<grpc::Server> server_;
};

std::shared_ptr<grpc::Channel> ChannelTo(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return grpc::CreateCustomChannel("ipv4:127.0.0.1:" + std::to_string(port),
                                   grpc::InsecureChannelCredentials(),
                                   arguments);
}

// What a watch was told.
class Told {
 public:
  ConnectionMonitor::OnChange Sink() {
    return [this](grpc_connectivity_state state) {
      const std::lock_guard lock(mutex_);
      states_.push_back(state);
      changed_.notify_all();
    };
  }
  // Waits until the latest state is `state`.
  bool WaitFor(grpc_connectivity_state state) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      return !states_.empty() && states_.back() == state;
    });
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return states_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<grpc_connectivity_state> states_;
};

TEST(ConnectionMonitorTest, ConnectsAndTells) {
  const Listener listener;
  ConnectionMonitor monitor;
  Told told;
  const auto watch = monitor.Add(ChannelTo(listener.port()), told.Sink());
  EXPECT_TRUE(told.WaitFor(GRPC_CHANNEL_READY));
}

TEST(ConnectionMonitorTest, TellsThatNobodyIsThereAndConnectsLater) {
  auto listener = std::make_unique<Listener>();
  const int port = listener->port();
  listener.reset();
  ConnectionMonitor monitor;
  Told told;
  const auto watch = monitor.Add(ChannelTo(port), told.Sink());
  EXPECT_TRUE(told.WaitFor(GRPC_CHANNEL_TRANSIENT_FAILURE));
  listener = std::make_unique<Listener>(port);
  ASSERT_TRUE(listener->listens());
  EXPECT_TRUE(told.WaitFor(GRPC_CHANNEL_READY));
}

TEST(ConnectionMonitorTest, ConnectsAgainWhatWasFoundBroken) {
  auto listener = std::make_unique<Listener>();
  const int port = listener->port();
  ConnectionMonitor monitor;
  Told told;
  const auto channel = ChannelTo(port);
  const auto watch = monitor.Add(channel, told.Sink());
  ASSERT_TRUE(told.WaitFor(GRPC_CHANNEL_READY));
  listener.reset();
  // Somebody who polls sees it go, as a call would.
  channel->WaitForStateChange(
      GRPC_CHANNEL_READY,
      std::chrono::system_clock::now() + std::chrono::seconds(20));
  watch->Refresh();
  EXPECT_TRUE(told.WaitFor(GRPC_CHANNEL_TRANSIENT_FAILURE));
  listener = std::make_unique<Listener>(port);
  ASSERT_TRUE(listener->listens());
  EXPECT_TRUE(told.WaitFor(GRPC_CHANNEL_READY));
}

TEST(ConnectionMonitorTest, TellsWhoAsksEvenIfNothingChanged) {
  const Listener listener;
  ConnectionMonitor monitor;
  Told told;
  const auto watch = monitor.Add(ChannelTo(listener.port()), told.Sink());
  ASSERT_TRUE(told.WaitFor(GRPC_CHANNEL_READY));
  const std::size_t before = told.count();
  watch->Refresh();
  while (told.count() == before) std::this_thread::yield();
  EXPECT_TRUE(told.WaitFor(GRPC_CHANNEL_READY));
}

TEST(ConnectionMonitorTest, WatchesMayEndAtAnyTime) {
  const Listener listener;
  ConnectionMonitor monitor;
  for (int round = 0; round < 50; ++round) {
    Told told;
    const auto watch = monitor.Add(ChannelTo(listener.port()), told.Sink());
    if (round % 2 == 0) {
      EXPECT_TRUE(told.WaitFor(GRPC_CHANNEL_READY));
    }
  }
}

}  // namespace
}  // namespace grpccommon::internal
