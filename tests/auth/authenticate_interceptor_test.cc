// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/authenticate_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/reason_matcher.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/recording_log_sink.h"

namespace grpccommon {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class AuthenticateInterceptorTest : public ::testing::Test {
 protected:
  std::unique_ptr<AuthenticateInterceptor> Make(bool ignore = false) {
    return std::make_unique<AuthenticateInterceptor>(
        CreateApiKeyAuthenticator(*ApiKeySet::Create(
            {{.name = "ci", .sha256 = HashApiKey("the-key")}})),
        AuthenticateOptions{.ignore_bad_credentials = ignore,
                            .audit = Logger(sink_, "test")});
  }
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
};

TEST_F(AuthenticateInterceptorTest, SetsThePrincipal) {
  testing::FakeCall call({.metadata = {{"x-api-key", "the-key"}}});
  EXPECT_THAT(Make()->OnStart(*call), IsOk());
  EXPECT_EQ(call->principal().subject, "ci");
  EXPECT_THAT(sink_->lines(), IsEmpty());
}

TEST_F(AuthenticateInterceptorTest, LeavesACallWithoutCredentialAnonymous) {
  testing::FakeCall call;
  EXPECT_THAT(Make()->OnStart(*call), IsOk());
  EXPECT_TRUE(call->principal().anonymous());
}

TEST_F(AuthenticateInterceptorTest, RefusesABadCredentialOnPublicMethodsToo) {
  testing::FakeCallOptions options{
      .metadata = {{"x-api-key", "wrong-key"}, {"x-request-id", "req-1"}}};
  options.method.policy.access.kind = AccessRule::Kind::kPublic;
  testing::FakeCall call(options);
  EXPECT_THAT(Make()->OnStart(*call), HasReason(auth_reason::kApiKeyUnknown));
  EXPECT_TRUE(call->principal().anonymous());
}

TEST_F(AuthenticateInterceptorTest, WritesAnAuditLineWithoutTheCredential) {
  testing::FakeCall call(
      {.metadata = {{"x-api-key", "wrong-key"}, {"x-request-id", "req-1"}},
       .peer = "ipv4:10.0.0.1:99"});
  EXPECT_FALSE(Make()->OnStart(*call).ok());
  ASSERT_THAT(sink_->lines(), SizeIs(1));
  const std::string line = sink_->lines()[0];
  using testing::RecordingLogSink;
  EXPECT_EQ(RecordingLogSink::Field(line, "msg"), "access denied");
  EXPECT_EQ(RecordingLogSink::Field(line, "grpc.method"),
            "/test.v1.TestService/Test");
  EXPECT_EQ(RecordingLogSink::Field(line, "grpc.code"), "UNAUTHENTICATED");
  EXPECT_EQ(RecordingLogSink::Field(line, "reason"), "API_KEY_UNKNOWN");
  EXPECT_EQ(RecordingLogSink::Field(line, "peer"), "ipv4:10.0.0.1:99");
  EXPECT_EQ(RecordingLogSink::Field(line, "request_id"), "req-1");
  EXPECT_THAT(line, Not(HasSubstr("wrong-key")));
}

TEST_F(AuthenticateInterceptorTest, CanIgnoreABadCredential) {
  testing::FakeCall call({.metadata = {{"x-api-key", "wrong"}}});
  EXPECT_THAT(Make(true)->OnStart(*call), IsOk());
  EXPECT_TRUE(call->principal().anonymous());
  const auto* rejected = call->values().Get<RejectedCredential>();
  ASSERT_NE(rejected, nullptr);
  EXPECT_THAT(rejected->status, HasReason(auth_reason::kApiKeyUnknown));
}

TEST_F(AuthenticateInterceptorTest, RunsAtIdentifyAndOnlyAtTheStart) {
  const auto interceptor = Make();
  EXPECT_EQ(interceptor->stage(), Stage::kIdentify);
  const absl::StatusOr<Hooks> hooks = interceptor->Register(Method());
  ASSERT_THAT(hooks, IsOk());
  EXPECT_TRUE(hooks->start);
  EXPECT_FALSE(hooks->finish || hooks->received || hooks->sent);
}

}  // namespace
}  // namespace grpccommon
