// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpcpp/support/status.h"

namespace grpccommon {

/// A refusal that is made once and sent often, differing only in when to come
/// again: a server that sheds load must not serialise the same details for
/// every call. Immutable, so any thread may use it.
class GRPCCOMMON_EXPORT Refusal {
 public:
  /// `status` must not be OK; a retry delay in it is replaced.
  explicit Refusal(absl::Status status);

  const absl::Status& status() const { return status_; }

  /// `ToGrpcStatus(WithRetryDelay(status(), delay))`, for a fraction of the
  /// time.
  grpc::Status After(std::chrono::nanoseconds delay) const;

 private:
  absl::Status status_;
  grpc::StatusCode code_;
  std::string message_;
  // The serialised details, in front of the RetryInfo and behind it.
  std::string details_before_;
  std::string details_after_;
  bool has_delay_;
};

}  // namespace grpccommon
