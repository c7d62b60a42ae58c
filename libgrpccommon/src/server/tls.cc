// SPDX-License-Identifier: Apache-2.0
#include "server/tls.h"

#include <chrono>
#include <utility>

#include "grpcpp/security/tls_credentials_options.h"

namespace grpccommon::internal {

absl::StatusOr<std::unique_ptr<ServerTls>> ServerTls::Create(
    const TlsOptions& options, Scheduler& scheduler, const Logger& logger) {
  // Without them gRPC ends the process.
  if (options.certificate_file.empty() || options.private_key_file.empty()) {
    return absl::InvalidArgumentError(
        "tls needs tls.certificate_file and tls.private_key_file");
  }
  absl::StatusOr<std::unique_ptr<TlsFiles>> files =
      TlsFiles::Create({.certificate = options.certificate_file,
                        .private_key = options.private_key_file,
                        .ca = options.client_ca_file,
                        .reload_interval = options.reload_interval},
                       scheduler, logger);
  if (!files.ok()) return files.status();
  return std::unique_ptr<ServerTls>(new ServerTls(*std::move(files), options));
}

ServerTls::ServerTls(std::unique_ptr<TlsFiles> files, const TlsOptions& options)
    : files_(std::move(files)) {
  const bool verifies_clients = !options.client_ca_file.empty();
  // Looks at memory, so the shortest interval that gRPC knows costs nothing.
  grpc::experimental::TlsServerCredentialsOptions tls(
      files_->CreateProvider(std::chrono::seconds(1)));
  tls.watch_identity_key_cert_pairs();
  if (verifies_clients) tls.watch_root_certs();
  tls.set_cert_request_type(
      !verifies_clients ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
      : options.require_client_certificate
          ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
          : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  credentials_ = grpc::experimental::TlsServerCredentials(tls);
}

}  // namespace grpccommon::internal
