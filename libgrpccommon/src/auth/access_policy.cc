// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/access_policy.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "auth/glob.h"
#include "base/json_reader.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxFileBytes = 4 << 20;

// A member that must be `true` if it is there: `false` would read as if it took
// something away.
absl::StatusOr<bool> ReadTrue(const json& object, const char* member,
                              std::string_view where) {
  const auto found = object.find(member);
  if (found == object.end()) return false;
  if (!found->is_boolean() || !found->get<bool>()) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToAbsl(where), ".", member, ": must be true or absent"));
  }
  return true;
}

// An empty string if the member is absent.
absl::StatusOr<std::string> ReadText(const json& object, const char* member,
                                     std::string_view where) {
  const auto found = object.find(member);
  if (found == object.end()) return std::string();
  if (!found->is_string() || found->get_ref<const std::string&>().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        ToAbsl(where), ".", member, ": must be a non-empty string"));
  }
  return found->get<std::string>();
}

absl::StatusOr<CallerSet> ReadCallers(const json& rule,
                                      std::string_view where) {
  CallerSet callers;
  for (const auto& [member, target] :
       {std::pair("anyone", &callers.anyone),
        std::pair("authenticated", &callers.authenticated)}) {
    const absl::StatusOr<bool> value = ReadTrue(rule, member, where);
    if (!value.ok()) return value.status();
    *target = *value;
  }
  for (const auto& [member, target] :
       {std::pair("roles", &callers.roles),
        std::pair("scopes", &callers.scopes),
        std::pair("subjects", &callers.subjects)}) {
    absl::StatusOr<std::vector<std::string>> strings =
        internal::ReadStrings(rule, member, where);
    if (!strings.ok()) return strings.status();
    *target = *std::move(strings);
  }
  absl::StatusOr<std::string> issuer = ReadText(rule, "issuer", where);
  if (!issuer.ok()) return issuer.status();
  callers.issuer = *std::move(issuer);
  if (callers.anyone && !callers.issuer.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToAbsl(where), ": anyone has no issuer"));
  }
  if (!callers.anyone && !callers.authenticated && callers.roles.empty() &&
      callers.scopes.empty() && callers.subjects.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        ToAbsl(where),
        ": needs anyone, authenticated, roles, scopes or subjects"));
  }
  return callers;
}

CallerSet CallersOf(const AccessRule& rule) {
  CallerSet callers;
  switch (rule.kind) {
    case AccessRule::Kind::kPublic:
      callers.anyone = true;
      break;
    case AccessRule::Kind::kAuthenticated:
      callers.authenticated = true;
      break;
    case AccessRule::Kind::kAnyOf:
      callers.roles = rule.roles;
      callers.scopes = rule.scopes;
      break;
    case AccessRule::Kind::kDefault:
      assert(false && "the default must be resolved by the caller");
      break;
  }
  return callers;
}

// Whether a pattern fits the path of any method: a rule that never holds would
// deny nobody.
bool FitsPaths(std::string_view pattern) {
  if (!pattern.starts_with('/')) return false;
  if (pattern.find("**") != pattern.npos) return true;
  const std::size_t second = pattern.find('/', 1);
  return second != pattern.npos && second > 1 && second + 1 < pattern.size() &&
         pattern.find('/', second + 1) == pattern.npos;
}

}  // namespace

[[gnu::hot]] bool CallerSet::Contains(const Principal& principal) const {
  if (anyone) return true;
  if (principal.anonymous()) return false;
  if (!issuer.empty() && principal.issuer != issuer) return false;
  return authenticated ||
         std::any_of(roles.begin(), roles.end(),
                     [&](const std::string& role) {
                       return principal.HasRole(role);
                     }) ||
         std::any_of(scopes.begin(), scopes.end(),
                     [&](const std::string& scope) {
                       return principal.HasScope(scope);
                     }) ||
         std::any_of(subjects.begin(), subjects.end(),
                     [&](const std::string& subject) {
                       return internal::GlobMatch(subject, principal.subject);
                     });
}

MethodAccess::MethodAccess(std::vector<CallerSet> allowed,
                           std::vector<CallerSet> denied)
    : allowed_(std::move(allowed)), denied_(std::move(denied)) {
  std::vector<std::string> roles;
  std::vector<std::string> scopes;
  for (const CallerSet& callers : allowed_) {
    roles.insert(roles.end(), callers.roles.begin(), callers.roles.end());
    scopes.insert(scopes.end(), callers.scopes.begin(), callers.scopes.end());
  }
  if (!roles.empty()) {
    requirement_ =
        absl::StrCat("needs one of the roles ", absl::StrJoin(roles, ", "));
  }
  if (!scopes.empty()) {
    absl::StrAppend(&requirement_, roles.empty() ? "needs" : " or",
                    " one of the scopes ", absl::StrJoin(scopes, ", "));
  }
  if (requirement_.empty()) requirement_ = "is not open to this caller";
}

[[gnu::hot]] AccessDecision MethodAccess::Decide(
    const Principal& principal) const {
  const auto contains = [&](const CallerSet& callers) {
    return callers.Contains(principal);
  };
  if (std::any_of(denied_.begin(), denied_.end(), contains)) {
    return AccessDecision::kDenied;
  }
  if (std::any_of(allowed_.begin(), allowed_.end(), contains)) {
    return AccessDecision::kAllowed;
  }
  return principal.anonymous() ? AccessDecision::kCredentialMissing
                               : AccessDecision::kRoleMissing;
}

absl::StatusOr<AccessPolicy> AccessPolicy::Parse(std::string_view text) {
  const absl::StatusOr<json> root =
      internal::ParseJson(text, "access policy", kMaxFileBytes);
  if (!root.ok()) return root.status();
  if (absl::Status known =
          internal::CheckMembers(*root, "access policy", {"rules"});
      !known.ok()) {
    return known;
  }
  const auto rules = root->find("rules");
  if (rules == root->end() || !rules->is_array()) {
    return absl::InvalidArgumentError(
        "access policy: \"rules\" must be an array");
  }
  AccessPolicy policy;
  for (const json& element : *rules) {
    const std::string where = absl::StrCat("rules[", policy.rules_.size(), "]");
    if (absl::Status known = internal::CheckMembers(
            element, where,
            {"methods", "effect", "anyone", "authenticated", "roles", "scopes",
             "subjects", "issuer", "comment"});
        !known.ok()) {
      return known;
    }
    absl::StatusOr<std::vector<std::string>> methods =
        internal::ReadStrings(element, "methods", where);
    if (!methods.ok()) return methods.status();
    if (methods->empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ".methods: must name at least one method"));
    }
    for (const std::string& method : *methods) {
      if (!FitsPaths(method)) {
        return absl::InvalidArgumentError(
            absl::StrCat(where, ".methods: \"", method,
                         "\" must be a pattern like \"/pkg.Service/Method\""));
      }
    }
    const absl::StatusOr<std::string> effect =
        ReadText(element, "effect", where);
    if (!effect.ok()) return effect.status();
    Rule rule;
    rule.methods = *std::move(methods);
    if (*effect == "allow" || effect->empty()) {
      rule.effect = Effect::kAllow;
    } else if (*effect == "only") {
      rule.effect = Effect::kOnly;
    } else if (*effect == "deny") {
      rule.effect = Effect::kDeny;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ".effect: must be allow, only or deny"));
    }
    absl::StatusOr<CallerSet> callers = ReadCallers(element, where);
    if (!callers.ok()) return callers.status();
    rule.callers = *std::move(callers);
    policy.rules_.push_back(std::move(rule));
  }
  return policy;
}

MethodAccess AccessPolicy::Compile(std::string_view path,
                                   const AccessRule& contract) const {
  std::vector<CallerSet> allowed;
  std::vector<CallerSet> denied;
  bool replaced = false;
  for (const Rule& rule : rules_) {
    if (std::none_of(rule.methods.begin(), rule.methods.end(),
                     [&](const std::string& method) {
                       return internal::GlobMatch(method, path);
                     })) {
      continue;
    }
    replaced |= rule.effect == Effect::kOnly;
    (rule.effect == Effect::kDeny ? denied : allowed).push_back(rule.callers);
  }
  if (!replaced) allowed.push_back(CallersOf(contract));
  return MethodAccess(std::move(allowed), std::move(denied));
}

}  // namespace grpccommon
