// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/memory_registry.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::FakeScheduler;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

auto IsRefused(const std::string& what) {
  return AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
               MessageIs(HasSubstr(what)));
}

class MemoryRegistryTest : public ::testing::Test {
 protected:
  Registry::OnChange Record() {
    return [this](const InstanceSet& set) { seen_.push_back(set); };
  }
  void Run() { clock_.Advance(0ns); }

  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  std::vector<InstanceSet> seen_;
  const std::unique_ptr<Registry> registry_ = CreateMemoryRegistry(scheduler_);
};

TEST_F(MemoryRegistryTest, WatchersSeeRegistrationsComeAndGo) {
  const auto watch = registry_->Watch("s", Record());
  Run();
  auto registration = registry_->Register("s", {.address = "a:1"});
  Run();
  registration->reset();
  Run();
  ASSERT_THAT(seen_, SizeIs(3));
  EXPECT_THAT(seen_[0].instances, IsEmpty());
  EXPECT_THAT(seen_[1].instances, ElementsAre(Instance{.address = "a:1"}));
  EXPECT_THAT(seen_[2].instances, IsEmpty());
}

TEST_F(MemoryRegistryTest, HoldsARegistrationWithoutWakeUps) {
  const auto registration =
      registry_->Register("s", {.address = "a:1"}, {.ttl = 1s});
  EXPECT_THAT((*registration)->WaitRegistered(0s), IsOk());
  EXPECT_EQ(scheduler_.pending(), 0u);
  clock_.Advance(1000h);
  EXPECT_THAT((*registration)->WaitRegistered(0s), IsOk());
}

TEST_F(MemoryRegistryTest, RefusesWhatIsMalformed) {
  EXPECT_THAT(registry_->Register("", {.address = "a:1"}), IsRefused("name"));
  EXPECT_THAT(registry_->Register("s", {.address = "a"}), IsRefused("address"));
  EXPECT_THAT(registry_->Register("s", {.address = "a:1", .weight = 0}),
              IsRefused("weight"));
  EXPECT_THAT(registry_->Register("s", {.address = "a:1"}, {.ttl = 999ms}),
              IsRefused("ttl"));
  EXPECT_THAT(registry_->Watch("a b", Record()), IsRefused("name"));
}

TEST_F(MemoryRegistryTest, RefusesTheSamePlaceTwiceUntilItIsFree) {
  auto first = registry_->Register("s", {.address = "a:1"});
  EXPECT_THAT(registry_->Register("s", {.address = "a:1"}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(registry_->Register("t", {.address = "a:1"}), IsOk());
  EXPECT_THAT((*first)->WaitRegistered(0s), IsOk());
  first->reset();
  EXPECT_THAT(registry_->Register("s", {.address = "a:1"}), IsOk());
}

TEST_F(MemoryRegistryTest, UpdateReplacesAllButTheAddress) {
  const auto registration = registry_->Register("s", {.address = "a:1"});
  const auto watch = registry_->Watch("s", Record());
  Run();
  EXPECT_THAT((*registration)->Update({.address = "a:1", .healthy = false}),
              IsOk());
  Run();
  ASSERT_THAT(seen_, SizeIs(2));
  EXPECT_FALSE(seen_[1].instances.at(0).healthy);
  EXPECT_THAT((*registration)->Update({.address = "b:1"}),
              IsRefused("a:1 to b:1"));
  EXPECT_THAT((*registration)->Update({.address = "a:1", .weight = -1}),
              IsRefused("weight"));
}

TEST_F(MemoryRegistryTest, SharesAStore) {
  const auto store = *LeaseStore::Create(scheduler_, {}, {}, clock_);
  const auto registry = CreateMemoryRegistry(*store);
  const auto watch = registry->Watch("s", Record());
  const auto own = registry->Register("s", {.address = "a:1"});
  ASSERT_THAT(store->Register("s", {.address = "b:1"}, 10s), IsOk());
  Run();
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(seen_[0].instances, SizeIs(2));
  clock_.Advance(10s);
  EXPECT_THAT(seen_.back().instances, ElementsAre(Instance{.address = "a:1"}));
}

TEST_F(MemoryRegistryTest, SaysThatItsPlaceWasTakenAndTakesItBack) {
  const auto store = *LeaseStore::Create(scheduler_, {}, {}, clock_);
  const auto registry = CreateMemoryRegistry(*store);
  auto own = registry->Register("s", {.address = "a:1"});
  const auto other = store->Register("s", {.address = "a:1"}, 10s);
  ASSERT_THAT(other, IsOk());
  EXPECT_THAT((*own)->WaitRegistered(0s),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT((*own)->Update({.address = "a:1", .zone = "z"}), IsOk());
  EXPECT_THAT((*own)->WaitRegistered(0s), IsOk());
  EXPECT_THAT(store->Renew(other->id), StatusIs(absl::StatusCode::kNotFound));

  const auto again = store->Register("s", {.address = "a:1"}, 10s);
  own->reset();
  EXPECT_THAT(store->Renew(again->id), IsOk())
      << "what is not its own it does not take out";
}

TEST(MemoryRegistryThreadsTest, ThreadsRegisterAndWatch) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  const auto registry = CreateMemoryRegistry(*scheduler);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const auto registration = registry->Register(
            "s", {.address = "host-" + std::to_string(t) + ":1"});
        ASSERT_THAT(registration, IsOk());
        const auto watch = registry->Watch("s", [](const InstanceSet&) {});
        ASSERT_THAT(watch, IsOk());
        EXPECT_THAT((*registration)->WaitRegistered(0s), IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace grpccommon
