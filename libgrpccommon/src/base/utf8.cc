// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/utf8.h"

#include <cstdint>
#include <cstring>

namespace grpccommon {
namespace {

// How far `text` is ASCII, in whole words: most text is, and to the end.
std::size_t AsciiWords(std::string_view text) {
  std::size_t at = 0;
  std::uint64_t word;
  for (; text.size() - at >= sizeof word; at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    if ((word & 0x8080808080808080) != 0) break;
  }
  return at;
}

bool IsContinuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

}  // namespace

[[gnu::hot]] std::size_t Utf8CharacterSize(std::string_view text) {
  const auto byte = [text](std::size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  if (text.empty()) return 0;
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  // RFC 3629, section 4: the second byte's range rules out what is overlong, a
  // surrogate or too large.
  std::size_t size = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    size = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  }
  if (size == 0 || text.size() < size) return 0;
  if (byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (!IsContinuation(byte(i))) return 0;
  }
  return size;
}

bool IsUtf8(std::string_view text) {
  while (true) {
    text.remove_prefix(AsciiWords(text));
    if (text.empty()) return true;
    const std::size_t size = Utf8CharacterSize(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
}

std::string RepairUtf8(std::string_view text) {
  std::string repaired;
  repaired.reserve(text.size());
  std::size_t copied = 0;
  for (std::size_t at = AsciiWords(text); at < text.size();) {
    if (const std::size_t size = Utf8CharacterSize(text.substr(at))) {
      at += size;
      continue;
    }
    repaired.append(text.substr(copied, at - copied));
    repaired.append(kReplacementCharacter);
    copied = ++at;
  }
  repaired.append(text.substr(copied));
  return repaired;
}

[[gnu::hot]] std::string_view TruncateUtf8(std::string_view text,
                                           std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  // A character that straddles the end began at most three bytes before it.
  for (std::size_t back = 1; back <= 3 && back <= max_bytes; ++back) {
    const std::size_t begin = max_bytes - back;
    if (IsContinuation(static_cast<unsigned char>(text[begin]))) continue;
    if (Utf8CharacterSize(text.substr(begin)) > back) {
      return text.substr(0, begin);
    }
    break;
  }
  return text.substr(0, max_bytes);
}

}  // namespace grpccommon
