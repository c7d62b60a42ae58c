// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/hex.h"

#include <bit>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

#ifdef __SSE2__
// The digits of sixteen bytes whose upper halves are zero.
__m128i Digits(__m128i halves) {
  const __m128i letters = _mm_cmpgt_epi8(halves, _mm_set1_epi8(9));
  return _mm_add_epi8(_mm_add_epi8(halves, _mm_set1_epi8('0')),
                      _mm_and_si128(letters, _mm_set1_epi8('a' - '0' - 10)));
}

// Writes the 32 digits of sixteen bytes, or the 16 of eight in the lower half.
template <int kBytes>
void WriteMany(__m128i bytes, char* out) {
  const __m128i half = _mm_set1_epi8(0x0f);
  const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), half);
  const __m128i low = _mm_and_si128(bytes, half);
  auto* const to = reinterpret_cast<__m128i*>(out);
  _mm_storeu_si128(to, Digits(_mm_unpacklo_epi8(high, low)));
  if constexpr (kBytes == 16) {
    _mm_storeu_si128(to + 1, Digits(_mm_unpackhi_epi8(high, low)));
  }
}
#endif

}  // namespace

[[gnu::hot]] void WriteHex(std::span<const std::uint8_t> bytes, char* out) {
#ifdef __SSE2__
  for (; bytes.size() >= 16; bytes = bytes.subspan(16), out += 32) {
    WriteMany<16>(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data())), out);
  }
  if (bytes.size() >= 8) {
    WriteMany<8>(
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes.data())), out);
    bytes = bytes.subspan(8);
    out += 16;
  }
#endif
  for (; bytes.size() >= 4; bytes = bytes.subspan(4), out += 8) {
    WriteFour(bytes.data(), out);
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
