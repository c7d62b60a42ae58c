// SPDX-License-Identifier: Apache-2.0
#include "services/registry/registration_policy.h"

#include "gmock/gmock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::registry {
namespace {

using grpccommon::Principal;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Not;

RegistrationPolicy Policy(std::string_view text) {
  return *RegistrationPolicy::Parse(text);
}

TEST(RegistrationPolicyTest, RefusesWhatNoRuleAllows) {
  const Principal ada{.subject = "ada"};
  EXPECT_THAT(Policy("").MayRegister(ada, "s"),
              AllOf(StatusIs(absl::StatusCode::kPermissionDenied),
                    HasReason("MAY_NOT_REGISTER")));
  EXPECT_THAT(Policy("role:instance=*").MayRegister(ada, "s"), Not(IsOk()));
  EXPECT_THAT(Policy("role:instance=*").MayRegister({}, "s"), Not(IsOk()));
}

TEST(RegistrationPolicyTest, LetsAScopeNameTheServices) {
  const Principal exact{.subject = "a", .scopes = {"register:shop.Cart"}};
  EXPECT_THAT(Policy("").MayRegister(exact, "shop.Cart"), IsOk());
  EXPECT_THAT(Policy("").MayRegister(exact, "shop.CartX"), Not(IsOk()));
  EXPECT_THAT(Policy("").MayRegister(exact, "shop.Car"), Not(IsOk()));
  const Principal some{.subject = "a", .scopes = {"register:shop.*"}};
  EXPECT_THAT(Policy("").MayRegister(some, "shop.Cart"), IsOk());
  EXPECT_THAT(Policy("").MayRegister(some, "shopping.Cart"), Not(IsOk()));
  const Principal all{.subject = "a", .scopes = {"register:*"}};
  EXPECT_THAT(Policy("").MayRegister(all, "shop.Cart"), IsOk());
  // Says nothing.
  const Principal empty{.subject = "a", .scopes = {"register:", "register"}};
  EXPECT_THAT(Policy("").MayRegister(empty, ""), Not(IsOk()));
  EXPECT_THAT(Policy("").MayRegister(empty, "s"), Not(IsOk()));
}

TEST(RegistrationPolicyTest, AppliesRulesByRoleScopeAndSubject) {
  const RegistrationPolicy policy = Policy(
      " role:instance = shop.* ;; scope:mesh=*; subject:CN=billing=billing.*, "
      "audit.v1.Audit ;");
  EXPECT_THAT(policy.MayRegister({.subject = "a", .roles = {"instance "}}, "s"),
              Not(IsOk()));
  EXPECT_THAT(policy.MayRegister({.subject = "a", .scopes = {"mesh"}}, "s"),
              IsOk());
  const Principal billing{.subject = "CN=billing"};
  EXPECT_THAT(policy.MayRegister(billing, "billing.v1.Invoice"), IsOk());
  EXPECT_THAT(policy.MayRegister(billing, "audit.v1.Audit"), IsOk());
  EXPECT_THAT(policy.MayRegister(billing, "audit.v1.Auditor"), Not(IsOk()));
  EXPECT_THAT(policy.MayRegister(billing, "shop.Cart"), Not(IsOk()));
}

TEST(RegistrationPolicyTest, RefusesRulesThatMakeNoSense) {
  for (const char* const text :
       {"x", "role:a", "role:=*", "role=*", "group:a=*", "role:a=",
        "role:a=b*c", "role:a=**", "role:a=b,,c", "role:a=b c", "role:a=b/"}) {
    EXPECT_THAT(RegistrationPolicy::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

}  // namespace
}  // namespace platform::registry
