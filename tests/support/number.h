// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace grpccommon::test {

/// The decimal number that all of `text` is; nothing if it is none, or out of
/// range.
template <typename Number = int>
std::optional<Number> ParseNumber(std::string_view text) {
  const char* const end = text.data() + text.size();
  Number number{};
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

}  // namespace grpccommon::test
