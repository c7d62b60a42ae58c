// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string_view>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// Refuses an option that is not in [minimum, maximum], NaN included.
/// Errors: kInvalidArgument, "<option> must be in [a, b], got x".
GRPCCOMMON_EXPORT absl::Status CheckRange(std::string_view option, double value,
                                          double minimum, double maximum);

/// The same for a duration; the message prints seconds.
GRPCCOMMON_EXPORT absl::Status CheckRange(std::string_view option,
                                          std::chrono::nanoseconds value,
                                          std::chrono::nanoseconds minimum,
                                          std::chrono::nanoseconds maximum);

}  // namespace grpccommon
