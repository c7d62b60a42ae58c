// SPDX-License-Identifier: Apache-2.0
// What an issuer answers to who wants a token, and how long it says that an
// answer is good for.
#include <cstdint>
#include <string_view>

#include "auth/fetched_token.h"
#include "auth/http_fetch.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::fuzz::Require;
  const std::string_view text = grpccommon::fuzz::AsText(data, size);
  constexpr std::chrono::seconds kYear{366 * 24 * 3600};

  for (const long code : {200L, 400L}) {
    const auto answer = grpccommon::internal::ParseTokenAnswer(code, text);
    if (!answer.ok()) {
      Require(answer.status().code() == absl::StatusCode::kUnavailable);
      Require(!answer.status().message().empty());
      continue;
    }
    Require(code == 200);
    // What is sent as metadata later.
    Require(!answer->token.empty());
    for (const char c : answer->token) Require(c > ' ' && c < 0x7f);
    Require(!answer->lifetime.has_value() ||
            (*answer->lifetime >= std::chrono::seconds(1) &&
             *answer->lifetime <= kYear));
  }

  const auto max_age = grpccommon::internal::ParseMaxAge(text);
  Require(!max_age.has_value() || (*max_age >= 0 && *max_age <= kYear.count()));
  return 0;
}
