// SPDX-License-Identifier: Apache-2.0
#include "sample_service.h"

#include <limits>

#include "grpccommon/testing/test_server.h"
#include "gtest/gtest.h"

TEST(SampleServiceTest, AddsWhatFitsAndRefusesTheRest) {
  SampleService service;
  const auto server =
      *grpccommon::testing::TestServer<sample::v1::SampleService>::Start(
          service);
  sample::v1::AddSampleResponse response;
  const auto add = [&](const std::string& name, std::int64_t value) {
    grpc::ClientContext context;
    sample::v1::AddSampleRequest request;
    request.set_name(name);
    request.set_value(value);
    return server->stub().AddSample(&context, request, &response).error_code();
  };
  EXPECT_EQ(add("a", 3), grpc::StatusCode::OK);
  EXPECT_EQ(add("a", std::numeric_limits<std::int64_t>::max()),
            grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(add("", 1), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(add("a", 4), grpc::StatusCode::OK);
  EXPECT_EQ(response.total(), 7);
}
