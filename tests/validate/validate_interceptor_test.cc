// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/validate/validate_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "google/protobuf/descriptor.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_call.h"
#include "validate/rules.pb.h"

namespace grpccommon {
namespace {

using testing::FakeCall;
using ::testing::HasSubstr;
using validate_test::v1::Plain;
using validate_test::v1::Strings;

class ValidateInterceptorTest : public ::testing::Test {
 protected:
  // The method `name` of the test service, as the server registers it.
  static Method MethodNamed(const std::string& name, std::size_t index = 0) {
    const auto* const descriptor = Plain::descriptor()
                                       ->file()
                                       ->FindServiceByName("RuleService")
                                       ->FindMethodByName(name);
    Method method = {.path = "/s/" + name, .service = "s", .name = name};
    method.kind =
        descriptor->client_streaming()
            ? (descriptor->server_streaming() ? CallKind::kBidiStream
                                              : CallKind::kClientStream)
            : CallKind::kUnary;
    method.index = index;
    method.policy = *CompilePolicy(*descriptor);
    method.descriptor = descriptor;
    return method;
  }

  Hooks Register(const Method& method) {
    const absl::StatusOr<Hooks> hooks = interceptor_.Register(method);
    EXPECT_TRUE(hooks.ok()) << hooks.status();
    return hooks.value_or(Hooks::None());
  }

  ValidateInterceptor interceptor_;
};

TEST_F(ValidateInterceptorTest, RefusesAnInvalidRequest) {
  const Method method = MethodNamed("Check");
  const Hooks hooks = Register(method);
  EXPECT_TRUE(hooks.start && !hooks.finish && !hooks.received && !hooks.sent);
  Strings request;
  FakeCall call({.method = method, .request = &request});
  EXPECT_EQ(interceptor_.OnStart(*call).code(),
            absl::StatusCode::kInvalidArgument);
  request.set_name("ada");
  EXPECT_TRUE(interceptor_.OnStart(*call).ok());
}

TEST_F(ValidateInterceptorTest, LeavesMethodsWithoutRulesAlone) {
  EXPECT_FALSE(Register(MethodNamed("CheckPlain")).any());
  EXPECT_FALSE(Register(Method()).any());  // a generic one
}

TEST_F(ValidateInterceptorTest, ChecksEachMessageOfAClientStream) {
  const Method method = MethodNamed("CheckAll", 3);
  const Hooks hooks = Register(method);
  EXPECT_TRUE(hooks.received && !hooks.start);
  FakeCall call({.method = method});
  Strings message;
  message.set_name("ada");
  EXPECT_TRUE(interceptor_.OnReceived(*call, &message).ok());
  message.set_name("a");
  const absl::Status status = interceptor_.OnReceived(*call, &message);
  EXPECT_THAT(std::string(status.message()), HasSubstr("name: must have"));
}

TEST_F(ValidateInterceptorTest, LeavesAStreamToAHandlerThatChecksItself) {
  Method method = MethodNamed("CheckAll", 3);
  method.policy.handler_checks_messages = true;
  EXPECT_FALSE(Register(method).any());
  // A call of one message succeeds or fails as a whole.
  method = MethodNamed("Check", 4);
  method.policy.handler_checks_messages = true;
  EXPECT_TRUE(Register(method).any());
}

TEST_F(ValidateInterceptorTest, BoundsTheSizeOfARequest) {
  const Method method = MethodNamed("CheckSmall");
  EXPECT_TRUE(Register(method).start);
  const Plain request;
  FakeCall call({.method = method, .request = &request});
  call.CountReceived(16);
  EXPECT_TRUE(interceptor_.OnStart(*call).ok());
  call.CountReceived(1);
  const absl::Status status = interceptor_.OnStart(*call);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), "REQUEST_TOO_LARGE");
  EXPECT_EQ(status.message(),
            "the request has 17 bytes, more than the 16 allowed");
}

TEST_F(ValidateInterceptorTest, BoundsEachMessageOfAStreamByItself) {
  const Method method = MethodNamed("CheckSmallAll");
  const Hooks hooks = Register(method);
  EXPECT_TRUE(hooks.start && hooks.received);
  FakeCall call({.method = method});
  ASSERT_TRUE(interceptor_.OnStart(*call).ok());
  const Plain message;
  for (int i = 0; i < 3; ++i) {
    call.CountReceived(16);
    EXPECT_TRUE(interceptor_.OnReceived(*call, &message).ok());
  }
  call.CountReceived(17);
  EXPECT_EQ(ReasonOf(interceptor_.OnReceived(*call, &message)),
            "REQUEST_TOO_LARGE");
}

TEST_F(ValidateInterceptorTest, ChecksOnlyTheSizeOfARawMethod) {
  Method method = MethodNamed("Check");
  method.policy.max_request_bytes = 8;
  Register(method);
  FakeCall call({.method = method, .request = nullptr});
  EXPECT_TRUE(interceptor_.OnStart(*call).ok());
  call.CountReceived(9);
  EXPECT_FALSE(interceptor_.OnStart(*call).ok());
}

TEST_F(ValidateInterceptorTest, KeepsMethodsApart) {
  const Method checked = MethodNamed("Check", 0);
  const Method stream = MethodNamed("CheckAll", 1);
  Register(checked);
  Register(stream);
  const Strings request;
  FakeCall call({.method = checked, .request = &request});
  EXPECT_FALSE(interceptor_.OnStart(*call).ok());
  EXPECT_EQ(interceptor_.name(), "validate");
  EXPECT_EQ(interceptor_.stage(), Stage::kCheck);
}

}  // namespace
}  // namespace grpccommon
