// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/client_metrics_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "grpccommon/testing/fake_client_call.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpcpp/support/status.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using testing::FakeClientCall;
using testing::FakeClock;
using ::testing::HasSubstr;
using testing::StatusIs;

class Refuser : public ClientInterceptor {
 public:
  std::string_view name() const override { return "quota"; }
  Stage stage() const override { return Stage::kLimit; }
};

class ClientMetricsInterceptorTest : public ::testing::Test {
 protected:
  // What serves the calls of `call`'s method.
  std::shared_ptr<ClientInterceptor> For(FakeClientCall& call) {
    return interceptor_->Register(call->method())->for_method;
  }
  void ExpectSeries(const std::string& series) {
    EXPECT_THAT(registry_.Expose(), HasSubstr("\n" + series + "\n"));
  }
  static void Attempt(ClientInterceptor& metrics, FakeClientCall& call,
                      bool hedged) {
    EXPECT_THAT(metrics.OnAttemptStart(*call, call.StartAttempt("a:1", hedged)),
                testing::IsOk());
  }

  FakeClock clock_;
  MetricsRegistry registry_{{.process_metrics = false}};
  std::unique_ptr<ClientMetricsInterceptor> interceptor_ =
      *ClientMetricsInterceptor::Create(registry_);
};

TEST_F(ClientMetricsInterceptorTest, EverySeriesIsThereFromTheStart) {
  FakeClientCall call;
  For(call);
  const std::string of_method =
      "grpc_service=\"test.v1.TestService\",grpc_method=\"Test\"";
  const std::string labels = "{grpc_type=\"unary\"," + of_method;
  ExpectSeries("grpc_client_started_total" + labels + "} 0");
  ExpectSeries("grpc_client_handled_total" + labels +
               ",grpc_code=\"Unavailable\"} 0");
  ExpectSeries("grpc_client_msg_sent_total" + labels + "} 0");
  ExpectSeries("grpc_client_msg_received_total" + labels + "} 0");
  ExpectSeries("grpc_client_handling_seconds_count" + labels + "} 0");
  for (const std::string name :
       {"attempts_total", "retries_total", "hedges_total", "in_flight"}) {
    ExpectSeries("grpccommon_client_" + name + "{" + of_method + "} 0");
  }
}

TEST_F(ClientMetricsInterceptorTest, ACallCountsOnceWhateverItsAttempts) {
  FakeClientCall call({.clock = &clock_});
  const auto metrics = For(call);
  ASSERT_THAT(metrics->OnStart(*call), testing::IsOk());
  const std::string of_method =
      "{grpc_service=\"test.v1.TestService\",grpc_method=\"Test\"} ";
  ExpectSeries("grpccommon_client_in_flight" + of_method + "1");
  Attempt(*metrics, call, false);
  Attempt(*metrics, call, false);
  Attempt(*metrics, call, true);
  call.CountSent();
  call.CountReceived();
  clock_.Advance(30ms);
  grpc::Status status(grpc::StatusCode::NOT_FOUND, "");
  metrics->OnFinish(*call, status);

  const std::string labels =
      "{grpc_type=\"unary\",grpc_service=\"test.v1.TestService\","
      "grpc_method=\"Test\"";
  ExpectSeries("grpc_client_started_total" + labels + "} 1");
  ExpectSeries("grpc_client_handled_total" + labels +
               ",grpc_code=\"NotFound\"} 1");
  ExpectSeries("grpc_client_handled_total" + labels + ",grpc_code=\"OK\"} 0");
  ExpectSeries("grpc_client_msg_sent_total" + labels + "} 1");
  ExpectSeries("grpc_client_msg_received_total" + labels + "} 1");
  ExpectSeries("grpc_client_handling_seconds_bucket" + labels +
               ",le=\"0.025\"} 0");
  ExpectSeries("grpc_client_handling_seconds_bucket" + labels +
               ",le=\"0.05\"} 1");
  ExpectSeries("grpccommon_client_attempts_total" + of_method + "3");
  ExpectSeries("grpccommon_client_retries_total" + of_method + "1");
  ExpectSeries("grpccommon_client_hedges_total" + of_method + "1");
  ExpectSeries("grpccommon_client_in_flight" + of_method + "0");
}

TEST_F(ClientMetricsInterceptorTest, MessagesOfStreamsCountAsTheyPass) {
  FakeClientCall call({.method = {.path = "/s.S/M",
                                  .service = "s.S",
                                  .name = "M",
                                  .kind = CallKind::kServerStream},
                       .clock = &clock_});
  const auto metrics = For(call);
  ASSERT_THAT(metrics->OnStart(*call), testing::IsOk());
  call.CountSent();
  for (int i = 0; i < 2; ++i) {
    call.CountReceived();
    metrics->OnMessageReceived(*call);
  }
  const std::string labels =
      "{grpc_type=\"server_stream\",grpc_service=\"s.S\",grpc_method=\"M\"} ";
  ExpectSeries("grpc_client_msg_received_total" + labels + "2");
  ExpectSeries("grpc_client_msg_sent_total" + labels + "0");
  grpc::Status status;
  metrics->OnFinish(*call, status);
  ExpectSeries("grpc_client_msg_received_total" + labels + "2");
  ExpectSeries("grpc_client_msg_sent_total" + labels + "1");
}

TEST_F(ClientMetricsInterceptorTest, RefusalsCountByWhoRefused) {
  Refuser refuser;
  for (int i = 0; i < 2; ++i) {
    FakeClientCall call;
    const auto metrics = For(call);
    ASSERT_THAT(metrics->OnStart(*call), testing::IsOk());
    call.SetRefusedBy(&refuser);
    grpc::Status status(grpc::StatusCode::RESOURCE_EXHAUSTED, "");
    metrics->OnFinish(*call, status);
  }
  ExpectSeries(
      "grpccommon_client_refused_total{stage=\"limit\",reason=\"quota\"} 2");
}

TEST_F(ClientMetricsInterceptorTest, BucketsCanDifferByMethod) {
  MetricsRegistry registry{{.process_metrics = false}};
  auto interceptor = *ClientMetricsInterceptor::Create(
      registry, {.method_buckets = {
                     {.methods = Selector::Service("s.S"), .buckets = {7}}}});
  ASSERT_THAT(interceptor->Register({.service = "s.S", .name = "M"}),
              testing::IsOk());
  EXPECT_THAT(registry.Expose(), HasSubstr("le=\"7\"} 0"));
  EXPECT_THAT(ClientMetricsInterceptor::Create(registry, {.buckets = {2, 1}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ClientMetricsInterceptorTest, ANameThatIsTakenIsAnError) {
  MetricsRegistry registry{{.process_metrics = false}};
  ASSERT_THAT(registry.AddCounter("grpc_client_started_total", "Mine."),
              testing::IsOk());
  EXPECT_THAT(ClientMetricsInterceptor::Create(registry),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

}  // namespace
}  // namespace grpccommon
