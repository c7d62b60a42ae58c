// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpcpp/security/tls_certificate_provider.h"

namespace grpccommon::internal {

/// PEM files; empty: none of that kind.
struct TlsFilePaths {
  /// A certificate followed by its intermediates; comes with its key.
  std::string certificate;
  std::string private_key;
  /// Who may vouch for the other side.
  std::string ca;
  /// How often the files are looked at for change, in [1 s, 24 h].
  Clock::Duration reload_interval = std::chrono::seconds(60);
};

/// The certificate, key and CA of one side of TLS. Read again when a file
/// changes; what turns out not to be usable is logged and leaves the old ones
/// in force.
///
/// gRPC's own file watcher would serve nobody with a broken file, so it is
/// pointed at copies in memory that only ever hold what was checked.
class TlsFiles {
 public:
  /// `scheduler` is borrowed and must outlive this; this must outlive the
  /// servers and channels that use the provider.
  /// Errors: kInvalidArgument and what ReadFile gives, naming the file: one
  /// that cannot be read, is not PEM, or a key that is not the certificate's.
  static absl::StatusOr<std::unique_ptr<TlsFiles>> Create(
      const TlsFilePaths& paths, Scheduler& scheduler, const Logger& logger);
  ~TlsFiles();

  /// A provider has a thread of gRPC's that looks at the copies so often.
  std::shared_ptr<grpc::experimental::CertificateProviderInterface>
  CreateProvider(std::chrono::seconds interval) const;

 private:
  struct Impl;
  explicit TlsFiles(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon::internal
