// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/concurrency_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using testing::FakeCall;
using ::testing::HasSubstr;
using ::testing::Pair;

class ConcurrencyInterceptorTest : public ::testing::Test {
 protected:
  static Method MakeMethod(const std::string& name, std::size_t index,
                           CallKind kind = CallKind::kUnary) {
    Method method = {.path = "/t.v1.T/" + name, .service = "t.v1.T"};
    method.name = name;
    method.kind = kind;
    method.index = index;
    return method;
  }

  void Create(ConcurrencyOptions options) {
    interceptor_ = *ConcurrencyInterceptor::Create(std::move(options),
                                                   [this] { return random_; });
  }

  // Starts a call and does with it what the server does.
  absl::Status Start(const Method& method) {
    auto call = std::make_unique<FakeCall>(
        testing::FakeCallOptions{.method = method, .clock = &clock_});
    absl::Status status = call->Sent(interceptor_->OnStart(**call));
    if (!status.ok()) call->SetRefusedBy(interceptor_.get());
    calls_.push_back(std::move(call));
    return status;
  }

  // Ends the oldest call.
  void Finish(grpc::Status status = grpc::Status::OK) {
    interceptor_->OnFinish(**calls_.front(), status);
    calls_.erase(calls_.begin());
  }

  int in_flight() const { return interceptor_->server_limiter()->in_flight(); }

  testing::FakeClock clock_;
  double random_ = 0.5;
  std::unique_ptr<ConcurrencyInterceptor> interceptor_;
  std::vector<std::unique_ptr<FakeCall>> calls_;
};

TEST_F(ConcurrencyInterceptorTest, ShedsAboveTheServersLimit) {
  Create({.server_limit = FixedLimitOptions{2}, .normal_share = 1});
  const Method get = MakeMethod("Get", 0);
  const Method put = MakeMethod("Put", 1);
  ASSERT_TRUE(interceptor_->Register(get).ok());
  ASSERT_TRUE(interceptor_->Register(put).ok());
  EXPECT_TRUE(Start(get).ok());
  EXPECT_TRUE(Start(put).ok());
  const absl::Status status = Start(get);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), "CONCURRENCY_LIMIT");
  EXPECT_EQ(RetryDelayOf(status), 100ms);
  EXPECT_THAT(calls_.back()->trailing_metadata(),
              ElementsAre(Pair("grpc-retry-pushback-ms", "100")));
  Finish();
  EXPECT_TRUE(Start(get).ok());
}

TEST_F(ConcurrencyInterceptorTest, GivesEachPlaceBackOnce) {
  Create({.server_limit = FixedLimitOptions{3}, .normal_share = 1});
  const Method method = MakeMethod("Get", 0);
  const Hooks hooks = *interceptor_->Register(method);
  EXPECT_TRUE(hooks.start && hooks.finish && !hooks.received && !hooks.sent);
  for (int i = 0; i < 5; ++i) Start(method).IgnoreError();
  EXPECT_EQ(in_flight(), 3);
  // The two refused ones hold none to give back; in whatever way the others
  // end, they do.
  Finish();
  Finish(grpc::Status(grpc::StatusCode::INTERNAL, ""));
  Finish(grpc::Status::CANCELLED);
  EXPECT_EQ(in_flight(), 0);
  Finish();
  Finish();
  EXPECT_EQ(in_flight(), 0);
  EXPECT_EQ(interceptor_->server_limiter()->rejected(), 2u);
}

TEST_F(ConcurrencyInterceptorTest, GivesThePlaceBackOfACallThatAnotherRefused) {
  Create({.server_limit = FixedLimitOptions{1}});
  const Method method = MakeMethod("Get", 0);
  ASSERT_TRUE(interceptor_->Register(method).ok());
  ASSERT_TRUE(Start(method).ok());
  const auto other = *ConcurrencyInterceptor::Create({});
  calls_.back()->SetRefusedBy(other.get());
  Finish(grpc::Status(grpc::StatusCode::UNAUTHENTICATED, ""));
  EXPECT_EQ(in_flight(), 0);
}

TEST_F(ConcurrencyInterceptorTest, ShedsByPriority) {
  Create({.server_limit = FixedLimitOptions{10}});
  Method critical = MakeMethod("Pay", 0);
  critical.policy.priority = CallPriority::kCritical;
  const Method normal = MakeMethod("Get", 1);
  Method sheddable = MakeMethod("Prefetch", 2);
  sheddable.policy.priority = CallPriority::kSheddable;
  for (const Method& method : {critical, normal, sheddable}) {
    ASSERT_TRUE(interceptor_->Register(method).ok());
  }
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(Start(sheddable).ok());
  EXPECT_FALSE(Start(sheddable).ok());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Start(normal).ok());
  EXPECT_FALSE(Start(normal).ok());
  EXPECT_TRUE(Start(critical).ok());
  EXPECT_FALSE(Start(critical).ok());
}

TEST_F(ConcurrencyInterceptorTest, LimitsAMethodByItself) {
  Create({.server_limit = FixedLimitOptions{100},
          .method_limits = {
              {Selector::Path("/t.v1.T/Put"), FixedLimitOptions{1}}}});
  const Method get = MakeMethod("Get", 0);
  const Method put = MakeMethod("Put", 1);
  ASSERT_TRUE(interceptor_->Register(get).ok());
  ASSERT_TRUE(interceptor_->Register(put).ok());
  EXPECT_TRUE(Start(put).ok());
  const absl::Status status = Start(put);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("/t.v1.T/Put has too many"));
  EXPECT_TRUE(Start(get).ok());
  // What the method refused holds no place of the server either.
  EXPECT_EQ(in_flight(), 2);
  EXPECT_EQ(interceptor_->method_limiter(put)->in_flight(), 1);
  EXPECT_EQ(interceptor_->method_limiter(get), nullptr);
  for (int i = 0; i < 3; ++i) Finish();
  EXPECT_EQ(in_flight(), 0);
  EXPECT_EQ(interceptor_->method_limiter(put)->in_flight(), 0);
}

TEST_F(ConcurrencyInterceptorTest, CountsStreamsOnlyIfAsked) {
  const Method stream = MakeMethod("Watch", 0, CallKind::kServerStream);
  Create({});
  EXPECT_FALSE(interceptor_->Register(stream)->any());
  Create({.server_limit = FixedLimitOptions{1}, .count_streams = true});
  EXPECT_TRUE(interceptor_->Register(stream)->start);
  EXPECT_TRUE(Start(stream).ok());
  EXPECT_FALSE(Start(stream).ok());
  Create({.method_limits = {{Selector(), FixedLimitOptions{1}, true}}});
  EXPECT_TRUE(interceptor_->Register(stream)->finish);
  EXPECT_NE(interceptor_->method_limiter(stream), nullptr);
}

TEST_F(ConcurrencyInterceptorTest, LeavesMethodsWithoutALimitAlone) {
  Create({.server_limit = std::nullopt});
  EXPECT_FALSE(interceptor_->Register(MakeMethod("Get", 0))->any());
  EXPECT_EQ(interceptor_->server_limiter(), nullptr);
}

TEST_F(ConcurrencyInterceptorTest, SpreadsTheReturnOfRefusedClients) {
  Create({.server_limit = FixedLimitOptions{1}, .retry_delay = 1s});
  const Method method = MakeMethod("Get", 0);
  ASSERT_TRUE(interceptor_->Register(method).ok());
  ASSERT_TRUE(Start(method).ok());
  random_ = 0;
  EXPECT_EQ(RetryDelayOf(Start(method)), 500ms);
  random_ = 0.75;
  EXPECT_EQ(RetryDelayOf(Start(method)), 1250ms);
}

class AdaptiveInterceptorTest : public ConcurrencyInterceptorTest {
 protected:
  // After twelve calls of 100 ms that ended with `status`.
  int LimitAfter(const grpc::Status& status, bool refused = false) {
    Create({.server_limit =
                Gradient2Options{.initial_limit = 20, .queue_size = 50},
            .normal_share = 1});
    const Method method = MakeMethod("Get", 0);
    EXPECT_TRUE(interceptor_->Register(method).ok());
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(Start(method).ok());
    const auto other = *ConcurrencyInterceptor::Create({});
    for (int i = 0; i < 12; ++i) {
      if (i == 0 || i == 11) clock_.Advance(1001ms);
      if (refused) calls_.front()->SetRefusedBy(other.get());
      Finish(status);
    }
    EXPECT_EQ(in_flight(), 8);
    calls_.clear();
    return interceptor_->server_limiter()->limit();
  }
};

TEST_F(AdaptiveInterceptorTest, LearnsFromSuccessesAndTimeouts) {
  EXPECT_EQ(LimitAfter(grpc::Status::OK), 30);
  EXPECT_EQ(
      LimitAfter(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "late")),
      30);
}

TEST_F(AdaptiveInterceptorTest, LearnsNothingFromOtherEnds) {
  EXPECT_EQ(LimitAfter(grpc::Status(grpc::StatusCode::NOT_FOUND, "")), 20);
  EXPECT_EQ(LimitAfter(grpc::Status::CANCELLED), 20);
  EXPECT_EQ(
      LimitAfter(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, ""), true),
      20);
}

TEST_F(ConcurrencyInterceptorTest, RefusesOptionsOutOfRange) {
  for (ConcurrencyOptions options :
       {ConcurrencyOptions{.server_limit = FixedLimitOptions{0}},
        ConcurrencyOptions{.normal_share = 2},
        ConcurrencyOptions{
            .method_limits = {{Selector(), FixedLimitOptions{-1}}}},
        ConcurrencyOptions{.retry_delay = -1ns}}) {
    EXPECT_EQ(
        ConcurrencyInterceptor::Create(std::move(options)).status().code(),
        absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(ConcurrencyInterceptorTest, RunsInItsStage) {
  Create({});
  EXPECT_EQ(interceptor_->name(), "concurrency");
  EXPECT_EQ(interceptor_->stage(), Stage::kProtect);
  EXPECT_EQ(interceptor_->server_limiter()->limit(), 1000);
}

}  // namespace
}  // namespace grpccommon
