// SPDX-License-Identifier: Apache-2.0
#include "services/user/key_schedule.h"

#include "gmock/gmock.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::user {
namespace {

using grpccommon::Clock;
using grpccommon::testing::FakeClock;
using grpccommon::testing::MessageIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr KeyScheduleOptions kOptions{
    .rotation_interval = 24h, .publish_ahead = 1h, .publish_after = 25min};

const Clock::WallTime kStart = FakeClock().WallNow();

KeyPlan Plan(const std::vector<StoredKey>& keys, Clock::WallTime now) {
  return PlanKeys(keys, now, kOptions);
}

TEST(KeyScheduleTest, TheFirstKeySignsAtOnce) {
  EXPECT_EQ(Plan({}, kStart).next_signs_from, kStart);
}

TEST(KeyScheduleTest, TheNextKeyIsMadeAheadAndSignsInTurn) {
  const std::vector<StoredKey> keys = {{.id = "a", .signs_from = kStart}};
  EXPECT_TRUE(Plan(keys, kStart).empty());
  EXPECT_TRUE(Plan(keys, kStart + 23h - 1ns).empty());
  EXPECT_EQ(Plan(keys, kStart + 23h).next_signs_from, kStart + 24h);
  EXPECT_EQ(Plan(keys, kStart + 23h + 1s).next_signs_from, kStart + 24h + 1s)
      << "published as long as the others, if a little late";
}

TEST(KeyScheduleTest, NothingIsDueBetweenMakingAndExpiring) {
  const std::vector<StoredKey> keys = {{.id = "a", .signs_from = kStart},
                                       {.id = "b", .signs_from = kStart + 24h}};
  for (const Clock::Duration later : {23h + 0min, 24h + 0min, 24h + 24min}) {
    EXPECT_TRUE(Plan(keys, kStart + later).empty());
  }
}

TEST(KeyScheduleTest, AKeyExpiresWhenItsLastTokenHas) {
  const std::vector<StoredKey> keys = {{.id = "a", .signs_from = kStart},
                                       {.id = "b", .signs_from = kStart + 24h}};
  EXPECT_THAT(Plan(keys, kStart + 24h + 25min - 1ns).expired, IsEmpty());
  EXPECT_THAT(Plan(keys, kStart + 24h + 25min).expired, ElementsAre("a"));
}

TEST(KeyScheduleTest, AfterALongPauseTheLatestKeySignsUntilTheNextIsKnown) {
  const std::vector<StoredKey> keys = {{.id = "a", .signs_from = kStart},
                                       {.id = "b", .signs_from = kStart + 24h}};
  const KeyPlan plan = Plan(keys, kStart + 1000h);
  EXPECT_EQ(plan.next_signs_from, kStart + 1001h);
  EXPECT_THAT(plan.expired, ElementsAre("a"));
}

TEST(KeyScheduleTest, TheLatestKeyNeverExpires) {
  const std::vector<StoredKey> keys = {{.id = "a", .signs_from = kStart}};
  EXPECT_THAT(Plan(keys, kStart + 100'000h).expired, IsEmpty());
}

// Every minute for a year: there is always a key that signs, it was published
// an hour before, and a token's key is there until the token has expired.
TEST(KeyScheduleTest, HoldsItsPromisesForAYear) {
  struct Kept {
    StoredKey key;
    Clock::WallTime made;
  };
  std::vector<StoredKey> keys;
  std::vector<Kept> kept;
  int made = 0;
  Clock::WallTime last_signed = kStart;
  std::string last_signer;
  for (Clock::WallTime now = kStart; now < kStart + 365 * 24h; now += 1min) {
    const KeyPlan plan = Plan(keys, now);
    for (const std::string& id : plan.expired) {
      std::erase_if(keys, [&](const StoredKey& key) { return key.id == id; });
      std::erase_if(kept, [&](const Kept& k) { return k.key.id == id; });
    }
    if (plan.next_signs_from.has_value()) {
      keys.push_back(
          {.id = std::to_string(++made), .signs_from = *plan.next_signs_from});
      kept.push_back({.key = keys.back(), .made = now});
    }
    const Kept* signer = nullptr;
    for (const Kept& k : kept) {
      if (k.key.signs_from <= now) signer = &k;
    }
    ASSERT_NE(signer, nullptr);
    if (signer->key.id != "1") {
      ASSERT_GE(now - signer->made, 1h);
    }
    if (signer->key.id != last_signer) {
      last_signer = signer->key.id;
      last_signed = now;
    } else if (now - last_signed < 25min && made > 2) {
      ASSERT_GE(keys.size(), 2u) << "the key before is still there";
    }
    ASSERT_LE(keys.size(), 3u);
  }
  EXPECT_GE(made, 365);
}

TEST(KeyScheduleTest, OptionsAreCheckedByName) {
  EXPECT_TRUE(CheckKeySchedule({}).ok());
  EXPECT_THAT(CheckKeySchedule({.rotation_interval = 1s}),
              MessageIs(HasSubstr("rotation_interval")));
  EXPECT_THAT(CheckKeySchedule({.rotation_interval = 1h, .publish_ahead = 2h}),
              MessageIs(HasSubstr("publish_ahead")));
  EXPECT_THAT(CheckKeySchedule({.publish_ahead = 1s}),
              MessageIs(HasSubstr("publish_ahead")));
  EXPECT_THAT(CheckKeySchedule({.publish_after = 0s}),
              MessageIs(HasSubstr("publish_after")));
}

}  // namespace
}  // namespace platform::user
