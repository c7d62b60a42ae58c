// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/uuid.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "grpccommon/base/hex.h"
#include "grpccommon/base/random.h"

namespace grpccommon {
namespace {

bool IsHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
         (c >= 'A' && c <= 'F');
}

bool IsHyphenPlace(std::size_t index) {
  return index == 8 || index == 13 || index == 18 || index == 23;
}

}  // namespace

[[gnu::hot]] void WriteUuidV7(Clock::WallTime now, char* out) {
  const auto milliseconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          now.time_since_epoch())
          .count());
  // 48 bits of time, 4 of version, 12 random; then 2 of variant, 62 random.
  const std::uint64_t bits = RandomBits();
  std::uint64_t words[2] = {(milliseconds << 16) | 0x7000 | (bits & 0x0fff),
                            (std::uint64_t{0b10} << 62) | (RandomBits() >> 2)};
  if constexpr (std::endian::native == std::endian::little) {
    for (std::uint64_t& word : words) word = __builtin_bswap64(word);
  }
  std::uint8_t bytes[sizeof words];
  std::memcpy(bytes, words, sizeof words);
  char digits[2 * sizeof bytes];
  WriteHex(bytes, digits);
  std::memcpy(out, digits, 8);
  std::memcpy(out + 9, digits + 8, 4);
  std::memcpy(out + 14, digits + 12, 4);
  std::memcpy(out + 19, digits + 16, 4);
  std::memcpy(out + 24, digits + 20, 12);
  out[8] = out[13] = out[18] = out[23] = '-';
}

std::string UuidV7(const Clock& clock) {
  std::string uuid(kUuidLength, '\0');
  WriteUuidV7(clock.WallNow(), uuid.data());
  return uuid;
}

bool IsUuid(std::string_view text) {
  if (text.size() != kUuidLength) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (IsHyphenPlace(i) ? text[i] != '-' : !IsHexDigit(text[i])) return false;
  }
  return true;
}

}  // namespace grpccommon
