// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon::internal {

/// The most instances of one service that a back end takes from outside.
inline constexpr std::size_t kMaxInstances = 100'000;

/// Makes of what a back end answered what an InstanceSet holds: checks each
/// instance and sorts them by address.
/// Errors: kInvalidArgument, naming the instance, if one is malformed or an
/// address comes twice, or if there are more than kMaxInstances.
absl::Status CheckInstances(std::vector<Instance>& instances);

/// The same for instances that have been checked one by one.
absl::Status SortInstances(std::vector<Instance>& instances);

/// Errors: kInvalidArgument.
absl::Status CheckRegistrationOptions(const RegistrationOptions& options);

}  // namespace grpccommon::internal
