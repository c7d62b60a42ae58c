// SPDX-License-Identifier: Apache-2.0
// Every way of refusing a call, in every kind of service: the handler does not
// run, and the caller gets exactly what the chain decided.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>

#include "grpccommon/call/server_call.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "support/echo_services.h"
#include "support/every_call.h"
#include "support/test_server.h"

namespace grpccommon {
namespace {

using test::CallResult;
using test::EchoProbe;
using test::TestServer;

// Counts its hooks, and refuses if told to.
class Probe : public ServerInterceptor {
 public:
  Probe(Stage stage, bool refuse) : stage_(stage), refuse_(refuse) {}
  std::string_view name() const override { return "probe"; }
  Stage stage() const override { return stage_; }
  absl::Status OnStart(ServerCall& call) override {
    ++started;
    if (!refuse_) return absl::OkStatus();
    call.AddTrailingMetadata("x-probe", "refused");
    return Exhausted("TEST_QUOTA", "client", "too many calls",
                     std::chrono::milliseconds(250));
  }
  void OnFinish(ServerCall& call, grpc::Status& status) override {
    ++finished;
    code = status.error_code();
    refused_by = call.refused_by();
  }
  std::atomic<int> started{0};
  std::atomic<int> finished{0};
  std::atomic<int> code{-1};
  std::atomic<const ServerInterceptor*> refused_by{nullptr};

 private:
  const Stage stage_;
  const bool refuse_;
};

using Case = std::tuple<test::Style, CallKind, bool /*tls*/, Stage>;

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  const auto& [style, kind, tls, stage] = info.param;
  return test::NameOf(style, kind) + (tls ? "_tls_" : "_plaintext_") +
         std::string(StageName(stage));
}

class RefusalMatrixTest : public ::testing::TestWithParam<Case> {};

TEST_P(RefusalMatrixTest, TheHandlerDoesNotRunAndTheCallerLearnsWhy) {
  const auto& [style, kind, tls, stage] = GetParam();
  const auto observer = std::make_shared<Probe>(Stage::kObserve, false);
  const auto refuser = std::make_shared<Probe>(stage, true);
  const auto later = std::make_shared<Probe>(Stage::kUser, false);
  TestServer server(
      style, tls, [&](Server& s) { s.Use(observer).Use(refuser).Use(later); });

  const CallResult result = server.Call(kind);

  EXPECT_EQ(server.probe().entered, 0) << "the handler ran";
  EXPECT_EQ(result.messages, 0) << "a payload reached the client";
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(result.status.error_message(), "too many calls");
  const absl::Status status = FromGrpcStatus(result.status);
  EXPECT_EQ(ReasonOf(status), "TEST_QUOTA");
  EXPECT_EQ(RetryDelayOf(status), std::chrono::milliseconds(250));
  EXPECT_EQ(result.trailers.count("x-probe"), 1u);
  EXPECT_EQ(result.trailers.count("x-request-id"), 1u);
  // Nothing was done, and the caller may know it.
  EXPECT_EQ(result.trailers.count("grpccommon-not-processed"), 1u);
  server.Stop();
  EXPECT_EQ(observer->finished, 1);
  EXPECT_EQ(observer->code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(observer->refused_by, refuser.get());
  EXPECT_EQ(refuser->finished, 1);
  EXPECT_EQ(later->started, 0) << "the chain went on after a refusal";
  EXPECT_EQ(later->finished, 0);
  EXPECT_EQ(server.running_calls(), 0);
}

TEST_P(RefusalMatrixTest, AnAdmittedCallPassesUnchanged) {
  const auto& [style, kind, tls, stage] = GetParam();
  const auto observer = std::make_shared<Probe>(stage, false);
  TestServer server(style, tls, [&](Server& s) { s.Use(observer); });

  const CallResult result = server.Call(kind);

  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(server.probe().entered, 1);
  EXPECT_EQ(result.text, test::ExpectedText(kind));
  EXPECT_EQ(result.trailers.count("x-request-id"), 0u)
      << "good calls do not pay for the id";
  server.Stop();
  EXPECT_EQ(observer->started, 1);
  EXPECT_EQ(observer->finished, 1);
  EXPECT_EQ(observer->code, grpc::StatusCode::OK);
}

INSTANTIATE_TEST_SUITE_P(
    Matrix, RefusalMatrixTest,
    ::testing::Combine(test::EveryStyle(), test::EveryKind(), ::testing::Bool(),
                       ::testing::Values(Stage::kObserve, Stage::kProtect,
                                         Stage::kIdentify, Stage::kLimit,
                                         Stage::kCheck, Stage::kUser)),
    CaseName);

}  // namespace
}  // namespace grpccommon
