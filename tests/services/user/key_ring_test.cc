// SPDX-License-Identifier: Apache-2.0
#include "services/user/key_ring.h"

#include <future>
#include <nlohmann/json.hpp>
#include <set>

#include "gmock/gmock.h"
#include "grpccommon/auth/jwt.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/query.h"
#include "services/common/test_database.h"

namespace platform::user {
namespace {

using grpccommon::JwtVerifier;
using grpccommon::testing::FakeClock;
using grpccommon::testing::IsOk;
using grpccommon::testing::MessageIs;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr KeyScheduleOptions kSchedule{
    .rotation_interval = 24h, .publish_ahead = 1h, .publish_after = 25min};

class KeyRingTest : public common::DatabaseTest {
 protected:
  // A process of the service, with threads of its own.
  struct Instance {
    std::unique_ptr<UserStoreQueue> store;
    std::unique_ptr<KeyRing> ring;

    absl::Status Refresh() const {
      std::promise<absl::Status> done;
      ring->Refresh(
          [&](const absl::Status& status) { done.set_value(status); });
      return done.get_future().get();
    }
    std::string Sign(const FakeClock& clock) const {
      return *ring->Sign({.subject = "ada",
                          .issuer = "us",
                          .expires_at = clock.WallNow() + 15min});
    }
  };

  void SetUp() override {
    DatabaseTest::SetUp();
    if (!IsSkipped()) vault_ = *Vault::Open(folder_ / "user.key");
  }
  Instance Start() {
    Instance instance;
    instance.store = *OpenUserStoreQueue({.url = url()}, {}, clock_);
    auto ring = KeyRing::Create(
        *instance.store, *vault_,
        std::make_shared<grpccommon::SettableKeySource>(), kSchedule, clock_);
    EXPECT_TRUE(ring.ok()) << ring.status();
    instance.ring = *std::move(ring);
    return instance;
  }
  absl::Status Verify(const Instance& instance, const std::string& token) {
    const auto keys = instance.ring->published();
    const auto verifier = *JwtVerifier::Create({.issuer = "us"}, *keys);
    return verifier->Verify(token, clock_.WallNow()).status();
  }
  static std::set<std::string> Published(const Instance& instance) {
    std::set<std::string> ids;
    const auto set = nlohmann::json::parse(*instance.ring->jwks());
    for (const auto& key : set["keys"]) ids.insert(key["kid"]);
    return ids;
  }
  static std::string SignerOf(const std::string& token) {
    return nlohmann::json::parse(
        *grpccommon::Base64UrlDecode(token.substr(0, token.find('.'))))["kid"];
  }

  FakeClock clock_;
  std::optional<Vault> vault_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(KeyRingTest);

TEST_P(KeyRingTest, SignsWithAKeyThatItPublishes) {
  const Instance instance = Start();
  const std::string token = instance.Sign(clock_);
  EXPECT_THAT(Verify(instance, token), IsOk());
  EXPECT_EQ(Published(instance), std::set<std::string>{SignerOf(token)});
  // RFC 7518, section 6.2: public members only.
  const auto key = nlohmann::json::parse(*instance.ring->jwks())["keys"][0];
  EXPECT_EQ(key["kty"], "EC");
  EXPECT_EQ(key["crv"], "P-256");
  EXPECT_EQ(key["alg"], "ES256");
  EXPECT_FALSE(key.contains("d")) << "the private part";
}

TEST_P(KeyRingTest, KeepsItsKeysWhenRestarted) {
  std::string token;
  {
    const Instance instance = Start();
    token = instance.Sign(clock_);
  }
  const Instance instance = Start();
  EXPECT_THAT(Verify(instance, token), IsOk());
  EXPECT_EQ(SignerOf(instance.Sign(clock_)), SignerOf(token));
}

TEST_P(KeyRingTest, PublishesAKeyBeforeItSignsAndUntilItsTokensExpire) {
  const Instance instance = Start();
  const std::string first = SignerOf(instance.Sign(clock_));
  clock_.Advance(23h);
  ASSERT_THAT(instance.Refresh(), IsOk());
  EXPECT_THAT(Published(instance), SizeIs(2));
  EXPECT_EQ(SignerOf(instance.Sign(clock_)), first);
  clock_.Advance(1h - 1ns);
  const std::string last_token = instance.Sign(clock_);
  EXPECT_EQ(SignerOf(last_token), first);
  clock_.Advance(1ns);
  const std::string second = SignerOf(instance.Sign(clock_));
  EXPECT_NE(second, first) << "in time, without a look at the store";
  clock_.Advance(15min - 1s);
  ASSERT_THAT(instance.Refresh(), IsOk());
  EXPECT_THAT(Verify(instance, last_token), IsOk());
  clock_.Advance(10min + 1s);
  ASSERT_THAT(instance.Refresh(), IsOk());
  EXPECT_EQ(Published(instance), std::set<std::string>{second});
}

TEST_P(KeyRingTest, InstancesAgree) {
  const Instance one = Start();
  const Instance two = Start();
  for (int step = 0; step < 60; ++step) {
    // Both at once: one of them makes the key that is due.
    std::promise<absl::Status> first;
    std::promise<absl::Status> second;
    one.ring->Refresh([&](const absl::Status& s) { first.set_value(s); });
    two.ring->Refresh([&](const absl::Status& s) { second.set_value(s); });
    ASSERT_THAT(first.get_future().get(), IsOk());
    ASSERT_THAT(second.get_future().get(), IsOk());
    ASSERT_THAT(one.Refresh(), IsOk());
    ASSERT_THAT(two.Refresh(), IsOk());
    EXPECT_EQ(Published(one), Published(two));
    EXPECT_THAT(Verify(one, two.Sign(clock_)), IsOk());
    EXPECT_THAT(Verify(two, one.Sign(clock_)), IsOk());
    EXPECT_EQ(SignerOf(one.Sign(clock_)), SignerOf(two.Sign(clock_)));
    clock_.Advance(59min);
  }
}

TEST_P(KeyRingTest, AnInstanceKnowsAKeyBeforeAnotherSignsWithIt) {
  const Instance one = Start();
  const Instance two = Start();
  clock_.Advance(23h + 30min);
  ASSERT_THAT(one.Refresh(), IsOk());
  clock_.Advance(29min);
  ASSERT_THAT(two.Refresh(), IsOk());
  clock_.Advance(1min);
  clock_.Advance(1h);
  EXPECT_THAT(Verify(two, one.Sign(clock_)), IsOk());
}

TEST_P(KeyRingTest, KeepsNoPrivateKeyThatCanBeRead) {
  const Instance instance = Start();
  const auto store = *UserStore::Open({.url = url()}, clock_);
  const std::vector<StoredKey> keys = *store->signing_keys().List();
  ASSERT_THAT(keys, SizeIs(1));
  EXPECT_THAT(keys[0].sealed, Not(HasSubstr("kty")));
  const std::string jwk = *vault_->Unseal(keys[0].sealed);
  const std::string secret = nlohmann::json::parse(jwk)["d"];
  EXPECT_THAT(keys[0].sealed, Not(HasSubstr(secret)));
  EXPECT_THAT(*instance.ring->jwks(), Not(HasSubstr(secret)));
}

TEST_P(KeyRingTest, RefusesToStartWithAnotherVault) {
  { const Instance instance = Start(); }
  const Vault other = *Vault::Open(folder_ / "other.key");
  const auto store = *OpenUserStoreQueue({.url = url()}, {}, clock_);
  EXPECT_THAT(KeyRing::Create(*store, other,
                              std::make_shared<grpccommon::SettableKeySource>(),
                              kSchedule, clock_)
                  .status(),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                    MessageIs(HasSubstr("sealed under another key"))));
}

TEST_P(KeyRingTest, RefusesAKeyInThePlaceOfAnother) {
  const Instance instance = Start();
  clock_.Advance(23h);
  ASSERT_THAT(instance.Refresh(), IsOk());
  const auto store = *UserStore::Open({.url = url()}, clock_);
  const std::vector<StoredKey> keys = *store->signing_keys().List();
  ASSERT_THAT(store->database().Begin(), IsOk());
  ASSERT_THAT(store->database().Run([&](soci::session& sql) -> absl::Status {
    common::Query(sql,
                  "UPDATE signing_keys SET sealed = :sealed WHERE id = :id")
        .Bind("sealed", keys[0].sealed)
        .Bind("id", keys[1].id)
        .Run();
    return absl::OkStatus();
  }),
              IsOk());
  ASSERT_THAT(store->database().Commit(), IsOk());
  EXPECT_THAT(instance.Refresh(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Verify(instance, instance.Sign(clock_)), IsOk())
      << "the keys are as before";
}

TEST_P(KeyRingTest, KeepsItsKeysWhileTheDatabaseIsAway) {
  if (!on_postgresql()) GTEST_SKIP() << "a file does not go away";
  const Instance instance = Start();
  const std::string token = instance.Sign(clock_);
  auto& postgres = grpccommon::test::PostgresProcess::Shared();
  postgres.Kill();
  EXPECT_FALSE(instance.Refresh().ok());
  EXPECT_THAT(Verify(instance, token), IsOk());
  postgres.Start();
  EXPECT_THAT(instance.Refresh(), IsOk());
}

}  // namespace
}  // namespace platform::user
