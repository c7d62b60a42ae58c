// SPDX-License-Identifier: Apache-2.0
#include "services/common/caller.h"

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

}  // namespace
}  // namespace platform::common
