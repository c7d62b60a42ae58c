// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon::internal {

inline constexpr std::size_t kMaxFileBytes = 16 << 20;
inline constexpr std::size_t kMaxFileServices = 1000;

/// By service; each list as CheckInstances leaves it.
using InstanceLists = std::map<std::string, std::vector<Instance>>;

/// Reads what file_registry.h describes.
/// Errors: kInvalidArgument, naming the place and what is wrong there.
absl::StatusOr<InstanceLists> ParseInstanceFile(std::string_view text);

}  // namespace grpccommon::internal
