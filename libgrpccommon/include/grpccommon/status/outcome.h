// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "grpccommon/base/export.h"
#include "grpcpp/support/status_code_enum.h"

namespace grpccommon {

/// What the end of a call says about those who served it.
enum class Outcome : std::uint8_t {
  /// They did their work, whatever the answer was.
  kSuccess,
  /// They could not.
  kFailure,
  /// Nothing: the caller lost interest.
  kIgnored,
};

/// The one opinion on what counts as a failure, which retries, breakers,
/// ejection and metrics share:
/// - UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, UNKNOWN, DATA_LOSS and
///   RESOURCE_EXHAUSTED are failures;
/// - CANCELLED is ignored;
/// - everything else, OK and every refusal of what was asked for (NOT_FOUND,
///   INVALID_ARGUMENT, PERMISSION_DENIED …), is a success: a service that
///   answers so is alive.
GRPCCOMMON_EXPORT Outcome OutcomeOf(grpc::StatusCode code);

/// In place of `OutcomeOf` where an application knows better. Called by many
/// threads at once; must not throw.
using Classifier = std::function<Outcome(grpc::StatusCode)>;

}  // namespace grpccommon
