// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/lease_store.h"

#include <gmock/gmock.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::FakeScheduler;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::IsOkAndHolds;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::RecordingLogSink;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Instance At(std::string address, double weight = 1) {
  return {.address = std::move(address), .weight = weight};
}

std::vector<std::string> AddressesOf(const std::vector<Instance>& instances) {
  std::vector<std::string> addresses;
  for (const Instance& instance : instances) {
    addresses.push_back(instance.address);
  }
  return addresses;
}

auto IsRefused(const std::string& what) {
  return AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
               MessageIs(HasSubstr(what)));
}

class LeaseStoreTest : public ::testing::Test {
 protected:
  std::string Register(const std::string& service, const std::string& address,
                       Clock::Duration ttl = 10s) {
    const absl::StatusOr<Lease> lease =
        store_->Register(service, At(address), ttl);
    EXPECT_THAT(lease, IsOk());
    return lease.ok() ? lease->id : "";
  }
  std::vector<std::string> Addresses(const std::string& service) {
    return AddressesOf(store_->Lookup(service).instances);
  }

  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
  std::unique_ptr<LeaseStore> store_ =
      *LeaseStore::Create(scheduler_, {.max_services = 3, .max_instances = 5},
                          Logger(log_, "test"), clock_);
};

TEST_F(LeaseStoreTest, HoldsWhatIsRegisteredSortedByAddress) {
  Register("s", "b:1");
  Register("s", "a:1");
  Register("t", "c:1");
  EXPECT_THAT(Addresses("s"), ElementsAre("a:1", "b:1"));
  EXPECT_THAT(Addresses("t"), ElementsAre("c:1"));
  EXPECT_THAT(Addresses("unknown"), IsEmpty());
}

TEST_F(LeaseStoreTest, RefusesBadNamesInstancesAndTimes) {
  EXPECT_THAT(store_->Register("", At("a:1"), 10s), IsRefused("name"));
  EXPECT_THAT(store_->Register("a/b", At("a:1"), 10s), IsRefused("name"));
  EXPECT_THAT(store_->Register("s", At("a"), 10s), IsRefused("address"));
  EXPECT_THAT(store_->Register("s", At("a:1", 0), 10s), IsRefused("weight"));
  for (const Clock::Duration ttl :
       {Clock::Duration(0), Clock::Duration(-1s), Clock::Duration(1s - 1ns),
        Clock::Duration(1h + 1ns), LeaseStore::kForever - 1ns}) {
    EXPECT_THAT(store_->Register("s", At("a:1"), ttl), IsRefused("ttl"));
  }
  EXPECT_THAT(store_->Watch("a/b", [](const InstanceSet&, std::uint64_t) {}),
              IsRefused("name"));
  EXPECT_EQ(store_->revision(), 0u);
}

TEST_F(LeaseStoreTest, RefusesOptionsOutOfRange) {
  EXPECT_THAT(LeaseStore::Create(scheduler_, {.max_services = 0}),
              IsRefused("max_services"));
  EXPECT_THAT(LeaseStore::Create(scheduler_, {.max_services = 1'000'001}),
              IsRefused("max_services"));
  EXPECT_THAT(LeaseStore::Create(scheduler_, {.max_instances = 0}),
              IsRefused("max_instances"));
  EXPECT_THAT(LeaseStore::Create(scheduler_, {.max_instances = 1'000'001}),
              IsRefused("max_instances"));
}

TEST_F(LeaseStoreTest, ALeaseEndsOnItsTimeAndNotBefore) {
  Register("s", "a:1", 10s);
  clock_.Advance(10s - 1ns);
  EXPECT_THAT(Addresses("s"), ElementsAre("a:1"));
  clock_.Advance(1ns);
  EXPECT_THAT(Addresses("s"), IsEmpty());
  EXPECT_THAT(log_->LinesWhere("registry_service", "s"), SizeIs(1));
}

TEST_F(LeaseStoreTest, RenewingBeginsTheTimeAnew) {
  const std::string lease = Register("s", "a:1", 10s);
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(9s);
    EXPECT_THAT(store_->Renew(lease), IsOk());
  }
  clock_.Advance(10s - 1ns);
  EXPECT_THAT(Addresses("s"), ElementsAre("a:1"));
  clock_.Advance(1ns);
  EXPECT_THAT(Addresses("s"), IsEmpty());
  EXPECT_THAT(store_->Renew(lease), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(LeaseStoreTest, EachLeaseEndsOnItsOwnTime) {
  Register("s", "a:1", 30s);
  Register("s", "b:1", 10s);
  Register("s", "c:1", 20s);
  Register("s", "d:1", LeaseStore::kForever);
  clock_.Advance(10s);
  EXPECT_THAT(Addresses("s"), ElementsAre("a:1", "c:1", "d:1"));
  clock_.Advance(10s);
  EXPECT_THAT(Addresses("s"), ElementsAre("a:1", "d:1"));
  clock_.Advance(10s);
  EXPECT_THAT(Addresses("s"), ElementsAre("d:1"));
  clock_.Advance(100h);
  EXPECT_THAT(Addresses("s"), ElementsAre("d:1"));
}

// Runs what is due when a test says so, however late.
class LateScheduler : public Scheduler {
 public:
  TaskId RunAfter(Clock::Duration /*delay*/,
                  std::function<void()> task) override {
    tasks_.push_back(std::move(task));
    return tasks_.size();
  }
  bool Cancel(TaskId /*id*/) override { return true; }
  void RunAll() {
    for (auto& task : std::exchange(tasks_, {})) task();
  }

 private:
  std::vector<std::function<void()>> tasks_;
};

TEST(LeaseStoreStandstillTest, LeasesBeginAnewWhenTheProcessStoodStill) {
  LateScheduler scheduler;
  FakeClock clock;
  const auto store = *LeaseStore::Create(scheduler, {}, {}, clock);
  ASSERT_THAT(store->Register("s", At("a:1"), 10s), IsOk());
  ASSERT_THAT(store->Register("s", At("b:1"), 5s), IsOk());
  clock.Advance(1h);
  scheduler.RunAll();  // two timers, and both are late
  EXPECT_THAT(store->Lookup("s").instances, SizeIs(2));
  clock.Advance(5s);
  scheduler.RunAll();
  EXPECT_THAT(AddressesOf(store->Lookup("s").instances), ElementsAre("a:1"));
  clock.Advance(5s);
  scheduler.RunAll();
  EXPECT_THAT(store->Lookup("s").instances, IsEmpty());
}

TEST(LeaseStoreStandstillTest, ATimerThatIsALittleLateForgivesNothing) {
  LateScheduler scheduler;
  FakeClock clock;
  const auto store = *LeaseStore::Create(scheduler, {}, {}, clock);
  ASSERT_THAT(store->Register("s", At("a:1"), 10s), IsOk());
  clock.Advance(11s);
  scheduler.RunAll();
  EXPECT_THAT(store->Lookup("s").instances, IsEmpty());
}

TEST_F(LeaseStoreTest, NoTimerWithoutLeasesAndOneForMany) {
  EXPECT_EQ(scheduler_.pending(), 0u);
  std::vector<std::string> leases;
  for (const char* address : {"a:1", "b:1", "c:1", "d:1", "e:1"}) {
    leases.push_back(Register("s", address));
  }
  EXPECT_EQ(scheduler_.pending(), 1u);
  for (const std::string& lease : leases) {
    EXPECT_THAT(store_->Renew(lease), IsOk());
  }
  EXPECT_EQ(scheduler_.pending(), 1u);
  for (const std::string& lease : leases) {
    EXPECT_THAT(store_->Deregister(lease), IsOk());
  }
  clock_.Advance(10s);
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(LeaseStoreTest, ASecondRegistrationOfAnAddressReplacesTheFirst) {
  const std::string first = Register("s", "a:1", 5s);
  const absl::StatusOr<Lease> second = store_->Register("s", At("a:1", 2), 20s);
  ASSERT_THAT(second, IsOk());
  EXPECT_NE(second->id, first);
  ASSERT_THAT(Addresses("s"), ElementsAre("a:1"));
  EXPECT_EQ(store_->Lookup("s").instances[0].weight, 2);
  EXPECT_THAT(store_->Renew(first), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Deregister(first), StatusIs(absl::StatusCode::kNotFound));
  clock_.Advance(19s);
  EXPECT_THAT(Addresses("s"), ElementsAre("a:1")) << "the first lease's end";
}

TEST_F(LeaseStoreTest, TheSameAddressMayServeTwoServices) {
  const std::string s = Register("s", "a:1");
  Register("t", "a:1");
  EXPECT_THAT(store_->Deregister(s), IsOk());
  EXPECT_THAT(Addresses("s"), IsEmpty());
  EXPECT_THAT(Addresses("t"), ElementsAre("a:1"));
}

TEST_F(LeaseStoreTest, LeasesAreUnguessableAndEachItsOwn) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    const std::string id = Register("s", "a:1");
    EXPECT_EQ(id.size(), 22u);  // 128 bits, six to a character
    ids.insert(id);
  }
  EXPECT_THAT(ids, SizeIs(100));
}

TEST_F(LeaseStoreTest, UpdateReplacesAllButTheAddress) {
  const std::string lease = Register("s", "a:1");
  Instance changed = At("a:1", 3);
  changed.healthy = false;
  changed.metadata["k"] = "v";
  EXPECT_THAT(store_->Update(lease, changed), IsOkAndHolds(2u));
  EXPECT_THAT(store_->Lookup("s").instances, ElementsAre(changed));
  EXPECT_THAT(store_->Update(lease, changed), IsOkAndHolds(2u))
      << "the same again is no change";
  EXPECT_THAT(store_->Update(lease, At("b:1")), IsRefused("a:1 to b:1"));
  EXPECT_THAT(store_->Update(lease, At("a:1", -1)), IsRefused("weight"));
  EXPECT_THAT(store_->Update("nonsense", At("a:1")),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Lookup("s").instances, ElementsAre(changed));
}

TEST_F(LeaseStoreTest, UpdateDoesNotRenew) {
  const std::string lease = Register("s", "a:1", 10s);
  clock_.Advance(9s);
  EXPECT_THAT(store_->Update(lease, At("a:1", 2)), IsOk());
  clock_.Advance(1s);
  EXPECT_THAT(Addresses("s"), IsEmpty());
}

TEST_F(LeaseStoreTest, DeregisterTakesOutAndEndsTheLease) {
  const std::string lease = Register("s", "a:1");
  EXPECT_THAT(store_->Deregister(lease), IsOk());
  EXPECT_THAT(Addresses("s"), IsEmpty());
  EXPECT_THAT(store_->Deregister(lease), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Renew(lease), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Deregister(""), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(LeaseStoreTest, IsFullAtItsLimitsAndTakesKnownAddressesStill) {
  Register("a", "a:1");
  Register("b", "a:1");
  const std::string c = Register("c", "a:1");
  EXPECT_THAT(store_->Register("d", At("a:1"), 10s),
              AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                    MessageIs(HasSubstr("3 services"))));
  Register("a", "b:1");
  Register("a", "c:1");
  EXPECT_THAT(store_->Register("a", At("d:1"), 10s),
              AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                    MessageIs(HasSubstr("5 instances"))));
  Register("a", "c:1");
  EXPECT_THAT(store_->Deregister(c), IsOk());
  Register("d", "a:1");
}

TEST_F(LeaseStoreTest, RevisionsRiseWithEachChangeAndWithNothingElse) {
  const absl::StatusOr<Lease> lease = store_->Register("s", At("a:1"), 10s);
  EXPECT_EQ(lease->revision, 1u);
  EXPECT_EQ(store_->Register("t", At("a:1"), 60s)->revision, 2u);
  EXPECT_EQ(store_->Lookup("s").revision, 1u);
  EXPECT_EQ(store_->Lookup("t").revision, 2u);
  EXPECT_EQ(store_->Lookup("unknown").revision, 2u);
  EXPECT_THAT(store_->Renew(lease->id), IsOk());
  EXPECT_EQ(store_->Register("s", At("a:1"), 10s)->revision, 2u)
      << "nothing but the lease is new";
  clock_.Advance(10s);
  EXPECT_EQ(store_->revision(), 3u);
  EXPECT_EQ(store_->Lookup("s").revision, 3u);
}

TEST_F(LeaseStoreTest, ListsServicesInPages) {
  Register("b", "a:1");
  Register("a", "a:1");
  Register("a", "b:1");
  const std::string c = Register("c", "a:1");
  const auto name = [](const std::string& service) {
    return Field(&LeaseStore::Summary::service, service);
  };
  EXPECT_THAT(store_->List(), ElementsAre(name("a"), name("b"), name("c")));
  EXPECT_EQ(store_->List()[0].instances, 2u);
  EXPECT_EQ(store_->List()[0].revision, 3u);
  EXPECT_THAT(store_->List("", 2), ElementsAre(name("a"), name("b")));
  EXPECT_THAT(store_->List("b", 2), ElementsAre(name("c")));
  EXPECT_THAT(store_->List("aa", 1), ElementsAre(name("b")));
  EXPECT_THAT(store_->List("c"), IsEmpty());
  EXPECT_THAT(store_->Deregister(c), IsOk());
  EXPECT_THAT(store_->List(), ElementsAre(name("a"), name("b")));
}

TEST_F(LeaseStoreTest, WatchersSeeEveryKindOfChange) {
  struct Seen {
    std::vector<std::string> addresses;
    std::uint64_t revision;
  };
  std::vector<Seen> seen;
  const auto watch =
      store_->Watch("s", [&](const InstanceSet& set, std::uint64_t revision) {
        EXPECT_THAT(set.status, IsOk());
        seen.push_back({AddressesOf(set.instances), revision});
      });
  clock_.Advance(0s);
  ASSERT_THAT(seen, SizeIs(1)) << "an unknown service is an empty set";
  EXPECT_THAT(seen[0].addresses, IsEmpty());

  const std::string a = Register("s", "a:1", 10s);
  Register("t", "x:1");
  Register("s", "b:1", 60s);
  clock_.Advance(0s);
  ASSERT_THAT(seen, SizeIs(2)) << "changes that come at once arrive as one";
  EXPECT_THAT(seen[1].addresses, ElementsAre("a:1", "b:1"));
  EXPECT_EQ(seen[1].revision, 3u);

  EXPECT_THAT(store_->Update(a, At("a:1", 2)), IsOk());
  clock_.Advance(0s);
  ASSERT_THAT(seen, SizeIs(3));
  clock_.Advance(10s);
  ASSERT_THAT(seen, SizeIs(4)) << "expired";
  EXPECT_THAT(seen[3].addresses, ElementsAre("b:1"));
}

TEST_F(LeaseStoreTest, ChangesThatNobodyWatchesPlanNothing) {
  Register("s", "a:1", LeaseStore::kForever);
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST(LeaseStoreThreadsTest, ManyThreadsLeaveNothingBehind) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  const auto store = *LeaseStore::Create(*scheduler);
  std::atomic<std::uint64_t> last_revision = 0;
  auto watch =
      store->Watch("s", [&](const InstanceSet& set, std::uint64_t revision) {
        EXPECT_GE(revision, last_revision.load());
        last_revision = revision;
        for (std::size_t i = 1; i < set.instances.size(); ++i) {
          EXPECT_LT(set.instances[i - 1].address, set.instances[i].address);
        }
      });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::string address =
            "host-" + std::to_string(t) + "-" + std::to_string(i % 7) + ":1";
        const absl::StatusOr<Lease> lease =
            store->Register("s", At(address), 1h);
        ASSERT_THAT(lease, IsOk());
        EXPECT_THAT(store->Renew(lease->id), IsOk());
        EXPECT_THAT(store->Update(lease->id, At(address, 2)), IsOk());
        if (i % 3 == 0) {
          auto second =
              store->Watch("s", [](const InstanceSet&, std::uint64_t) {});
          EXPECT_THAT(second, IsOk());
        }
        EXPECT_THAT(store->Deregister(lease->id), IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(store->Lookup("s").instances, IsEmpty());
  EXPECT_EQ(store->revision(), 4u * 100 * 3);
  EXPECT_THAT(store->List(), IsEmpty());
}

TEST(LeaseStoreThreadsTest, EndsWhileTasksRun) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  for (int i = 0; i < 50; ++i) {
    const auto store = *LeaseStore::Create(*scheduler);
    auto watch = *store->Watch("s", [](const InstanceSet&, std::uint64_t) {});
    EXPECT_THAT(store->Register("s", At("a:1"), 1s), IsOk());
  }
}

}  // namespace
}  // namespace grpccommon
