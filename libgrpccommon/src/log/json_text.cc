// SPDX-License-Identifier: Apache-2.0
#include "log/json_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "grpccommon/base/utf8.h"

namespace grpccommon::internal {
namespace {

// Whether a byte can not be copied as it is.
constexpr std::array<bool, 256> kNeedsCare = [] {
  std::array<bool, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    table[byte] = byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\';
  }
  return table;
}();

inline bool NeedsCare(char c) {
  return kNeedsCare[static_cast<unsigned char>(c)];
}

// The same for eight bytes at once (may err towards true). A subtraction
// borrows into the high bit of a byte that is smaller than what is taken off,
// an addition carries into that of 0x7f.
inline bool AnyNeedsCare(std::uint64_t bytes) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighs = 0x8080808080808080;
  const auto equals = [bytes](std::uint64_t byte) {
    const std::uint64_t zero_where_equal = bytes ^ (kOnes * byte);
    return (zero_where_equal - kOnes) & ~zero_where_equal;
  };
  const std::uint64_t control = (bytes - kOnes * 0x20) & ~bytes;
  const std::uint64_t high = bytes | (bytes + kOnes);
  return ((control | high | equals('"') | equals('\\')) & kHighs) != 0;
}

#ifdef __SSE2__
// The same for sixteen. Bytes from 0x80 on are negative numbers here.
inline bool AnyNeedsCare(__m128i bytes) {
  const __m128i odd =
      _mm_or_si128(_mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)),
                                _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f))),
                   _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
  return _mm_movemask_epi8(odd) != 0;
}
#endif

constexpr char kHexDigits[] = "0123456789abcdef";

char* WriteUnicodeEscape(unsigned char code, char* out) {
  std::memcpy(out, "\\u00", 4);
  out[4] = kHexDigits[code >> 4];
  out[5] = kHexDigits[code & 0xf];
  return out + 6;
}

// Writes the character that `text` begins with, which needs care, and returns
// how many bytes of `text` that was.
std::size_t WriteCarefully(std::string_view text, char*& out) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first >= 0x80) {
    const std::size_t size = Utf8CharacterSize(text);
    if (size == 2 && first == 0xc2 &&
        static_cast<unsigned char>(text[1]) < 0xa0) {
      // A C1 control character, which terminals obey as well.
      out = WriteUnicodeEscape(static_cast<unsigned char>(text[1]), out);
      return 2;
    }
    const std::string_view written =
        size != 0 ? text.substr(0, size) : kReplacementCharacter;
    out = std::copy(written.begin(), written.end(), out);
    return size != 0 ? size : 1;
  }
  char letter = 0;
  switch (first) {
    case '"':
    case '\\':
      letter = static_cast<char>(first);
      break;
    case '\b':
      letter = 'b';
      break;
    case '\f':
      letter = 'f';
      break;
    case '\n':
      letter = 'n';
      break;
    case '\r':
      letter = 'r';
      break;
    case '\t':
      letter = 't';
      break;
    default:
      out = WriteUnicodeEscape(first, out);
      return 1;
  }
  *out++ = '\\';
  *out++ = letter;
  return 1;
}

// Writes the last `count` bytes of a text that reaches from `begin` to `end` if
// none of them needs care; the texts of a log are short, so that their ends
// matter. Where the text is long enough, some bytes before them are written
// again, which costs less than looking at single bytes.
inline bool WriteEnd(const char* begin, const char* end, std::size_t count,
                     char*& out) {
  const auto size = static_cast<std::size_t>(end - begin);
  std::uint64_t bytes = 0;
  if (size >= sizeof bytes) {
    std::memcpy(&bytes, end - sizeof bytes, sizeof bytes);
    if (AnyNeedsCare(bytes)) return false;
    out += count;
    std::memcpy(out - sizeof bytes, &bytes, sizeof bytes);
    return true;
  }
  constexpr std::size_t kHalf = sizeof bytes / 2;
  if (size < kHalf) return false;
  char halves[sizeof bytes];
  std::memcpy(halves, begin, kHalf);
  std::memcpy(halves + kHalf, end - kHalf, kHalf);
  std::memcpy(&bytes, halves, sizeof bytes);
  if (AnyNeedsCare(bytes)) return false;
  out += count;
  std::memcpy(out - size, halves, kHalf);
  std::memcpy(out - kHalf, halves + kHalf, kHalf);
  return true;
}

}  // namespace

[[gnu::hot]] std::size_t WriteJsonText(std::string_view text, std::size_t end,
                                       char*& out) {
  const char* const data = text.data();
  std::size_t at = 0;
  while (at < end) {
#ifdef __SSE2__
    for (; end - at >= sizeof(__m128i); at += sizeof(__m128i)) {
      const __m128i bytes =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + at));
      if (AnyNeedsCare(bytes)) break;
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
      out += sizeof(__m128i);
    }
#endif
    std::uint64_t bytes;
    for (; end - at >= sizeof bytes; at += sizeof bytes) {
      std::memcpy(&bytes, data + at, sizeof bytes);
      if (AnyNeedsCare(bytes)) break;
      std::memcpy(out, &bytes, sizeof bytes);
      out += sizeof bytes;
    }
    if (end - at < sizeof bytes &&
        (at == end || WriteEnd(data, data + end, end - at, out))) {
      return end;
    }
    while (at < end && !NeedsCare(data[at])) *out++ = data[at++];
    if (at < end) at += WriteCarefully(text.substr(at), out);
  }
  return at;
}

void AppendJsonText(std::string_view text, std::string& out) {
  const std::size_t before = out.size();
  out.resize(before + text.size() * kLongestJsonEscape + 2);
  char* end = out.data() + before;
  *end++ = '"';
  WriteJsonText(text, text.size(), end);
  *end++ = '"';
  out.resize(static_cast<std::size_t>(end - out.data()));
}

}  // namespace grpccommon::internal
