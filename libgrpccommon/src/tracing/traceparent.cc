// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/traceparent.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace grpccommon {
namespace {

constexpr std::size_t kMaxStateBytes = 512;
constexpr std::size_t kMaxStateMembers = 32;

// The value of a lower-case hexadecimal digit, else -1.
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

template <std::size_t size>
bool ParseHex(std::string_view text, std::array<std::uint8_t, size>& out) {
  for (std::size_t i = 0; i < size; ++i) {
    const int high = HexDigit(text[2 * i]);
    const int low = HexDigit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

void AppendHex(std::span<const std::uint8_t> bytes, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const std::uint8_t byte : bytes) {
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 0xf]);
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
  std::array<std::uint8_t, 1> version;
  std::array<std::uint8_t, 1> flags;
  TraceContext context;
  if (!ParseHex(text, version) || version[0] == 0xff ||
      !ParseHex(text.substr(3), context.trace_id) ||
      !ParseHex(text.substr(36), context.span_id) ||
      !ParseHex(text.substr(53), flags) || !context.valid()) {
    return std::nullopt;
  }
  if (text.size() > kTraceParentLength &&
      (version[0] == 0 || text[kTraceParentLength] != '-')) {
    return std::nullopt;
  }
  context.sampled = (flags[0] & 1) != 0;
  return context;
}

std::string FormatTraceParent(const TraceContext& context) {
  assert(context.valid());
  std::string text;
  text.reserve(kTraceParentLength);
  text += "00-";
  AppendHex(context.trace_id, text);
  text.push_back('-');
  AppendHex(context.span_id, text);
  text += context.sampled ? "-01" : "-00";
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

std::string ToHex(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  AppendHex(bytes, text);
  return text;
}

}  // namespace grpccommon
