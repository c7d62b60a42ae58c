// SPDX-License-Identifier: Apache-2.0
#include "services/user/limits.h"

#include "gmock/gmock.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/user/user_server.h"

namespace platform::user {
namespace {

using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPassword[] = "correct horse battery";

class LimitsTest : public ::testing::Test {
 protected:
  absl::Status Register(const std::string& name) {
    v1::RegisterRequest request;
    request.set_username(name);
    request.set_email(name + "@example.org");
    request.set_password(kPassword);
    v1::RegisterResponse response;
    grpc::ClientContext context;
    return grpccommon::FromGrpcStatus(
        server_.stub().Register(&context, request, &response));
  }
  absl::Status Login(const std::string& login,
                     const std::string& password = kPassword) {
    v1::LoginRequest request;
    request.set_login(login);
    request.set_password(password);
    v1::LoginResponse response;
    grpc::ClientContext context;
    return grpccommon::FromGrpcStatus(
        server_.stub().Login(&context, request, &response));
  }

  UserServer server_{
      {}, [](grpccommon::ServerOptions& options) {
        options.rate_limit.emplace();
        AddLimits({.registrations_per_minute = 2, .logins_per_minute = 3},
                  *options.rate_limit);
      }};
};

TEST_F(LimitsTest, LogInsUnderOneNameAreFewHoweverTheyEnd) {
  ASSERT_THAT(Register("ada"), IsOk());
  ASSERT_THAT(Register("bob"), IsOk());
  EXPECT_THAT(Login("ada"), IsOk());
  EXPECT_THAT(Login("ADA", "wrong"), HasReason("WRONG_CREDENTIALS"));
  EXPECT_THAT(Login("Ada"), IsOk());
  const absl::Status refused = Login("ada");
  EXPECT_THAT(refused, HasReason("RATE_LIMITED"));
  EXPECT_TRUE(grpccommon::RetryDelayOf(refused).has_value());
  EXPECT_THAT(refused.ToString(), Not(HasSubstr("ada")));
  EXPECT_THAT(Login("bob"), IsOk());
  // It tells nothing about who is there.
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Login("nobody"), HasReason("WRONG_CREDENTIALS"));
  }
  EXPECT_EQ(Login("nobody").message(), refused.message());
}

TEST_F(LimitsTest, RegistrationsAreFewWhoeverComes) {
  EXPECT_THAT(Register("ada"), IsOk());
  EXPECT_THAT(Register("bob"), IsOk());
  EXPECT_THAT(Register("eve"), HasReason("RATE_LIMITED"));
  EXPECT_THAT(Login("bob"), IsOk()) << "they have a limit of their own";
}

}  // namespace
}  // namespace platform::user
