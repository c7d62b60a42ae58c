// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/outcome.h"

namespace grpccommon {

Outcome OutcomeOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::DATA_LOSS:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return Outcome::kFailure;
    case grpc::StatusCode::CANCELLED:
      return Outcome::kIgnored;
    default:
      return Outcome::kSuccess;
  }
}

}  // namespace grpccommon
