// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/call/principal.h"
#include "grpccommon/call/server_call.h"
#include "grpcpp/client_context.h"

namespace grpccommon::test {

/// Believes "authorization: <subject> [<roles> [<scopes>]]", lists with commas.
class Believer final : public Authenticator {
 public:
  absl::StatusOr<std::shared_ptr<const Principal>> Authenticate(
      ServerCall& call) override {
    const std::string text(call.metadata("authorization"));
    if (text.empty()) return nullptr;
    const std::vector<std::string> parts = absl::StrSplit(text, ' ');
    auto principal = std::make_shared<Principal>();
    principal->subject = parts[0];
    if (parts.size() > 1) principal->roles = ListOf(parts[1]);
    if (parts.size() > 2) principal->scopes = ListOf(parts[2]);
    return principal;
  }
  std::string hint() const override { return "say who you are"; }

 private:
  static std::vector<std::string> ListOf(const std::string& text) {
    return absl::StrSplit(text, ',', absl::SkipEmpty());
  }
};

/// Tells a Believer who calls.
inline void SayWho(const std::string& subject,
                   const std::vector<std::string>& roles,
                   const std::vector<std::string>& scopes,
                   grpc::ClientContext& context) {
  context.AddMetadata("authorization",
                      absl::StrCat(subject, " ", absl::StrJoin(roles, ","), " ",
                                   absl::StrJoin(scopes, ",")));
}

}  // namespace grpccommon::test
