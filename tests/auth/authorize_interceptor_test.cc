// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/authorize_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "auth/reason_matcher.h"
#include "grpccommon/auth/authenticate_interceptor.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

Method MakeMethod(const std::string& name, AccessRule access,
                  std::size_t index = 0) {
  Method method;
  method.path = "/shop.v1.OrderService/" + name;
  method.service = "shop.v1.OrderService";
  method.name = name;
  method.index = index;
  method.policy.access = std::move(access);
  return method;
}

const AccessRule kDefault{};
const AccessRule kPublic{.kind = AccessRule::Kind::kPublic};
const AccessRule kAuthenticated{.kind = AccessRule::Kind::kAuthenticated};
const AccessRule kSupport{.kind = AccessRule::Kind::kAnyOf,
                          .roles = {"support", "admin"}};

class AuthorizeInterceptorTest : public ::testing::Test {
 protected:
  void Create(AuthorizeOptions options = {}) {
    options.audit = Logger(sink_, "test");
    auto created = AuthorizeInterceptor::Create(std::move(options), scheduler_);
    ASSERT_THAT(created, IsOk());
    interceptor_ = *std::move(created);
  }
  absl::Status Call(const Method& method, const Principal& principal = {}) {
    testing::FakeCall call(
        {.method = method, .metadata = {{"x-request-id", "req-1"}}});
    call->set_principal(std::make_shared<const Principal>(principal));
    return interceptor_->OnStart(*call);
  }
  absl::Status RegisterAndCall(const Method& method,
                               const Principal& principal = {}) {
    EXPECT_THAT(interceptor_->Register(method), IsOk());
    return Call(method, principal);
  }

  const Principal alice_{.subject = "alice", .issuer = "idp"};
  const Principal support_{
      .subject = "sue", .issuer = "idp", .roles = {"support"}};
  testing::FakeClock clock_;
  testing::FakeScheduler scheduler_{clock_};
  testing::TemporaryFolder folder_;
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
  std::unique_ptr<AuthorizeInterceptor> interceptor_;
};

TEST_F(AuthorizeInterceptorTest, EnforcesTheContract) {
  Create();
  EXPECT_THAT(RegisterAndCall(MakeMethod("Public", kPublic)), IsOk());
  const Method known = MakeMethod("Known", kAuthenticated, 1);
  EXPECT_THAT(RegisterAndCall(known),
              HasReason(auth_reason::kCredentialMissing));
  EXPECT_THAT(Call(known, alice_), IsOk());
  const Method refund = MakeMethod("Refund", kSupport, 2);
  EXPECT_THAT(RegisterAndCall(refund),
              HasReason(auth_reason::kCredentialMissing));
  EXPECT_THAT(Call(refund, alice_), HasReason(auth_reason::kRoleMissing));
  EXPECT_THAT(Call(refund, support_), IsOk());
}

TEST_F(AuthorizeInterceptorTest, SaysWhatWouldDo) {
  Create({.credential_hint = "send `x-api-key: <key>`"});
  const Method refund = MakeMethod("Refund", kSupport);
  EXPECT_THAT(
      RegisterAndCall(refund),
      FailsWith(absl::StatusCode::kUnauthenticated, "send `x-api-key: <key>`"));
  EXPECT_THAT(Call(refund, alice_),
              FailsWith(absl::StatusCode::kPermissionDenied,
                        "needs one of the roles support, admin"));
}

TEST_F(AuthorizeInterceptorTest, WithoutContractTheDefaultDecides) {
  Create();
  EXPECT_THAT(RegisterAndCall(MakeMethod("A", kDefault)),
              HasReason(auth_reason::kCredentialMissing));
  Create({.default_access = kPublic});
  EXPECT_THAT(RegisterAndCall(MakeMethod("A", kDefault)), IsOk());
  Create({.default_access = kSupport});
  EXPECT_THAT(RegisterAndCall(MakeMethod("A", kDefault), alice_),
              HasReason(auth_reason::kRoleMissing));
}

TEST_F(AuthorizeInterceptorTest, StaysOutOfCallsThatItCannotRefuse) {
  Create({.default_access = kPublic});
  EXPECT_FALSE(interceptor_->Register(MakeMethod("A", kDefault))->any());
  EXPECT_TRUE(interceptor_->Register(MakeMethod("B", kSupport, 1))->start);
  // A generic service's calls go by the default, whatever its own name has.
  Create({.default_access = kSupport, .public_methods = {"*"}});
  EXPECT_TRUE(interceptor_->Register(MakeMethod("A", kDefault))->start);
  // A policy may change.
  Create({.default_access = kPublic,
          .policy_file = folder_.Write("policy.json", "{\"rules\":[]}")});
  EXPECT_TRUE(interceptor_->Register(MakeMethod("A", kDefault))->start);
}

TEST_F(AuthorizeInterceptorTest, HealthIsPublicUnlessItsContractSaysOtherwise) {
  Create();
  Method health = MakeMethod("Check", kDefault);
  health.path = "/grpc.health.v1.Health/Check";
  EXPECT_THAT(RegisterAndCall(health), IsOk());
  health.policy.access = kAuthenticated;
  health.index = 1;
  EXPECT_THAT(RegisterAndCall(health),
              HasReason(auth_reason::kCredentialMissing));
}

TEST_F(AuthorizeInterceptorTest, TellsWhatWasWrongWithAnIgnoredCredential) {
  Create();
  const Method method = MakeMethod("Known", kAuthenticated);
  ASSERT_THAT(interceptor_->Register(method), IsOk());
  testing::FakeCall call({.method = method});
  call->values().Set(RejectedCredential{
      Unauthenticated(auth_reason::kTokenExpired, "the token has expired")});
  EXPECT_THAT(interceptor_->OnStart(*call),
              HasReason(auth_reason::kTokenExpired));
}

TEST_F(AuthorizeInterceptorTest, WritesAnAuditLineForEachDenial) {
  Create();
  EXPECT_FALSE(RegisterAndCall(MakeMethod("Refund", kSupport), alice_).ok());
  ASSERT_THAT(sink_->lines(), SizeIs(1));
  const std::string line = sink_->lines()[0];
  using testing::RecordingLogSink;
  EXPECT_EQ(RecordingLogSink::Field(line, "msg"), "access denied");
  EXPECT_EQ(RecordingLogSink::Field(line, "grpc.method"),
            "/shop.v1.OrderService/Refund");
  EXPECT_EQ(RecordingLogSink::Field(line, "grpc.code"), "PERMISSION_DENIED");
  EXPECT_EQ(RecordingLogSink::Field(line, "reason"), "ROLE_MISSING");
  EXPECT_EQ(RecordingLogSink::Field(line, "principal"), "alice");
  EXPECT_EQ(RecordingLogSink::Field(line, "issuer"), "idp");
  EXPECT_EQ(RecordingLogSink::Field(line, "peer"), "ipv4:127.0.0.1:4711");
  EXPECT_EQ(RecordingLogSink::Field(line, "request_id"), "req-1");
  EXPECT_THAT(RegisterAndCall(MakeMethod("Refund", kSupport), support_),
              IsOk());
  EXPECT_THAT(sink_->lines(), SizeIs(1)) << "none for an admission";
}

TEST_F(AuthorizeInterceptorTest, ReadsThePolicyFileAgainForRegisteredMethods) {
  const std::string path = folder_.Write("policy.json", R"({"rules":[
      {"methods":["/shop.v1.*/Refund"],"effect":"only","subjects":["alice"]}]})");
  Create({.policy_file = path});
  const Method refund = MakeMethod("Refund", kSupport);
  EXPECT_THAT(RegisterAndCall(refund, alice_), IsOk());
  EXPECT_THAT(Call(refund, support_),
              FailsWith(absl::StatusCode::kPermissionDenied,
                        "not open to this caller"));
  folder_.Write("policy.json", R"({"rules":[
      {"methods":["/**"],"effect":"deny","subjects":["alice"]}]})");
  clock_.Advance(5s);
  EXPECT_THAT(Call(refund, alice_), HasReason(auth_reason::kAccessDenied));
  EXPECT_THAT(Call(refund, support_), IsOk());
  EXPECT_THAT(sink_->LinesWhere("msg", "access policy reloaded"), SizeIs(1));
}

TEST_F(AuthorizeInterceptorTest, ABrokenPolicyKeepsTheOldOneAndSaysSo) {
  const std::string path = folder_.Write("policy.json", R"({"rules":[
      {"methods":["/**"],"effect":"deny","subjects":["alice"]}]})");
  Create({.policy_file = path});
  const Method method = MakeMethod("Known", kAuthenticated);
  EXPECT_THAT(RegisterAndCall(method, alice_),
              HasReason(auth_reason::kAccessDenied));
  EXPECT_THAT(interceptor_->policy_status(), IsOk());
  sink_->Clear();

  folder_.Write(
      "policy.json",
      R"({"rules":[{"methods":["/**"],"anyone":true,"efect":"allow"}]})");
  clock_.Advance(5s);
  EXPECT_THAT(Call(method, alice_), HasReason(auth_reason::kAccessDenied));
  EXPECT_THAT(interceptor_->policy_status(),
              FailsWith(absl::StatusCode::kInvalidArgument, "\"efect\""));
  EXPECT_THAT(sink_->LinesWhere("level", "error"), SizeIs(1));
  EXPECT_THAT(sink_->text(), HasSubstr("efect"));

  folder_.Write("policy.json", R"({"rules":[]})");
  clock_.Advance(5s);
  EXPECT_THAT(Call(method, alice_), IsOk());
  EXPECT_THAT(interceptor_->policy_status(), IsOk());
}

TEST_F(AuthorizeInterceptorTest, RulesForAGenericServiceGoByTheCalledPath) {
  const std::string path = folder_.Write("policy.json", R"({"rules":[
      {"methods":["/shop.v1.OrderService/Refund"],"effect":"deny","anyone":true}]})");
  Create({.policy_file = path});
  // Registered under a pattern of its own; called by another path.
  Method generic = MakeMethod("*", kAuthenticated);
  ASSERT_THAT(interceptor_->Register(generic), IsOk());
  Method called = MakeMethod("Refund", kAuthenticated, 7);  // not registered
  EXPECT_THAT(Call(called, alice_), HasReason(auth_reason::kAccessDenied));
  called = MakeMethod("Other", kAuthenticated, 7);
  EXPECT_THAT(Call(called, alice_), IsOk());
  EXPECT_THAT(Call(called), HasReason(auth_reason::kCredentialMissing));
}

TEST_F(AuthorizeInterceptorTest, DecidesOnManyThreadsWhileThePolicyChanges) {
  constexpr char kDenyMallory[] = R"({"rules":[
      {"methods":["/**"],"effect":"deny","subjects":["mallory"]}]})";
  const std::string path = folder_.Write("policy.json", kDenyMallory);
  Create({.policy_file = path});
  const Method method = MakeMethod("Known", kAuthenticated);
  ASSERT_THAT(interceptor_->Register(method), IsOk());
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!done) {
        wrong += !Call(method, alice_).ok();
        wrong += Call(method, {.subject = "mallory"}).ok();
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    folder_.Write("policy.json", kDenyMallory + std::string(i + 1, '\n'));
    clock_.Advance(5s);
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(AuthorizeInterceptorTest, CreateNamesWhatIsWrong) {
  const auto create = [&](AuthorizeOptions options) {
    return AuthorizeInterceptor::Create(std::move(options), scheduler_)
        .status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(create({.default_access = kDefault}),
              FailsWith(kInvalid, "default_access"));
  EXPECT_THAT(create({.check_interval = 0s}),
              FailsWith(kInvalid, "check_interval"));
  EXPECT_THAT(create({.policy_file = "/nowhere"}),
              FailsWith(absl::StatusCode::kNotFound, "/nowhere"));
  EXPECT_THAT(create({.policy_file = folder_.Write("p", "{")}),
              FailsWith(kInvalid, "not JSON"));
}

TEST_F(AuthorizeInterceptorTest, RunsAtCheckAndOnlyAtTheStart) {
  Create();
  EXPECT_EQ(interceptor_->stage(), Stage::kCheck);
  const absl::StatusOr<Hooks> hooks =
      interceptor_->Register(MakeMethod("A", kPublic));
  ASSERT_THAT(hooks, IsOk());
  EXPECT_TRUE(hooks->start);
  EXPECT_FALSE(hooks->finish || hooks->received || hooks->sent);
}

}  // namespace
}  // namespace grpccommon
