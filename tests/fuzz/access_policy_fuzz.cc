// SPDX-License-Identifier: Apache-2.0
// Any bytes as a policy's file: refused with a message, or rules that decide;
// and a pattern against a path.
#include <cstdint>
#include <string_view>
#include <vector>

#include "auth/glob.h"
#include "fuzz/fuzz.h"
#include "grpccommon/auth/access_policy.h"

namespace {

using grpccommon::fuzz::Require;

// What GlobMatch says, as its definition reads: O(|pattern| x |text|) places,
// each looked at once.
bool Fits(std::string_view pattern, std::string_view text) {
  const char separator =
      pattern.find('/') != std::string_view::npos ? '/' : '.';
  // Whether the rest of the pattern fits text from there on; from the end.
  std::vector<bool> rest(text.size() + 1, false);
  rest.back() = true;
  std::size_t p = pattern.size();
  while (p > 0) {
    const bool star = pattern[p - 1] == '*';
    std::size_t stars = 0;
    while (p > 0 && star && pattern[p - 1] == '*') ++stars, --p;
    // A run of them is read from its left: pairs, then perhaps a single one.
    std::vector<bool> fits = rest;
    if (!star) {
      --p;
      for (std::size_t t = 0; t <= text.size(); ++t) {
        fits[t] = t < text.size() && text[t] == pattern[p] && rest[t + 1];
      }
    } else {
      for (std::size_t t = text.size(); t-- > 0;) {
        if (fits[t + 1] && (stars >= 2 || text[t] != separator)) fits[t] = true;
      }
    }
    rest = fits;
  }
  return rest.front();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace grpccommon;
  std::string_view input = fuzz::AsText(data, size);
  const auto policy = AccessPolicy::Parse(input);
  if (policy.ok()) {
    const Principal nobody;
    const Principal somebody = {
        .subject = "mallory", .issuer = "i", .roles = {"support"}};
    for (const auto kind :
         {AccessRule::Kind::kPublic, AccessRule::Kind::kAuthenticated,
          AccessRule::Kind::kAnyOf}) {
      const MethodAccess access = policy->Compile(
          "/shop.v1.OrderService/Refund", {.kind = kind, .roles = {"r"}});
      Require(!access.requirement().empty());
      // Only who is unknown is asked for a credential, and nobody else.
      Require(access.Decide(somebody) != AccessDecision::kCredentialMissing);
      Require(access.Decide(nobody) != AccessDecision::kRoleMissing);
    }
  } else {
    Require(policy.status().code() == absl::StatusCode::kInvalidArgument);
    Require(!policy.status().message().empty());
  }

  const std::string_view pattern = fuzz::TakeUntil('\n', input);
  if (pattern.size() <= 64 && input.size() <= 256) {
    Require(internal::GlobMatch(pattern, input) == Fits(pattern, input));
  }
  return 0;
}
