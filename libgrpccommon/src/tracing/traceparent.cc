// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/traceparent.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "grpccommon/base/hex.h"

namespace grpccommon {
namespace {

constexpr std::size_t kMaxStateBytes = 512;
constexpr std::size_t kMaxStateMembers = 32;

// The value of each lower-case hexadecimal digit, all bits of other characters.
constexpr std::array<std::uint8_t, 256> kHexDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(0xff);
  for (std::uint8_t i = 0; i < 10; ++i) digits['0' + i] = i;
  for (std::uint8_t i = 0; i < 6; ++i) digits['a' + i] = i + 10;
  return digits;
}();

// The number that the first 16 or fewer characters of `text` write; a character
// that is no digit makes `seen` more than 15. Numbers, because bytes that were
// just stored one by one are slow to be looked at together.
std::uint64_t ReadHex(std::string_view text, unsigned& seen) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const unsigned high = kHexDigits[static_cast<std::uint8_t>(text[i])];
    const unsigned low = kHexDigits[static_cast<std::uint8_t>(text[i + 1])];
    seen |= high | low;
    number = number << 8 | static_cast<std::uint8_t>(high * 16 + low);
  }
  return number;
}

void StoreBigEndian(std::uint64_t number, std::uint8_t* out) {
  for (int i = 0; i < 8; ++i) {
    out[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
  }
}

bool IsLowerAlpha(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsKeyCharacter(char c) {
  return IsLowerAlpha(c) || IsDigit(c) || c == '_' || c == '-' || c == '*' ||
         c == '/';
}
bool IsValueCharacter(char c) {
  return c >= 0x20 && c <= 0x7E && c != ',' && c != '=';
}

// One part of a key: `max` characters at most, the first of which is a letter
// or, where `digit_first`, a digit.
bool IsKeyPart(std::string_view text, std::size_t max, bool digit_first) {
  return !text.empty() && text.size() <= max &&
         (IsLowerAlpha(text[0]) || (digit_first && IsDigit(text[0]))) &&
         std::all_of(text.begin(), text.end(), IsKeyCharacter);
}

bool IsKey(std::string_view key) {
  const std::size_t at = key.find('@');
  if (at == std::string_view::npos) return IsKeyPart(key, 256, false);
  return IsKeyPart(key.substr(0, at), 241, true) &&
         IsKeyPart(key.substr(at + 1), 14, false);
}

// What precedes the next comma, without the white space around it; moves `text`
// behind that comma.
std::string_view NextMember(std::string_view& text) {
  constexpr std::string_view kWhiteSpace = " \t";
  const std::size_t end = std::min(text.find(','), text.size());
  std::string_view member = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  const std::size_t first = member.find_first_not_of(kWhiteSpace);
  if (first == std::string_view::npos) return {};
  return member.substr(first, member.find_last_not_of(kWhiteSpace) - first + 1);
}

}  // namespace

std::optional<TraceContext> ParseTraceParent(std::string_view text) {
  if (text.size() < kTraceParentLength || text[2] != '-' || text[35] != '-' ||
      text[52] != '-') {
    return std::nullopt;
  }
  unsigned seen = 0;
  const std::uint64_t version = ReadHex(text.substr(0, 2), seen);
  const std::uint64_t trace_high = ReadHex(text.substr(3, 16), seen);
  const std::uint64_t trace_low = ReadHex(text.substr(19, 16), seen);
  const std::uint64_t span = ReadHex(text.substr(36, 16), seen);
  const std::uint64_t flags = ReadHex(text.substr(53, 2), seen);
  if (seen > 15 || version == 0xff || (trace_high | trace_low) == 0 ||
      span == 0) {
    return std::nullopt;
  }
  if (text.size() > kTraceParentLength &&
      (version == 0 || text[kTraceParentLength] != '-')) {
    return std::nullopt;
  }
  std::optional<TraceContext> context(std::in_place);
  StoreBigEndian(trace_high, context->trace_id.data());
  StoreBigEndian(trace_low, context->trace_id.data() + 8);
  StoreBigEndian(span, context->span_id.data());
  context->sampled = (flags & 1) != 0;
  return context;
}

std::string FormatTraceParent(const TraceContext& context) {
  assert(context.valid());
  std::string text(kTraceParentLength, '-');
  text[0] = text[1] = '0';
  WriteHex(context.trace_id, text.data() + 3);
  WriteHex(context.span_id, text.data() + 36);
  text[53] = '0';
  text[54] = context.sampled ? '1' : '0';
  return text;
}

bool IsTraceState(std::string_view text) {
  if (text.size() > kMaxStateBytes) return false;
  std::array<std::string_view, kMaxStateMembers> keys;
  std::size_t members = 0;
  while (!text.empty()) {
    if (members == kMaxStateMembers) return false;
    const std::string_view member = NextMember(text);
    std::string_view& key = keys[members++];
    if (member.empty()) continue;
    const std::size_t equals = member.find('=');
    if (equals == std::string_view::npos) return false;
    key = member.substr(0, equals);
    const std::string_view value = member.substr(equals + 1);
    if (!IsKey(key) || value.empty() || value.size() > 256 ||
        !std::all_of(value.begin(), value.end(), IsValueCharacter) ||
        std::count(keys.begin(), keys.begin() + members, key) != 1) {
      return false;
    }
  }
  return true;
}

}  // namespace grpccommon
