// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/hex.h"

#include <bit>
#include <cstring>

namespace grpccommon {
namespace {

// Writes the eight digits of four bytes at once, in one word of which the
// first of them is the lowest byte.
void WriteFour(const std::uint8_t* bytes, char* out) {
  std::uint64_t digits =
      std::uint64_t{bytes[0]} | std::uint64_t{bytes[1]} << 16 |
      std::uint64_t{bytes[2]} << 32 | std::uint64_t{bytes[3]} << 48;
  digits = (digits >> 4 & 0x000f000f000f000f) | (digits & 0x000f000f000f000f)
                                                    << 8;
  // From ten on, letters: six more carries such a digit into the next place.
  const std::uint64_t letters =
      (digits + 0x0606060606060606) >> 4 & 0x0101010101010101;
  digits += 0x3030303030303030 + letters * ('a' - '0' - 10);
  if constexpr (std::endian::native == std::endian::big) {
    digits = __builtin_bswap64(digits);
  }
  std::memcpy(out, &digits, sizeof digits);
}

}  // namespace

[[gnu::hot]] void WriteHex(std::span<const std::uint8_t> bytes, char* out) {
  for (; bytes.size() >= 4; bytes = bytes.subspan(4)) {
    WriteFour(bytes.data(), out);
    out += 8;
  }
  for (const std::uint8_t byte : bytes) {
    *out++ = "0123456789abcdef"[byte >> 4];
    *out++ = "0123456789abcdef"[byte & 0xf];
  }
}

std::string ToHex(std::span<const std::uint8_t> bytes) {
  std::string text(2 * bytes.size(), '\0');
  WriteHex(bytes, text.data());
  return text;
}

}  // namespace grpccommon
