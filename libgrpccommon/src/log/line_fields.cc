// SPDX-License-Identifier: Apache-2.0
#include "log/line_fields.h"

#include <algorithm>
#include <charconv>

#include "grpccommon/base/hex.h"
#include "log/json_text.h"

namespace grpccommon::internal {
namespace {

// Texts up to here are written in one go.
constexpr std::size_t kShort = 128;
constexpr std::size_t kLongestNumber = 21;

}  // namespace

inline void LineFields::Ensure(std::size_t bytes) {
  line_.EndAt(out_);
  out_ = line_.Reserve(bytes);
}

inline char* LineFields::Begin(const LineFieldName& name,
                               std::size_t value_bytes) {
  Ensure(LineFieldName::kRoom + value_bytes);
  std::memcpy(out_, name.json, LineFieldName::kRoom);
  return out_ + name.size;
}

[[gnu::hot]] void LineFields::AddText(const LineFieldName& name,
                                      std::string_view text) {
  out_ = Begin(name, kShort * kLongestJsonEscape + 2);
  if (text.size() > kShort) [[unlikely]] {
    AddLongText(text);
    return;
  }
  *out_++ = '"';
  WriteJsonText(text, text.size(), out_);
  *out_++ = '"';
}

void LineFields::AddLongText(std::string_view text) {
  // Not the worst case of all of it at once, which is rare. A character may
  // straddle the end of its part: hence the three bytes more.
  constexpr std::size_t kPartBytes = (kShort + 3) * kLongestJsonEscape + 1;
  *out_++ = '"';
  while (!text.empty()) {
    Ensure(kPartBytes);
    text.remove_prefix(
        WriteJsonText(text, std::min(text.size(), kShort), out_));
  }
  *out_++ = '"';
}

[[gnu::hot]] void LineFields::AddWord(const LineFieldName& name,
                                      std::string_view word) {
  out_ = Begin(name, word.size() + 2);
  *out_++ = '"';
  out_ = std::copy(word.begin(), word.end(), out_);
  *out_++ = '"';
}

[[gnu::hot]] void LineFields::AddHex(const LineFieldName& name,
                                     std::span<const std::uint8_t> bytes) {
  out_ = Begin(name, 2 * bytes.size() + 2);
  *out_++ = '"';
  WriteHex(bytes, out_);
  out_ += 2 * bytes.size();
  *out_++ = '"';
}

[[gnu::hot]] void LineFields::AddInteger(const LineFieldName& name,
                                         std::uint64_t magnitude,
                                         bool negative) {
  out_ = Begin(name, kLongestNumber);
  if (negative) *out_++ = '-';
  out_ = std::to_chars(out_, out_ + kLongestNumber, magnitude).ptr;
}

[[gnu::hot]] LineFields& LineFields::Rendered(std::string_view fields) {
  Ensure(fields.size());
  out_ = std::copy(fields.begin(), fields.end(), out_);
  return *this;
}

}  // namespace grpccommon::internal
