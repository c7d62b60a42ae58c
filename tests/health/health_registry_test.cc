// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/health/health_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace grpccommon {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr ServingStatus kServing = ServingStatus::kServing;
constexpr ServingStatus kNotServing = ServingStatus::kNotServing;

class HealthRegistryTest : public ::testing::Test {
 protected:
  std::unique_ptr<HealthRegistry> registry_ =
      std::make_unique<HealthRegistry>();
};

TEST_F(HealthRegistryTest, BeginsNotServing) {
  EXPECT_EQ(registry_->Get(""), kNotServing);
  EXPECT_EQ(registry_->Get("a"), std::nullopt);
}

TEST_F(HealthRegistryTest, KeepsAStatusForEachService) {
  registry_->SetServing("", kServing);
  registry_->SetServing("a", kServing);
  registry_->SetServing("b", ServingStatus::kUnknown);
  EXPECT_THAT(registry_->List(),
              ElementsAre(Pair("", kServing), Pair("a", kServing),
                          Pair("b", ServingStatus::kUnknown)));
  registry_->SetServing("a", kNotServing);
  EXPECT_EQ(registry_->Get("a"), kNotServing);
  registry_->SetServing("a", ServingStatus::kServiceUnknown);
  EXPECT_EQ(registry_->Get("a"), std::nullopt);
}

TEST_F(HealthRegistryTest, NothingServesAgainAfterShutdown) {
  registry_->SetServing("a", kServing);
  registry_->Shutdown();
  EXPECT_EQ(registry_->Get("a"), kNotServing);
  registry_->SetServing("a", kServing);
  registry_->SetServing("new", kServing);
  EXPECT_EQ(registry_->Get("a"), kNotServing);
  EXPECT_EQ(registry_->Get("new"), kNotServing);
}

TEST_F(HealthRegistryTest, AHeldServiceDoesNotServeUntilAllHoldersReleaseIt) {
  registry_->SetServing("", kServing);
  registry_->SetServing("a", kServing);
  registry_->Hold({"a", "later"});
  registry_->Hold({"a"});
  EXPECT_EQ(registry_->Get("a"), kNotServing);
  EXPECT_EQ(registry_->Get(""), kServing);
  registry_->SetServing("later", kServing);
  EXPECT_EQ(registry_->Get("later"), kNotServing);
  registry_->Release({"a"});
  EXPECT_EQ(registry_->Get("a"), kNotServing);
  registry_->Release({"a", "later"});
  EXPECT_EQ(registry_->Get("a"), kServing);
  EXPECT_EQ(registry_->Get("later"), kServing);

  registry_->Hold({});
  EXPECT_EQ(registry_->Get(""), kNotServing);
  EXPECT_EQ(registry_->Get("a"), kNotServing);
  registry_->Release({});
  EXPECT_EQ(registry_->Get(""), kServing);
}

TEST_F(HealthRegistryTest, AReleaseMayOvertakeItsHold) {
  registry_->SetServing("a", kServing);
  registry_->Release({"a"});
  registry_->Hold({"a"});
  EXPECT_EQ(registry_->Get("a"), kServing);
}

TEST_F(HealthRegistryTest, TellsWatchersOfTheirServiceAndOnlyOfChanges) {
  int changes = 0;
  const auto watch = registry_->Watch("a", [&] { ++changes; });
  EXPECT_EQ(watch->Current(), ServingStatus::kServiceUnknown);
  registry_->SetServing("a", kServing);
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(watch->Current(), kServing);
  registry_->SetServing("a", kServing);
  registry_->SetServing("b", kServing);
  EXPECT_EQ(changes, 1);
  registry_->Hold({"a"});
  EXPECT_EQ(changes, 2);
  registry_->SetServing("a", kNotServing);  // it is that already
  EXPECT_EQ(changes, 2);
  registry_->SetServing("a", kServing);
  registry_->Release({"a"});
  EXPECT_EQ(changes, 3);
  registry_->Shutdown();
  EXPECT_EQ(changes, 4);
  EXPECT_EQ(watch->Current(), kNotServing);
  registry_->SetServing("a", ServingStatus::kServiceUnknown);
  EXPECT_EQ(changes, 5);
  EXPECT_EQ(watch->Current(), ServingStatus::kServiceUnknown);
}

TEST_F(HealthRegistryTest, AWatcherMayCallBackAndEndItself) {
  std::unique_ptr<HealthRegistryWatch> watch;
  watch = registry_->Watch("a", [&] {
    EXPECT_EQ(registry_->Get("a"), kServing);
    watch.reset();
  });
  registry_->SetServing("a", kServing);
  EXPECT_EQ(watch, nullptr);
  registry_->SetServing("a", kNotServing);
}

TEST_F(HealthRegistryTest, CountsTheWatchesThatAreOpen) {
  auto first = registry_->Watch("a", [] {});
  const auto second = registry_->Watch("b", [] {});
  EXPECT_EQ(registry_->watches(), 2u);
  first.reset();
  EXPECT_EQ(registry_->watches(), 1u);
}

TEST_F(HealthRegistryTest, AWatchMayOutliveTheRegistry) {
  const auto watch = registry_->Watch("", [] {});
  registry_.reset();
  EXPECT_EQ(watch->Current(), kNotServing);
}

TEST_F(HealthRegistryTest, NeverMissesTheLastChange) {
  registry_->SetServing("a", kServing);
  std::atomic<ServingStatus> seen = ServingStatus::kUnknown;
  std::unique_ptr<HealthRegistryWatch> watch;
  std::atomic<bool> ready = false;
  watch = registry_->Watch("a", [&] {
    if (ready) seen = watch->Current();
  });
  ready = true;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        registry_->Hold({"a"});
        registry_->SetServing("a", i % 2 ? kServing : kNotServing);
        registry_->Release({"a"});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(watch->Current(), kServing);
  registry_->Shutdown();
  EXPECT_EQ(seen, kNotServing);
}

TEST(ServingStatusNameTest, SpeaksTheProtocol) {
  EXPECT_EQ(ServingStatusName(ServingStatus::kUnknown), "UNKNOWN");
  EXPECT_EQ(ServingStatusName(kServing), "SERVING");
  EXPECT_EQ(ServingStatusName(kNotServing), "NOT_SERVING");
  EXPECT_EQ(ServingStatusName(ServingStatus::kServiceUnknown),
            "SERVICE_UNKNOWN");
}

}  // namespace
}  // namespace grpccommon
