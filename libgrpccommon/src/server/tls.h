// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/server/server_options.h"
#include "grpcpp/security/server_credentials.h"

namespace grpccommon::internal {

/// The certificate, key and client CA of a port. Read again when a file
/// changes; what turns out not to be usable is logged and leaves the old ones
/// in force.
///
/// gRPC's own file watcher would serve nobody with a broken file, so it is
/// pointed at copies in memory that only ever hold what was checked.
class TlsFiles {
 public:
  /// `scheduler` is borrowed and must outlive this; this must outlive the
  /// server that has the credentials. Errors: kInvalidArgument and what
  /// ReadFile gives, naming the file: one that cannot be read, is not PEM, or a
  /// key that is not the certificate's.
  static absl::StatusOr<std::unique_ptr<TlsFiles>> Create(
      const TlsOptions& options, Scheduler& scheduler, const Logger& logger);
  ~TlsFiles();

  std::shared_ptr<grpc::ServerCredentials> credentials() const;

 private:
  struct Impl;
  explicit TlsFiles(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon::internal
