// SPDX-License-Identifier: Apache-2.0
#include "auth/tls_files.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "auth/openssl.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/mutex.h"

namespace grpccommon::internal {
namespace {

constexpr std::size_t kMaxPemBytes = 1 << 20;

// The contents of the files; empty where there is none.
struct Pems {
  std::string certificate;
  std::string private_key;
  std::string ca;
};

// A file that somebody is still writing may end anywhere, also after a whole
// certificate. Each block has four such marks.
bool EndsWithinBlock(std::string_view pem) {
  constexpr std::string_view kMark = "-----";
  int marks = 0;
  for (std::size_t at = pem.find(kMark); at != std::string_view::npos;
       at = pem.find(kMark, at + kMark.size())) {
    ++marks;
  }
  return marks % 4 != 0;
}

// The first certificate. All are read: gRPC refuses every connection over a
// broken one at the end, and takes a broken authority for none.
absl::StatusOr<X509Ptr> ParseCertificates(const std::string& pem,
                                          const std::string& path) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  X509Ptr first(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (first == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds no certificate in PEM form"));
  }
  X509Ptr next;
  do {
    ERR_clear_error();
    next.reset(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  } while (next != nullptr);
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE ||
      EndsWithinBlock(pem)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds a broken certificate after the first one"));
  }
  return first;
}

// Asked for a passphrase, OpenSSL would read the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::Status CheckIdentity(const Pems& pems, const TlsFilePaths& paths) {
  absl::StatusOr<X509Ptr> certificate =
      ParseCertificates(pems.certificate, paths.certificate);
  if (!certificate.ok()) return certificate.status();
  const BioPtr bio(BIO_new_mem_buf(pems.private_key.data(),
                                   static_cast<int>(pems.private_key.size())));
  const PkeyPtr key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        paths.private_key, " holds no unencrypted private key in PEM form"));
  }
  if (X509_check_private_key(certificate->get(), key.get()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        paths.private_key, " is not the key of ", paths.certificate));
  }
  return absl::OkStatus();
}

absl::StatusOr<Pems> ReadChecked(const TlsFilePaths& paths) {
  Pems pems;
  absl::Status status;
  const auto read = [&status](const std::string& path, std::string& pem) {
    if (path.empty()) return;
    absl::StatusOr<std::string> content = ReadFile(path, kMaxPemBytes);
    if (content.ok()) {
      pem = *std::move(content);
    } else {
      status.Update(content.status());
    }
  };
  read(paths.certificate, pems.certificate);
  read(paths.private_key, pems.private_key);
  read(paths.ca, pems.ca);
  const OpensslErrorScope errors;
  if (status.ok() && !paths.certificate.empty()) {
    status = CheckIdentity(pems, paths);
  }
  if (status.ok() && !paths.ca.empty()) {
    status = ParseCertificates(pems.ca, paths.ca).status();
  }
  if (!status.ok()) return status;
  return pems;
}

// Closes what nobody looks at any more. gRPC may look once more while it drops
// its watcher of a file, in an order that it does not promise, and by then the
// number could be another file's: so a second later, at the next occasion.
void CloseSoon(int fd) {
  using Entry = std::pair<Clock::TimePoint, int>;
  static Mutex* const mutex = new Mutex();
  static std::deque<Entry>* const waiting = new std::deque<Entry>();
  const Clock::TimePoint now = SteadyClock().Now();
  const MutexLock lock(*mutex);
  waiting->emplace_back(now + std::chrono::seconds(1), fd);
  while (waiting->front().first <= now) {
    close(waiting->front().second);
    waiting->pop_front();
  }
}

absl::Status NotKept() {
  return absl::ResourceExhaustedError(absl::StrCat(
      "cannot keep a certificate in memory: ", std::strerror(errno)));
}

// A file in memory that only this process sees, and whose content is replaced
// as a whole: a reader of the path gets the old one or the new one.
class MemoryFile {
 public:
  MemoryFile() = default;
  ~MemoryFile() {
    Discard();
    if (fd_ >= 0) CloseSoon(fd_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  // All that may want for descriptors or memory; nobody sees the content yet.
  absl::Status Prepare(const std::string& content) {
    fresh_ = memfd_create("grpccommon-tls", MFD_CLOEXEC);
    return fresh_ >= 0 && WriteAll(fresh_, content) ? absl::OkStatus()
                                                    : NotKept();
  }
  // Shows what was prepared, if anything was.
  absl::Status Publish() {
    if (fresh_ < 0) return absl::OkStatus();
    if (fd_ < 0) {
      fd_ = std::exchange(fresh_, -1);
      return absl::OkStatus();
    }
    absl::Status status;
    if (dup3(fresh_, fd_, O_CLOEXEC) < 0) status = NotKept();
    Discard();
    return status;
  }
  // Forgets it.
  void Discard() {
    if (fresh_ >= 0) close(std::exchange(fresh_, -1));
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
  int fresh_ = -1;
};

}  // namespace

struct TlsFiles::Impl {
  Impl(const TlsFilePaths& p, const Logger& l) : paths(p), logger(l) {}

  absl::Status Publish(const Pems& pems) {
    // All are made before the first is shown: half of a pair would serve
    // nobody.
    absl::Status status;
    if (!paths.certificate.empty()) {
      status.Update(certificate.Prepare(pems.certificate));
      status.Update(private_key.Prepare(pems.private_key));
    }
    if (!paths.ca.empty()) status.Update(ca.Prepare(pems.ca));
    for (MemoryFile* const file : {&certificate, &private_key, &ca}) {
      if (status.ok()) {
        status = file->Publish();
      } else {
        file->Discard();
      }
    }
    return status;
  }

  absl::Status Load() {
    const absl::StatusOr<Pems> pems = ReadChecked(paths);
    return pems.ok() ? Publish(*pems) : pems.status();
  }

  void Report(const absl::Status& loaded) const {
    if (loaded.ok()) {
      logger.Info(
          "TLS files reloaded",
          {{"certificate_file", paths.certificate}, {"ca_file", paths.ca}});
    } else {
      logger.Error("TLS files are not usable; the old ones stay in force",
                   {{"error", loaded.ToString()}});
    }
  }

  const TlsFilePaths paths;
  const Logger logger;
  MemoryFile certificate;
  MemoryFile private_key;
  MemoryFile ca;
  // Last, so that no reload runs while the rest goes.
  std::unique_ptr<FileWatcher> watcher;
};

absl::StatusOr<std::unique_ptr<TlsFiles>> TlsFiles::Create(
    const TlsFilePaths& paths, Scheduler& scheduler, const Logger& logger) {
  if (absl::Status valid =
          CheckRange("tls.reload_interval", paths.reload_interval,
                     std::chrono::seconds(1), std::chrono::hours(24));
      !valid.ok()) {
    return valid;
  }
  if (paths.certificate.empty() != paths.private_key.empty()) {
    return absl::InvalidArgumentError(
        "tls needs certificate and private key, or neither of them");
  }
  std::vector<std::string> watched;
  for (const std::string& path :
       {paths.certificate, paths.private_key, paths.ca}) {
    if (!path.empty()) watched.push_back(path);
  }
  auto impl = std::make_unique<Impl>(paths, logger);
  absl::StatusOr<std::unique_ptr<FileWatcher>> watcher = FileWatcher::Create(
      std::move(watched), scheduler, paths.reload_interval,
      [loading = impl.get()] { return loading->Load(); },
      [told = impl.get()](const absl::Status& loaded) {
        told->Report(loaded);
      });
  if (!watcher.ok()) return watcher.status();
  impl->watcher = *std::move(watcher);
  return std::unique_ptr<TlsFiles>(new TlsFiles(std::move(impl)));
}

TlsFiles::TlsFiles(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsFiles::~TlsFiles() = default;

std::shared_ptr<grpc::experimental::CertificateProviderInterface>
TlsFiles::CreateProvider(std::chrono::seconds interval) const {
  const bool identity = !impl_->paths.certificate.empty();
  return std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      identity ? impl_->private_key.path() : "",
      identity ? impl_->certificate.path() : "",
      impl_->paths.ca.empty() ? "" : impl_->ca.path(),
      static_cast<unsigned>(interval.count()));
}

}  // namespace grpccommon::internal
