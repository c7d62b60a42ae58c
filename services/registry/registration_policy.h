// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/call/principal.h"

namespace platform::registry {

/// Who may register, renew and take out instances of which service. What no
/// rule and no scope allows is refused.
///
/// A scope "register:<pattern>" in a caller's credential always allows what its
/// pattern covers, so that who issues credentials decides. Rules are for
/// credentials without such scopes.
///
/// A pattern is a service's name, or the beginning of one with a "*" behind it;
/// "*" covers all.
class RegistrationPolicy {
 public:
  /// Rules as text: "<kind>:<name>=<pattern>[,<pattern> …]", separated by ";",
  /// where the kind is role, scope or subject:
  ///
  ///   role:instance=*; subject:billing=billing.*,audit.v1.AuditService
  ///
  /// Empty: scopes alone decide.
  /// Errors: kInvalidArgument, naming the rule.
  static absl::StatusOr<RegistrationPolicy> Parse(std::string_view text);

  /// Errors: PERMISSION_DENIED with reason MAY_NOT_REGISTER.
  absl::Status MayRegister(const grpccommon::Principal& principal,
                           std::string_view service) const;

 private:
  enum class Kind { kRole, kScope, kSubject };
  struct Rule {
    Kind kind;
    std::string name;
    std::vector<std::string> patterns;
  };

  std::vector<Rule> rules_;
};

}  // namespace platform::registry
