// SPDX-License-Identifier: Apache-2.0
// What callers see of faults between real processes.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "echo/v1/echo_service.grpc.pb.h"
#include "faults/cluster.h"
#include "gtest/gtest.h"

namespace grpccommon::test {
namespace {

using namespace std::chrono_literals;
using echo::v1::EchoRequest;
using echo::v1::EchoService;
using SteadyTime = std::chrono::steady_clock::time_point;

struct Ended {
  SteadyTime at;
  Clock::Duration took;
  bool ok;
  int attempts;
  std::string endpoint;
  std::string error;
};

std::chrono::nanoseconds Percentile(std::vector<std::chrono::nanoseconds> all,
                                    double share) {
  if (all.empty()) return 0ns;
  const auto at =
      static_cast<std::size_t>(share * static_cast<double>(all.size() - 1));
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(at),
                   all.end());
  return all[at];
}

// Threads that call until they are told to stop, each call with a text of its
// own.
class Load {
 public:
  Load(Client<EchoService>& client, int threads, CallOptions options = {},
       std::chrono::nanoseconds pause = 0ns)
      : client_(client), options_(std::move(options)), pause_(pause) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this, i] { Run(i); });
    }
  }
  ~Load() { Stop(); }

  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  std::int64_t calls() const { return calls_; }
  std::int64_t failures() const { return failures_; }
  void WaitFor(std::int64_t calls) const {
    while (calls_ < calls) std::this_thread::sleep_for(5ms);
  }

  std::vector<Ended> Between(SteadyTime from, SteadyTime to) {
    const std::lock_guard lock(mutex_);
    std::vector<Ended> found;
    for (const Ended& ended : ended_) {
      if (ended.at >= from && ended.at < to) found.push_back(ended);
    }
    return found;
  }
  std::chrono::nanoseconds P99(SteadyTime from, SteadyTime to) {
    std::vector<std::chrono::nanoseconds> all;
    for (const Ended& ended : Between(from, to)) all.push_back(ended.took);
    return Percentile(std::move(all), 0.99);
  }
  std::string FirstError() {
    const std::lock_guard lock(mutex_);
    for (const Ended& ended : ended_) {
      if (!ended.ok) return ended.error;
    }
    return "";
  }

 private:
  void Run(int number) {
    for (int i = 0; !stop_; ++i) {
      EchoRequest request;
      request.set_text(std::to_string(number) + "-" + std::to_string(i));
      CallInfo info;
      CallOptions options = options_;
      options.info = &info;
      const auto begun = std::chrono::steady_clock::now();
      const auto response =
          client_.Call(&EchoService::Stub::Unary, request, options);
      const auto now = std::chrono::steady_clock::now();
      if (!response.ok()) ++failures_;
      ++calls_;
      {
        const std::lock_guard lock(mutex_);
        ended_.push_back({now, now - begun, response.ok(), info.attempts,
                          info.endpoint, response.status().ToString()});
      }
      if (pause_ > 0ns) std::this_thread::sleep_for(pause_);
    }
  }

  Client<EchoService>& client_;
  const CallOptions options_;
  const std::chrono::nanoseconds pause_;
  std::atomic<bool> stop_{false};
  std::atomic<std::int64_t> calls_{0};
  std::atomic<std::int64_t> failures_{0};
  std::mutex mutex_;
  std::vector<Ended> ended_;
  std::vector<std::thread> threads_;
};

class FaultsTest : public ::testing::Test {
 protected:
  void Connect(ClientOptions options = {}, bool idempotent = true) {
    if (idempotent) {
      options.methods.push_back({.idempotency = Idempotency::kIdempotent});
    }
    manager_ = *ClientManager::Create(
        {.registry = cluster_.registry(), .defaults = std::move(options)});
    client_ = *manager_->Get<EchoService>("echo");
    WaitUntilConnected(*manager_, instances_.size());
  }

  static void WaitUntilConnected(ClientManager& manager, std::size_t count) {
    for (;;) {
      std::size_t connected = 0;
      for (const EndpointStats& endpoint : manager.Stats()[0].endpoints) {
        if (endpoint.connected) ++connected;
      }
      if (connected >= count) return;
      std::this_thread::sleep_for(1ms);
    }
  }

  void StartInstances(int count, std::chrono::microseconds service_time = 0us) {
    for (int i = 0; i < count; ++i) {
      instances_.push_back(cluster_.StartInstance(service_time));
    }
  }

  Cluster cluster_;
  std::vector<std::unique_ptr<InstanceProcess>> instances_;
  std::unique_ptr<ClientManager> manager_;
  std::shared_ptr<Client<EchoService>> client_;
};

TEST_F(FaultsTest, ARollingRestartFailsNoIdempotentCall) {
  constexpr std::int64_t kCalls = 100'000;
  StartInstances(3);
  Connect();
  Load load(*client_, 4);
  int restarts = 0;
  while (load.calls() < kCalls || restarts < 3) {
    std::unique_ptr<InstanceProcess>& instance =
        instances_[static_cast<std::size_t>(restarts % 3)];
    auto fresh = cluster_.StartInstance();
    instance->Signal(SIGTERM);
    EXPECT_EQ(instance->Wait(), 0);
    instance = std::move(fresh);
    ++restarts;
  }
  load.Stop();
  std::cout << load.calls() << " calls over " << restarts << " restarts, "
            << load.failures() << " failed\n";
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
}

TEST_F(FaultsTest, AKilledInstanceFailsNoIdempotentCallAndIsLeftAtOnce) {
  StartInstances(3);
  Connect();
  Load load(*client_, 4);
  load.WaitFor(2000);
  const auto killed = std::chrono::steady_clock::now();
  instances_[0]->Signal(SIGKILL);
  std::this_thread::sleep_for(3s);
  load.Stop();
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
  // Tried there in vain, and again elsewhere.
  int retried = 0;
  int late = 0;
  for (const Ended& ended : load.Between(killed, SteadyTime::max())) {
    if (ended.attempts < 2) continue;
    ++retried;
    if (ended.at - killed > 1s) ++late;
  }
  std::cout << load.calls() << " calls, " << retried
            << " tried again after the kill, " << late
            << " of them later than a second\n";
  EXPECT_EQ(late, 0);
}

TEST_F(FaultsTest, AKilledInstanceFailsOnlyTheUnsafeCallsThatWereInFlight) {
  constexpr int kThreads = 8;
  StartInstances(3, 1000us);
  Connect({}, false);
  Load load(*client_, kThreads);
  load.WaitFor(2000);
  instances_[0]->Signal(SIGKILL);
  std::this_thread::sleep_for(2s);
  load.Stop();
  std::cout << load.calls() << " calls, " << load.failures()
            << " failed of at most " << kThreads << " in flight\n";
  EXPECT_LE(load.failures(), kThreads) << load.FirstError();
  for (const auto& [text, count] : cluster_.ReadJournal()) {
    ASSERT_EQ(count, 1) << text << " was done more than once";
  }
}

TEST_F(FaultsTest, AnUnsafeCallIsNeverDoneTwice) {
  StartInstances(3, 500us);
  Connect({}, false);
  Load load(*client_, 8, {.timeout = 500ms});
  for (int round = 0; round < 4; ++round) {
    load.WaitFor(load.calls() + 500);
    auto& instance = instances_[static_cast<std::size_t>(round % 3)];
    auto fresh = cluster_.StartInstance(500us);
    instance->Signal(round % 2 == 0 ? SIGKILL : SIGTERM);
    instance->Wait();
    instance = std::move(fresh);
  }
  load.Stop();
  const std::map<std::string, int> journal = cluster_.ReadJournal();
  for (const auto& [text, count] : journal) {
    ASSERT_EQ(count, 1) << text << " was done more than once";
  }
  // And whatever was acknowledged was done.
  EXPECT_GE(static_cast<std::int64_t>(journal.size()),
            load.calls() - load.failures());
}

TEST_F(FaultsTest, AFrozenInstanceIsLeftWithinFiveSeconds) {
  StartInstances(3, 1000us);
  ClientOptions options;
  options.retry.attempt_timeout = 1s;
  Connect(options);
  Load load(*client_, 16, {.timeout = 5s});
  std::this_thread::sleep_for(2s);
  const auto stopped = std::chrono::steady_clock::now();
  const auto normal = load.P99(stopped - 1s, stopped);
  instances_[0]->Signal(SIGSTOP);
  std::this_thread::sleep_for(8s);
  load.Stop();
  instances_[0]->Signal(SIGCONT);
  std::cout << "p99 before " << normal.count() / 1000 << " us";
  for (int second = 0; second < 8; ++second) {
    std::cout << ", second " << second + 1 << ": "
              << load.P99(stopped + second * 1s, stopped + (second + 1) * 1s)
                         .count() /
                     1000
              << " us";
  }
  std::cout << "; " << load.failures() << " of " << load.calls() << " failed\n";
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
  EXPECT_LT(load.P99(stopped + 5s, stopped + 8s), 3 * normal);
}

TEST_F(FaultsTest, ASlowInstanceDoesNotSlowTheOthersDown) {
  constexpr auto kNormal = 2000us;
  const auto measure = [this](BalancerKind kind) {
    ClientOptions options;
    options.discovery.balancer.kind = kind;
    Connect(options);
    Load load(*client_, 8);
    std::this_thread::sleep_for(2s);
    const auto from = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(4s);
    load.Stop();
    EXPECT_EQ(load.failures(), 0) << load.FirstError();
    return load.P99(from, SteadyTime::max());
  };
  StartInstances(3, kNormal);
  const auto normal = measure(BalancerKind::kPeakEwma);
  instances_.pop_back();
  instances_.push_back(cluster_.StartInstance(50 * kNormal));
  const auto with_p2c = measure(BalancerKind::kPeakEwma);
  const auto in_turn = measure(BalancerKind::kRoundRobin);
  std::cout << "p99: all equal " << normal.count() / 1000
            << " us; one 50 times slower, P2C " << with_p2c.count() / 1000
            << " us, round robin " << in_turn.count() / 1000 << " us\n";
  EXPECT_LE(with_p2c, 2 * normal);
  EXPECT_GT(in_turn, 10 * normal) << "the slow one is not slow";
}

TEST_F(FaultsTest, CallsGoOnWhileTheRegistryIsAway) {
  StartInstances(3);
  Connect();
  Load load(*client_, 2, {}, 1ms);
  load.WaitFor(200);
  cluster_.StopRegistry();
  // Several leases long: nobody can renew.
  std::this_thread::sleep_for(8s);
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
  EXPECT_FALSE(manager_->Stats()[0].registry.ok());
  EXPECT_EQ(manager_->Stats()[0].instances, 3u);
  cluster_.StartRegistry();
  // Everyone comes back by themselves, and a new one is found.
  instances_.push_back(cluster_.StartInstance());
  WaitUntilConnected(*manager_, 4);
  while (!manager_->Stats()[0].registry.ok()) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(manager_->Stats()[0].instances, 4u);
  load.Stop();
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
}

}  // namespace
}  // namespace grpccommon::test
