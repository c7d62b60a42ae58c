// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

namespace grpccommon::internal {

/// The names and values of this process's environment.
std::map<std::string, std::string> ProcessEnvironment();

}  // namespace grpccommon::internal
