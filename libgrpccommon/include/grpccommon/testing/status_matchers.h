// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>

#include <ostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpcpp/support/status.h"

/// Matchers for absl::Status, absl::StatusOr and grpc::Status alike:
///
///   EXPECT_THAT(store.Get("x"), StatusIs(absl::StatusCode::kNotFound));
///   EXPECT_THAT(stub->Get(…), AllOf(StatusIs(grpc::StatusCode::NOT_FOUND),
///                                   HasReason("TASK_NOT_FOUND")));
namespace grpccommon::testing {
namespace internal {

inline absl::Status StatusOf(const absl::Status& status) { return status; }
inline absl::Status StatusOf(const grpc::Status& status) {
  return FromGrpcStatus(status);
}
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& status) {
  return status.status();
}

}  // namespace internal

MATCHER(IsOk, negation ? "is not OK" : "is OK") {
  const absl::Status status = internal::StatusOf(arg);
  if (!status.ok()) *result_listener << "which is " << status;
  return status.ok();
}

/// `code` is an absl::StatusCode or a grpc::StatusCode.
MATCHER_P(StatusIs, code,
          "has the code " + ::testing::PrintToString(static_cast<int>(code))) {
  const absl::Status status = internal::StatusOf(arg);
  *result_listener << "which is " << status;
  return static_cast<int>(status.code()) == static_cast<int>(code);
}

MATCHER_P(MessageIs, matcher, "has a message that matches") {
  const absl::Status status = internal::StatusOf(arg);
  *result_listener << "which is " << status;
  return ::testing::Matches(matcher)(std::string(status.message()));
}

/// The stable reason of its `google.rpc.ErrorInfo`.
MATCHER_P(HasReason, reason,
          "has the reason " + ::testing::PrintToString(reason)) {
  const absl::Status status = internal::StatusOf(arg);
  *result_listener << "which is " << status << " with the reason "
                   << ReasonOf(status);
  return ReasonOf(status) == reason;
}

/// A StatusOr that is OK and whose value matches.
MATCHER_P(IsOkAndHolds, matcher, "is OK and holds what matches") {
  if (!arg.ok()) {
    *result_listener << "which is " << arg.status();
    return false;
  }
  return ::testing::ExplainMatchResult(matcher, *arg, result_listener);
}

}  // namespace grpccommon::testing
