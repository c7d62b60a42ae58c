// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/call/principal.h"
#include "grpccommon/call/server_call.h"

namespace grpccommon::test {

/// Believes "authorization: <subject> [role]".
class Believer final : public Authenticator {
 public:
  absl::StatusOr<std::shared_ptr<const Principal>> Authenticate(
      ServerCall& call) override {
    const std::string text(call.metadata("authorization"));
    if (text.empty()) return nullptr;
    auto principal = std::make_shared<Principal>();
    const std::size_t space = text.find(' ');
    principal->subject = text.substr(0, space);
    if (space != std::string::npos) {
      principal->roles = {text.substr(space + 1)};
    }
    return principal;
  }
  std::string hint() const override { return "say who you are"; }
};

}  // namespace grpccommon::test
