// SPDX-License-Identifier: Apache-2.0
#include "services/user/password_hasher.h"

#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::user {
namespace {

using grpccommon::testing::IsOkAndHolds;
using grpccommon::testing::MessageIs;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// As fast as Argon2id gets.
constexpr PasswordHasherOptions kLight{.memory_bytes = 8192, .passes = 1};

TEST(PasswordHasherTest, KnowsAPasswordAgain) {
  const auto hasher = *PasswordHasher::Create(kLight);
  const std::string hash = *hasher->Hash("correct horse");
  EXPECT_THAT(hasher->Verify("correct horse", hash), IsOkAndHolds(true));
  for (const std::string wrong :
       {"", "correct hors", "correct horse ", "Correct horse", "x"}) {
    EXPECT_THAT(hasher->Verify(wrong, hash), IsOkAndHolds(false)) << wrong;
  }
  const std::string with_nul("a\0b", 3);
  EXPECT_THAT(hasher->Verify("a", *hasher->Hash(with_nul)),
              IsOkAndHolds(false));
}

TEST(PasswordHasherTest, SaltsAndHidesThePassword) {
  const auto hasher = *PasswordHasher::Create(kLight);
  const std::string hash = *hasher->Hash("correct horse");
  EXPECT_THAT(hash, StartsWith("$argon2id$v=19$m=8,t=1,p=1$"));
  EXPECT_THAT(hash, Not(HasSubstr("correct")));
  EXPECT_NE(hash, *hasher->Hash("correct horse"));
}

TEST(PasswordHasherTest, NobodysPasswordIsWrongAndCostsTheSame) {
  const auto hasher = *PasswordHasher::Create(kLight);
  const std::string hash = *hasher->Hash("correct horse");
  const auto cost_of = [&](const std::string& against) {
    const std::uint64_t before = hasher->operations();
    EXPECT_THAT(hasher->Verify("guess", against), IsOkAndHolds(false));
    return hasher->operations() - before;
  };
  EXPECT_EQ(cost_of(hash), 1u);
  EXPECT_EQ(cost_of(""), 1u);
}

TEST(PasswordHasherTest, VerifiesHashesOfOtherOptionsAndFindsThemOutdated) {
  const auto old = *PasswordHasher::Create(kLight);
  const auto fresh =
      *PasswordHasher::Create({.memory_bytes = 16384, .passes = 2});
  const std::string hash = *old->Hash("correct horse");
  EXPECT_THAT(fresh->Verify("correct horse", hash), IsOkAndHolds(true));
  EXPECT_TRUE(fresh->Outdated(hash));
  EXPECT_FALSE(old->Outdated(hash));
  EXPECT_FALSE(fresh->Outdated(*fresh->Hash("correct horse")));
}

TEST(PasswordHasherTest, TakesWhatIsNoHashForAWrongPassword) {
  const auto hasher = *PasswordHasher::Create(kLight);
  for (const std::string hash : {"x", "$argon2id$", "$argon2id$v=19$m=8"}) {
    EXPECT_THAT(hasher->Verify("correct horse", hash), IsOkAndHolds(false));
  }
}

TEST(PasswordHasherTest, ServesManyThreads) {
  const auto hasher = *PasswordHasher::Create(kLight);
  const std::string hash = *hasher->Hash("correct horse");
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        right += *hasher->Verify(
            i % 2 == 0 ? "correct horse" : std::to_string(t), hash);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 100);
}

TEST(PasswordHasherTest, RefusesOptionsOutOfRangeByName) {
  const auto refusal = [](const PasswordHasherOptions& options,
                          const std::string& name) {
    EXPECT_THAT(PasswordHasher::Create(options).status(),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(name))));
  };
  refusal({.memory_bytes = 8191}, "memory_bytes");
  refusal({.memory_bytes = std::size_t{5} << 30}, "memory_bytes");
  refusal({.passes = 0}, "passes");
  refusal({.passes = 101}, "passes");
}

}  // namespace
}  // namespace platform::user
