// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/empty.pb.h"
#include "google/protobuf/text_format.h"
#include "grpccommon/v1/options.pb.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::google::protobuf::MethodOptions;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

v1::MethodContract Contract(const std::string& text) {
  v1::MethodContract contract;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &contract))
      << text;
  return contract;
}

// What becomes of a method with this contract, in a service with `defaults`.
absl::StatusOr<MethodPolicy> Compile(
    const v1::MethodContract& contract, const v1::MethodContract& defaults = {},
    MethodOptions::IdempotencyLevel idempotency =
        MethodOptions::IDEMPOTENCY_UNKNOWN) {
  google::protobuf::FileDescriptorProto file;
  file.set_name("contract_test.proto");
  file.add_dependency(google::protobuf::Empty::descriptor()->file()->name());
  google::protobuf::ServiceDescriptorProto& service = *file.add_service();
  service.set_name("Service");
  *service.mutable_options()->MutableExtension(v1::defaults) = defaults;
  google::protobuf::MethodDescriptorProto& method = *service.add_method();
  method.set_name("Method");
  method.set_input_type(".google.protobuf.Empty");
  method.set_output_type(".google.protobuf.Empty");
  method.mutable_options()->set_idempotency_level(idempotency);
  *method.mutable_options()->MutableExtension(v1::method) = contract;
  google::protobuf::DescriptorPool pool(
      google::protobuf::DescriptorPool::generated_pool());
  return CompilePolicy(*pool.BuildFile(file)->service(0)->method(0));
}

absl::Status CompileRetry(const v1::RetryPolicy& retry) {
  v1::MethodContract contract;
  *contract.mutable_retry() = retry;
  return Compile(contract).status();
}

TEST(CompilePolicyTest, AContractThatSaysNothingLeavesAllToTheServer) {
  const absl::StatusOr<MethodPolicy> policy = Compile({});
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->access.kind, AccessRule::Kind::kDefault);
  EXPECT_FALSE(policy->rate_limit.has_value());
  EXPECT_FALSE(policy->timeout.has_value());
  EXPECT_FALSE(policy->retry.has_value());
  EXPECT_FALSE(policy->max_request_bytes.has_value());
  EXPECT_EQ(policy->priority, CallPriority::kNormal);
  EXPECT_EQ(policy->idempotency, Idempotency::kUnknown);
  EXPECT_FALSE(policy->handler_checks_messages);
}

TEST(CompilePolicyTest, ReadsWhoMayCall) {
  EXPECT_EQ(Compile(Contract("access { public: true }"))->access.kind,
            AccessRule::Kind::kPublic);
  EXPECT_EQ(Compile(Contract("access { authenticated: true }"))->access.kind,
            AccessRule::Kind::kAuthenticated);
  const absl::StatusOr<MethodPolicy> any = Compile(
      Contract("access { any_of { roles: ['a', 'b'] scopes: 'read' } }"));
  ASSERT_TRUE(any.ok()) << any.status();
  EXPECT_EQ(any->access.kind, AccessRule::Kind::kAnyOf);
  EXPECT_THAT(any->access.roles, ElementsAre("a", "b"));
  EXPECT_THAT(any->access.scopes, ElementsAre("read"));
}

TEST(CompilePolicyTest, NeverGuessesWhoMayCall) {
  for (const char* rule : {"", "public: false", "authenticated: false"}) {
    const absl::Status status =
        Compile(Contract("access { " + std::string(rule) + " }")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << rule;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("contract of Service.Method: access must say one of"))
        << rule;
  }
  const absl::Status nobody =
      Compile(Contract("access { any_of {} }")).status();
  EXPECT_EQ(nobody.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(nobody.message()),
              HasSubstr("names no role and no scope"));
}

TEST(CompilePolicyTest, AMethodsAccessReplacesItsServices) {
  const absl::StatusOr<MethodPolicy> policy =
      Compile(Contract("access { any_of { scopes: 'write' } }"),
              Contract("access { any_of { roles: 'admin' scopes: 'read' } }"));
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_THAT(policy->access.roles, IsEmpty());
  EXPECT_THAT(policy->access.scopes, ElementsAre("write"));
}

TEST(CompilePolicyTest, AMethodOverridesEachDefaultOnItsOwn) {
  const v1::MethodContract defaults = Contract(
      "access { authenticated: true } timeout { seconds: 3 } "
      "rate_limit { rate: 5 key: KEY_METHOD } max_request_bytes: 100 "
      "priority: PRIORITY_SHEDDABLE");
  const absl::StatusOr<MethodPolicy> same = Compile({}, defaults);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->access.kind, AccessRule::Kind::kAuthenticated);
  EXPECT_THAT(same->timeout, Optional(3s));
  EXPECT_EQ(same->rate_limit->key, RateLimitKey::kMethod);
  EXPECT_THAT(same->max_request_bytes, Optional(100u));
  EXPECT_EQ(same->priority, CallPriority::kSheddable);

  const absl::StatusOr<MethodPolicy> other =
      Compile(Contract("timeout { nanos: 500000000 } rate_limit { rate: 7 } "
                       "max_request_bytes: 1 priority: PRIORITY_NORMAL"),
              defaults);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->access.kind, AccessRule::Kind::kAuthenticated);
  EXPECT_THAT(other->timeout, Optional(500ms));
  EXPECT_EQ(other->rate_limit->rate, 7);
  EXPECT_EQ(other->rate_limit->key, RateLimitKey::kPrincipal);
  EXPECT_THAT(other->max_request_bytes, Optional(1u));
  EXPECT_EQ(other->priority, CallPriority::kNormal);
}

TEST(CompilePolicyTest, OnlyAMethodSaysThatItsHandlerChecksMessages) {
  const v1::MethodContract checks = Contract("handler_checks_messages: true");
  EXPECT_TRUE(Compile(checks)->handler_checks_messages);
  const absl::Status status = Compile({}, checks).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("set it on the methods"));
}

TEST(CompilePolicyTest, ABrokenDefaultIsNotHiddenByWhatOverridesIt) {
  EXPECT_FALSE(
      Compile(Contract("access { public: true }"), Contract("access {}")).ok());
}

TEST(CompilePolicyTest, ReadsPriorityAndIdempotency) {
  EXPECT_EQ(Compile(Contract("priority: PRIORITY_CRITICAL"))->priority,
            CallPriority::kCritical);
  EXPECT_EQ(Compile({}, {}, MethodOptions::NO_SIDE_EFFECTS)->idempotency,
            Idempotency::kNoSideEffects);
  EXPECT_EQ(Compile({}, {}, MethodOptions::IDEMPOTENT)->idempotency,
            Idempotency::kIdempotent);
}

TEST(CompilePolicyTest, ABurstThatIsNotSetIsTheRateAndAtLeastOne) {
  EXPECT_EQ(Compile(Contract("rate_limit { rate: 2.5 }"))->rate_limit->burst,
            2);
  EXPECT_EQ(Compile(Contract("rate_limit { rate: 0.001 }"))->rate_limit->burst,
            1);
  EXPECT_EQ(Compile(Contract("rate_limit { rate: 1e6 }"))->rate_limit->burst,
            1'000'000);
  const absl::StatusOr<MethodPolicy> own =
      Compile(Contract("rate_limit { rate: 0.5 burst: 9 key: KEY_PEER }"));
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->rate_limit->burst, 9);
  EXPECT_EQ(own->rate_limit->key, RateLimitKey::kPeer);
}

TEST(CompilePolicyTest, RefusesRateLimitsOutOfRange) {
  for (const char* rate :
       {"0", "-1", "0.0009", "1000001", "1e300", "inf", "-inf", "nan"}) {
    const absl::Status status =
        Compile(Contract("rate_limit { rate: " + std::string(rate) + " }"))
            .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << rate;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("rate_limit.rate must be in"))
        << rate;
  }
  for (const char* burst : {"-1", "1000001", "-9223372036854775808"}) {
    const absl::Status status =
        Compile(Contract("rate_limit { rate: 1 burst: " + std::string(burst) +
                         " }"))
            .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << burst;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("rate_limit.burst must be in"))
        << burst;
  }
}

TEST(CompilePolicyTest, RefusesTimeoutsOutOfRange) {
  EXPECT_THAT(Compile(Contract("timeout { nanos: 1 }"))->timeout,
              Optional(std::chrono::nanoseconds(1)));
  EXPECT_THAT(Compile(Contract("timeout { seconds: 86400 }"))->timeout,
              Optional(std::chrono::hours(24)));
  for (const char* timeout :
       {"", "nanos: -1", "seconds: -1", "seconds: 86400 nanos: 1",
        "seconds: 9223372036854775807", "seconds: -9223372036854775808"}) {
    const absl::Status status =
        Compile(Contract("timeout { " + std::string(timeout) + " }")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << timeout;
    EXPECT_THAT(std::string(status.message()), HasSubstr("timeout must be in"))
        << timeout;
  }
}

TEST(CompilePolicyTest, TakesTheCodesThatMayBeRetriedAndNoOthers) {
  v1::RetryPolicy retry;
  retry.set_max_attempts(2);
  EXPECT_TRUE(CompileRetry(retry).ok());
  for (int code = 0; code <= 17; ++code) {
    retry.clear_codes();
    retry.add_codes(static_cast<unsigned>(code));
    const absl::Status status = CompileRetry(retry);
    if (code >= 2 && code <= 16) {
      EXPECT_TRUE(status.ok()) << status;
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_NE(std::string(status.message())
                    .find("retry.codes must be in [2, 16], got " +
                          std::to_string(code)),
                std::string::npos)
          << status;
    }
  }
}

TEST(CompilePolicyTest, RefusesRetriesOutOfRange) {
  v1::RetryPolicy retry;
  for (const unsigned attempts : {0U, 11U, 4294967295U}) {
    retry.set_max_attempts(attempts);
    EXPECT_EQ(CompileRetry(retry).code(), absl::StatusCode::kInvalidArgument);
  }
  retry.set_max_attempts(10);
  EXPECT_TRUE(CompileRetry(retry).ok());
  retry.mutable_initial_backoff()->set_seconds(2);
  retry.mutable_max_backoff()->set_seconds(1);
  EXPECT_EQ(CompileRetry(retry).code(), absl::StatusCode::kInvalidArgument);
  retry.mutable_max_backoff()->set_seconds(2);
  EXPECT_TRUE(CompileRetry(retry).ok());
  retry.mutable_attempt_timeout()->set_seconds(-1);
  EXPECT_EQ(CompileRetry(retry).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace grpccommon
