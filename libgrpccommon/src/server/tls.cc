// SPDX-License-Identifier: Apache-2.0
#include "server/tls.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/file.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace grpccommon::internal {
namespace {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

absl::StatusOr<BioPtr> OpenPem(const std::string& path) {
  absl::StatusOr<std::string> content = ReadFile(path, 1 << 20);
  if (!content.ok()) return content.status();
  BioPtr bio(BIO_new(BIO_s_mem()));
  BIO_write(bio.get(), content->data(), static_cast<int>(content->size()));
  return bio;
}

absl::StatusOr<X509Ptr> ReadCertificate(const std::string& path) {
  absl::StatusOr<BioPtr> bio = OpenPem(path);
  if (!bio.ok()) return bio.status();
  X509Ptr certificate(PEM_read_bio_X509(bio->get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds no certificate in PEM form"));
  }
  return certificate;
}

// Asked for a passphrase, OpenSSL would read the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

// gRPC itself only logs what is wrong with these files and then serves nobody.
absl::Status CheckFiles(const TlsOptions& options) {
  absl::StatusOr<X509Ptr> certificate =
      ReadCertificate(options.certificate_file);
  if (!certificate.ok()) return certificate.status();
  absl::StatusOr<BioPtr> bio = OpenPem(options.private_key_file);
  if (!bio.ok()) return bio.status();
  const KeyPtr key(
      PEM_read_bio_PrivateKey(bio->get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.private_key_file,
                     " holds no unencrypted private key in PEM form"));
  }
  if (X509_check_private_key(certificate->get(), key.get()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(options.private_key_file,
                                                   " is not the key of ",
                                                   options.certificate_file));
  }
  if (options.client_ca_file.empty()) return absl::OkStatus();
  return ReadCertificate(options.client_ca_file).status();
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> CreateTlsCredentials(
    const TlsOptions& options) {
  absl::Status valid =
      CheckRange("tls.reload_interval", options.reload_interval,
                 std::chrono::seconds(1), std::chrono::hours(24));
  valid.Update(CheckFiles(options));
  if (!valid.ok()) return valid;

  const auto interval = static_cast<unsigned>(
      std::chrono::duration_cast<std::chrono::seconds>(options.reload_interval)
          .count());
  grpc::experimental::TlsServerCredentialsOptions tls(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          options.private_key_file, options.certificate_file,
          options.client_ca_file, interval));
  tls.watch_identity_key_cert_pairs();
  if (options.client_ca_file.empty()) {
    tls.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  } else {
    tls.watch_root_certs();
    tls.set_cert_request_type(
        options.require_client_certificate
            ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
            : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(tls);
}

}  // namespace grpccommon::internal
