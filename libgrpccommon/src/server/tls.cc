// SPDX-License-Identifier: Apache-2.0
#include "server/tls.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "auth/openssl.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/file.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace grpccommon::internal {
namespace {

constexpr std::size_t kMaxPemBytes = 1 << 20;

// The contents of a port's files; the client CA is empty without one.
struct Pems {
  std::string certificate;
  std::string private_key;
  std::string client_ca;
};

absl::StatusOr<X509Ptr> ParseCertificate(const std::string& pem,
                                         const std::string& path) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate != nullptr) return certificate;
  return absl::InvalidArgumentError(
      absl::StrCat(path, " holds no certificate in PEM form"));
}

// Asked for a passphrase, OpenSSL would read the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::Status Check(const Pems& pems, const TlsOptions& options) {
  const OpensslErrorScope errors;
  absl::StatusOr<X509Ptr> certificate =
      ParseCertificate(pems.certificate, options.certificate_file);
  if (!certificate.ok()) return certificate.status();
  const BioPtr bio(BIO_new_mem_buf(pems.private_key.data(),
                                   static_cast<int>(pems.private_key.size())));
  const PkeyPtr key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
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
  return ParseCertificate(pems.client_ca, options.client_ca_file).status();
}

absl::StatusOr<Pems> ReadChecked(const TlsOptions& options) {
  Pems pems;
  absl::Status status;
  const auto read = [&status](const std::string& path, std::string& pem) {
    absl::StatusOr<std::string> content = ReadFile(path, kMaxPemBytes);
    if (content.ok()) {
      pem = *std::move(content);
    } else {
      status.Update(content.status());
    }
  };
  read(options.certificate_file, pems.certificate);
  read(options.private_key_file, pems.private_key);
  if (!options.client_ca_file.empty()) {
    read(options.client_ca_file, pems.client_ca);
  }
  if (status.ok()) status = Check(pems, options);
  if (!status.ok()) return status;
  return pems;
}

// A file in memory that only this process sees, and whose content is replaced
// as a whole: a reader of the path gets the old one or the new one.
class MemoryFile {
 public:
  MemoryFile() = default;
  ~MemoryFile() {
    if (fd_ >= 0) close(fd_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  absl::Status Replace(const std::string& content) {
    const int fresh = memfd_create("grpccommon-tls", MFD_CLOEXEC);
    if (fresh < 0 || !WriteAll(fresh, content)) {
      const absl::Status status = absl::ResourceExhaustedError(absl::StrCat(
          "cannot keep a certificate in memory: ", std::strerror(errno)));
      if (fresh >= 0) close(fresh);
      return status;
    }
    if (fd_ < 0) {
      fd_ = fresh;
    } else {
      dup3(fresh, fd_, O_CLOEXEC);
      close(fresh);
    }
    return absl::OkStatus();
  }

  std::string path() const { return absl::StrCat("/proc/self/fd/", fd_); }

 private:
  static bool WriteAll(int fd, const std::string& content) {
    std::size_t done = 0;
    while (done < content.size()) {
      const ssize_t count =
          write(fd, content.data() + done, content.size() - done);
      if (count < 0 && errno != EINTR) return false;
      if (count > 0) done += static_cast<std::size_t>(count);
    }
    return true;
  }

  int fd_ = -1;
};

}  // namespace

struct TlsFiles::Impl {
  Impl(const TlsOptions& o, const Logger& l) : options(o), logger(l) {}

  absl::Status Publish(const Pems& pems) {
    absl::Status status = certificate.Replace(pems.certificate);
    status.Update(private_key.Replace(pems.private_key));
    if (!options.client_ca_file.empty()) {
      status.Update(client_ca.Replace(pems.client_ca));
    }
    return status;
  }

  void Reload() {
    const absl::StatusOr<Pems> pems = ReadChecked(options);
    absl::Status status = pems.status();
    if (status.ok()) status = Publish(*pems);
    if (status.ok()) {
      logger.Info("TLS files reloaded",
                  {{"certificate_file", options.certificate_file}});
    } else {
      logger.Error("TLS files are not usable; the old ones stay in force",
                   {{"error", status.ToString()}});
    }
  }

  const TlsOptions options;
  const Logger logger;
  MemoryFile certificate;
  MemoryFile private_key;
  MemoryFile client_ca;
  std::shared_ptr<grpc::ServerCredentials> credentials;
  // Last, so that no reload runs while the rest goes.
  std::vector<std::unique_ptr<FileWatcher>> watchers;
};

absl::StatusOr<std::unique_ptr<TlsFiles>> TlsFiles::Create(
    const TlsOptions& options, Scheduler& scheduler, const Logger& logger) {
  if (absl::Status valid =
          CheckRange("tls.reload_interval", options.reload_interval,
                     std::chrono::seconds(1), std::chrono::hours(24));
      !valid.ok()) {
    return valid;
  }
  const absl::StatusOr<Pems> pems = ReadChecked(options);
  if (!pems.ok()) return pems.status();
  auto impl = std::make_unique<Impl>(options, logger);
  if (absl::Status status = impl->Publish(*pems); !status.ok()) return status;

  const bool verifies_clients = !options.client_ca_file.empty();
  // Looks at memory, so the shortest interval that it knows costs nothing.
  constexpr unsigned kSeconds = 1;
  grpc::experimental::TlsServerCredentialsOptions tls(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          impl->private_key.path(), impl->certificate.path(),
          verifies_clients ? impl->client_ca.path() : "", kSeconds));
  tls.watch_identity_key_cert_pairs();
  if (verifies_clients) tls.watch_root_certs();
  tls.set_cert_request_type(
      !verifies_clients ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
      : options.require_client_certificate
          ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
          : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  impl->credentials = grpc::experimental::TlsServerCredentials(tls);

  for (const std::string& path :
       {options.certificate_file, options.private_key_file,
        options.client_ca_file}) {
    if (path.empty()) continue;
    impl->watchers.push_back(std::make_unique<FileWatcher>(
        path, scheduler, options.reload_interval,
        [reloading = impl.get()] { reloading->Reload(); }));
  }
  return std::unique_ptr<TlsFiles>(new TlsFiles(std::move(impl)));
}

TlsFiles::TlsFiles(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsFiles::~TlsFiles() = default;

std::shared_ptr<grpc::ServerCredentials> TlsFiles::credentials() const {
  return impl_->credentials;
}

}  // namespace grpccommon::internal
