// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "auth/tls_files.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/server/server_options.h"
#include "grpcpp/security/server_credentials.h"

namespace grpccommon::internal {

/// What a port does TLS with.
class ServerTls {
 public:
  /// `scheduler` is borrowed and must outlive this; this must outlive the
  /// server that has the credentials. Errors: as TlsFiles::Create.
  static absl::StatusOr<std::unique_ptr<ServerTls>> Create(
      const TlsOptions& options, Scheduler& scheduler, const Logger& logger);

  std::shared_ptr<grpc::ServerCredentials> credentials() const {
    return credentials_;
  }

 private:
  ServerTls(std::unique_ptr<TlsFiles> files, const TlsOptions& options);
  const std::unique_ptr<TlsFiles> files_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;
};

}  // namespace grpccommon::internal
