// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/hex.h"

namespace grpccommon {

void WriteHex(std::span<const std::uint8_t> bytes, char* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const std::uint8_t byte : bytes) {
    *out++ = kDigits[byte >> 4];
    *out++ = kDigits[byte & 0xf];
  }
}

std::string ToHex(std::span<const std::uint8_t> bytes) {
  std::string text(2 * bytes.size(), '\0');
  WriteHex(bytes, text.data());
  return text;
}

}  // namespace grpccommon
