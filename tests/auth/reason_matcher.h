// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/status/details.h"

namespace grpccommon {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

/// A refusal with this stable reason.
MATCHER_P(HasReason, reason, "") {
  const std::string found = ReasonOf(StatusOf(arg));
  *result_listener << "is " << StatusOf(arg) << " with reason \"" << found
                   << '"';
  return !StatusOf(arg).ok() && found == reason;
}

MATCHER_P2(FailsWith, code, text, "") {
  *result_listener << "is " << StatusOf(arg);
  return StatusOf(arg).code() == code &&
         std::string(StatusOf(arg).message()).find(text) != std::string::npos;
}

MATCHER(IsOk, "") {
  *result_listener << "is " << StatusOf(arg);
  return StatusOf(arg).ok();
}

}  // namespace grpccommon
