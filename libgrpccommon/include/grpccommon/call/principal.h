// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// Who calls, as far as it was proven. Immutable once a call carries it.
struct GRPCCOMMON_EXPORT Principal {
  /// Unique within the issuer: a token's `sub`, the name of an API key, a
  /// SPIFFE id. Empty for an anonymous caller.
  std::string subject;
  /// Who vouches for it: a token's `iss`, "api-key", "mtls".
  std::string issuer;
  std::vector<std::string> roles;
  std::vector<std::string> scopes;
  /// What else was proven: a token's other string claims, a certificate's
  /// names.
  std::map<std::string, std::string, std::less<>> attributes;

  bool anonymous() const { return subject.empty(); }
  bool HasRole(std::string_view role) const;
  bool HasScope(std::string_view scope) const;
};

}  // namespace grpccommon
