// SPDX-License-Identifier: Apache-2.0
#include "registry/watch_hub.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::FakeScheduler;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::RecordingLogSink;
using ::grpccommon::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<Instance> At(std::vector<std::string> addresses) {
  std::vector<Instance> instances;
  for (std::string& address : addresses) {
    instances.push_back({.address = std::move(address)});
  }
  return instances;
}

std::vector<std::string> AddressesOf(const InstanceSet& set) {
  std::vector<std::string> addresses;
  for (const Instance& instance : set.instances) {
    addresses.push_back(instance.address);
  }
  return addresses;
}

class WatchHubTest : public ::testing::Test {
 protected:
  Registry::OnChange Record() {
    return [this](const InstanceSet& set) { seen_.push_back(set); };
  }
  void Run() { clock_.Advance(0ns); }

  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
  std::vector<std::string> demands_;
  std::vector<InstanceSet> seen_;
  WatchHub hub_{
      scheduler_, Logger(log_, "test"),
      [this](const std::string& service) { demands_.push_back(service); }};
};

TEST_F(WatchHubTest, TellsWhyASetMayBeIncompleteUntilItIsNot) {
  const auto watch = hub_.Watch("s", Record());
  hub_.Publish("s", At({"a:1"}), 0, absl::UnavailableError("not all yet"));
  Run();
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(AddressesOf(seen_[0]), ElementsAre("a:1"));
  EXPECT_THAT(seen_[0].status, StatusIs(absl::StatusCode::kUnavailable));
  hub_.Publish("s", At({"a:1"}), 0, absl::UnavailableError("not all yet"));
  Run();
  EXPECT_THAT(seen_, SizeIs(1));
  hub_.Publish("s", At({"a:1"}));
  Run();
  ASSERT_THAT(seen_, SizeIs(2));
  EXPECT_THAT(seen_[1].status, IsOk());
}

TEST_F(WatchHubTest, TellsAWatcherOnTheSchedulerOnceTheSetIsKnown) {
  const auto watch = hub_.Watch("s", Record());
  Run();
  EXPECT_THAT(seen_, IsEmpty());
  hub_.Publish("s", At({"a:1"}));
  EXPECT_THAT(seen_, IsEmpty()) << "not on the publisher's thread";
  Run();
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(AddressesOf(seen_[0]), ElementsAre("a:1"));
  EXPECT_THAT(seen_[0].status, IsOk());
}

TEST_F(WatchHubTest, TellsALaterWatcherWhatIsKnownAlready) {
  const auto first = hub_.Watch("s", Record());
  hub_.Publish("s", At({"a:1"}));
  Run();
  seen_.clear();
  const auto second = hub_.Watch("s", Record());
  EXPECT_THAT(seen_, IsEmpty());
  Run();
  EXPECT_THAT(seen_, SizeIs(1)) << "and the first one is told nothing again";
}

TEST_F(WatchHubTest, AnEmptySetIsNews) {
  const auto watch = hub_.Watch("s", Record());
  hub_.Publish("s", {});
  Run();
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(seen_[0].instances, IsEmpty());
  EXPECT_THAT(seen_[0].status, IsOk());
}

TEST_F(WatchHubTest, EqualSetsAreNoNewsAndNoWakeUp) {
  const auto watch = hub_.Watch("s", Record());
  hub_.Publish("s", At({"a:1", "b:1"}));
  Run();
  hub_.Publish("s", At({"a:1", "b:1"}));
  EXPECT_EQ(scheduler_.pending(), 0u);
  Run();
  EXPECT_THAT(seen_, SizeIs(1));
}

TEST_F(WatchHubTest, EveryFieldOfAnInstanceIsNews) {
  const auto watch = hub_.Watch("s", Record());
  Instance instance{.address = "a:1"};
  hub_.Publish("s", {instance});
  Run();
  for (const auto& change : std::vector<std::function<void()>>{
           [&] { instance.weight = 2; }, [&] { instance.zone = "z"; },
           [&] { instance.version = "v"; },
           [&] { instance.metadata["k"] = "v"; },
           [&] { instance.healthy = false; }}) {
    const std::size_t before = seen_.size();
    change();
    hub_.Publish("s", {instance});
    Run();
    EXPECT_EQ(seen_.size(), before + 1);
  }
}

TEST_F(WatchHubTest, ChangesThatComeAtOnceArriveAsOne) {
  const auto watch = hub_.Watch("s", Record());
  hub_.Publish("s", At({"a:1"}));
  hub_.Publish("s", At({"b:1"}));
  hub_.Publish("s", At({"c:1"}));
  Run();
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(AddressesOf(seen_[0]), ElementsAre("c:1"));
  hub_.Publish("s", At({"d:1"}));
  hub_.Publish("s", At({"c:1"}));
  Run();
  EXPECT_THAT(seen_, SizeIs(1)) << "there and back is no change";
}

TEST_F(WatchHubTest, KeepsTheLastInstancesWhileTheBackEndIsAway) {
  const auto watch = hub_.Watch("s", Record());
  hub_.Publish("s", At({"a:1"}));
  Run();
  hub_.MarkAway("s", absl::UnavailableError("away"));
  hub_.MarkAway("s", absl::UnavailableError("away"));
  Run();
  ASSERT_THAT(seen_, SizeIs(2));
  EXPECT_THAT(AddressesOf(seen_[1]), ElementsAre("a:1"));
  EXPECT_THAT(seen_[1].status, StatusIs(absl::StatusCode::kUnavailable));

  hub_.Publish("s", At({"a:1"}));
  Run();
  ASSERT_THAT(seen_, SizeIs(3));
  EXPECT_THAT(seen_[2].status, IsOk());
}

TEST_F(WatchHubTest, SaysThatABackEndWasNeverThere) {
  const auto watch = hub_.Watch("s", Record());
  hub_.MarkAllAway(absl::UnavailableError("away"));
  Run();
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(seen_[0].instances, IsEmpty());
  EXPECT_THAT(seen_[0].status, StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(WatchHubTest, MarksEveryWatchedServiceAndNoOther) {
  std::vector<std::string> told;
  const auto a =
      hub_.Watch("a", [&](const InstanceSet&) { told.emplace_back("a"); });
  const auto b =
      hub_.Watch("b", [&](const InstanceSet&) { told.emplace_back("b"); });
  hub_.MarkAllAway(absl::UnavailableError("away"));
  hub_.MarkAway("c", absl::UnavailableError("away"));
  hub_.Publish("c", At({"c:1"}));
  Run();
  EXPECT_THAT(told, ElementsAre("a", "b"));
  EXPECT_THAT(hub_.Watched(), ElementsAre("a", "b"));
}

TEST_F(WatchHubTest, ForgetsASetWithItsLastWatch) {
  auto first = hub_.Watch("s", Record());
  auto second = hub_.Watch("s", Record());
  EXPECT_THAT(demands_, ElementsAre("s"));
  hub_.Publish("s", At({"a:1"}));
  Run();
  first.reset();
  EXPECT_TRUE(hub_.IsWatched("s"));
  EXPECT_THAT(demands_, SizeIs(1));
  second.reset();
  EXPECT_FALSE(hub_.IsWatched("s"));
  EXPECT_THAT(demands_, ElementsAre("s", "s"));

  seen_.clear();
  const auto third = hub_.Watch("s", Record());
  Run();
  EXPECT_THAT(seen_, IsEmpty()) << "what was known may be old by now";
}

TEST_F(WatchHubTest, HandsOverTheRevision) {
  std::vector<std::uint64_t> revisions;
  const auto watch =
      hub_.Watch("s", [&](const InstanceSet&, std::uint64_t revision) {
        revisions.push_back(revision);
      });
  hub_.Publish("s", At({"a:1"}), 7);
  Run();
  hub_.MarkAway("s", absl::UnavailableError("away"));
  Run();
  EXPECT_THAT(revisions, ElementsAre(7u, 7u));
}

TEST_F(WatchHubTest, NoCallbackAfterTheWatchIsDestroyed) {
  auto watch = hub_.Watch("s", Record());
  hub_.Publish("s", At({"a:1"}));
  watch.reset();
  Run();
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(WatchHubTest, ReleasesWhatTheCallbackHoldsWithTheWatch) {
  auto held = std::make_shared<int>(1);
  auto watch = hub_.Watch("s", [held](const InstanceSet&) {});
  hub_.Publish("s", At({"a:1"}));
  watch.reset();
  EXPECT_EQ(held.use_count(), 1) << "though its delivery was planned";
}

TEST_F(WatchHubTest, ACallbackMayEndAnotherWatchAndBeginOne) {
  std::unique_ptr<InstanceWatch> other;
  std::unique_ptr<InstanceWatch> added;
  const auto watch = hub_.Watch("s", [&](const InstanceSet&) {
    other.reset();
    if (added == nullptr) added = hub_.Watch("s", Record());
  });
  int others = 0;
  other = hub_.Watch("s", [&](const InstanceSet&) { ++others; });
  hub_.Publish("s", At({"a:1"}));
  Run();
  EXPECT_EQ(others, 0);
  EXPECT_THAT(seen_, SizeIs(1));
}

TEST_F(WatchHubTest, EndingItsOwnWatchDoesNotHang) {
  std::unique_ptr<InstanceWatch> watch;
  int calls = 0;
  auto held = std::make_shared<int>(1);
  watch = hub_.Watch("s", [&calls, &watch, held](const InstanceSet&) {
    ++calls;
    watch.reset();
    EXPECT_EQ(held.use_count(), 2) << "the callback outlives its own call";
  });
  hub_.Publish("s", At({"a:1"}));
  Run();
  hub_.Publish("s", At({"b:1"}));
  Run();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(WatchHubTest, FencesAWatcherThatThrows) {
  const auto bad = hub_.Watch("s", [](const InstanceSet&) {
    throw std::runtime_error("watcher's fault");
  });
  const auto worse = hub_.Watch("s", [](const InstanceSet&) { throw 7; });
  const auto good = hub_.Watch("s", Record());
  hub_.Publish("s", At({"a:1"}));
  Run();
  EXPECT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(log_->LinesWhere("error", "watcher's fault"), SizeIs(1));
  EXPECT_THAT(log_->LinesWhere("level", "error"), SizeIs(2));
}

TEST_F(WatchHubTest, LetsTheSchedulersOtherTasksHaveTheirTurn) {
  double weight = 1;
  const auto publish = [&] {
    hub_.Publish("s", {{.address = "a:1", .weight = weight}});
  };
  const auto watch = hub_.Watch("s", [&](const InstanceSet&) {
    if (++weight < 100) publish();
  });
  publish();
  double weight_then = 0;
  scheduler_.RunAfter(0ns, [&] { weight_then = weight; });
  Run();
  EXPECT_EQ(weight_then, 2) << "after the first callback";
  EXPECT_EQ(weight, 100);
}

TEST_F(WatchHubTest, AnIdleWatchPlansNothing) {
  const auto watch = hub_.Watch("s", Record());
  EXPECT_EQ(scheduler_.pending(), 0u);
  hub_.Publish("s", At({"a:1"}));
  Run();
  EXPECT_EQ(scheduler_.pending(), 0u);
}

// Threads from here on, on the real scheduler.

TEST(WatchHubThreadsTest, DestroyingAWatchWaitsForItsCallback) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  WatchHub hub(*scheduler, Logger(), [](const std::string&) {});
  std::promise<void> entered;
  std::promise<void> leave;
  std::atomic<bool> left = false;
  auto watch = hub.Watch("s", [&](const InstanceSet&) {
    entered.set_value();
    leave.get_future().wait();
    left = true;
  });
  hub.Publish("s", At({"a:1"}));
  entered.get_future().wait();
  std::thread destroyer([&] {
    watch.reset();
    EXPECT_TRUE(left);
  });
  // Begins no other watch's callback and blocks no publisher meanwhile.
  hub.Publish("s", At({"b:1"}));
  leave.set_value();
  destroyer.join();
}

TEST(WatchHubThreadsTest, WatchesUnderFireSeeSetsInOrderAndOneAtATime) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  WatchHub hub(*scheduler, Logger(), [](const std::string&) {});
  constexpr int kLast = 500;
  const auto keep = hub.Watch("s", [](const InstanceSet&) {});

  std::thread publisher([&] {
    for (int i = 1; i <= kLast; ++i) {
      hub.Publish("s", {{.address = "a:1", .weight = static_cast<double>(i)}});
    }
  });
  std::vector<std::thread> watchers;
  for (int t = 0; t < 3; ++t) {
    watchers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        auto inside = std::make_unique<std::atomic<int>>(0);
        auto alive = std::make_unique<std::atomic<bool>>(true);
        double last = 0;
        auto watch =
            hub.Watch("s", [&, in = inside.get(),
                            living = alive.get()](const InstanceSet& set) {
              EXPECT_TRUE(living->load());
              EXPECT_EQ(in->fetch_add(1), 0);
              EXPECT_GT(set.instances.at(0).weight, last);
              last = set.instances.at(0).weight;
              in->fetch_sub(1);
            });
        if (round % 2 == 0) std::this_thread::yield();
        watch.reset();
        alive->store(false);
        // Freed: a late callback would be a use after free.
      }
    });
  }
  publisher.join();
  for (std::thread& watcher : watchers) watcher.join();

  std::promise<double> final_weight;
  const auto last = hub.Watch("s", [&](const InstanceSet& set) {
    final_weight.set_value(set.instances.at(0).weight);
  });
  EXPECT_EQ(final_weight.get_future().get(), kLast);
}

TEST(WatchHubThreadsTest, EndsWhileADeliveryIsPlanned) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  for (int i = 0; i < 50; ++i) {
    WatchHub hub(*scheduler, Logger(), [](const std::string&) {});
    auto watch = hub.Watch("s", [](const InstanceSet&) {});
    hub.Publish("s", At({"a:1"}));
  }
}

}  // namespace
}  // namespace grpccommon::internal
