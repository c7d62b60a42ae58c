// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/credentials_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "auth/reason_matcher.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_client_call.h"

namespace grpccommon {
namespace {

using testing::FakeCall;
using testing::FakeClientCall;

class EmptyProvider : public TokenProvider {
 public:
  absl::StatusOr<std::shared_ptr<const std::string>> Token() const override {
    return absl::UnavailableError("no token");
  }
};

class CredentialsInterceptorTest : public ::testing::Test {
 protected:
  const std::shared_ptr<TokenProvider> token_ = *CreateStaticToken("abc.def");
  CredentialsInterceptor interceptor_{token_};
};

TEST_F(CredentialsInterceptorTest, ShowsTheToken) {
  FakeClientCall call({.secure = true});
  EXPECT_THAT(interceptor_.OnStart(*call), IsOk());
  EXPECT_EQ(call.metadata("authorization"), "Bearer abc.def");
  EXPECT_EQ(call.metadata("x-api-key"), std::nullopt);
}

TEST_F(CredentialsInterceptorTest, ShowsAnApiKey) {
  CredentialsInterceptor interceptor(
      token_, {.scheme = CredentialsInterceptorOptions::Scheme::kApiKey});
  FakeClientCall call({.secure = true});
  EXPECT_THAT(interceptor.OnStart(*call), IsOk());
  EXPECT_EQ(call.metadata("x-api-key"), "abc.def");
  EXPECT_EQ(call.metadata("authorization"), std::nullopt);
}

TEST_F(CredentialsInterceptorTest, ShowsNothingOnPlaintextUnlessToldTo) {
  FakeClientCall call;
  const absl::Status refused = interceptor_.OnStart(*call);
  EXPECT_THAT(refused, FailsWith(absl::StatusCode::kFailedPrecondition,
                                 "set allow_plaintext"));
  EXPECT_THAT(refused, HasReason(auth_reason::kInsecureConnection));
  EXPECT_EQ(call.metadata("authorization"), std::nullopt);

  CredentialsInterceptor lenient(token_, {.allow_plaintext = true});
  EXPECT_THAT(lenient.OnStart(*call), IsOk());
  EXPECT_EQ(call.metadata("authorization"), "Bearer abc.def");
}

TEST_F(CredentialsInterceptorTest, PassesTheCallersOnInPlaceOfItsOwn) {
  FakeCall parent({.metadata = {{"authorization", "Bearer user"}}});
  FakeClientCall call(
      {.parent = &*parent, .secure = true, .forward_credentials = true});
  EXPECT_THAT(interceptor_.OnStart(*call), IsOk());
  EXPECT_EQ(call.metadata("authorization"), "Bearer user");

  FakeCall by_key({.metadata = {{"x-api-key", "k1"}}});
  FakeClientCall forwarded(
      {.parent = &*by_key, .secure = true, .forward_credentials = true});
  EXPECT_THAT(interceptor_.OnStart(*forwarded), IsOk());
  EXPECT_EQ(forwarded.metadata("x-api-key"), "k1");
  EXPECT_EQ(forwarded.metadata("authorization"), std::nullopt);

  FakeClientCall plaintext({.parent = &*parent, .forward_credentials = true});
  EXPECT_THAT(interceptor_.OnStart(*plaintext),
              HasReason(auth_reason::kInsecureConnection));
}

TEST_F(CredentialsInterceptorTest, LendsItsOwnToNobody) {
  FakeCall anonymous;
  FakeClientCall call({.parent = &*anonymous, .forward_credentials = true});
  EXPECT_THAT(interceptor_.OnStart(*call), IsOk());
  EXPECT_EQ(call.metadata("authorization"), std::nullopt);
  FakeClientCall without_parent({.forward_credentials = true});
  EXPECT_THAT(interceptor_.OnStart(*without_parent), IsOk());
  EXPECT_EQ(without_parent.metadata("authorization"), std::nullopt);
}

TEST_F(CredentialsInterceptorTest, DoesNotPassTheCallersOnUnasked) {
  FakeCall parent({.metadata = {{"authorization", "Bearer user"}}});
  FakeClientCall call({.parent = &*parent, .secure = true});
  EXPECT_THAT(interceptor_.OnStart(*call), IsOk());
  EXPECT_EQ(call.metadata("authorization"), "Bearer abc.def");
  CredentialsInterceptor forwards_only(nullptr);
  FakeClientCall other({.parent = &*parent, .secure = true});
  EXPECT_THAT(forwards_only.OnStart(*other), IsOk());
  EXPECT_EQ(other.metadata("authorization"), std::nullopt);
}

TEST_F(CredentialsInterceptorTest, RefusesTheCallWithoutAToken) {
  CredentialsInterceptor interceptor(std::make_shared<EmptyProvider>());
  FakeClientCall call({.secure = true});
  EXPECT_THAT(interceptor.OnStart(*call),
              FailsWith(absl::StatusCode::kUnavailable, "no token"));
}

}  // namespace
}  // namespace grpccommon
