// SPDX-License-Identifier: Apache-2.0
// Any bytes as a file of API keys, and as a key that a stranger shows.
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "grpccommon/auth/api_key.h"
#include "grpccommon/status/details.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::ApiKeySet;
  using grpccommon::fuzz::Require;
  const std::string_view text = grpccommon::fuzz::AsText(data, size);
  const grpccommon::Clock::WallTime now{std::chrono::seconds(1767225600)};

  const auto keys = ApiKeySet::Parse(text);
  if (!keys.ok()) {
    Require(keys.status().code() == absl::StatusCode::kInvalidArgument);
    Require(!keys.status().message().empty());
  } else {
    const auto found = keys->Find(text, now);
    Require(!found.ok() || !(*found)->anonymous());
  }

  static const auto* const known = new ApiKeySet(*ApiKeySet::Create(
      {{.name = "n", .sha256 = grpccommon::HashApiKey("the key")}}));
  const auto found = known->Find(text, now);
  Require(found.ok() == (text == "the key"));
  if (!found.ok()) Require(!grpccommon::ReasonOf(found.status()).empty());
  return 0;
}
