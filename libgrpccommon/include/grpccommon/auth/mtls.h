// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/principal.h"

namespace grpccommon {

/// The names in a client certificate that TLS has verified.
struct PeerCertificate {
  /// Subject alternative names of type URI and DNS.
  std::vector<std::string> uris;
  std::vector<std::string> dns_names;
  std::string common_name;
};

/// What certificates with a certain name may do.
struct CertificateRule {
  /// Of a SPIFFE id ("spiffe://prod.example/ns/*/sa/orders"), a DNS name
  /// ("*.orders.example") or a common name. `*` stands for any part of one
  /// segment (between slashes in an id, dots in a name), `**` for anything.
  std::string pattern;
  std::vector<std::string> roles;
  std::vector<std::string> scopes;
};

struct CertificateIdentityOptions {
  /// Who is let in, with the roles and scopes of all rules that fit. Empty:
  /// everyone whose certificate TLS accepts, without roles.
  std::vector<CertificateRule> rules;
  /// Takes the subject's common name where there is no other name. Off, because
  /// authorities seldom check what they write there.
  bool use_common_name = false;
};

/// Who a client certificate stands for: its SPIFFE id, else its first DNS name
/// that a rule fits, else (if told so) its common name.
///
/// Immutable and thread-safe. Source: SPIFFE X.509-SVID (an id is the only URI
/// of its certificate), RFC 9525 for names without a common name.
class GRPCCOMMON_EXPORT CertificateIdentity {
 public:
  /// Errors: kInvalidArgument for an empty pattern.
  static absl::StatusOr<CertificateIdentity> Create(
      CertificateIdentityOptions options);

  /// The principal has issuer "mtls" and, as attributes, "dns" (the first) and
  /// "common_name". Errors: UNAUTHENTICATED with CERTIFICATE_NOT_ALLOWED.
  absl::StatusOr<std::shared_ptr<const Principal>> Identify(
      const PeerCertificate& certificate) const;

 private:
  explicit CertificateIdentity(CertificateIdentityOptions options);
  CertificateIdentityOptions options_;
};

}  // namespace grpccommon
