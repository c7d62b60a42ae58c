// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/fault_interceptor.h"

#include <gtest/gtest.h>

#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/interceptor_conformance.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::testing {
namespace {

using namespace std::chrono_literals;

class FaultInterceptorTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  double chance_ = 0.5;
  Random random_ = [this] { return chance_; };
};

TEST_F(FaultInterceptorTest, RefusesItsShareOfCalls) {
  FaultInterceptor interceptor({.abort_share = 0.5}, scheduler_, random_);
  FakeCall call;
  chance_ = 0.49;
  EXPECT_THAT(static_cast<ServerInterceptor&>(interceptor).OnStart(*call),
              StatusIs(absl::StatusCode::kUnavailable));
  chance_ = 0.5;
  EXPECT_THAT(static_cast<ServerInterceptor&>(interceptor).OnStart(*call),
              IsOk());
  EXPECT_EQ(interceptor.aborted(), 1);
}

TEST_F(FaultInterceptorTest, HoldsItsShareOfCallsBackForAsLongAsItSays) {
  FaultInterceptor interceptor({.delay_share = 1, .delay = 250ms}, scheduler_,
                               random_);
  FakeCall call;
  int answers = 0;
  interceptor.OnStartAsync(*call, [&](absl::Status status) {
    EXPECT_THAT(status, IsOk());
    ++answers;
  });
  clock_.Advance(249ms);
  EXPECT_EQ(answers, 0);
  clock_.Advance(1ms);
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(interceptor.delayed(), 1);
}

TEST_F(FaultInterceptorTest, RefusesSharesOutOfRange) {
  EXPECT_THAT(FaultInterceptor({.delay_share = 1.5}, scheduler_).Register({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      FaultInterceptor({.status = absl::OkStatus()}, scheduler_).Register({}),
      StatusIs(absl::StatusCode::kInvalidArgument));
}

Scheduler& SharedScheduler() {
  static Scheduler* const scheduler = CreateScheduler().release();
  return *scheduler;
}

INSTANTIATE_TEST_SUITE_P(
    Fault, InterceptorConformanceTest,
    ::testing::Values(
        ConformanceCase{.name = "never",
                        .make =
                            [] {
                              return std::make_shared<FaultInterceptor>(
                                  Fault{}, SharedScheduler());
                            },
                        .admitted = [] { return FakeCallOptions{}; }},
        ConformanceCase{
            .name = "marked_calls",
            .make =
                [] {
                  // Refuses what says so; the conformance suite's other calls
                  // have nothing to fear.
                  class Marked : public ServerInterceptor {
                   public:
                    std::string_view name() const override { return "marked"; }
                    Stage stage() const override { return Stage::kUser; }
                    absl::Status OnStart(ServerCall& call) override {
                      return call.metadata("x-refuse").empty()
                                 ? absl::OkStatus()
                                 : PermissionDenied("MARKED", "it is marked");
                    }
                  };
                  return std::make_shared<Marked>();
                },
            .admitted = [] { return FakeCallOptions{}; },
            .refused =
                [] {
                  return FakeCallOptions{.metadata = {{"x-refuse", "1"}}};
                }}),
    ConformanceCaseName);

}  // namespace
}  // namespace grpccommon::testing
