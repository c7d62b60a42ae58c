// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace grpccommon::testing {
namespace {

// Tests cannot go on without their certificates, so nothing here returns an
// error.
void Require(bool good) {
  if (!good) std::abort();
}

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

KeyPtr NewKey() {
  KeyPtr key(EVP_EC_gen("P-256"));
  Require(key != nullptr);
  return key;
}

std::string Content(BIO& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(&bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string ToPem(X509& certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  Require(PEM_write_bio_X509(bio.get(), &certificate) == 1);
  return Content(*bio);
}

std::string ToPem(EVP_PKEY& key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  Require(PEM_write_bio_PrivateKey(bio.get(), &key, nullptr, nullptr, 0,
                                   nullptr, nullptr) == 1);
  return Content(*bio);
}

void AddExtension(X509& certificate, int nid, const std::string& value) {
  X509_EXTENSION* const extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  Require(extension != nullptr);
  X509_add_ext(&certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509Ptr NewCertificate(EVP_PKEY& key, const std::string& common_name,
                       std::chrono::seconds valid_for) {
  X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  std::uint64_t serial = 0;
  Require(RAND_bytes(reinterpret_cast<unsigned char*>(&serial),
                     sizeof serial) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()),
                          serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()),
                  static_cast<long>(valid_for.count()));
  X509_set_pubkey(certificate.get(), &key);
  X509_NAME_add_entry_by_txt(
      X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
      reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  return certificate;
}

}  // namespace

struct CertificateAuthority::State {
  KeyPtr key = NewKey();
  X509Ptr certificate = NewCertificate(*key, "Test CA", std::chrono::hours(48));
  std::string pem;
};

CertificateAuthority::CertificateAuthority()
    : state_(std::make_unique<State>()) {
  X509& certificate = *state_->certificate;
  X509_set_issuer_name(&certificate, X509_get_subject_name(&certificate));
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  Require(X509_sign(&certificate, state_->key.get(), EVP_sha256()) > 0);
  state_->pem = ToPem(certificate);
}

CertificateAuthority::~CertificateAuthority() = default;

const std::string& CertificateAuthority::certificate_pem() const {
  return state_->pem;
}

Certificate CertificateAuthority::Issue(
    const CertificateOptions& options) const {
  const KeyPtr key = NewKey();
  const X509Ptr certificate =
      NewCertificate(*key, options.common_name, options.valid_for);
  X509_set_issuer_name(certificate.get(),
                       X509_get_subject_name(state_->certificate.get()));
  std::string names;
  const auto add = [&names](const char* type,
                            const std::vector<std::string>& values) {
    for (const std::string& value : values) {
      if (!names.empty()) names += ',';
      names += type + value;
    }
  };
  add("DNS:", options.dns_names);
  add("IP:", options.ip_addresses);
  add("URI:", options.uris);
  if (!names.empty()) AddExtension(*certificate, NID_subject_alt_name, names);
  AddExtension(*certificate, NID_basic_constraints, "critical,CA:FALSE");
  Require(X509_sign(certificate.get(), state_->key.get(), EVP_sha256()) > 0);
  return {ToPem(*certificate), ToPem(*key)};
}

TemporaryFolder::TemporaryFolder() {
  std::string name =
      (std::filesystem::temp_directory_path() / "grpccommon-XXXXXX").string();
  Require(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::Write(const std::string& name,
                                   const std::string& content) const {
  const std::filesystem::path path = std::filesystem::path(path_) / name;
  const std::filesystem::path fresh = path.string() + ".new";
  {
    std::ofstream file(fresh, std::ios::binary);
    file << content;
    file.close();
    Require(file.good());
  }
  std::filesystem::rename(fresh, path);
  return path.string();
}

}  // namespace grpccommon::testing
