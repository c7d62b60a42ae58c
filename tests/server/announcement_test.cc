// SPDX-License-Identifier: Apache-2.0
#include "server/announcement.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::internal {
namespace {

using testing::FakeClock;
using testing::FakeScheduler;
using testing::StatusIs;

TEST(AnnouncedAddressTest, TakesTheBoundPort) {
  EXPECT_EQ(*AnnouncedAddress("", "127.0.0.1:0", 4711), "127.0.0.1:4711");
  EXPECT_EQ(*AnnouncedAddress("", "127.0.0.1:50051", 50051), "127.0.0.1:50051");
  EXPECT_EQ(*AnnouncedAddress("orders.local:0", "0.0.0.0:0", 4711),
            "orders.local:4711");
  EXPECT_EQ(*AnnouncedAddress("lb.local:443", "0.0.0.0:50051", 50051),
            "lb.local:443");
  EXPECT_EQ(*AnnouncedAddress("", "unix:/run/s.sock", 0), "unix:/run/s.sock");
}

TEST(AnnouncedAddressTest, RefusesWhatNobodyElseCanConnectTo) {
  for (const char* address : {"0.0.0.0:1", "[::]:1", ":1", "*:1"}) {
    EXPECT_THAT(AnnouncedAddress("", address, 1).status(),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << address;
  }
}

class AnnouncementTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  std::shared_ptr<Registry> registry_ = CreateMemoryRegistry(scheduler_);
  std::unique_ptr<HealthRegistry> health_ = std::make_unique<HealthRegistry>();
  InstanceSet seen_;
  std::unique_ptr<InstanceWatch> watch_ = *registry_->Watch(
      "orders", [this](const InstanceSet& set) { seen_ = set; });

  void Settle() { clock_.Advance(std::chrono::milliseconds(1)); }
};

TEST_F(AnnouncementTest, FollowsTheHealthAndEnds) {
  health_->SetServing("orders", ServingStatus::kServing);
  auto announcement =
      Announcement::Create(registry_, {.weight = 2, .zone = "a"}, "127.0.0.1:1",
                           {"orders"}, *health_, Logger());
  ASSERT_TRUE(announcement.ok()) << announcement.status();
  Settle();
  ASSERT_EQ(seen_.instances.size(), 1u);
  EXPECT_EQ(seen_.instances[0].address, "127.0.0.1:1");
  EXPECT_EQ(seen_.instances[0].weight, 2);
  EXPECT_EQ(seen_.instances[0].zone, "a");
  EXPECT_TRUE(seen_.instances[0].healthy);

  health_->Hold({"orders"});
  Settle();
  EXPECT_FALSE(seen_.instances.at(0).healthy);
  health_->Release({"orders"});
  Settle();
  EXPECT_TRUE(seen_.instances.at(0).healthy);

  announcement->reset();
  Settle();
  EXPECT_TRUE(seen_.instances.empty());
}

TEST_F(AnnouncementTest, TakesTheNamesThatItIsGiven) {
  auto announcement =
      Announcement::Create(registry_, {.services = {"orders"}}, "127.0.0.1:1",
                           {"shop.v1.OrderService"}, *health_, Logger());
  ASSERT_TRUE(announcement.ok()) << announcement.status();
  Settle();
  ASSERT_EQ(seen_.instances.size(), 1u);
  // The server's health does not know the name.
  EXPECT_TRUE(seen_.instances[0].healthy);
}

// Whose registrations are slow to change, and must not outlive it.
class SlowRegistry : public Registry {
 public:
  struct Events {
    std::promise<void> updating;
    std::promise<void> update;
    std::atomic<int> registrations{0};
    std::atomic<int> left_at_the_end{0};
  };

  explicit SlowRegistry(Events& events) : events_(events) {}
  ~SlowRegistry() override {
    events_.left_at_the_end = events_.registrations.load();
  }

  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string /*service*/, Instance /*instance*/,
      RegistrationOptions /*options*/) override {
    class Place : public Registration {
     public:
      explicit Place(Events& events) : events_(events) {
        ++events_.registrations;
      }
      ~Place() override { --events_.registrations; }
      absl::Status Update(Instance /*instance*/) override {
        events_.updating.set_value();
        events_.update.get_future().wait();
        return absl::OkStatus();
      }
      absl::Status WaitRegistered(Clock::Duration /*timeout*/) override {
        return absl::OkStatus();
      }

     private:
      Events& events_;
    };
    return std::make_unique<Place>(events_);
  }
  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string /*service*/, OnChange /*on_change*/) override {
    return absl::UnimplementedError("nobody watches");
  }

 private:
  Events& events_;
};

TEST_F(AnnouncementTest, WaitsForAChangeThatIsUnderWay) {
  health_->SetServing("orders", ServingStatus::kServing);
  SlowRegistry::Events events;
  auto announcement =
      *Announcement::Create(std::make_shared<SlowRegistry>(events), {},
                            "127.0.0.1:1", {"orders"}, *health_, Logger());
  std::thread changing([this] { health_->Hold({"orders"}); });
  events.updating.get_future().wait();
  auto ending = std::async(std::launch::async, [&] { announcement.reset(); });
  EXPECT_EQ(ending.wait_for(std::chrono::milliseconds(50)),
            std::future_status::timeout);
  events.update.set_value();
  ending.get();
  changing.join();
  EXPECT_EQ(events.left_at_the_end, 0);
}

TEST_F(AnnouncementTest, SaysWhatTheRegistryRefuses) {
  EXPECT_THAT(Announcement::Create(registry_, {}, "nowhere", {"orders"},
                                   *health_, Logger())
                  .status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(AnnouncementTest, TakesTheRegistryThatItIsGivenOrNamed) {
  const Logger logger;
  EXPECT_EQ(*RegistryToAnnounceIn({}, scheduler_, logger), nullptr);
  EXPECT_EQ(*RegistryToAnnounceIn({.registry = registry_}, scheduler_, logger),
            registry_);
  EXPECT_NE(*RegistryToAnnounceIn({.uri = "memory:"}, scheduler_, logger),
            nullptr);
  for (const AnnounceOptions& wrong :
       {AnnounceOptions{.registry = registry_, .uri = "memory:"},
        AnnounceOptions{.uri = "mystery://x"}}) {
    EXPECT_THAT(RegistryToAnnounceIn(wrong, scheduler_, logger).status(),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(RegistryToAnnounceIn({.uri = "registry://127.0.0.1:1",
                                    .token_file = "/nowhere/token"},
                                   scheduler_, logger)
                  .status(),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace grpccommon::internal
