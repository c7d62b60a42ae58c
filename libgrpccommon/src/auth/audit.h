// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/log/logger.h"

namespace grpccommon::internal {

/// One line about a refused call: who asked for what from where, and why not.
/// Nothing of a credential.
void AuditRefusal(const Logger& logger, const ServerCall& call,
                  const absl::Status& status);

}  // namespace grpccommon::internal
