// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/ratelimit/rate_limit_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "google/protobuf/wrappers.pb.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using testing::FakeCall;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class RateLimitInterceptorTest : public ::testing::Test {
 protected:
  static Method MakeMethod(const std::string& name, std::size_t index,
                           std::optional<RateLimitRule> rule) {
    Method method = {.path = "/t.v1.T/" + name, .service = "t.v1.T"};
    method.name = name;
    method.index = index;
    method.policy.rate_limit = rule;
    return method;
  }

  void Create(RateLimitOptions options = {}) {
    interceptor_ = *RateLimitInterceptor::Create(std::move(options), clock_);
  }

  Hooks Register(const Method& method) {
    const absl::StatusOr<Hooks> hooks = interceptor_->Register(method);
    EXPECT_TRUE(hooks.ok()) << hooks.status();
    return hooks.value_or(Hooks::None());
  }

  // One call; an empty subject is an anonymous one.
  absl::Status Call(const Method& method, const std::string& subject,
                    const std::string& peer = "ipv4:192.0.2.1:4711") {
    FakeCall call({.method = method, .peer = peer, .clock = &clock_});
    if (!subject.empty()) {
      auto principal = std::make_shared<Principal>();
      principal->subject = subject;
      call->set_principal(std::move(principal));
    }
    return call.Sent(interceptor_->OnStart(*call));
  }

  testing::FakeClock clock_;
  std::unique_ptr<RateLimitInterceptor> interceptor_;
};

TEST_F(RateLimitInterceptorTest, SaysWhenToComeAgain) {
  Create();
  const Method method =
      MakeMethod("Get", 0, RateLimitRule{.rate = 3, .burst = 1});
  EXPECT_TRUE(Register(method).start);
  ASSERT_TRUE(Call(method, "ada").ok());

  FakeCall call({.method = method, .clock = &clock_});
  auto principal = std::make_shared<Principal>();
  principal->subject = "ada";
  call->set_principal(std::move(principal));
  const absl::Status status = call.Sent(interceptor_->OnStart(*call));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "RATE_LIMITED");
  EXPECT_EQ(RetryDelayOf(status), 333'333'333ns);
  google::rpc::QuotaFailure quota;
  ASSERT_TRUE(GetDetail(status, quota));
  EXPECT_EQ(quota.violations(0).subject(), "/t.v1.T/Get");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("3 calls a second, or 1 at once, for each principal"));
  EXPECT_THAT(call.trailing_metadata(),
              ElementsAre(Pair("grpc-retry-pushback-ms", "334")));

  clock_.Advance(333'333'333ns);
  EXPECT_TRUE(Call(method, "ada").ok());
}

TEST_F(RateLimitInterceptorTest, TellsAnAdmittedCallNothing) {
  Create();
  const Method method = MakeMethod("Get", 0, RateLimitRule{.rate = 1});
  Register(method);
  FakeCall call({.method = method, .clock = &clock_});
  EXPECT_TRUE(interceptor_->OnStart(*call).ok());
  EXPECT_THAT(call.trailing_metadata(), IsEmpty());
}

TEST_F(RateLimitInterceptorTest, KeysByPrincipalAndElseByPeer) {
  Create();
  const Method method =
      MakeMethod("Get", 0, RateLimitRule{.rate = 1, .burst = 1});
  Register(method);
  EXPECT_TRUE(Call(method, "ada").ok());
  EXPECT_TRUE(Call(method, "bob").ok());
  EXPECT_FALSE(Call(method, "ada", "ipv4:192.0.2.9:1").ok());
  EXPECT_TRUE(Call(method, "", "ipv4:192.0.2.1:1").ok());
  EXPECT_FALSE(Call(method, "", "ipv4:192.0.2.1:2").ok());
  EXPECT_TRUE(Call(method, "", "ipv4:192.0.2.2:1").ok());
  EXPECT_EQ(interceptor_->callers().keys(), 4u);
}

TEST_F(RateLimitInterceptorTest, KeysByPeerWhoeverItIs) {
  Create();
  const Method method = MakeMethod(
      "Get", 0,
      RateLimitRule{.rate = 1, .burst = 1, .key = RateLimitKey::kPeer});
  Register(method);
  EXPECT_TRUE(Call(method, "ada", "ipv6:[2001:db8::1]:1").ok());
  EXPECT_FALSE(Call(method, "bob", "ipv6:[2001:db8::2]:1").ok());
  EXPECT_TRUE(Call(method, "bob", "ipv6:[2001:db8:0:1::2]:1").ok());
  EXPECT_TRUE(Call(method, "ada", "unix:/run/s").ok());
}

TEST_F(RateLimitInterceptorTest, SharesOneBudgetForAMethod) {
  Create();
  const Method method = MakeMethod(
      "Get", 0,
      RateLimitRule{.rate = 1, .burst = 2, .key = RateLimitKey::kMethod});
  Register(method);
  EXPECT_TRUE(Call(method, "ada").ok());
  EXPECT_TRUE(Call(method, "bob").ok());
  EXPECT_FALSE(Call(method, "eve").ok());
}

TEST_F(RateLimitInterceptorTest, KeepsTheBudgetsOfMethodsApart) {
  Create();
  const Method get = MakeMethod("Get", 0, RateLimitRule{.rate = 1});
  const Method put = MakeMethod("Put", 1, RateLimitRule{.rate = 1});
  const Method free = MakeMethod("Free", 2, std::nullopt);
  Register(get);
  Register(put);
  EXPECT_FALSE(Register(free).any());
  EXPECT_TRUE(Call(get, "ada").ok());
  EXPECT_TRUE(Call(put, "ada").ok());
  EXPECT_FALSE(Call(get, "ada").ok());
}

TEST_F(RateLimitInterceptorTest, OverridesTheContract) {
  Create({.default_rule = RateLimitRule{.rate = 1, .burst = 1},
          .overrides = {{Selector::Path("/t.v1.T/Lifted"), std::nullopt},
                        {Selector::Path("/t.v1.T/Wider"),
                         RateLimitRule{.rate = 1, .burst = 3}},
                        {Selector::Service("t.v1.T") &&
                             Selector::If([](const Method& method) {
                               return method.name == "Wider";
                             }),
                         std::nullopt}}});
  const RateLimitRule rule{.rate = 1, .burst = 1};
  const Method lifted = MakeMethod("Lifted", 0, rule);
  const Method wider = MakeMethod("Wider", 1, rule);
  const Method without = MakeMethod("Without", 2, std::nullopt);
  EXPECT_FALSE(Register(lifted).any());
  Register(wider);
  EXPECT_TRUE(Register(without).start);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Call(wider, "ada").ok());
  EXPECT_FALSE(Call(wider, "ada").ok());
  EXPECT_TRUE(Call(without, "ada").ok());
  EXPECT_FALSE(Call(without, "ada").ok());
}

TEST_F(RateLimitInterceptorTest, LimitsAllMethodsTogether) {
  Create({.server_rule = RateLimitRule{.rate = 1, .burst = 2}});
  const Method get = MakeMethod("Get", 0, std::nullopt);
  const Method put = MakeMethod("Put", 1, RateLimitRule{.rate = 1});
  EXPECT_TRUE(Register(get).start);
  Register(put);
  EXPECT_TRUE(Call(get, "ada").ok());
  EXPECT_TRUE(Call(put, "ada").ok());
  const absl::Status status = Call(get, "ada");
  google::rpc::QuotaFailure quota;
  ASSERT_TRUE(GetDetail(status, quota));
  EXPECT_EQ(quota.violations(0).subject(), "server");
  EXPECT_TRUE(Call(get, "bob").ok());
}

TEST_F(RateLimitInterceptorTest, AdditionalRulesCountBesideTheMethods) {
  Create({.additional = {
              {.methods = Selector::Path("/t.v1.T/Put"),
               .rule = {.rate = 1, .burst = 3, .key = RateLimitKey::kMethod}},
              {.rule = {.rate = 1, .burst = 5, .key = RateLimitKey::kPeer}}}});
  const Method put = MakeMethod("Put", 0, RateLimitRule{.rate = 1, .burst = 2});
  const Method get = MakeMethod("Get", 1, std::nullopt);
  EXPECT_TRUE(Register(put).start);
  EXPECT_TRUE(Register(get).start);
  EXPECT_TRUE(Call(put, "ada").ok());
  EXPECT_TRUE(Call(put, "ada").ok());
  EXPECT_THAT(std::string(Call(put, "ada").message()),
              HasSubstr("2 at once, for each principal"));
  EXPECT_TRUE(Call(put, "bob").ok());
  const absl::Status all = Call(put, "eve");
  EXPECT_THAT(std::string(all.message()),
              HasSubstr("3 at once, for all callers together"));
  EXPECT_EQ(RetryDelayOf(all), 1s);
  // The same rule has another budget for another method.
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Call(get, "ada").ok()) << i;
  EXPECT_THAT(std::string(Call(get, "bob").message()),
              HasSubstr("5 at once, for each address"));
}

TEST_F(RateLimitInterceptorTest, LimitsByWhatARequestIsAbout) {
  Create({.additional = {
              {.rule = {.rate = 1, .burst = 2, .key = RateLimitKey::kMethod},
               .key = [](const google::protobuf::Message& request) {
                 return dynamic_cast<const google::protobuf::StringValue&>(
                            request)
                     .value();
               }}}});
  const Method method = MakeMethod("Login", 0, std::nullopt);
  Register(method);
  const auto call = [&](const std::string& about, const std::string& peer) {
    google::protobuf::StringValue request;
    request.set_value(about);
    FakeCall fake({.method = method,
                   .peer = peer,
                   .request = &request,
                   .clock = &clock_});
    return fake.Sent(interceptor_->OnStart(*fake));
  };
  EXPECT_TRUE(call("ada", "ipv4:192.0.2.1:1").ok());
  EXPECT_TRUE(call("ada", "ipv4:192.0.2.2:1").ok());
  const absl::Status refused = call("ada", "ipv4:192.0.2.3:1");
  EXPECT_EQ(ReasonOf(refused), "RATE_LIMITED");
  EXPECT_EQ(RetryDelayOf(refused), 1s);
  EXPECT_THAT(refused.ToString(), ::testing::Not(HasSubstr("ada")));
  EXPECT_TRUE(call("bob", "ipv4:192.0.2.3:1").ok());
  clock_.Advance(1s);
  EXPECT_TRUE(call("ada", "ipv4:192.0.2.3:1").ok());
  // About nothing, or without a message, as of a stream of the client's.
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(call("", "ipv4:192.0.2.1:1").ok());
    EXPECT_TRUE(Call(method, "ada").ok());
  }
}

TEST_F(RateLimitInterceptorTest, RefusesRulesOutOfRange) {
  const RateLimitRule wrong{.rate = 0};
  for (RateLimitOptions options :
       {RateLimitOptions{.default_rule = wrong},
        RateLimitOptions{.overrides = {{Selector(), wrong}}},
        RateLimitOptions{.server_rule = wrong},
        RateLimitOptions{.additional = {{.rule = wrong}}},
        RateLimitOptions{.max_keys = 0}}) {
    EXPECT_EQ(RateLimitInterceptor::Create(std::move(options), clock_)
                  .status()
                  .code(),
              absl::StatusCode::kInvalidArgument);
  }
  Create();
  const auto registered = interceptor_->Register(MakeMethod("Get", 0, wrong));
  EXPECT_THAT(std::string(registered.status().message()),
              HasSubstr("rate limit of /t.v1.T/Get: rate must be in"));
}

TEST_F(RateLimitInterceptorTest, RunsInItsStage) {
  Create();
  EXPECT_EQ(interceptor_->name(), "rate_limit");
  EXPECT_EQ(interceptor_->stage(), Stage::kLimit);
}

}  // namespace
}  // namespace grpccommon
