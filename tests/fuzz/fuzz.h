// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace grpccommon::fuzz {

/// What holds whatever the input is.
inline void Require(bool condition) {
  if (!condition) std::abort();
}

inline std::string_view AsText(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Takes a length, one byte, and so many bytes from the front of `input`.
inline std::string_view TakeChunk(std::string_view& input) {
  if (input.empty()) return {};
  const std::size_t size = static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  const std::string_view chunk = input.substr(0, size);
  input.remove_prefix(chunk.size());
  return chunk;
}

/// Takes what is before the first `separator`, and that, from the front.
inline std::string_view TakeUntil(char separator, std::string_view& input) {
  const std::string_view part = input.substr(0, input.find(separator));
  input.remove_prefix(part.size() + (part.size() < input.size() ? 1 : 0));
  return part;
}

}  // namespace grpccommon::fuzz
