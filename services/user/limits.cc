// SPDX-License-Identifier: Apache-2.0
#include "services/user/limits.h"

#include <string>

#include "absl/strings/ascii.h"
#include "platform/user/v1/user_service.pb.h"

namespace platform::user {
namespace {

using grpccommon::RateLimitKey;
using grpccommon::RateLimitRule;
using grpccommon::Selector;

RateLimitRule PerMinute(int calls, RateLimitKey key) {
  return {.rate = calls / 60.0, .burst = calls, .key = key};
}

}  // namespace

void AddLimits(const LimitOptions& limits,
               grpccommon::RateLimitOptions& options) {
  options.additional.push_back(
      {.methods = Selector::Path("/platform.user.v1.UserService/Register"),
       .rule =
           PerMinute(limits.registrations_per_minute, RateLimitKey::kMethod)});
  options.additional.push_back(
      {.methods = Selector::Path("/platform.user.v1.UserService/Login"),
       .rule = PerMinute(limits.logins_per_minute, RateLimitKey::kPrincipal),
       .key = [](const google::protobuf::Message& request) {
         const auto* const login =
             dynamic_cast<const v1::LoginRequest*>(&request);
         // As accounts are found: in either case.
         return login != nullptr ? absl::AsciiStrToLower(login->login())
                                 : std::string();
       }});
}

}  // namespace platform::user
