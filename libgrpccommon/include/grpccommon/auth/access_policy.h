// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/call/principal.h"

namespace grpccommon {

/// A set of callers: everyone, everyone who is known, or those with any one of
/// the roles, scopes or subjects.
struct GRPCCOMMON_EXPORT CallerSet {
  bool anyone = false;
  bool authenticated = false;
  std::vector<std::string> roles;
  std::vector<std::string> scopes;
  /// Most are plain subjects. In a pattern `*` stands for any part of one
  /// segment, `**` for anything; segments end at slashes if the pattern has
  /// one, else at dots. So "*@evil.example" does not fit
  /// "john.doe@evil.example";
  /// "**@evil.example" does.
  std::vector<std::string> subjects;
  /// If set, only principals whom this issuer vouches for. Subjects are unique
  /// within an issuer only.
  std::string issuer;

  bool Contains(const Principal& principal) const;
};

enum class AccessDecision {
  kAllowed,
  /// Anonymous, and somebody else would be let in.
  kCredentialMissing,
  /// Known, but in none of the sets that are let in.
  kRoleMissing,
  /// Denied by a rule.
  kDenied,
};

/// Who may call one method, worked out once.
class GRPCCOMMON_EXPORT MethodAccess {
 public:
  MethodAccess(std::vector<CallerSet> allowed, std::vector<CallerSet> denied);

  AccessDecision Decide(const Principal& principal) const;

  /// "needs one of the roles a, b or one of the scopes c"; never names
  /// subjects.
  const std::string& requirement() const { return requirement_; }

 private:
  std::vector<CallerSet> allowed_;
  std::vector<CallerSet> denied_;
  std::string requirement_;
};

/// Rules beside those of the contract, usually from a file:
///
///   {"rules": [
///     {"methods": ["/shop.v1.OrderService/Refund"],
///      "effect": "only", "roles": ["support"]},
///     {"methods": ["/shop.v1.*/*"], "effect": "deny", "subjects": ["mallory"]}
///   ]}
///
/// For one method, `only` rules replace the contract, `allow` rules add callers
/// to whatever holds, and `deny` rules win over everything. The order of rules
/// means nothing. A rule says who by `"anyone": true`, `"authenticated": true`,
/// or any of `roles`, `scopes` and `subjects`, which are patterns (see
/// CallerSet); `issuer` narrows it. Methods are patterns over
/// "/pkg.Service/Method", in which `*` does not cross a slash.
///
/// Immutable, thread-safe.
class GRPCCOMMON_EXPORT AccessPolicy {
 public:
  /// No rules: the contract alone.
  AccessPolicy() = default;

  /// Errors: kInvalidArgument, naming the rule and its fault: an unknown member
  /// or effect, no methods, a rule that is about nobody.
  static absl::StatusOr<AccessPolicy> Parse(std::string_view json);

  /// Applies the rules to one method. `contract` must not be kDefault.
  MethodAccess Compile(std::string_view path, const AccessRule& contract) const;

  std::size_t size() const { return rules_.size(); }

 private:
  enum class Effect { kAllow, kOnly, kDeny };
  struct Rule {
    std::vector<std::string> methods;
    Effect effect;
    CallerSet callers;
  };
  std::vector<Rule> rules_;
};

}  // namespace grpccommon
