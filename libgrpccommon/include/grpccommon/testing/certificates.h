// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "grpccommon/base/export.h"

namespace grpccommon::testing {

/// A certificate and its key, both PEM.
struct Certificate {
  std::string certificate_pem;
  std::string private_key_pem;
};

struct CertificateOptions {
  std::string common_name = "localhost";
  std::vector<std::string> dns_names = {"localhost"};
  std::vector<std::string> ip_addresses = {"127.0.0.1", "::1"};
  /// SPIFFE ids and other URIs.
  std::vector<std::string> uris;
  /// From an hour ago; negative: expired already.
  std::chrono::seconds valid_for = std::chrono::hours(24);
};

/// A certification authority that lives as long as a test, on EC P-256.
class GRPCCOMMON_EXPORT CertificateAuthority {
 public:
  CertificateAuthority();
  ~CertificateAuthority();

  /// What clients and servers trust, PEM.
  const std::string& certificate_pem() const;
  Certificate Issue(const CertificateOptions& options = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A folder of its own for a test, removed with all that is in it.
class GRPCCOMMON_EXPORT TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  /// Writes a file and returns its path. Replaces an existing one by rename, so
  /// that no reader sees half of it.
  std::string Write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

}  // namespace grpccommon::testing
