// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "grpccommon/log/logger.h"

namespace grpccommon::internal {

/// The name of a field, which needs no escaping, with what stands around it:
/// `,"name":`.
struct LineFieldName {
  /// Longer than any name, so that all are copied alike.
  static constexpr std::size_t kRoom = 32;

  /// A name that needs escaping, or is too long, does not compile.
  template <std::size_t kSize>
  // A literal becomes one where it is a template's argument.
  // NOLINTNEXTLINE(google-explicit-constructor)
  consteval LineFieldName(const char (&name)[kSize]) : size(kSize + 3) {
    static_assert(kSize + 3 <= kRoom);
    json[0] = ',';
    json[1] = '"';
    for (std::size_t i = 0; i + 1 < kSize; ++i) {
      const char c = name[i];
      if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') throw "odd name";
      json[2 + i] = c;
    }
    json[kSize + 1] = '"';
    json[kSize + 2] = ':';
  }

  char json[kRoom] = {};
  std::size_t size;
};

/// Adds fields whose names are known when the program is compiled: the same as
/// LogLine::Add does, at a fraction of its cost. They count once this is
/// destroyed; the line must not be used before, and must have a field already.
class LineFields {
 public:
  explicit LineFields(LogLine& line) : line_(line), out_(line.Reserve(0)) {}
  ~LineFields() { line_.EndAt(out_); }
  LineFields(const LineFields&) = delete;
  LineFields& operator=(const LineFields&) = delete;

  /// Any text.
  template <LineFieldName kName>
  LineFields& Text(std::string_view text) {
    AddText(kName, text);
    return *this;
  }

  /// A text that needs no escaping.
  template <LineFieldName kName>
  LineFields& Word(std::string_view word) {
    AddWord(kName, word);
    return *this;
  }

  /// Bytes as hexadecimal digits.
  template <LineFieldName kName>
  LineFields& Hex(std::span<const std::uint8_t> bytes) {
    AddHex(kName, bytes);
    return *this;
  }

  template <LineFieldName kName, std::integral Number>
  LineFields& Integer(Number number) {
    if constexpr (std::signed_integral<Number>) {
      if (number < 0) [[unlikely]] {
        AddInteger(kName, 0 - static_cast<std::uint64_t>(number), true);
        return *this;
      }
    }
    AddInteger(kName, static_cast<std::uint64_t>(number), false);
    return *this;
  }

  /// Fields as they stand in another line: `,"a":1,"b":"c"`.
  LineFields& Rendered(std::string_view fields);

 private:
  // Not templates: each is a few cache lines of code that all fields share.
  void AddText(const LineFieldName& name, std::string_view text);
  void AddWord(const LineFieldName& name, std::string_view word);
  void AddHex(const LineFieldName& name, std::span<const std::uint8_t> bytes);
  void AddInteger(const LineFieldName& name, std::uint64_t magnitude,
                  bool negative);
  void AddLongText(std::string_view text);
  // Leaves room for `value_bytes`.
  char* Begin(const LineFieldName& name, std::size_t value_bytes);
  void Ensure(std::size_t bytes);

  LogLine& line_;
  char* out_;
};

}  // namespace grpccommon::internal
