// SPDX-License-Identifier: Apache-2.0
// What callers see of faults between real processes.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "echo/v1/echo_service.grpc.pb.h"
#include "faults/cluster.h"
#include "faults/firewall.h"
#include "faults/load.h"
#include "faults/recorder.h"
#include "gtest/gtest.h"
#include "support/etcd_process.h"
#include "support/number.h"

namespace grpccommon::test {
namespace {

using namespace std::chrono_literals;
using echo::v1::EchoService;

double Milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

class FaultsTest : public ::testing::Test {
 protected:
  explicit FaultsTest(Cluster::Backend backend = Cluster::Backend::kService)
      : cluster_(backend) {}

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
      const ServiceStats stats = manager.Stats()[0];
      for (const EndpointStats& endpoint : stats.endpoints) {
        if (endpoint.connected) ++connected;
      }
      if (connected >= count) return;
      std::this_thread::sleep_for(1ms);
    }
  }

  void StartInstances(int count, const Behaviour& behaviour = {}) {
    for (int i = 0; i < count; ++i) {
      instances_.push_back(cluster_.StartInstance(behaviour));
    }
  }

  // Idempotent calls, a thousand a second, of which the first instance gets its
  // part; and then does not answer any more.
  void ExpectToSurviveSilence(const std::string& series,
                              const std::function<void()>& begin,
                              const std::function<void()>& end);

  // A machine that lets a thread sleep for so much too long, in most seconds,
  // says nothing about the latency of calls. All else is asserted there, too.
  void NoteStall(std::chrono::nanoseconds stall) {
    stall_ = std::max(stall_, stall);
  }
  // Where others are known to work beside us, latencies are printed and not
  // judged; what must not fail is, everywhere.
  bool TooBusy() const {
    return stall_ > 20ms || std::getenv("FAULTS_SHARED_MACHINE") != nullptr;
  }

  Cluster cluster_;
  std::chrono::nanoseconds stall_{0};
  std::vector<std::unique_ptr<InstanceProcess>> instances_;
  std::unique_ptr<ClientManager> manager_;
  std::shared_ptr<Client<EchoService>> client_;
};

TEST_F(FaultsTest, ARollingRestartFailsNoIdempotentCall) {
  constexpr std::int64_t kCalls = 100'000;
  StartInstances(3);
  Connect();
  Recorder recorder;
  Load load(*client_);
  std::set<std::string> started;
  for (const auto& instance : instances_) started.insert(instance->address());
  int restarts = 0;
  while (load.calls() < kCalls || restarts < 3) {
    std::unique_ptr<InstanceProcess>& instance =
        instances_[static_cast<std::size_t>(restarts % 3)];
    auto fresh = cluster_.StartInstance();
    WaitUntilConnected(*manager_, 4);
    started.insert(fresh->address());
    recorder.Mark("restart");
    const std::int64_t before = load.calls();
    instance->Signal(SIGTERM);
    EXPECT_EQ(instance->Wait(), 0);
    EXPECT_GT(load.calls(), before) << "nobody called while it drained";
    instance = std::move(fresh);
    ++restarts;
  }
  load.Stop();
  recorder.Write("rolling_restart", load);
  std::cout << load.calls() << " calls over " << restarts << " restarts, "
            << load.failures() << " failed\n";
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
  // The restarted ones bore the load, and not a lucky one alone.
  for (const Ended& ended : load.All()) started.erase(ended.endpoint);
  EXPECT_TRUE(started.empty()) << *started.begin() << " was never called";
}

TEST_F(FaultsTest, AKilledInstanceFailsNoIdempotentCallAndIsLeftAtOnce) {
  StartInstances(3);
  Connect();
  Recorder recorder;
  const std::string victim = instances_[0]->address();
  recorder.Name(victim, "killed");
  Load load(*client_);
  std::this_thread::sleep_for(3s);
  recorder.Mark("kill -9");
  const auto killed = std::chrono::steady_clock::now();
  instances_[0]->Signal(SIGKILL);
  EXPECT_EQ(instances_[0]->Wait(), -1);
  std::this_thread::sleep_for(3s);
  load.Stop();
  recorder.Write("kill", load);
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
  EXPECT_GT(ShareOf(load.EndedBetween(killed - 1s, killed), victim), 0.01)
      << "the instance was idle, and nobody could miss it";
  // Tried there in vain, and again elsewhere.
  int retried = 0;
  for (const Ended& ended : load.EndedBetween(killed, SteadyTime::max())) {
    if (ended.attempts > 1) ++retried;
  }
  const auto later = load.UnderWayBetween(killed + 1s, SteadyTime::max());
  std::cout << load.calls() << " calls, " << retried
            << " tried again after the kill\n";
  ASSERT_GT(later.size(), 100u);
  for (const Ended& ended : later) {
    ASSERT_EQ(ended.attempts, 1) << "traffic is not off it within a second";
    ASSERT_NE(ended.endpoint, victim);
    ASSERT_LT(ended.took(), 1s) << "and this one waited for it";
  }
}

TEST_F(FaultsTest, AKilledInstanceFailsOnlyTheUnsafeCallsThatWereInFlight) {
  constexpr int kThreads = 8;
  StartInstances(3, {.service_time = 1000us});
  Connect({}, false);
  const std::string victim = instances_[0]->address();
  Load load(*client_, {.threads = kThreads});
  load.WaitFor(2000);
  const auto killed = std::chrono::steady_clock::now();
  instances_[0]->Signal(SIGKILL);
  std::this_thread::sleep_for(2s);
  load.Stop();
  std::cout << load.calls() << " calls, " << load.failures()
            << " failed of at most " << kThreads << " in flight\n";
  EXPECT_GT(ShareOf(load.EndedBetween(SteadyTime::min(), killed), victim),
            0.01);
  EXPECT_GT(load.EndedBetween(killed, SteadyTime::max()).size(), 500u);
  EXPECT_LE(load.failures(), kThreads) << load.FirstError();
  for (const Ended& ended : load.All()) {
    if (ended.ok()) continue;
    EXPECT_EQ(ended.status.code(), absl::StatusCode::kUnavailable);
    EXPECT_LT(ended.begun, killed + 1s) << "nobody was there: " << ended.status;
  }
  for (const auto& [text, count] : cluster_.ReadJournal()) {
    ASSERT_EQ(count, 1) << text << " was done more than once";
  }
}

TEST_F(FaultsTest, AnUnsafeCallIsNeverDoneTwice) {
  constexpr int kThreads = 8;
  StartInstances(3, {.service_time = 500us});
  Connect({}, false);
  Load load(*client_, {.threads = kThreads, .call = {.timeout = 500ms}});
  for (int round = 0; round < 4; ++round) {
    load.WaitFor(load.calls() + 500);
    auto& instance = instances_[static_cast<std::size_t>(round % 3)];
    auto fresh = cluster_.StartInstance({.service_time = 500us});
    instance->Signal(round % 2 == 0 ? SIGKILL : SIGTERM);
    instance->Wait();
    instance = std::move(fresh);
  }
  load.Stop();
  const std::map<std::string, int> journal = cluster_.ReadJournal();
  for (const auto& [text, count] : journal) {
    ASSERT_EQ(count, 1) << text << " was done more than once";
  }
  // Whatever was acknowledged was done, and nearly everything was.
  for (const Ended& ended : load.All()) {
    if (!ended.ok()) continue;
    ASSERT_TRUE(journal.contains(ended.text)) << ended.text;
  }
  EXPECT_LE(load.failures(), 4 * kThreads) << load.FirstError();
}

void FaultsTest::ExpectToSurviveSilence(const std::string& series,
                                        const std::function<void()>& begin,
                                        const std::function<void()>& end) {
  ClientOptions options;
  options.retry.attempt_timeout = 1s;
  Connect(options);
  Recorder recorder;
  const std::string victim = instances_[0]->address();
  recorder.Name(victim, "silent");
  // At a rate: threads that hang would call no more, and the percentile would
  // hide them behind those that go on.
  Load load(*client_, {.calls_per_second = 1000, .call = {.timeout = 5s}});
  std::this_thread::sleep_for(4s);
  recorder.Mark("silent");
  const auto silent = std::chrono::steady_clock::now();
  begin();
  std::this_thread::sleep_for(8s);
  load.Stop();
  end();
  recorder.Write(series, load);

  // Ends before the last call that meets the silence began.
  const auto normal = load.UsualP99(silent - 3200ms, 3);
  const auto before = load.EndedBetween(silent - 3s, silent);
  std::cout << "p99 before " << Milliseconds(normal) << " ms";
  for (int second = 0; second < 8; ++second) {
    std::cout << ", second " << second + 1 << ": "
              << Milliseconds(
                     Percentile(load.EndedBetween(silent + second * 1s,
                                                  silent + (second + 1) * 1s),
                                0.99))
              << " ms";
  }
  std::cout << "; " << load.failures() << " of " << load.calls() << " failed\n";
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
  EXPECT_GT(ShareOf(before, victim), 0.01) << "nobody could miss it";
  EXPECT_EQ(ShareOf(load.EndedBetween(silent + 2s, SteadyTime::max()), victim),
            0)
      << "it still answers";
  ASSERT_GT(load.UnderWayBetween(silent + 5s, silent + 8s).size(), 2000u)
      << "the load itself fell";
  NoteStall(load.UsualStall(silent - 3200ms, 3));
  NoteStall(load.UsualStall(silent + 5s, 3));
  if (TooBusy()) GTEST_SKIP() << "the machine is too busy to measure latency";
  EXPECT_LT(load.UsualP99(silent + 5s, 3), 3 * normal);
}

TEST_F(FaultsTest, AFrozenInstanceIsLeftWithinFiveSeconds) {
  StartInstances(3, {.service_time = 1000us});
  ExpectToSurviveSilence(
      "freeze", [this] { instances_[0]->Signal(SIGSTOP); },
      [this] { instances_[0]->Signal(SIGCONT); });
}

TEST_F(FaultsTest, AnInstanceBehindADeadCableIsLeftWithinFiveSeconds) {
  if (const std::string why = Firewall::Unavailable(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  StartInstances(3, {.service_time = 1000us});
  Firewall firewall;
  ExpectToSurviveSilence(
      "drop", [&] { ASSERT_TRUE(firewall.Drop(instances_[0]->port())); },
      [] {});
}

TEST_F(FaultsTest, AnInstanceWhoseConnectionsAreResetFailsNoIdempotentCall) {
  if (const std::string why = Firewall::Unavailable(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  StartInstances(3);
  Connect();
  const std::string victim = instances_[0]->address();
  Firewall firewall;
  Load load(*client_);
  load.WaitFor(2000);
  const auto rejected = std::chrono::steady_clock::now();
  ASSERT_TRUE(firewall.Reject(instances_[0]->port()));
  std::this_thread::sleep_for(3s);
  load.Stop();
  EXPECT_GT(ShareOf(load.EndedBetween(SteadyTime::min(), rejected), victim),
            0.01);
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
  const auto later = load.UnderWayBetween(rejected + 1s, SteadyTime::max());
  ASSERT_GT(later.size(), 100u);
  for (const Ended& ended : later) {
    ASSERT_EQ(ended.attempts, 1);
    ASSERT_NE(ended.endpoint, victim);
  }
}

TEST_F(FaultsTest, ASlowInstanceDoesNotSlowTheOthersDown) {
  constexpr auto kNormal = 2000us;
  const auto measure = [this](BalancerKind kind, const std::string& series) {
    ClientOptions options;
    options.discovery.balancer.kind = kind;
    Connect(options);
    Recorder recorder;
    recorder.Name(instances_[2]->address(), "slow");
    Load load(*client_, {.calls_per_second = 500});
    std::this_thread::sleep_for(2s);
    const auto from = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(5s);
    load.Stop();
    if (!series.empty()) recorder.Write(series, load);
    EXPECT_EQ(load.failures(), 0) << load.FirstError();
    const auto p99 = load.UsualP99(from, 5);
    NoteStall(load.UsualStall(from, 5));
    std::cout << "p50 " << Milliseconds(Percentile(load.All(), 0.5))
              << " ms, p99 " << Milliseconds(p99) << " ms, to the last "
              << 100 * ShareOf(load.All(), instances_[2]->address()) << " %\n";
    // Not connected would be fast, too.
    EXPECT_GT(ShareOf(load.All(), instances_[2]->address()), 0);
    return p99;
  };
  StartInstances(3, {.service_time = kNormal});
  const auto normal = measure(BalancerKind::kPeakEwma, "");
  instances_.pop_back();
  instances_.push_back(cluster_.StartInstance({.service_time = 50 * kNormal}));
  // What else the machine does can only make it worse: one undisturbed time is
  // enough, and a balancer that does not go around has none.
  auto with_p2c = measure(BalancerKind::kPeakEwma, "slow_p2c");
  for (int again = 0; again < 2 && with_p2c > 2 * normal; ++again) {
    with_p2c = measure(BalancerKind::kPeakEwma, "slow_p2c");
  }
  const auto in_turn = measure(BalancerKind::kRoundRobin, "slow_in_turn");
  if (TooBusy()) GTEST_SKIP() << "the machine is too busy to measure latency";
  EXPECT_LE(with_p2c, 2 * normal);
  EXPECT_GT(in_turn, 10 * normal) << "the slow one is not slow";
}

TEST_F(FaultsTest, HedgingCutsTheTailForAtMostFivePercentMoreCalls) {
  // Every instance pauses now and then: there is no slow one to go around.
  StartInstances(
      3, {.service_time = 2000us, .pause_every = 40, .pause = 200'000us});
  const auto measure = [this](bool hedges, const std::string& series) {
    ClientOptions options;
    // A pause says nothing about the next call, which is what P2C assumes.
    options.discovery.balancer.kind = BalancerKind::kRoundRobin;
    options.methods.push_back({.idempotency = Idempotency::kIdempotent});
    if (hedges) options.methods.back().hedging = HedgingPolicy();
    Connect(options);
    const auto requests = [this] {
      std::int64_t sum = 0;
      for (const auto& [text, count] : cluster_.ReadJournal()) sum += count;
      return sum;
    };
    const std::int64_t before = requests();
    Recorder recorder;
    Load load(*client_, {.calls_per_second = 400});
    std::this_thread::sleep_for(3s);
    const auto from = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(7s);
    load.Stop();
    recorder.Write(series, load);
    EXPECT_EQ(load.failures(), 0) << load.FirstError();
    // As the instances counted them.
    const double extra = static_cast<double>(requests() - before) /
                             static_cast<double>(load.calls()) -
                         1;
    const auto p99 = load.UsualP99(from, 7);
    // The percentile remembers one long stall for 30 s: the worst second
    // counts.
    for (int second = -3; second < 7; ++second) {
      NoteStall(load.UsualStall(from + second * 1s, 1));
    }
    std::cout << (hedges ? "with" : "without") << " hedging: p99 "
              << Milliseconds(p99) << " ms, " << 100 * extra
              << " % more calls\n";
    EXPECT_LE(extra, 0.05);
    EXPECT_EQ(extra > 0, hedges);
    return p99;
  };
  const auto without = measure(false, "pauses_without_hedging");
  // As above: one undisturbed time is enough.
  auto with = measure(true, "pauses_with_hedging");
  for (int again = 0; again < 2 && 3 * with >= without; ++again) {
    stall_ = 0ns;
    with = measure(true, "pauses_with_hedging");
  }
  if (3 * with >= without && TooBusy()) {
    GTEST_SKIP() << "the machine is too busy to measure latency";
  }
  EXPECT_GT(without, 150ms) << "there is no tail to cut";
  EXPECT_LT(3 * with, without);
}

class AbsenceTest : public FaultsTest,
                    public ::testing::WithParamInterface<Cluster::Backend> {
 protected:
  AbsenceTest() : FaultsTest(Usable() ? GetParam() : Cluster::Backend()) {}

  static bool Usable() {
    return GetParam() != Cluster::Backend::kEtcd || EtcdProcess::Available();
  }
  // Several leases long, or what is asked for.
  static std::chrono::seconds Absence() {
    const char* const seconds = std::getenv("FAULTS_ABSENCE_SECONDS");
    if (seconds == nullptr) return 8s;
    return std::chrono::seconds(ParseNumber(seconds).value());
  }
};

TEST_P(AbsenceTest, CallsGoOnWhileTheRegistryIsAway) {
  if (!Usable()) GTEST_SKIP() << "etcd is not installed";

  StartInstances(3);
  Connect();
  Recorder recorder;
  Load load(*client_, {.threads = 2, .pause = 1ms});
  load.WaitFor(200);
  recorder.Mark("registry stops");
  cluster_.StopRegistry();
  const std::int64_t before = load.calls();
  std::this_thread::sleep_for(Absence());  // nobody can renew
  EXPECT_GT(load.calls(), before + 100);
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
  EXPECT_FALSE(manager_->Stats()[0].registry.ok());
  EXPECT_EQ(manager_->Stats()[0].instances, 3u);
  const auto back = std::chrono::steady_clock::now();
  cluster_.StartRegistry();
  recorder.Mark("registry is back");
  // Everyone comes back by themselves, and a new one is found.
  instances_.push_back(cluster_.StartInstance());
  recorder.Mark("a fourth instance");
  WaitUntilConnected(*manager_, 4);
  while (!manager_->Stats()[0].registry.ok()) std::this_thread::sleep_for(5ms);
  // The grace is over: who is known now holds a lease.
  EXPECT_EQ(manager_->Stats()[0].instances, 4u);
  std::cout << "all leases restored "
            << Milliseconds(std::chrono::steady_clock::now() - back)
            << " ms after the registry came back from " << Absence().count()
            << " s of absence\n";
  std::this_thread::sleep_for(4s);
  EXPECT_EQ(manager_->Stats()[0].instances, 4u) << "a lease was not renewed";
  load.Stop();
  recorder.Write(
      GetParam() == Cluster::Backend::kEtcd ? "etcd_away" : "registry_away",
      load);
  std::cout << load.calls() << " calls, " << load.failures() << " failed\n";
  EXPECT_EQ(load.failures(), 0) << load.FirstError();
  std::set<std::string> called;
  for (const Ended& ended : load.All()) called.insert(ended.endpoint);
  EXPECT_EQ(called.size(), 4u);
}

INSTANTIATE_TEST_SUITE_P(Backends, AbsenceTest,
                         ::testing::Values(Cluster::Backend::kService,
                                           Cluster::Backend::kEtcd),
                         [](const auto& backend) {
                           return backend.param == Cluster::Backend::kEtcd
                                      ? "etcd"
                                      : "service";
                         });

}  // namespace
}  // namespace grpccommon::test
