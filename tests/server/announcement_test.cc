// SPDX-License-Identifier: Apache-2.0
#include "server/announcement.h"

#include <gtest/gtest.h>

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
  std::unique_ptr<HealthRegistry> health_ = *HealthRegistry::Create();
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
