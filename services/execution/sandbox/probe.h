// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/execution/sandbox/sandbox.h"

namespace platform::execution {

/// Runs programs in the sandbox that try to get out of it and to use more than
/// they may, and says what held. `secret` is a file of ours that they must not
/// see.
/// Errors: kFailedPrecondition if nothing can be run at all, with the reason.
absl::StatusOr<std::vector<SandboxProtection>> ProbeSandbox(
    Sandbox& sandbox, const std::string& secret);

/// Errors: kFailedPrecondition, naming those essential protections that are not
/// in force and not in `allowed`, with what was seen.
absl::Status CheckEssential(const std::vector<SandboxProtection>& protections,
                            const std::vector<std::string>& allowed);

}  // namespace platform::execution
