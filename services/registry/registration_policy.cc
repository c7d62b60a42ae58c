// SPDX-License-Identifier: Apache-2.0
#include "services/registry/registration_policy.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/registry/registry.h"
#include "grpccommon/status/details.h"

namespace platform::registry {
namespace {

using grpccommon::Principal;
using grpccommon::ToAbsl;
using grpccommon::ToStd;

constexpr std::string_view kScopePrefix = "register:";

bool IsPattern(std::string_view pattern) {
  if (pattern.ends_with('*')) pattern.remove_suffix(1);
  return pattern.empty() || grpccommon::CheckServiceName(pattern).ok();
}

bool Covers(std::string_view pattern, std::string_view service) {
  if (!pattern.ends_with('*')) return pattern == service;
  pattern.remove_suffix(1);
  return service.starts_with(pattern);
}

absl::Status Malformed(absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat(
      "rule \"", rule,
      "\" must be <role|scope|subject>:<name>=<pattern>[,<pattern> …]"));
}

}  // namespace

absl::StatusOr<RegistrationPolicy> RegistrationPolicy::Parse(
    std::string_view text) {
  RegistrationPolicy policy;
  for (absl::string_view entry : absl::StrSplit(ToAbsl(text), ';')) {
    entry = absl::StripAsciiWhitespace(entry);
    if (entry.empty()) continue;
    const std::size_t colon = entry.find(':');
    // A subject may have "=" in it (a certificate's name), a pattern may not.
    const std::size_t equals = entry.rfind('=');
    if (colon == absl::string_view::npos || equals == absl::string_view::npos ||
        equals <= colon + 1) {
      return Malformed(entry);
    }
    Rule rule{.kind = Kind::kRole,
              .name = std::string(entry.substr(colon + 1, equals - colon - 1)),
              .patterns = {}};
    const absl::string_view kind = entry.substr(0, colon);
    if (kind == "scope") {
      rule.kind = Kind::kScope;
    } else if (kind == "subject") {
      rule.kind = Kind::kSubject;
    } else if (kind != "role") {
      return Malformed(entry);
    }
    for (absl::string_view pattern :
         absl::StrSplit(entry.substr(equals + 1), ',')) {
      pattern = absl::StripAsciiWhitespace(pattern);
      if (pattern.empty() || !IsPattern(ToStd(pattern))) {
        return Malformed(entry);
      }
      rule.patterns.emplace_back(pattern);
    }
    policy.rules_.push_back(std::move(rule));
  }
  return policy;
}

absl::Status RegistrationPolicy::MayRegister(const Principal& principal,
                                             std::string_view service) const {
  for (const std::string& scope : principal.scopes) {
    const std::string_view text = scope;
    if (text.starts_with(kScopePrefix) && text.size() > kScopePrefix.size() &&
        Covers(text.substr(kScopePrefix.size()), service)) {
      return absl::OkStatus();
    }
  }
  for (const Rule& rule : rules_) {
    bool holds = false;
    switch (rule.kind) {
      case Kind::kRole:
        holds = principal.HasRole(rule.name);
        break;
      case Kind::kScope:
        holds = principal.HasScope(rule.name);
        break;
      case Kind::kSubject:
        holds = !principal.anonymous() && principal.subject == rule.name;
        break;
    }
    if (holds && std::any_of(rule.patterns.begin(), rule.patterns.end(),
                             [service](const std::string& pattern) {
                               return Covers(pattern, service);
                             })) {
      return absl::OkStatus();
    }
  }
  return grpccommon::PermissionDenied(
      "MAY_NOT_REGISTER",
      absl::StrCat("the caller may not register ", ToAbsl(service),
                   "; it needs the scope \"register:", ToAbsl(service), "\""));
}

}  // namespace platform::registry
