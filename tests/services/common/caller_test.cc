// SPDX-License-Identifier: Apache-2.0
#include "services/common/caller.h"

#include "gmock/gmock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::common {
namespace {

TEST(CallerTest, OnlyTheUserServiceNamesUsers) {
  EXPECT_EQ(CallerId({.subject = "u1", .issuer = "platform-user"}), "u1");
  EXPECT_EQ(CallerId({.subject = "u1", .issuer = "grpccommon-dev"}),
            "grpccommon-dev|u1");
  EXPECT_EQ(CallerId({.subject = "u1", .issuer = "https://id.example"}),
            "https://id.example|u1");
}

TEST(CallerTest, OneWithoutAnIssuerIsKnownByTheSubject) {
  EXPECT_EQ(CallerId({.subject = "key-7"}), "key-7");
}

TEST(CallerTest, WhoHasShownNothingIsNobody) {
  using grpccommon::testing::HasReason;
  using grpccommon::testing::StatusIs;
  const grpc::CallbackServerContext context;
  EXPECT_THAT(PrincipalOf(context),
              ::testing::AllOf(StatusIs(absl::StatusCode::kUnauthenticated),
                               HasReason("NO_CREDENTIAL")));
}

}  // namespace
}  // namespace platform::common
