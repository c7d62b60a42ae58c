// SPDX-License-Identifier: Apache-2.0
// What callers see of a registry that says nonsense, and what a registry that
// comes back sees of its watchers.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "echo/v1/echo_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpccommon/base/baton.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/remote_registry.h"
#include "grpccommon/registry/v1/registry_service.grpc.pb.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "support/test_server.h"
#include "support/time_series.h"

namespace grpccommon::test {
namespace {

namespace v1 = registry::v1;
using namespace std::chrono_literals;
using echo::v1::EchoRequest;
using ::testing::AllOf;
using testing::HasReason;
using ::testing::HasSubstr;
using testing::MessageIs;
using testing::StatusIs;
using SteadyTime = std::chrono::steady_clock::time_point;

// A registry service that says what it is told to say, in a process that comes
// and goes.
class ScriptedRegistry final : public v1::RegistryService::CallbackService {
 public:
  ScriptedRegistry() { Start(); }
  ~ScriptedRegistry() override { Stop(); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  void Start() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port_),
                             grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  void Stop() {
    if (server_ == nullptr) return;
    EndWatches();
    server_->Shutdown(std::chrono::system_clock::now() + 1s);
    server_.reset();
  }

  /// Those who watch `service` come again, and hear this; of any other, that
  /// nobody serves it.
  void Say(const std::string& service, std::vector<v1::WatchResponse> answer) {
    {
      const std::lock_guard lock(mutex_);
      service_ = service;
      answer_ = std::move(answer);
    }
    EndWatches();
  }

  std::vector<SteadyTime> arrivals() const {
    const std::lock_guard lock(mutex_);
    return arrivals_;
  }

  grpc::ServerWriteReactor<v1::WatchResponse>* Watch(
      grpc::CallbackServerContext* /*context*/,
      const v1::WatchRequest* request) override {
    const std::lock_guard lock(mutex_);
    arrivals_.push_back(std::chrono::steady_clock::now());
    std::vector<v1::WatchResponse> answer = answer_;
    if (request->service() != service_) {
      answer.assign(1, {});
      answer[0].set_snapshot(true);
      answer[0].set_complete(true);
    }
    auto* const stream = new Stream(*this, std::move(answer));
    streams_.insert(stream);
    return stream;
  }

 private:
  // Writes its messages, and stays open until it is told to end.
  class Stream final : public grpc::ServerWriteReactor<v1::WatchResponse> {
   public:
    Stream(ScriptedRegistry& registry, std::vector<v1::WatchResponse> messages)
        : registry_(registry), messages_(std::move(messages)) {
      made_.Pass();
      StartWrite(&messages_[0]);
    }
    void End() {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      FinishLocked();
    }

   private:
    void OnWriteDone(bool ok) override {
      const std::lock_guard lock(mutex_);
      ++written_;
      if (ok && !ending_ && written_ < messages_.size()) {
        StartWrite(&messages_[written_]);
      } else {
        idle_ = true;
        FinishLocked();
      }
    }
    void OnCancel() override { End(); }
    void OnDone() override {
      made_.Take();
      registry_.Forget(this);
      delete this;
    }
    void FinishLocked() {
      if (!ending_ || !idle_ || finished_) return;
      finished_ = true;
      Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "begin again"));
    }

    ScriptedRegistry& registry_;
    std::vector<v1::WatchResponse> messages_;
    Baton made_;
    std::mutex mutex_;
    std::size_t written_ = 0;
    bool idle_ = false;
    bool ending_ = false;
    bool finished_ = false;
  };

  void EndWatches() {
    const std::lock_guard lock(mutex_);
    for (Stream* const stream : streams_) stream->End();
  }
  void Forget(Stream* stream) {
    const std::lock_guard lock(mutex_);
    streams_.erase(stream);
  }

  int port_ = 0;
  mutable std::mutex mutex_;
  std::string service_;
  std::vector<v1::WatchResponse> answer_;
  std::vector<SteadyTime> arrivals_;
  std::set<Stream*> streams_;
  std::unique_ptr<grpc::Server> server_;
};

v1::Instance MakeInstance(const std::string& address, double weight = 1) {
  v1::Instance instance;
  instance.set_address(address);
  instance.set_weight(weight);
  return instance;
}

v1::WatchResponse Snapshot(const std::vector<v1::Instance>& instances) {
  v1::WatchResponse response;
  response.set_snapshot(true);
  response.set_complete(true);
  for (const v1::Instance& instance : instances) {
    *response.add_changed() = instance;
  }
  return response;
}

class RegistryFaultsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    registry_.Say("echo", {Snapshot({MakeInstance(good_)})});
    remote_ = *RemoteRegistry::Create(
        {.connection = {.addresses = {registry_.address()},
                        .reconnect_initial = 10ms,
                        .reconnect_maximum = 100ms}},
        *scheduler_);
    manager_ = *ClientManager::Create({.registry = remote_});
    client_ = *manager_->Get<EchoService>("echo");
    ASSERT_TRUE(Call().ok());
  }

  absl::Status Call() {
    EchoRequest request;
    request.set_text("hello");
    return client_->Call(&EchoService::Stub::Unary, request, {.timeout = 10s})
        .status();
  }

  // What the registry says has been heard once it is asked again, by which time
  // a client that cannot bear it would have fallen.
  void Say(std::vector<v1::WatchResponse> answer) {
    const std::size_t before = registry_.arrivals().size();
    registry_.Say("echo", std::move(answer));
    while (registry_.arrivals().size() == before) {
      std::this_thread::sleep_for(1ms);
    }
    std::this_thread::sleep_for(50ms);
  }

  std::size_t instances() { return manager_->Stats()[0].instances; }

  TestServer echo_{Style::kCallback, false};
  const std::string good_ = echo_.address();
  ScriptedRegistry registry_;
  std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  std::shared_ptr<RemoteRegistry> remote_;
  std::unique_ptr<ClientManager> manager_;
  std::shared_ptr<Client<EchoService>> client_;
};

TEST_F(RegistryFaultsTest, MalformedInstancesAreLeftOutAndTheOthersCalled) {
  const std::vector<std::string> addresses = {
      "",
      "nowhere",
      "127.0.0.1",
      "127.0.0.1:",
      "127.0.0.1:0",
      "127.0.0.1:65536",
      "127.0.0.1:-1",
      "127.0.0.1:1x",
      "0.0.0.0:50051",
      "[::]:50051",
      "::1:50051",
      "[::1:50051",
      "0x7f.1:50051",
      "dns:///localhost:50051",
      "xds:///echo",
      "ipv4:127.0.0.1:50051",
      "unix:",
      "unix:" + std::string(200, 'x'),
      "a b:50051",
      "a\r\nb:50051",
      std::string("a\0b:50051", 9),
      std::string(10'000, 'a') + ":50051",
      "127.0.0.1:50051,127.0.0.1:50052",
  };
  const std::vector<double> weights = {0,
                                       -1,
                                       1e-9,
                                       1e300,
                                       std::numeric_limits<double>::infinity(),
                                       -std::numeric_limits<double>::infinity(),
                                       std::nan("")};
  std::vector<v1::Instance> instances = {MakeInstance(good_)};
  for (const std::string& address : addresses) {
    instances.push_back(MakeInstance(address));
  }
  for (const double weight : weights) {
    instances.push_back(MakeInstance("127.0.0.1:1", weight));
  }
  Say({Snapshot(instances)});
  EXPECT_EQ(instances.size(), 1 + addresses.size() + weights.size());
  EXPECT_EQ(this->instances(), 1u);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Call().ok());
}

TEST_F(RegistryFaultsTest, ADuplicateInstanceIsOne) {
  Say({Snapshot(
      {MakeInstance(good_), MakeInstance(good_, 2), MakeInstance(good_)})});
  EXPECT_EQ(instances(), 1u);
  EXPECT_TRUE(Call().ok());
}

TEST_F(RegistryFaultsTest, AStateThatContradictsItselfKeepsTheLastOne) {
  v1::WatchResponse first = Snapshot({MakeInstance("127.0.0.1:1")});
  first.set_more(true);
  v1::WatchResponse second;  // of the same state, and no snapshot
  second.set_complete(true);
  // Refused again and again: it is the client that begins anew.
  const std::size_t before = registry_.arrivals().size();
  registry_.Say("echo", {first, second});
  while (registry_.arrivals().size() < before + 5) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(instances(), 1u);
  EXPECT_FALSE(manager_->Stats()[0].registry.ok());
  EXPECT_TRUE(Call().ok());
  // And the first state that makes sense is believed.
  Say({Snapshot({MakeInstance(good_), MakeInstance("127.0.0.1:1")})});
  EXPECT_EQ(instances(), 2u);
  EXPECT_TRUE(manager_->Stats()[0].registry.ok());
}

TEST_F(RegistryFaultsTest, RemovalsOfWhatNobodyKnowsChangeNothing) {
  v1::WatchResponse removal = Snapshot({MakeInstance(good_)});
  v1::WatchResponse more;
  more.set_complete(true);
  more.add_removed("127.0.0.1:1");
  more.add_removed("");
  more.add_removed(std::string("\0\x01", 2));
  Say({removal, more});
  EXPECT_EQ(instances(), 1u);
  EXPECT_TRUE(Call().ok());
}

TEST_F(RegistryFaultsTest,
       AnEmptySetEndsCallsWithAReasonAndNotWithTheDeadline) {
  Say({Snapshot({})});
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_THAT(Call(), AllOf(StatusIs(absl::StatusCode::kUnavailable),
                            MessageIs(HasSubstr("no instance")),
                            HasReason("NO_ENDPOINT")));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  Say({Snapshot({MakeInstance(good_)})});
  EXPECT_TRUE(Call().ok());
}

TEST_F(RegistryFaultsTest, AnUnknownServiceIsAnEmptySet) {
  client_ = *manager_->Get<EchoService>("no.such.Service");
  EXPECT_THAT(Call(), AllOf(StatusIs(absl::StatusCode::kUnavailable),
                            MessageIs(HasSubstr("no.such.Service")),
                            HasReason("NO_ENDPOINT")));
}

TEST_F(RegistryFaultsTest, AServiceNameThatNoRegistryHasIsRefused) {
  for (const std::string& name :
       {std::string("not a name"), std::string("a/b"), std::string(256, 'a')}) {
    EXPECT_EQ(manager_->Get<EchoService>(name).status().code(),
              absl::StatusCode::kInvalidArgument)
        << name;
  }
}

// Each watcher has a connection of its own, as processes have.
TEST(RegistryReturnTest, WatchersComeBackSpreadOverTime) {
  constexpr int kWatchers = 300;
  constexpr auto kMaximum = 2s;
  constexpr auto kAway = 4s;
  ScriptedRegistry service;
  service.Say("echo", {Snapshot({MakeInstance("127.0.0.1:1")})});
  const auto scheduler = CreateScheduler();
  std::vector<std::unique_ptr<RemoteRegistry>> registries;
  std::vector<std::unique_ptr<InstanceWatch>> watches;
  for (int i = 0; i < kWatchers; ++i) {
    registries.push_back(*RemoteRegistry::Create(
        {.connection = {.addresses = {service.address()},
                        .reconnect_initial = 200ms,
                        .reconnect_maximum = kMaximum}},
        *scheduler));
    watches.push_back(
        *registries.back()->Watch("echo", [](const InstanceSet&) {}));
  }
  while (service.arrivals().size() < kWatchers) {
    std::this_thread::sleep_for(5ms);
  }
  // Away for longer than the backoff grows: nobody is near its beginning.
  service.Stop();
  std::this_thread::sleep_for(kAway);
  const std::size_t before = service.arrivals().size();
  const auto back = std::chrono::steady_clock::now();
  service.Start();
  while (service.arrivals().size() < before + kWatchers) {
    ASSERT_LT(std::chrono::steady_clock::now() - back, 20s)
        << service.arrivals().size() - before << " are back";
    std::this_thread::sleep_for(5ms);
  }
  constexpr auto kSlice = 100ms;
  std::vector<SteadyTime> arrivals = service.arrivals();
  arrivals.erase(arrivals.begin(),
                 arrivals.begin() + static_cast<std::ptrdiff_t>(before));
  std::sort(arrivals.begin(), arrivals.end());
  std::vector<double> windows(
      static_cast<std::size_t>((arrivals.back() - back) / kSlice) + 1);
  for (const SteadyTime at : arrivals) {
    ++windows[static_cast<std::size_t>(
        std::max(at - back, SteadyTime::duration::zero()) / kSlice)];
  }
  TimeSeries series("registry_returns", {"watches"});
  for (std::size_t i = 0; i < windows.size(); ++i) {
    series.Add(static_cast<double>(i) * 100, {windows[i]});
  }
  const double most = *std::max_element(windows.begin(), windows.end());
  std::cout << kWatchers << " watchers back within "
            << std::chrono::duration<double>(arrivals.back() - back).count()
            << " s, at most " << most << " in 100 ms\n";
  // Uniform over two seconds would be 15 in each window.
  EXPECT_LT(most, kWatchers / 5);
  EXPECT_GT(arrivals.back() - back, kMaximum / 2);
  EXPECT_LT(arrivals.back() - back, kMaximum + 3s);

  watches.clear();
  registries.clear();
}

}  // namespace
}  // namespace grpccommon::test
