// SPDX-License-Identifier: Apache-2.0
#include "client/method_probe.h"

#include <gtest/gtest.h>

#include "echo/v1/echo_service.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace grpccommon::internal {
namespace {

using Health = ::grpc::health::v1::Health;

TEST(MethodProbeTest, FindsTheNameOfAUnaryMethod) {
  grpc::Status status;
  EXPECT_EQ(ProbePath([&status](const auto& channel) {
              grpc::ClientContext context;
              ::grpc::health::v1::HealthCheckResponse response;
              status = Health::NewStub(channel)->Check(&context, {}, &response);
            }),
            "/grpc.health.v1.Health/Check");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
}

TEST(MethodProbeTest, FindsTheNameOfAServerStream) {
  EXPECT_EQ(ProbePath([](const auto& channel) {
              grpc::ClientContext context;
              const auto stub = Health::NewStub(channel);
              const auto reader = stub->Watch(&context, {});
              ::grpc::health::v1::HealthCheckResponse response;
              EXPECT_FALSE(reader->Read(&response));
              EXPECT_FALSE(reader->Finish().ok());
            }),
            "/grpc.health.v1.Health/Watch");
}

TEST(MethodProbeTest, FindsTheNameOfAStreamThatNobodyFinishes) {
  EXPECT_EQ(ProbePath([](const auto& channel) {
              grpc::ClientContext context;
              const auto stub = ::echo::v1::EchoService::NewStub(channel);
              const auto stream = stub->BidiStream(&context);
            }),
            "/echo.v1.EchoService/BidiStream");
}

TEST(MethodProbeTest, KnowsNoNameWithoutACall) {
  EXPECT_EQ(ProbePath([](const auto& /*channel*/) {}), "");
}

}  // namespace
}  // namespace grpccommon::internal
