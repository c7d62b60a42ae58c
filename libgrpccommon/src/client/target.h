// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace grpccommon::internal {

/// `target` as gRPC wants it, with its scheme. gRPC itself takes anything, and
/// fails each call on what it cannot resolve.
/// Errors: kInvalidArgument, saying what is wrong and what to write instead.
absl::StatusOr<std::string> CheckTarget(std::string_view target);

}  // namespace grpccommon::internal
