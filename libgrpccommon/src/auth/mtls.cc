// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/mtls.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "auth/glob.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

constexpr std::string_view kSpiffe = "spiffe://";

absl::Status NotAllowed(std::string_view message) {
  return Unauthenticated(auth_reason::kCertificateNotAllowed, message);
}

std::string LowerCase(std::string_view text) {
  return absl::AsciiStrToLower(ToAbsl(text));
}

bool IsSpiffeId(std::string_view uri) {
  return absl::StartsWithIgnoreCase(ToAbsl(uri), ToAbsl(kSpiffe));
}

}  // namespace

CertificateIdentity::CertificateIdentity(CertificateIdentityOptions options)
    : options_(std::move(options)) {}

absl::StatusOr<CertificateIdentity> CertificateIdentity::Create(
    CertificateIdentityOptions options) {
  for (CertificateRule& rule : options.rules) {
    if (rule.pattern.empty()) {
      return absl::InvalidArgumentError(
          "a certificate rule's pattern must not be empty");
    }
    // DNS names have no case; they are compared in lower case.
    if (!IsSpiffeId(rule.pattern)) rule.pattern = LowerCase(rule.pattern);
  }
  return CertificateIdentity(std::move(options));
}

absl::StatusOr<std::shared_ptr<const Principal>> CertificateIdentity::Identify(
    const PeerCertificate& certificate) const {
  auto principal = std::make_shared<Principal>();
  principal->issuer = "mtls";

  // Takes `name` if a rule fits it, with what all that fit give.
  const auto take = [&](const std::string& name, const std::string& compared) {
    bool fits = options_.rules.empty();
    for (const CertificateRule& rule : options_.rules) {
      if (!internal::GlobMatch(rule.pattern, compared)) continue;
      fits = true;
      principal->roles.insert(principal->roles.end(), rule.roles.begin(),
                              rule.roles.end());
      principal->scopes.insert(principal->scopes.end(), rule.scopes.begin(),
                               rule.scopes.end());
    }
    if (fits) principal->subject = name;
    return fits;
  };

  std::optional<std::string> spiffe_id;
  for (const std::string& uri : certificate.uris) {
    if (!IsSpiffeId(uri)) continue;
    if (certificate.uris.size() > 1) {
      return NotAllowed(
          "a certificate with a SPIFFE id must have no other URI");
    }
    spiffe_id = uri;
  }
  bool named = spiffe_id.has_value();
  bool found = named && take(*spiffe_id, *spiffe_id);
  if (!spiffe_id.has_value()) {
    for (const std::string& name : certificate.dns_names) {
      named = true;
      const std::string lower = LowerCase(name);
      found = take(lower, lower);
      if (found) break;
    }
    if (!named && options_.use_common_name &&
        !certificate.common_name.empty()) {
      named = true;
      found = take(certificate.common_name, LowerCase(certificate.common_name));
    }
  }
  if (!named) {
    return NotAllowed("the client certificate has no name that is used here");
  }
  if (!found) {
    return NotAllowed("the client certificate's name is not on the allow-list");
  }
  if (!certificate.dns_names.empty()) {
    principal->attributes.emplace("dns", certificate.dns_names.front());
  }
  if (!certificate.common_name.empty()) {
    principal->attributes.emplace("common_name", certificate.common_name);
  }
  return principal;
}

}  // namespace grpccommon
