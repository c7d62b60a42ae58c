// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/outcome.h"

#include <gtest/gtest.h>

namespace grpccommon {
namespace {

TEST(OutcomeTest, SaysOfEachCodeWhetherTheServiceFailed) {
  for (int code = 0; code <= 16; ++code) {
    Outcome expected = Outcome::kSuccess;
    switch (code) {
      case grpc::StatusCode::CANCELLED:
        expected = Outcome::kIgnored;
        break;
      case grpc::StatusCode::UNKNOWN:
      case grpc::StatusCode::DEADLINE_EXCEEDED:
      case grpc::StatusCode::RESOURCE_EXHAUSTED:
      case grpc::StatusCode::INTERNAL:
      case grpc::StatusCode::UNAVAILABLE:
      case grpc::StatusCode::DATA_LOSS:
        expected = Outcome::kFailure;
        break;
      default:
        break;
    }
    EXPECT_EQ(OutcomeOf(static_cast<grpc::StatusCode>(code)), expected) << code;
  }
}

}  // namespace
}  // namespace grpccommon
