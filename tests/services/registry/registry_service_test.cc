// SPDX-License-Identifier: Apache-2.0
#include "services/registry/registry_service.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/registry/lease_store.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/registry/remote_registry.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpccommon/testing/test_server.h"
#include "gtest/gtest.h"
#include "services/registry/memory_leases.h"
#include "support/believer.h"

namespace platform::registry {
namespace {

using namespace std::chrono_literals;
using grpccommon::InstanceSet;
using grpccommon::LeaseStore;
using grpccommon::RemoteRegistry;
using grpccommon::test::Believer;
using grpccommon::testing::FakeClock;
using grpccommon::testing::FakeScheduler;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using grpccommon::testing::TestServer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
namespace v1 = grpccommon::registry::v1;

class RegistryServiceTest : public ::testing::Test {
 protected:
  void SetUp() override { Start({.grace = 0s}); }
  void TearDown() override { Stop(); }

  void Start(RegistryServiceOptions options,
             grpccommon::LeaseStoreOptions store = {}) {
    Stop();
    store_ = *LeaseStore::Create(scheduler_, store, {}, clock_);
    leases_ = std::make_unique<MemoryLeases>(*store_);
    registry_ = grpccommon::CreateMemoryRegistry(*store_);
    metrics_ = std::make_shared<grpccommon::MetricsRegistry>();
    service_ = *RegistryService::Create(
        *leases_, *registry_, *RegistrationPolicy::Parse("role:instance=*"),
        *metrics_, scheduler_, std::move(options));
    grpccommon::ServerOptions server;
    server.grpc_address = "127.0.0.1:0";
    server.metrics_registry = metrics_;
    server.auth.make_authenticator = [](auto&, auto&) {
      return std::make_unique<Believer>();
    };
    server_ = *TestServer<v1::RegistryService>::Start(*service_, server);
  }
  void Stop() {
    if (server_ == nullptr) return;
    service_->EndWatches();
    server_.reset();
    service_.reset();
    registry_.reset();
    leases_.reset();
    store_.reset();
  }

  static std::unique_ptr<grpc::ClientContext> As(const std::string& who) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + 5min);
    if (!who.empty()) context->AddMetadata("authorization", who);
    return context;
  }
  v1::RegistryService::Stub& stub() { return server_->stub(); }

  grpc::Status Register(
      const std::string& service, const std::string& address,
      v1::RegisterResponse* response = nullptr,
      const std::string& who = "node instance",
      const std::function<void(v1::RegisterRequest&)>& change = nullptr) {
    v1::RegisterRequest request;
    request.set_service(service);
    request.mutable_instance()->set_address(address);
    if (change) change(request);
    v1::RegisterResponse unused;
    return stub().Register(As(who).get(), request,
                           response != nullptr ? response : &unused);
  }
  grpc::Status Renew(const std::string& service, const std::string& lease,
                     const std::string& who = "node instance") {
    v1::RenewRequest request;
    request.set_service(service);
    request.set_lease_id(lease);
    v1::RenewResponse response;
    return stub().Renew(As(who).get(), request, &response);
  }
  grpc::Status Deregister(const std::string& service, const std::string& lease,
                          const std::string& who = "node instance") {
    v1::DeregisterRequest request;
    request.set_service(service);
    request.set_lease_id(lease);
    v1::DeregisterResponse response;
    return stub().Deregister(As(who).get(), request, &response);
  }
  v1::LookupResponse Lookup(const std::string& service) {
    v1::LookupRequest request;
    request.set_service(service);
    v1::LookupResponse response;
    EXPECT_THAT(stub().Lookup(As("ada").get(), request, &response), IsOk());
    return response;
  }
  static std::vector<std::string> AddressesOf(const auto& instances) {
    std::vector<std::string> addresses;
    for (const auto& instance : instances) {
      addresses.push_back(instance.address());
    }
    return addresses;
  }

  struct Watch {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> reader;

    Watch() = default;
    Watch(Watch&&) = default;
    ~Watch() {
      if (context == nullptr) return;
      context->TryCancel();
      if (finished) return;
      v1::WatchResponse rest;
      while (reader->Read(&rest)) {
      }
      (void)reader->Finish();
    }
    grpc::Status Finish() {
      finished = true;
      return reader->Finish();
    }
    bool finished = false;
  };
  Watch StartWatch(const std::string& service,
                   const v1::Position* resume_after = nullptr) {
    v1::WatchRequest request;
    request.set_service(service);
    if (resume_after != nullptr) {
      *request.mutable_resume_after() = *resume_after;
    }
    Watch watch;
    watch.context = As("ada");
    watch.reader = stub().Watch(watch.context.get(), request);
    return watch;
  }
  // The watchers' tasks run when the clock moves.
  v1::WatchResponse Next(Watch& watch) {
    v1::WatchResponse response;
    bool read = false;
    std::atomic<bool> done = false;
    std::thread reading([&] {
      read = watch.reader->Read(&response);
      done = true;
    });
    while (!done) {
      clock_.Advance(0ns);
      std::this_thread::yield();
    }
    reading.join();
    EXPECT_TRUE(read);
    return response;
  }
  bool Eventually(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (std::chrono::steady_clock::now() < deadline) {
      clock_.Advance(0ns);
      if (holds()) return true;
      std::this_thread::yield();
    }
    return false;
  }

  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  std::unique_ptr<LeaseStore> store_;
  std::unique_ptr<MemoryLeases> leases_;
  std::unique_ptr<grpccommon::Registry> registry_;
  std::shared_ptr<grpccommon::MetricsRegistry> metrics_;
  std::unique_ptr<RegistryService> service_;
  std::unique_ptr<TestServer<v1::RegistryService>> server_;
};

// -------------------------------------------------------- leases and lookup

TEST_F(RegistryServiceTest, KeepsAnInstanceAsLongAsItIsRenewed) {
  v1::RegisterResponse lease;
  ASSERT_THAT(Register("s", "a:1", &lease), IsOk());
  EXPECT_EQ(lease.ttl().seconds(), 10);
  EXPECT_THAT(AddressesOf(Lookup("s").instances()), ElementsAre("a:1"));
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(500ms);  // more at once would be the process standing still
    for (int step = 0; step < 12; ++step) clock_.Advance(700ms);
    ASSERT_THAT(Renew("s", lease.lease_id()), IsOk());
  }
  EXPECT_THAT(AddressesOf(Lookup("s").instances()), ElementsAre("a:1"));
  for (int step = 0; step < 16; ++step) clock_.Advance(700ms);
  EXPECT_THAT(Lookup("s").instances(), IsEmpty());
  EXPECT_THAT(
      Renew("s", lease.lease_id()),
      AllOf(StatusIs(grpc::StatusCode::NOT_FOUND), HasReason("LEASE_ENDED")));
}

TEST_F(RegistryServiceTest, TakesOutWhatALeaseHoldsAndNothingElse) {
  v1::RegisterResponse first;
  v1::RegisterResponse second;
  ASSERT_THAT(Register("s", "a:1", &first), IsOk());
  ASSERT_THAT(Register("s", "a:1", &second), IsOk());
  EXPECT_THAT(Deregister("s", first.lease_id()), IsOk());  // ended before
  EXPECT_THAT(AddressesOf(Lookup("s").instances()), ElementsAre("a:1"));
  EXPECT_THAT(Deregister("s", second.lease_id()), IsOk());
  EXPECT_THAT(Lookup("s").instances(), IsEmpty());
  EXPECT_THAT(Deregister("s", second.lease_id()), IsOk());
}

TEST_F(RegistryServiceTest, TellsAllThatIsKnownOfAnInstance) {
  ASSERT_THAT(Register("s", "a:1", nullptr, "node instance",
                       [](v1::RegisterRequest& request) {
                         v1::Instance& instance = *request.mutable_instance();
                         instance.set_weight(2.5);
                         instance.set_zone("z");
                         instance.set_version("1.0");
                         (*instance.mutable_metadata())["k"] = "v";
                         instance.set_unhealthy(true);
                         request.mutable_ttl()->set_seconds(60);
                       }),
              IsOk());
  const v1::LookupResponse response = Lookup("s");
  EXPECT_TRUE(response.complete());
  ASSERT_THAT(response.instances(), SizeIs(1));
  const v1::Instance& instance = response.instances(0);
  EXPECT_EQ(instance.weight(), 2.5);
  EXPECT_EQ(instance.zone(), "z");
  EXPECT_EQ(instance.version(), "1.0");
  EXPECT_EQ(instance.metadata().at("k"), "v");
  EXPECT_TRUE(instance.unhealthy());
}

TEST_F(RegistryServiceTest, LetsInWhomTheContractLetsIn) {
  v1::RegisterResponse lease;
  ASSERT_THAT(Register("s", "a:1", &lease), IsOk());
  EXPECT_THAT(Register("s", "b:1", nullptr, ""),
              StatusIs(grpc::StatusCode::UNAUTHENTICATED));
  EXPECT_THAT(Renew("s", lease.lease_id(), ""),
              StatusIs(grpc::StatusCode::UNAUTHENTICATED));
  EXPECT_THAT(Deregister("s", lease.lease_id(), ""),
              StatusIs(grpc::StatusCode::UNAUTHENTICATED));
  v1::LookupResponse looked_up;
  v1::LookupRequest lookup;
  lookup.set_service("s");
  EXPECT_THAT(stub().Lookup(As("").get(), lookup, &looked_up),
              StatusIs(grpc::StatusCode::UNAUTHENTICATED));
  v1::ListResponse list;
  EXPECT_THAT(stub().List(As("").get(), {}, &list),
              StatusIs(grpc::StatusCode::UNAUTHENTICATED));
  v1::WatchRequest watch;
  watch.set_service("s");
  const auto context = As("");
  EXPECT_THAT(stub().Watch(context.get(), watch)->Finish(),
              StatusIs(grpc::StatusCode::UNAUTHENTICATED));
  // Known, and not entitled.
  for (const grpc::Status& status :
       {Register("s", "b:1", nullptr, "ada"),
        Renew("s", lease.lease_id(), "ada"),
        Deregister("s", lease.lease_id(), "ada author")}) {
    EXPECT_THAT(status, AllOf(StatusIs(grpc::StatusCode::PERMISSION_DENIED),
                              HasReason("MAY_NOT_REGISTER")));
  }
  EXPECT_THAT(AddressesOf(Lookup("s").instances()), ElementsAre("a:1"));
}

TEST_F(RegistryServiceTest, RefusesWhatNoInstanceCanBe) {
  using Change = std::function<void(v1::RegisterRequest&)>;
  const Change changes[] = {
      [](auto& r) { r.set_service("a b"); },
      [](auto& r) { r.set_service(""); },
      [](auto& r) { r.set_service(std::string(256, 'a')); },
      [](auto& r) { r.clear_instance(); },
      [](auto& r) { r.mutable_instance()->set_address("nowhere"); },
      [](auto& r) { r.mutable_instance()->set_address("0.0.0.0:80"); },
      [](auto& r) { r.mutable_instance()->set_weight(0); },
      [](auto& r) { r.mutable_instance()->set_weight(1e9); },
      [](auto& r) { r.mutable_instance()->set_zone(std::string(129, 'z')); },
      [](auto& r) { r.mutable_instance()->set_version("a\nb"); },
      [](auto& r) { (*r.mutable_instance()->mutable_metadata())[""] = "v"; },
      [](auto& r) {
        for (int i = 0; i < 33; ++i) {
          (*r.mutable_instance()->mutable_metadata())[std::to_string(i)] = "";
        }
      },
      [](auto& r) { r.mutable_ttl()->set_nanos(5); },
      [](auto& r) { r.mutable_ttl()->set_seconds(3601); },
      [](auto& r) { r.mutable_ttl()->set_seconds(-1); }};
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    EXPECT_THAT(Register("s", "a:1", nullptr, "node instance", changes[i]),
                StatusIs(grpc::StatusCode::INVALID_ARGUMENT))
        << i;
  }
  EXPECT_THAT(Renew("s", ""), StatusIs(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(Renew("s", std::string(65, 'x')),
              StatusIs(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(Deregister("a b", "x"),
              StatusIs(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(Renew("s", "unknown"), HasReason("LEASE_ENDED"));
}

TEST_F(RegistryServiceTest, RefusesMoreThanItCanKeep) {
  Start({.grace = 0s}, {.max_instances = 1});
  ASSERT_THAT(Register("s", "a:1"), IsOk());
  EXPECT_THAT(Register("s", "b:1"),
              AllOf(StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED),
                    HasReason("TOO_MANY_INSTANCES")));
}

TEST_F(RegistryServiceTest, RefusesALookupThatIsTooLarge) {
  const std::string value(250, 'x');
  for (int i = 0; i < 500; ++i) {
    grpccommon::Instance instance{.address = "h" + std::to_string(i) + ":1"};
    for (int m = 0; m < 30; ++m) instance.metadata[std::to_string(m)] = value;
    ASSERT_THAT(store_->Register("s", std::move(instance), 1h), IsOk());
  }
  v1::LookupRequest request;
  request.set_service("s");
  v1::LookupResponse response;
  EXPECT_THAT(stub().Lookup(As("ada").get(), request, &response),
              AllOf(StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED),
                    HasReason("SET_TOO_LARGE")));
  // A watch brings the same in parts.
  Watch watch = StartWatch("s");
  int parts = 0;
  int instances = 0;
  for (bool more = true; more; ++parts) {
    const v1::WatchResponse part = Next(watch);
    EXPECT_TRUE(part.snapshot());
    instances += part.changed_size();
    more = part.more();
    EXPECT_EQ(part.has_position(), !more);
  }
  EXPECT_EQ(instances, 500);
  EXPECT_GT(parts, 5);
}

TEST_F(RegistryServiceTest, ListsServicesAPageAtATime) {
  for (const char* const service : {"a.X", "b.X", "b.Y", "b.Z", "c.X"}) {
    ASSERT_THAT(Register(service, "h:1"), IsOk());
  }
  ASSERT_THAT(Register("b.Y", "h:2"), IsOk());
  v1::ListRequest request;
  request.set_prefix("b.");
  request.set_page_size(2);
  std::vector<std::string> names;
  int pages = 0;
  do {
    v1::ListResponse response;
    ASSERT_THAT(stub().List(As("ada").get(), request, &response), IsOk());
    for (const v1::ServiceSummary& service : response.services()) {
      names.push_back(service.name() + std::to_string(service.instances()));
    }
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("b.X1", "b.Y2", "b.Z1"));
  EXPECT_EQ(pages, 2);
  v1::ListResponse response;
  ASSERT_THAT(stub().List(As("ada").get(), {}, &response), IsOk());
  EXPECT_THAT(response.services(), SizeIs(5));
  request.set_prefix("b.Y");  // itself a name
  request.clear_page_token();
  ASSERT_THAT(stub().List(As("ada").get(), request, &response), IsOk());
  EXPECT_THAT(response.services(), SizeIs(1));
  request.set_page_size(1001);
  EXPECT_THAT(stub().List(As("ada").get(), request, &response),
              StatusIs(grpc::StatusCode::INVALID_ARGUMENT));
}

TEST_F(RegistryServiceTest, BoundsHowOftenOneMayList) {
  v1::ListResponse response;
  grpc::Status status;
  for (int i = 0; i < 2000 && status.ok(); ++i) {
    status = stub().List(As("eager").get(), {}, &response);
  }
  EXPECT_THAT(status, StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_THAT(stub().List(As("ada").get(), {}, &response), IsOk());
}

// ------------------------------------------------------------------ watches

TEST_F(RegistryServiceTest, TellsTheStateAndThenChanges) {
  ASSERT_THAT(Register("s", "b:1"), IsOk());
  Watch watch = StartWatch("s");
  v1::WatchResponse response = Next(watch);
  EXPECT_TRUE(response.snapshot());
  EXPECT_TRUE(response.complete());
  EXPECT_THAT(AddressesOf(response.changed()), ElementsAre("b:1"));
  const v1::Position first = response.position();

  v1::RegisterResponse lease;
  ASSERT_THAT(Register("s", "a:1", &lease), IsOk());
  ASSERT_THAT(Register("other", "x:1"), IsOk());
  response = Next(watch);
  EXPECT_FALSE(response.snapshot());
  EXPECT_THAT(AddressesOf(response.changed()), ElementsAre("a:1"));
  EXPECT_EQ(response.position().epoch(), first.epoch());
  EXPECT_GT(response.position().revision(), first.revision());

  ASSERT_THAT(Deregister("s", lease.lease_id()), IsOk());
  response = Next(watch);
  EXPECT_THAT(response.changed(), IsEmpty());
  EXPECT_THAT(response.removed(), ElementsAre("a:1"));
}

TEST_F(RegistryServiceTest, TellsOfAServiceThatNobodyRegisters) {
  Watch watch = StartWatch("nobody");
  const v1::WatchResponse response = Next(watch);
  EXPECT_TRUE(response.snapshot());
  EXPECT_TRUE(response.complete());
  EXPECT_THAT(response.changed(), IsEmpty());
}

TEST_F(RegistryServiceTest, ResumesWhereAClientWas) {
  ASSERT_THAT(Register("s", "a:1"), IsOk());
  Watch keeps_it = StartWatch("s");
  const v1::Position position = Next(keeps_it).position();
  v1::RegisterResponse lease;
  ASSERT_THAT(Register("s", "b:1", &lease), IsOk());
  (void)Next(keeps_it);
  ASSERT_THAT(Register("s", "c:1"), IsOk());
  (void)Next(keeps_it);
  ASSERT_THAT(Deregister("s", lease.lease_id()), IsOk());
  const v1::Position last = Next(keeps_it).position();

  // b came and went.
  Watch resumed = StartWatch("s", &position);
  v1::WatchResponse response = Next(resumed);
  EXPECT_FALSE(response.snapshot());
  EXPECT_THAT(AddressesOf(response.changed()), ElementsAre("c:1"));
  EXPECT_THAT(response.removed(), ElementsAre("b:1"));

  Watch up_to_date = StartWatch("s", &last);
  response = Next(up_to_date);
  EXPECT_FALSE(response.snapshot());
  EXPECT_EQ(response.changed_size() + response.removed_size(), 0);
  EXPECT_EQ(response.position().revision(), last.revision());
}

TEST_F(RegistryServiceTest, GivesEverythingWhereItCannotResume) {
  Start({.grace = 0s, .watches = {.kept_changes = 2}});
  ASSERT_THAT(Register("s", "a:1"), IsOk());
  Watch keeps_it = StartWatch("s");
  const v1::Position position = Next(keeps_it).position();
  for (const char* const address : {"b:1", "c:1", "d:1"}) {
    ASSERT_THAT(Register("s", address), IsOk());
    (void)Next(keeps_it);
  }
  v1::Position future = position;
  future.set_revision(position.revision() + 1000);
  v1::Position foreign = position;
  foreign.set_epoch("another life");
  v1::Position negative = position;
  negative.set_revision(-5);
  for (const v1::Position& from : {position, future, foreign, negative}) {
    Watch watch = StartWatch("s", &from);
    const v1::WatchResponse response = Next(watch);
    EXPECT_TRUE(response.snapshot()) << from.ShortDebugString();
    EXPECT_THAT(response.changed(), SizeIs(4));
  }
}

TEST_F(RegistryServiceTest, BringsASlowWatcherTheLatestStateAndQueuesNothing) {
  // Far more than the buffers between the two take.
  const std::string value(250, 'x');
  const auto instance = [&value](int i, int version) {
    grpccommon::Instance made{.address = "h" + std::to_string(i) + ":1",
                              .version = std::to_string(version)};
    for (int m = 0; m < 30; ++m) made.metadata[std::to_string(m)] = value;
    return made;
  };
  constexpr int kInstances = 20;
  for (int i = 0; i < kInstances; ++i) {
    ASSERT_THAT(store_->Register("s", instance(i, 0), 1h), IsOk());
  }
  Watch slow = StartWatch("s");
  EXPECT_THAT(Next(slow).changed(), Not(IsEmpty()));
  constexpr int kVersions = 100;
  for (int version = 1; version <= kVersions; ++version) {
    for (int i = 0; i < kInstances; ++i) {
      ASSERT_THAT(store_->Register("s", instance(i, version), 1h), IsOk());
    }
    clock_.Advance(0ns);
  }
  // 100 changes of 160 KB each; what comes ends in the latest state after few.
  int messages = 0;
  std::set<std::string> latest;
  while (latest.size() < kInstances && messages < kVersions) {
    const v1::WatchResponse response = Next(slow);
    ++messages;
    for (const v1::Instance& changed : response.changed()) {
      if (changed.version() == std::to_string(kVersions)) {
        latest.insert(changed.address());
      }
    }
  }
  EXPECT_EQ(latest.size(), static_cast<std::size_t>(kInstances));
  EXPECT_LT(messages, 20);
  RecordProperty("messages_for_100_changes", messages);
}

TEST_F(RegistryServiceTest, RefusesMoreWatchersThanItBears) {
  Start({.grace = 0s, .watches = {.max_watchers = 1}});
  {
    Watch first = StartWatch("s");
    (void)Next(first);
    Watch second = StartWatch("s");
    EXPECT_THAT(second.Finish(),
                AllOf(StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED),
                      HasReason("TOO_MANY_WATCHERS")));
  }
  EXPECT_TRUE(
      Eventually([&] { return service_->watches().counts().watchers == 0; }));
  Watch third = StartWatch("s");
  (void)Next(third);
}

TEST_F(RegistryServiceTest, EndsWatchesWhenItStops) {
  Watch watch = StartWatch("s");
  (void)Next(watch);
  service_->EndWatches();
  v1::WatchResponse response;
  EXPECT_FALSE(watch.reader->Read(&response));
  EXPECT_THAT(watch.Finish(), StatusIs(grpc::StatusCode::UNAVAILABLE));
  Watch late = StartWatch("s");
  EXPECT_THAT(late.Finish(), StatusIs(grpc::StatusCode::UNAVAILABLE));
}

// -------------------------------------------------------------------- grace

TEST_F(RegistryServiceTest, SaysThatItDoesNotKnowAllYetAfterAStart) {
  Start({.grace = 20s});
  EXPECT_FALSE(Lookup("s").complete());
  Watch watch = StartWatch("s");
  v1::WatchResponse response = Next(watch);
  EXPECT_TRUE(response.snapshot());
  EXPECT_FALSE(response.complete());
  EXPECT_FALSE(response.has_position());
  ASSERT_THAT(Register("s", "a:1", nullptr, "node instance",
                       [](auto& r) { r.mutable_ttl()->set_seconds(3600); }),
              IsOk());
  response = Next(watch);
  EXPECT_FALSE(response.complete());
  EXPECT_THAT(AddressesOf(response.changed()), ElementsAre("a:1"));
  EXPECT_THAT(metrics_->Expose(), HasSubstr("grpccommon_registry_complete 0"));

  clock_.Advance(20s - 1ns);
  EXPECT_FALSE(Lookup("s").complete());
  clock_.Advance(1ns);
  EXPECT_TRUE(Lookup("s").complete());
  response = Next(watch);
  EXPECT_TRUE(response.snapshot());
  EXPECT_TRUE(response.complete());
  EXPECT_TRUE(response.has_position());
  EXPECT_THAT(AddressesOf(response.changed()), ElementsAre("a:1"));
  EXPECT_THAT(metrics_->Expose(), HasSubstr("grpccommon_registry_complete 1"));
}

TEST_F(RegistryServiceTest, RefusesAGraceOutOfRange) {
  grpccommon::MetricsRegistry metrics;
  for (const auto grace : {grpccommon::Clock::Duration(-1s), 2 * 3600s + 0ns}) {
    EXPECT_THAT(RegistryService::Create(*leases_, *registry_, {}, metrics,
                                        scheduler_, {.grace = grace}),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(RegistryServiceTest, CountsWhatItDoes) {
  v1::RegisterResponse lease;
  ASSERT_THAT(Register("s", "a:1", &lease), IsOk());
  (void)Register("s", "a:1", nullptr, "ada");
  (void)Register("s", "nowhere.at.all");
  (void)Renew("s", "unknown");
  (void)Deregister("s", lease.lease_id());
  Watch watch = StartWatch("s");
  (void)Next(watch);
  const std::string text = metrics_->Expose();
  for (const char* const line :
       {"grpccommon_registry_registrations_total{result=\"done\"} 1",
        "grpccommon_registry_registrations_total{result=\"refused\"} 1",
        "grpccommon_registry_registrations_total{result=\"failed\"} 1",
        "grpccommon_registry_renewals_total{result=\"failed\"} 1",
        "grpccommon_registry_deregistrations_total{result=\"done\"} 1",
        "grpccommon_registry_watchers 1",
        "grpccommon_registry_snapshots_total 1"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

// The library's client and this service, with time as it is.
TEST(RegistryServiceEndToEndTest, ServesTheLibrarysClientOverARestart) {
  const auto scheduler = grpccommon::CreateScheduler();
  struct Process {
    std::unique_ptr<LeaseStore> store;
    std::unique_ptr<MemoryLeases> leases;
    std::unique_ptr<grpccommon::Registry> registry;
    std::shared_ptr<grpccommon::MetricsRegistry> metrics;
    std::unique_ptr<RegistryService> service;
    std::unique_ptr<TestServer<v1::RegistryService>> server;
    ~Process() {
      if (service != nullptr) service->EndWatches();
      server.reset();
    }
  };
  const auto start = [&](const std::string& address) {
    auto process = std::make_unique<Process>();
    process->store = *LeaseStore::Create(*scheduler);
    process->leases = std::make_unique<MemoryLeases>(*process->store);
    process->registry = grpccommon::CreateMemoryRegistry(*process->store);
    process->metrics = std::make_shared<grpccommon::MetricsRegistry>();
    process->service =
        *RegistryService::Create(*process->leases, *process->registry,
                                 *RegistrationPolicy::Parse("role:instance=*"),
                                 *process->metrics, *scheduler, {.grace = 2s});
    grpccommon::ServerOptions options;
    options.grpc_address = address;
    options.auth.make_authenticator = [](auto&, auto&) {
      return std::make_unique<Believer>();
    };
    process->server =
        *TestServer<v1::RegistryService>::Start(*process->service, options);
    return process;
  };
  auto process = start("127.0.0.1:0");
  const std::string address =
      "127.0.0.1:" + std::to_string(process->server->server().grpc_port());
  const auto registry =
      *RemoteRegistry::Create({.connection = {.addresses = {address},
                                              .reconnect_initial = 100ms,
                                              .reconnect_maximum = 500ms},
                               .authorization = [] { return "node instance"; },
                               .authorization_in_plaintext = true},
                              *scheduler);
  const auto one = *registry->Register("s", {.address = "a:1"}, {.ttl = 1s});
  auto two = *registry->Register("s", {.address = "b:1"}, {.ttl = 1s});
  ASSERT_THAT(one->WaitRegistered(30s), IsOk());
  ASSERT_THAT(two->WaitRegistered(30s), IsOk());

  grpccommon::Mutex mutex;
  grpccommon::CondVar told;
  std::vector<InstanceSet> sets;
  const auto watch = *registry->Watch("s", [&](const InstanceSet& set) {
    const grpccommon::MutexLock lock(mutex);
    sets.push_back(set);
    told.NotifyAll();
  });
  // Waits for a set of this size with or without a status; none before, after
  // the first, may have been smaller than `least`.
  const auto wait = [&](std::size_t size, bool ok, std::size_t least) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    const grpccommon::MutexLock lock(mutex);
    for (;;) {
      if (!sets.empty() && sets.back().instances.size() == size &&
          sets.back().status.ok() == ok) {
        break;
      }
      if (!told.WaitUntil(mutex, deadline)) return false;
    }
    for (const InstanceSet& set : sets) {
      EXPECT_GE(set.instances.size(), least);
    }
    sets.clear();
    return true;
  };
  ASSERT_TRUE(wait(2, true, 0));
  process.reset();
  ASSERT_TRUE(wait(2, false, 2));
  process = start(address);
  // Both are known throughout, and the leases are there when the grace ends.
  ASSERT_TRUE(wait(2, true, 2));
  two.reset();
  ASSERT_TRUE(wait(1, true, 1));
}

}  // namespace
}  // namespace platform::registry
