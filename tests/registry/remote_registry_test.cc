// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/remote_registry.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "registry/fake_registry_service.h"
#include "support/delay_proxy.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::FakeScheduler;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::RecordingLogSink;
using ::grpccommon::testing::StatusIs;
using registry::v1::WatchResponse;
using test::DelayProxy;
using test::FakeRegistryService;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// What a watcher was told.
class Seen {
 public:
  Registry::OnChange Record() {
    return [this](const InstanceSet& set) {
      const MutexLock lock(mutex_);
      sets_.push_back(set);
      told_.NotifyAll();
    };
  }
  InstanceSet last() const {
    const MutexLock lock(mutex_);
    return sets_.empty() ? InstanceSet{.status = absl::UnknownError("none")}
                         : sets_.back();
  }
  // False: not within a minute.
  bool WaitFor(std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + 1min;
    const MutexLock lock(mutex_);
    while (sets_.size() < count) {
      if (!told_.WaitUntil(mutex_, deadline)) break;
    }
    return sets_.size() >= count;
  }
  std::size_t count() const {
    const MutexLock lock(mutex_);
    return sets_.size();
  }
  // Of the last one, without copying it.
  bool ok() const {
    const MutexLock lock(mutex_);
    return !sets_.empty() && sets_.back().status.ok();
  }
  std::size_t size() const {
    const MutexLock lock(mutex_);
    return sets_.empty() ? 0 : sets_.back().instances.size();
  }
  std::vector<std::string> addresses() const {
    std::vector<std::string> addresses;
    for (const Instance& instance : last().instances) {
      addresses.push_back(instance.address);
    }
    return addresses;
  }

 private:
  mutable Mutex mutex_;
  CondVar told_;
  std::vector<InstanceSet> sets_ ABSL_GUARDED_BY(mutex_);
};

// Notes for when each task is planned.
class NotingScheduler : public Scheduler {
 public:
  explicit NotingScheduler(Scheduler& scheduler) : scheduler_(scheduler) {}

  TaskId RunAfter(Clock::Duration delay, std::function<void()> task) override {
    const MutexLock lock(mutex_);
    delays_.push_back(delay);
    return scheduler_.RunAfter(delay, std::move(task));
  }
  bool Cancel(TaskId id) override { return scheduler_.Cancel(id); }

  std::vector<Clock::Duration> delays() const {
    const MutexLock lock(mutex_);
    return delays_;
  }

 private:
  Scheduler& scheduler_;
  mutable Mutex mutex_;
  std::vector<Clock::Duration> delays_ ABSL_GUARDED_BY(mutex_);
};

WatchResponse Snapshot(const std::vector<std::string>& addresses,
                       std::int64_t revision, bool complete = true) {
  WatchResponse response;
  response.set_snapshot(true);
  response.set_complete(complete);
  for (const std::string& address : addresses) {
    response.add_changed()->set_address(address);
  }
  if (complete) {
    response.mutable_position()->set_epoch("epoch");
    response.mutable_position()->set_revision(revision);
  }
  return response;
}

WatchResponse Change(const std::vector<std::string>& changed,
                     const std::vector<std::string>& removed,
                     std::int64_t revision) {
  WatchResponse response = Snapshot(changed, revision);
  response.set_snapshot(false);
  for (const std::string& address : removed) response.add_removed(address);
  return response;
}

// Time stands still unless a test moves it; gRPC has its own.
class RemoteRegistryTest : public ::testing::Test {
 protected:
  RemoteRegistryOptions Options() const {
    // None of our time-outs while time flies.
    return {
        .connection = {.addresses = {service_.address()}, .call_timeout = 60s}};
  }
  void Connect() { Connect(Options()); }
  void Connect(RemoteRegistryOptions options) {
    auto registry = RemoteRegistry::Create(
        std::move(options), scheduler_, Logger(log_, "test"), clock_, [this] {
          ++draws_;
          return random_.load();
        });
    ASSERT_THAT(registry, IsOk());
    registry_ = *std::move(registry);
  }

  // Runs what is due meanwhile, but does not move the clock.
  bool Eventually(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (std::chrono::steady_clock::now() < deadline) {
      clock_.Advance(0ns);
      if (holds()) return true;
      std::this_thread::yield();
    }
    return false;
  }

  // The same while our time flies, fifty times as fast as gRPC's: so the
  // watchdog of two minutes leaves gRPC seconds to connect.
  bool InFlyingTime(const std::function<bool()>& holds) {
    auto last = std::chrono::steady_clock::now();
    return Eventually([&] {
      const auto now = std::chrono::steady_clock::now();
      clock_.Advance(50 * (now - std::exchange(last, now)));
      return holds();
    });
  }

  std::atomic<double> random_ = 0.5;
  std::atomic<int> draws_ = 0;
  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
  FakeRegistryService service_;
  Seen seen_;
  std::unique_ptr<RemoteRegistry> registry_;
};

// ------------------------------------------------------------ registrations

TEST_F(RemoteRegistryTest, RegistersAndRenewsAfterAThirdAndTakesOut) {
  random_ = 0;
  Connect();
  auto registration = registry_->Register("shop.Cart",
                                          {.address = "10.0.0.1:80",
                                           .weight = 2,
                                           .zone = "a",
                                           .version = "1.2",
                                           .metadata = {{"k", "v"}},
                                           .healthy = false},
                                          {.ttl = 9s});
  ASSERT_THAT(registration, IsOk());
  ASSERT_THAT((*registration)->WaitRegistered(20s), IsOk());
  ASSERT_THAT(service_.registers(), SizeIs(1));
  const registry::v1::RegisterRequest request = service_.registers()[0];
  EXPECT_EQ(request.service(), "shop.Cart");
  EXPECT_EQ(request.instance().address(), "10.0.0.1:80");
  EXPECT_EQ(request.instance().weight(), 2);
  EXPECT_EQ(request.instance().zone(), "a");
  EXPECT_EQ(request.instance().version(), "1.2");
  EXPECT_EQ(request.instance().metadata().at("k"), "v");
  EXPECT_TRUE(request.instance().unhealthy());
  EXPECT_EQ(request.ttl().seconds(), 9);

  ASSERT_TRUE(Eventually([&] { return scheduler_.pending() == 1; }));
  clock_.Advance(3s - 1ns);
  EXPECT_EQ(scheduler_.pending(), 1u);
  clock_.Advance(1ns);
  ASSERT_TRUE(Eventually([&] { return service_.renewals().size() == 1; }));
  EXPECT_EQ(service_.renewals()[0].lease_id(), "lease-1");
  EXPECT_EQ(service_.renewals()[0].service(), "shop.Cart");

  registration->reset();
  ASSERT_THAT(service_.deregisters(), SizeIs(1));
  EXPECT_EQ(service_.deregisters()[0].lease_id(), "lease-1");
  EXPECT_EQ(service_.deregisters()[0].service(), "shop.Cart");
}

TEST_F(RemoteRegistryTest, RenewsInTheTimeThatWasGranted) {
  random_ = 0;
  service_.Grant(30s);
  Connect();
  const auto registration =
      *registry_->Register("s", {.address = "a:1"}, {.ttl = 3s});
  ASSERT_THAT(registration->WaitRegistered(20s), IsOk());
  ASSERT_TRUE(Eventually([&] { return scheduler_.pending() == 1; }));
  clock_.Advance(10s - 1ns);
  EXPECT_EQ(scheduler_.pending(), 1u);
  clock_.Advance(1ns);
  EXPECT_TRUE(Eventually([&] { return service_.renewals().size() == 1; }));
}

TEST_F(RemoteRegistryTest, RenewsALeaseForEverEachThirdOfADayAllTheSame) {
  random_ = 0;
  service_.Grant(std::chrono::seconds::max());
  Connect();
  const auto registration = *registry_->Register("s", {.address = "a:1"});
  ASSERT_THAT(registration->WaitRegistered(20s), IsOk());
  ASSERT_TRUE(Eventually([&] { return scheduler_.pending() == 1; }));
  clock_.Advance(8h - 1ns);
  EXPECT_EQ(scheduler_.pending(), 1u);
  clock_.Advance(1ns);
  EXPECT_TRUE(Eventually([&] { return service_.renewals().size() == 1; }));
}

TEST_F(RemoteRegistryTest, RegistersAnewWhenTheLeaseHasEnded) {
  Connect();
  const auto registration = *registry_->Register("s", {.address = "a:1"});
  ASSERT_THAT(registration->WaitRegistered(20s), IsOk());
  ASSERT_TRUE(Eventually([&] { return scheduler_.pending() == 1; }));
  service_.Answer({}, {grpc::StatusCode::NOT_FOUND, "gone"});
  clock_.Advance(10s);
  ASSERT_TRUE(Eventually([&] { return service_.registers().size() == 2; }));
  EXPECT_TRUE(
      Eventually([&] { return registration->WaitRegistered(0s).ok(); }));
}

TEST_F(RemoteRegistryTest, SaysWhyItIsNotRegisteredAndGoesOnTrying) {
  service_.Answer({grpc::StatusCode::PERMISSION_DENIED, "not you"}, {});
  Connect();
  const auto registration =
      *registry_->Register("s", {.address = "a:1"}, {.ttl = 60s});
  EXPECT_THAT(registration->WaitRegistered(20s),
              StatusIs(absl::StatusCode::kPermissionDenied));
  // Half of 1 s, of 2 s, of 4 s …
  for (const auto wait : {500ms, 1000ms, 2000ms, 4000ms, 7500ms, 7500ms}) {
    const std::size_t before = service_.registers().size();
    ASSERT_TRUE(Eventually([&] { return scheduler_.pending() == 1; }));
    clock_.Advance(wait - 1ns);
    EXPECT_EQ(scheduler_.pending(), 1u) << wait.count();
    clock_.Advance(1ns);
    ASSERT_TRUE(
        Eventually([&] { return service_.registers().size() > before; }));
  }
  service_.Answer({}, {});
  ASSERT_TRUE(Eventually([&] { return scheduler_.pending() == 1; }));
  clock_.Advance(15s);
  EXPECT_TRUE(
      Eventually([&] { return registration->WaitRegistered(0s).ok(); }));
}

TEST_F(RemoteRegistryTest, StaysAwayAsLongAsItIsAsked) {
  service_.Answer(ToGrpcStatus(Exhausted("BUSY", "s", "busy", 5s)), {});
  Connect();
  const auto registration = *registry_->Register("s", {.address = "a:1"});
  ASSERT_TRUE(Eventually([&] { return scheduler_.pending() == 1; }));
  clock_.Advance(5s);
  EXPECT_EQ(scheduler_.pending(), 1u);
  EXPECT_THAT(service_.registers(), SizeIs(1));
  clock_.Advance(500ms);
  EXPECT_TRUE(Eventually([&] { return service_.registers().size() == 2; }));
}

TEST_F(RemoteRegistryTest, HoldsTheLeaseUntilItsTimeIsOverWithoutRenewal) {
  Connect();
  const auto registration =
      *registry_->Register("s", {.address = "a:1"}, {.ttl = 10s});
  ASSERT_THAT(registration->WaitRegistered(20s), IsOk());
  ASSERT_TRUE(Eventually([&] { return scheduler_.pending() == 1; }));
  service_.Answer({grpc::StatusCode::UNAVAILABLE, "away"},
                  {grpc::StatusCode::UNAVAILABLE, "away"});
  clock_.Advance(4s);
  // Once, or again half a second after a quick answer.
  ASSERT_TRUE(Eventually([&] { return !service_.renewals().empty(); }));
  EXPECT_THAT(registration->WaitRegistered(0s), IsOk());
  clock_.Advance(6s);
  EXPECT_TRUE(Eventually([&] {
    return registration->WaitRegistered(0s).code() ==
           absl::StatusCode::kUnavailable;
  }));
}

TEST_F(RemoteRegistryTest, ComesBackAfterARestartOfTheRegistry) {
  Connect();
  const auto registration = *registry_->Register("s", {.address = "a:1"});
  ASSERT_THAT(registration->WaitRegistered(20s), IsOk());
  service_.Stop();
  EXPECT_TRUE(InFlyingTime([&] {
    return registration->WaitRegistered(0s).code() ==
           absl::StatusCode::kUnavailable;
  }));
  service_.Answer({}, {grpc::StatusCode::NOT_FOUND, "who are you?"});
  service_.Start();
  EXPECT_TRUE(
      InFlyingTime([&] { return registration->WaitRegistered(0s).ok(); }));
  EXPECT_GE(service_.registers().size(), 2u);
}

TEST_F(RemoteRegistryTest, TellsOfAChangeOfTheInstanceAtOnce) {
  Connect();
  const auto registration = *registry_->Register("s", {.address = "a:1"});
  ASSERT_THAT(registration->WaitRegistered(20s), IsOk());
  EXPECT_THAT(registration->Update({.address = "a:1", .weight = 3}), IsOk());
  ASSERT_TRUE(Eventually([&] { return service_.registers().size() == 2; }));
  EXPECT_EQ(service_.registers()[1].instance().weight(), 3);
  // The same again is no change.
  EXPECT_THAT(registration->Update({.address = "a:1", .weight = 3}), IsOk());
  ASSERT_TRUE(Eventually([&] { return scheduler_.pending() == 1; }));
  EXPECT_THAT(service_.registers(), SizeIs(2));
  EXPECT_THAT(registration->Update({.address = "b:1"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(registration->Update({.address = "a:1", .weight = -1}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(RemoteRegistryTest, RefusesWhatNoRegistryWouldTake) {
  Connect();
  EXPECT_THAT(registry_->Register("", {.address = "a:1"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(registry_->Register("s", {.address = "a"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(registry_->Register("s", {.address = "a:1"}, {.ttl = 1ms}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(registry_->Watch("s s", seen_.Record()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  auto first = *registry_->Register("s", {.address = "a:1"});
  EXPECT_THAT(registry_->Register("s", {.address = "a:1"}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(registry_->Register("t", {.address = "a:1"}), IsOk());
  first.reset();
  EXPECT_THAT(registry_->Register("s", {.address = "a:1"}), IsOk());
}

TEST_F(RemoteRegistryTest, RefusesOptionsOutOfRange) {
  const auto code = [this](auto change) {
    RemoteRegistryOptions options = Options();
    change(options);
    return RemoteRegistry::Create(options, scheduler_).status().code();
  };
  EXPECT_EQ(code([](auto&) {}), absl::StatusCode::kOk);
  EXPECT_EQ(code([](auto& o) { o.connection.addresses.clear(); }),
            absl::StatusCode::kInvalidArgument);
  for (const char* const address :
       {"", "registry", "registry:", "registry:0", "registry:65536", "::1:2379",
        "http://registry:80", "registry:80,other:80"}) {
    EXPECT_EQ(code([&](auto& o) { o.connection.addresses = {address}; }),
              absl::StatusCode::kInvalidArgument)
        << address;
  }
  for (const char* const address :
       {"registry_1:80", "[::1]:80", "dns:///registry:80", "unix:/run/r"}) {
    EXPECT_EQ(code([&](auto& o) { o.connection.addresses = {address}; }),
              absl::StatusCode::kOk)
        << address;
  }
  EXPECT_EQ(code([](auto& o) { o.connection.call_timeout = 1ms; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.connection.reconnect_initial = 0s; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.connection.reconnect_maximum = 500ms; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.connection.keepalive_time = 1s; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.connection.keepalive_timeout = 0s; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.connection.deregister_timeout = -1s; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.authorization = [] { return "t"; }; }),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RemoteRegistryTest, WaitsForTheRegistryNoLongerThanItShould) {
  DelayProxy proxy(service_.port());
  RemoteRegistryOptions options = Options();
  options.connection.addresses = {proxy.address()};
  options.connection.deregister_timeout = 100ms;
  Connect(options);
  auto registration = *registry_->Register("s", {.address = "a:1"});
  ASSERT_THAT(registration->WaitRegistered(20s), IsOk());
  proxy.SetBlackHole(true);
  const auto begin = std::chrono::steady_clock::now();
  registration.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  auto other = *registry_->Register("s", {.address = "b:1"});
  EXPECT_THAT(other->WaitRegistered(50ms),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  other.reset();
  registry_.reset();  // cancels what is under way
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2500ms);
}

TEST_F(RemoteRegistryTest, BearsASlowRegistryAndGivesUpATooSlowOne) {
  DelayProxy proxy(service_.port());
  RemoteRegistryOptions options = Options();
  options.connection.addresses = {proxy.address()};
  options.connection.call_timeout = 500ms;
  Connect(options);
  proxy.SetDelay(30ms);
  auto slow = *registry_->Register("s", {.address = "a:1"});
  EXPECT_THAT(slow->WaitRegistered(20s), IsOk());
  slow.reset();
  proxy.SetDelay(1s);
  const auto too_slow = *registry_->Register("s", {.address = "a:1"});
  EXPECT_THAT(too_slow->WaitRegistered(20s),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  proxy.SetDelay(0s);
  EXPECT_TRUE(InFlyingTime([&] { return too_slow->WaitRegistered(0s).ok(); }));
}

// ------------------------------------------------------------------ watches

TEST_F(RemoteRegistryTest, FollowsTheRegistry) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  service_.Say(Snapshot({"b:1", "a:1"}, 1));
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1", "b:1"));
  EXPECT_FALSE(service_.watches()[0].has_resume_after());

  WatchResponse change = Change({"c:1", "a:1"}, {"b:1", "x:1"}, 2);
  change.mutable_changed(1)->set_weight(5);
  service_.Say(change);
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 2; }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1", "c:1"));
  EXPECT_EQ(seen_.last().instances[0].weight, 5);
  EXPECT_THAT(seen_.last().status, IsOk());
}

TEST_F(RemoteRegistryTest, ActsOnAStateWhenAllItsPartsAreThere) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  WatchResponse part = Snapshot({"a:1"}, 0);
  part.clear_position();
  part.set_more(true);
  service_.Say(part);
  service_.Say(Snapshot({"b:1"}, 1));
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 1; }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1", "b:1"));
}

TEST_F(RemoteRegistryTest, KeepsWhatItKnowsAndResumesWhereItWas) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  service_.Say(Snapshot({"a:1", "b:1"}, 7));
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  service_.Stop();
  ASSERT_TRUE(Eventually([&] { return !seen_.ok(); }));
  EXPECT_THAT(seen_.last().status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1", "b:1"));
  // Told once, however often it is tried.
  const int draws = draws_;
  ASSERT_TRUE(InFlyingTime([&] { return draws_ >= draws + 3; }));
  EXPECT_EQ(seen_.count(), 2u);

  service_.Start();
  service_.Say(Change({}, {"a:1"}, 8));
  ASSERT_TRUE(InFlyingTime([&] { return seen_.ok(); }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("b:1"));
  const registry::v1::WatchRequest request = service_.watches().back();
  EXPECT_EQ(request.resume_after().epoch(), "epoch");
  EXPECT_EQ(request.resume_after().revision(), 7);
}

TEST_F(RemoteRegistryTest, WaitsForLongerEachTime) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  std::size_t tries = 0;
  for (const auto wait : {500ms, 1000ms, 2000ms, 4000ms, 7500ms, 7500ms}) {
    const int draws = draws_;
    // One after which the connection stays, and with it nothing to do for it.
    service_.EndWatch({grpc::StatusCode::RESOURCE_EXHAUSTED, "no"});
    ++tries;
    ASSERT_TRUE(Eventually(
        [&] { return draws_ > draws && scheduler_.pending() == 1; }));
    EXPECT_THAT(service_.watches(), SizeIs(tries));
    clock_.Advance(wait - 1ns);
    EXPECT_EQ(scheduler_.pending(), 1u) << wait.count();
    clock_.Advance(1ns);
    ASSERT_TRUE(Eventually([&] { return service_.open() == 1; }));
  }
  service_.Say(Snapshot({}, 1));
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  EXPECT_EQ(scheduler_.pending(), 0u);  // an idle watch costs nothing
}

TEST_F(RemoteRegistryTest, AddsToWhatItKnowsWhileTheRegistryKnowsNotAll) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  service_.Say(Snapshot({"a:1", "b:1"}, 1));
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  service_.Stop();
  ASSERT_TRUE(Eventually([&] { return !seen_.ok(); }));
  // A restarted one, whose instances come back one by one.
  service_.Start();
  service_.Say(Snapshot({"b:1", "c:1"}, 0, /*complete=*/false));
  ASSERT_TRUE(InFlyingTime([&] { return seen_.addresses().size() == 3; }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1", "b:1", "c:1"));
  EXPECT_THAT(seen_.last().status, StatusIs(absl::StatusCode::kUnavailable));
  WatchResponse change = Change({"d:1"}, {"c:1"}, 0);
  change.set_complete(false);
  change.clear_position();
  service_.Say(change);
  ASSERT_TRUE(Eventually([&] { return seen_.addresses().back() == "d:1"; }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1", "b:1", "d:1"));
  service_.Say(Snapshot({"b:1", "d:1"}, 4));
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("b:1", "d:1"));
}

TEST_F(RemoteRegistryTest, TellsAtOnceWhatAnIncompleteRegistryKnows) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  service_.Say(Snapshot({"a:1"}, 0, /*complete=*/false));
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 1; }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1"));
  EXPECT_THAT(seen_.last().status, StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(RemoteRegistryTest, LeavesOutInstancesThatMakeNoSense) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  WatchResponse response = Snapshot(
      {"good:1", "", "no-port", "http://x:1", "0.0.0.0:1", "a:70000", "ä:1"},
      1);
  const auto add = [&](const char* address, double weight) {
    auto& instance = *response.add_changed();
    instance.set_address(address);
    instance.set_weight(weight);
  };
  add("nan:1", std::numeric_limits<double>::quiet_NaN());
  add("inf:1", std::numeric_limits<double>::infinity());
  add("negative:1", -1);
  add("zero:1", 0);
  add("huge:1", 1e300);
  auto& chatty = *response.add_changed();
  chatty.set_address("chatty:1");
  for (int i = 0; i < 33; ++i) {
    (*chatty.mutable_metadata())[std::to_string(i)] = "x";
  }
  add("twice:1", 1);
  add("twice:1", 2);
  service_.Say(response);
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("good:1", "twice:1"));
  EXPECT_EQ(seen_.last().instances[1].weight, 2);
  EXPECT_THAT(log_->text(), HasSubstr("make no sense"));

  // Nonsense about what is known does not take it away.
  response = Change({"good:1"}, {"never:1", ""}, 2);
  response.mutable_changed(0)->set_weight(-5);
  response.add_changed()->set_address("new:1");
  service_.Say(response);
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 2; }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("good:1", "new:1", "twice:1"));
}

TEST_F(RemoteRegistryTest, StartsAnewWhenRevisionsGoBackwards) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  service_.Say(Snapshot({"a:1"}, 9));
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  service_.Say(Change({"b:1"}, {}, 3));
  ASSERT_TRUE(Eventually([&] { return !seen_.ok(); }));
  EXPECT_THAT(seen_.last().status, StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1"));
  ASSERT_TRUE(Eventually([&] { return service_.open() == 0; }));
  service_.Say(Snapshot({"c:1"}, 1));
  ASSERT_TRUE(InFlyingTime([&] { return seen_.ok(); }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("c:1"));
  EXPECT_FALSE(service_.watches().back().has_resume_after());
}

TEST_F(RemoteRegistryTest, DoesNotBuildOnChangesOfNothing) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  service_.Say(Change({"a:1"}, {}, 3));
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 1; }));
  EXPECT_THAT(seen_.last().status, StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(seen_.addresses(), IsEmpty());
}

TEST_F(RemoteRegistryTest, TakesNoMoreInstancesThanAnyServiceHas) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  service_.Say(Snapshot({"a:1"}, 1));
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  WatchResponse endless = Snapshot({}, 2);
  for (int i = 0; i < 40'000; ++i) {
    endless.add_changed()->set_address("h" + std::to_string(i) + ":1");
  }
  endless.set_more(true);
  for (int i = 0; i < 3; ++i) service_.Say(endless);
  ASSERT_TRUE(Eventually([&] { return !seen_.ok(); }));
  EXPECT_THAT(seen_.last().status, StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1"));

  // Nor when they come bit by bit; then it begins from nothing.
  ASSERT_TRUE(Eventually([&] { return service_.open() == 0; }));
  service_.Say(Snapshot({"b:1"}, 3));
  for (int part = 0; part < 3; ++part) {
    WatchResponse more = Change({}, {}, 4 + part);
    for (int i = 0; i < 40'000; ++i) {
      more.add_changed()->set_address("h" + std::to_string(part) + "-" +
                                      std::to_string(i) + ":1");
    }
    service_.Say(more);
  }
  ASSERT_TRUE(InFlyingTime([&] { return service_.open() == 1; }));
  ASSERT_TRUE(
      Eventually([&] { return !seen_.ok() && seen_.size() == 80'001; }));
  ASSERT_TRUE(Eventually([&] { return service_.open() == 0; }));
  service_.Say(Snapshot({"c:1"}, 9));
  ASSERT_TRUE(InFlyingTime([&] { return seen_.ok(); }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("c:1"));
  EXPECT_FALSE(service_.watches().back().has_resume_after());
}

TEST_F(RemoteRegistryTest, TellsTenThousandInstancesQuickly) {
  Connect();
  const auto watch = *registry_->Watch("s", seen_.Record());
  WatchResponse all = Snapshot({}, 1);
  for (int i = 0; i < 10'000; ++i) {
    all.add_changed()->set_address("10.0." + std::to_string(i / 250) + "." +
                                   std::to_string(i % 250) + ":80");
  }
  service_.Say(all);
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 1; }));
  EXPECT_THAT(seen_.addresses(), SizeIs(10'000));
  const auto begin = std::chrono::steady_clock::now();
  service_.Say(Change({"10.9.9.9:80"}, {}, 2));
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 2; }));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_THAT(seen_.addresses(), SizeIs(10'001));
  RecordProperty("change_of_10000_us",
                 static_cast<int>(took / std::chrono::microseconds(1)));
  EXPECT_LT(took, 1s);  // 50 ms with optimisation; this build has none
}

TEST_F(RemoteRegistryTest, LeavesARegistryThatSaysNothing) {
  FakeRegistryService other;
  RemoteRegistryOptions options = Options();
  options.connection.addresses.push_back(other.address());
  options.connection.call_timeout = 3s;
  random_ = 0;  // the first address first
  Connect(options);
  random_ = 0.5;
  const auto watch = *registry_->Watch("s", seen_.Record());
  ASSERT_TRUE(Eventually([&] { return service_.open() == 1; }));
  other.Say(Snapshot({"a:1"}, 1));
  clock_.Advance(6s);
  ASSERT_TRUE(Eventually([&] { return !seen_.ok() && seen_.count() == 1; }));
  EXPECT_THAT(seen_.last().status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  clock_.Advance(500ms);
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  EXPECT_THAT(seen_.addresses(), ElementsAre("a:1"));
  EXPECT_THAT(other.watches(), SizeIs(1));
}

TEST_F(RemoteRegistryTest, GoesOnWithTheNextAddress) {
  FakeRegistryService other;
  RemoteRegistryOptions options = Options();
  options.connection.addresses.push_back(other.address());
  service_.Stop();
  random_ = 0;
  Connect(options);
  random_ = 0.5;
  other.Say(Snapshot({"a:1"}, 1));
  const auto watch = *registry_->Watch("s", seen_.Record());
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 1; }));
  EXPECT_THAT(seen_.last().status, StatusIs(absl::StatusCode::kUnavailable));
  clock_.Advance(500ms);
  ASSERT_TRUE(Eventually([&] { return seen_.ok(); }));
  const auto registration = *registry_->Register("s", {.address = "b:1"});
  EXPECT_THAT(registration->WaitRegistered(20s), IsOk());
  EXPECT_THAT(other.registers(), SizeIs(1));
}

// Whoever is told that the registry is away may count on the next try.
TEST_F(RemoteRegistryTest, PlansTheNextTryBeforeItTellsThatTheRegistryIsAway) {
  NotingScheduler scheduler(scheduler_);
  service_.Stop();
  const auto registry = *RemoteRegistry::Create(Options(), scheduler, {},
                                                clock_, [] { return 0.5; });
  const auto watch = *registry->Watch("s", seen_.Record());
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 1; }));
  const std::vector<Clock::Duration> delays = scheduler.delays();
  const auto next_try = std::find(delays.begin(), delays.end(), 500ms);
  const auto told = std::find(delays.begin(), delays.end(), 0ms);
  ASSERT_NE(told, delays.end());
  EXPECT_LT(next_try - delays.begin(), told - delays.begin());
}

TEST_F(RemoteRegistryTest, SharesOneStreamBetweenWatchersAndEndsItWithThem) {
  Connect();
  Seen more;
  auto first = *registry_->Watch("s", seen_.Record());
  service_.Say(Snapshot({"a:1"}, 1));
  ASSERT_TRUE(Eventually([&] { return seen_.count() == 1; }));
  auto second = *registry_->Watch("s", more.Record());
  ASSERT_TRUE(Eventually([&] { return more.count() == 1; }));
  EXPECT_THAT(more.addresses(), ElementsAre("a:1"));
  EXPECT_THAT(service_.watches(), SizeIs(1));
  first.reset();
  EXPECT_EQ(service_.open(), 1);
  second.reset();
  EXPECT_TRUE(Eventually([&] { return service_.open() == 0; }));
  // Anew, from nothing.
  service_.Say(Snapshot({"b:1"}, 2));
  second = *registry_->Watch("s", more.Record());
  ASSERT_TRUE(Eventually([&] { return more.count() == 2; }));
  EXPECT_THAT(more.addresses(), ElementsAre("b:1"));
}

TEST_F(RemoteRegistryTest, SendsItsCredentialWhereItMay) {
  std::atomic<int> mode = 0;
  RemoteRegistryOptions options = Options();
  options.authorization_in_plaintext = true;
  options.authorization = [&mode]() -> std::string {
    switch (mode) {
      case 0:
        return "Bearer token";
      case 1:
        return "Bearer\r\nx-evil: 1";
      default:
        throw std::runtime_error("no token");
    }
  };
  Connect(options);
  const auto watch = *registry_->Watch("s", seen_.Record());
  ASSERT_TRUE(Eventually([&] { return service_.open() == 1; }));
  EXPECT_EQ(service_.authorization(), "Bearer token");
  for (int i = 1; i < 3; ++i) {
    mode = i;
    const auto registration =
        *registry_->Register("s", {.address = "a:" + std::to_string(i)});
    ASSERT_THAT(registration->WaitRegistered(20s), IsOk());
    EXPECT_EQ(service_.authorization(), "");
    mode = 0;
  }
}

// Takes the seconds that it says: gRPC has a clock of its own.
TEST(RemoteRegistryKeepaliveTest, NoticesADeadPeerByItsSilence) {
  FakeRegistryService service;
  DelayProxy proxy(service.port());
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  const auto registry =
      *RemoteRegistry::Create({.connection = {.addresses = {proxy.address()},
                                              .keepalive_time = 10s,
                                              .keepalive_timeout = 1s}},
                              *scheduler);
  Seen seen;
  const auto watch = *registry->Watch("s", seen.Record());
  service.Say(Snapshot({"a:1"}, 1));
  ASSERT_TRUE(seen.WaitFor(1));
  EXPECT_THAT(seen.last().status, IsOk());
  proxy.SetBlackHole(true);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(seen.WaitFor(2));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 15s);
  EXPECT_THAT(seen.last().status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(seen.addresses(), ElementsAre("a:1"));
}

// The spread that the options promise, of two hundred watchers of a registry
// that restarts at once.
TEST(RemoteRegistryHerdTest, WatchersComeBackOverASecond) {
  constexpr std::size_t kClients = 200;
  FakeRegistryService service;
  FakeClock clock;
  FakeScheduler scheduler(clock);
  std::atomic<int> calls = 0;
  std::atomic<std::size_t> told = 0;
  std::vector<std::unique_ptr<RemoteRegistry>> registries;
  std::vector<std::unique_ptr<InstanceWatch>> watches;
  for (std::size_t i = 0; i < kClients; ++i) {
    registries.push_back(*RemoteRegistry::Create(
        {.connection = {.addresses = {service.address()}, .call_timeout = 60s},
         .authorization =
             [&calls] {
               ++calls;
               return std::string();
             },
         .authorization_in_plaintext = true},
        scheduler, {}, clock));
    watches.push_back(*registries.back()->Watch(
        "s", [&told](const InstanceSet&) { ++told; }));
  }
  ASSERT_TRUE(service.WaitForWatches(kClients));
  service.Stop();
  service.Start();
  // Each one that was told has planned when to come back.
  const auto deadline = std::chrono::steady_clock::now() + 1min;
  while (told < kClients && std::chrono::steady_clock::now() < deadline) {
    clock.Advance(0ns);
    std::this_thread::yield();
  }
  calls = 0;
  int most = 0;
  for (int step = 0; step < 10; ++step) {
    const int before = calls;
    clock.Advance(100ms);
    most = std::max(most, calls - before);
  }
  EXPECT_EQ(calls, static_cast<int>(kClients));
  RecordProperty("most_in_100_ms", most);
  // Evenly, each tenth would have 20 of them; more than 45 is 6 sigma away.
  EXPECT_LE(most, 45);
  ASSERT_TRUE(service.WaitForWatches(2 * kClients));
  watches.clear();
}

}  // namespace
}  // namespace grpccommon
