// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/concurrency/deadline_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::ContainsRegex;
using testing::FakeCall;

class DeadlineInterceptorTest : public ::testing::Test {
 protected:
  void Create(const DeadlineOptions& options = {}) {
    interceptor_ = *DeadlineInterceptor::Create(options);
    ASSERT_TRUE(interceptor_->Register(method_).ok());
  }

  absl::Status Start(std::optional<Clock::Duration> timeout) {
    FakeCall call({.method = method_, .timeout = timeout, .clock = &clock_});
    return interceptor_->OnStart(*call);
  }

  // `count` calls that take 100 ms each, or rather the clock does.
  void Run(int count, const grpc::Status& status = grpc::Status::OK,
           const ServerInterceptor* refused_by = nullptr) {
    for (int i = 0; i < count; ++i) {
      FakeCall call({.method = method_, .clock = &clock_});
      clock_.Advance(100ms);
      call.SetRefusedBy(refused_by);
      grpc::Status end = status;
      interceptor_->OnFinish(*call, end);
    }
  }

  testing::FakeClock clock_;
  Method method_ = {.path = "/t.v1.T/Get"};
  std::unique_ptr<DeadlineInterceptor> interceptor_;
};

TEST_F(DeadlineInterceptorTest, RefusesACallWhoseDeadlineHasPassed) {
  Create();
  for (const Clock::Duration timeout : {0ns, -1ns, -1'000'000'000ns}) {
    const absl::Status status = Start(timeout);
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(ReasonOf(status), "DEADLINE_EXPIRED");
  }
  EXPECT_TRUE(Start(1ns).ok());
  EXPECT_TRUE(Start(std::nullopt).ok());
}

TEST_F(DeadlineInterceptorTest, RefusesACallThatCannotEndInTime) {
  Create();
  Run(100);
  ASSERT_NE(interceptor_->latency(method_, clock_.Now()), std::nullopt);
  const absl::Status status = Start(40ms);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ReasonOf(status), "DEADLINE_TOO_SHORT");
  EXPECT_THAT(std::string(status.message()),
              ContainsRegex("needs about [0-9.]+ ms, 40 ms left"));
  EXPECT_TRUE(Start(200ms).ok());
  EXPECT_TRUE(Start(std::nullopt).ok());
}

TEST_F(DeadlineInterceptorTest, JudgesOnlyWithEnoughSuccesses) {
  Create();
  Run(99);
  Run(100, grpc::Status(grpc::StatusCode::NOT_FOUND, ""));
  Run(100, grpc::Status::OK, interceptor_.get());
  EXPECT_EQ(interceptor_->latency(method_, clock_.Now()), std::nullopt);
  EXPECT_TRUE(Start(1ms).ok());
}

TEST_F(DeadlineInterceptorTest, TriesAgainWhenItsEstimateIsOld) {
  Create();
  Run(100);
  ASSERT_FALSE(Start(1ms).ok());
  clock_.Advance(11s);
  EXPECT_TRUE(Start(1ms).ok());
}

TEST_F(DeadlineInterceptorTest, AppliesTheMargin) {
  Create({.margin = 3});
  Run(100);
  EXPECT_FALSE(Start(200ms).ok());
  EXPECT_TRUE(Start(400ms).ok());
}

TEST_F(DeadlineInterceptorTest, JudgesNoStreamsAndNothingWithoutAMargin) {
  method_.kind = CallKind::kServerStream;
  Create();
  EXPECT_FALSE(interceptor_->Register(method_)->finish);
  EXPECT_TRUE(Start(1ns).ok());
  EXPECT_FALSE(Start(0ns).ok());
  method_.kind = CallKind::kUnary;
  Create({.margin = 0});
  EXPECT_FALSE(interceptor_->Register(method_)->finish);
  EXPECT_EQ(interceptor_->latency(method_, clock_.Now()), std::nullopt);
}

TEST_F(DeadlineInterceptorTest, RefusesOptionsOutOfRange) {
  EXPECT_FALSE(DeadlineInterceptor::Create({.margin = -1}).ok());
  EXPECT_FALSE(
      DeadlineInterceptor::Create({.latency = {.min_samples = 0}}).ok());
}

TEST_F(DeadlineInterceptorTest, RunsInItsStage) {
  Create();
  EXPECT_EQ(interceptor_->name(), "deadline");
  EXPECT_EQ(interceptor_->stage(), Stage::kCheck);
}

}  // namespace
}  // namespace grpccommon
