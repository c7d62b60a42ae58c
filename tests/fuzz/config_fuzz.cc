// SPDX-License-Identifier: Apache-2.0
// Any bytes as a server's configuration: refused with a status, or applied.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "grpccommon/server/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto from_json = grpccommon::ApplyJson({.name = "fuzz"}, text);
  if (!from_json.ok() && from_json.status().message().empty()) std::abort();

  // The same bytes as a variable: its name up to the first '=', then its value.
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return 0;
  const std::map<std::string, std::string> environment = {
      {"GRPCCOMMON_" + std::string(text.substr(0, equals)),
       std::string(text.substr(equals + 1))}};
  const auto from_environment =
      grpccommon::ApplyEnvironment({.name = "fuzz"}, environment);
  if (!from_environment.ok() && from_environment.status().message().empty()) {
    std::abort();
  }
  return 0;
}
