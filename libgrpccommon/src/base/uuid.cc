// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/uuid.h"

#include <cstdint>

#include "grpccommon/base/random.h"

namespace grpccommon {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

bool IsHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
         (c >= 'A' && c <= 'F');
}

bool IsHyphenPlace(std::size_t index) {
  return index == 8 || index == 13 || index == 18 || index == 23;
}

}  // namespace

void WriteUuidV7(Clock::WallTime now, char* out) {
  const auto milliseconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          now.time_since_epoch())
          .count());
  // 48 bits of time, 4 of version, 12 random; then 2 of variant, 62 random.
  const std::uint64_t bits = RandomBits();
  const std::uint64_t words[2] = {
      (milliseconds << 16) | 0x7000 | (bits & 0x0fff),
      (std::uint64_t{0b10} << 62) | (RandomBits() >> 2)};
  std::size_t digit = 0;
  for (std::size_t i = 0; i < kUuidLength; ++i) {
    if (IsHyphenPlace(i)) {
      out[i] = '-';
      continue;
    }
    out[i] = kHexDigits[(words[digit / 16] >> (60 - 4 * (digit % 16))) & 0xf];
    ++digit;
  }
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
