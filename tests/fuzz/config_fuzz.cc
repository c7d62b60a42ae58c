// SPDX-License-Identifier: Apache-2.0
// Any bytes as a server's configuration: refused with a message, or applied.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "grpccommon/server/config.h"

namespace {

using grpccommon::fuzz::Require;

void Check(const absl::StatusOr<grpccommon::ServerOptions>& options) {
  if (options.ok()) return;
  Require(options.status().code() == absl::StatusCode::kInvalidArgument);
  Require(!options.status().message().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  std::string_view text = grpccommon::fuzz::AsText(data, size);
  Check(grpccommon::ApplyJson({.name = "fuzz"}, text));

  // The same bytes as variables: in each line a name up to the first '=', then
  // a value.
  std::map<std::string, std::string> environment;
  while (!text.empty()) {
    std::string_view value = grpccommon::fuzz::TakeUntil('\n', text);
    const std::string_view name = grpccommon::fuzz::TakeUntil('=', value);
    environment.emplace("GRPCCOMMON_" + std::string(name), value);
  }
  Check(grpccommon::ApplyEnvironment({.name = "fuzz"}, environment));
  return 0;
}
