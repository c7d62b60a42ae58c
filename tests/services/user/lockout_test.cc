// SPDX-License-Identifier: Apache-2.0
#include "services/user/lockout.h"

#include "gmock/gmock.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::user {
namespace {

using grpccommon::testing::FakeClock;
using grpccommon::testing::MessageIs;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class LockoutTest : public ::testing::Test {
 protected:
  void Fail(int times) {
    for (int i = 0; i < times; ++i) {
      failures_ = lockout_.AfterFailure(failures_, clock_.WallNow());
    }
  }
  bool Locked() const { return lockout_.Locks(failures_, clock_.WallNow()); }

  FakeClock clock_;
  const Lockout lockout_ = *Lockout::Create({.failures_before_lock = 3,
                                             .first_lock = 10s,
                                             .longest_lock = 60s,
                                             .forget_after = 1h});
  LoginFailures failures_;
};

TEST_F(LockoutTest, LocksAtTheFailureThatIsOneTooMany) {
  Fail(2);
  EXPECT_FALSE(Locked());
  Fail(1);
  EXPECT_TRUE(Locked());
  clock_.Advance(10s - 1ns);
  EXPECT_TRUE(Locked());
  clock_.Advance(1ns);
  EXPECT_FALSE(Locked());
}

TEST_F(LockoutTest, EachFurtherFailureDoublesTheLockUpToTheLongest) {
  Fail(3);
  for (const auto lock : {20s, 40s, 60s, 60s, 60s}) {
    clock_.Advance(failures_.locked_until - clock_.WallNow());
    Fail(1);
    EXPECT_EQ(failures_.locked_until - clock_.WallNow(), lock);
  }
}

TEST_F(LockoutTest, StaysAtTheLongestAfterThousandsOfFailures) {
  Fail(100'000);
  EXPECT_EQ(failures_.locked_until - clock_.WallNow(), 60s);
}

TEST_F(LockoutTest, ForgetsFailuresAfterAWhileWithout) {
  Fail(3);
  clock_.Advance(1h - 1ns);
  Fail(1);
  EXPECT_EQ(failures_.count, 4);
  clock_.Advance(1h);
  Fail(1);
  EXPECT_EQ(failures_.count, 1);
  EXPECT_FALSE(Locked());
}

TEST(LockoutOptionsTest, AreCheckedByName) {
  const auto refusal = [](const LockoutOptions& options,
                          const std::string& name) {
    EXPECT_THAT(Lockout::Create(options).status(),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(name))));
  };
  refusal({.failures_before_lock = 0}, "failures_before_lock");
  refusal({.failures_before_lock = 101}, "failures_before_lock");
  refusal({.first_lock = 0s}, "first_lock");
  refusal({.first_lock = 30s, .longest_lock = 29s}, "longest_lock");
  refusal({.longest_lock = 2h, .forget_after = 1h}, "forget_after");
  EXPECT_TRUE(Lockout::Create().ok());
}

}  // namespace
}  // namespace platform::user
