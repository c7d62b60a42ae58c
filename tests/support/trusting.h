// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_split.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/call/principal.h"
#include "grpccommon/call/server_call.h"

namespace grpccommon::test {

/// Believes "x-caller: <subject> <roles> <scopes>", lists with commas.
class Trusting final : public Authenticator {
 public:
  absl::StatusOr<std::shared_ptr<const Principal>> Authenticate(
      ServerCall& call) override {
    const std::string text(call.metadata("x-caller"));
    if (text.empty()) return nullptr;
    const std::vector<std::string> parts = absl::StrSplit(text, ' ');
    auto principal = std::make_shared<Principal>();
    principal->subject = parts[0];
    principal->roles = absl::StrSplit(parts[1], ',');
    principal->scopes = absl::StrSplit(parts[2], ',');
    return principal;
  }
  std::string hint() const override { return "say who you are"; }
};

}  // namespace grpccommon::test
