// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/server/server_options.h"
#include "grpcpp/security/server_credentials.h"

namespace grpccommon::internal {

/// Credentials that read their files again when they change; files that turn
/// out broken leave the old ones in force.
/// Errors: kInvalidArgument and what ReadFile gives, naming the file: one that
/// cannot be read, is not PEM, or a key that is not the certificate's.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> CreateTlsCredentials(
    const TlsOptions& options);

}  // namespace grpccommon::internal
