// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

namespace grpccommon {
namespace {

using namespace std::string_literals;

std::string Encode(std::uint32_t code_point) {
  const auto tail = [code_point](int shift) {
    return static_cast<char>(0x80 | ((code_point >> shift) & 0x3f));
  };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) {
    return {static_cast<char>(0xc0 | (code_point >> 6)), tail(0)};
  }
  if (code_point < 0x10000) {
    return {static_cast<char>(0xe0 | (code_point >> 12)), tail(6), tail(0)};
  }
  return {static_cast<char>(0xf0 | (code_point >> 18)), tail(12), tail(6),
          tail(0)};
}

TEST(Utf8Test, KnowsEveryCodePointAndNoSurrogate) {
  for (std::uint32_t code_point = 0; code_point < 0x120000; ++code_point) {
    const bool valid =
        code_point < 0x110000 && (code_point < 0xd800 || code_point > 0xdfff);
    const std::string text = Encode(code_point) + "x";
    ASSERT_EQ(Utf8CharacterSize(text), valid ? text.size() - 1 : 0)
        << code_point;
  }
}

TEST(Utf8Test, RefusesWhatIsOverlongCutShortOrNoBeginning) {
  for (const std::string& text :
       {""s, "\x80"s, "\xbf"s, "\xc0\x80"s, "\xc1\xbf"s, "\xe0\x9f\xbf"s,
        "\xf0\x8f\xbf\xbf"s, "\xf5\x80\x80\x80"s, "\xfe"s, "\xff"s, "\xc3"s,
        "\xe8\xaa"s, "\xf0\x9f\x98"s, "\xc3x"s, "\xe8\xaax"s}) {
    EXPECT_EQ(Utf8CharacterSize(text), 0u);
  }
}

TEST(Utf8Test, RepairsByteByByteAndLeavesTheRest) {
  EXPECT_EQ(RepairUtf8(""), "");
  EXPECT_EQ(RepairUtf8("naïve 語 😀\0x"s), "naïve 語 😀\0x"s);
  EXPECT_EQ(RepairUtf8("a\xff"
                       "b\xe8\xaa"
                       "c"),
            "a\uFFFDb\uFFFD\uFFFDc");
}

TEST(Utf8Test, TellsWellFormedTextFromOther) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("aé語😀"));
  EXPECT_FALSE(IsUtf8("a\xff"));
  EXPECT_FALSE(IsUtf8("\xc0\x80"));
  EXPECT_FALSE(IsUtf8("\xed\xa0\x80"));
  EXPECT_FALSE(IsUtf8(std::string_view("語").substr(0, 2)));
}

TEST(Utf8Test, TruncatesBeforeACharacterThatWouldBeSplit) {
  const std::string text = "aé語😀";  // 1 + 2 + 3 + 4 bytes
  const std::size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
  for (std::size_t limit = 0; limit < std::size(expected); ++limit) {
    EXPECT_EQ(TruncateUtf8(text, limit), text.substr(0, expected[limit]))
        << limit;
  }
}

TEST(Utf8Test, TruncatesWhatIsNotUtf8WhereAsked) {
  EXPECT_EQ(TruncateUtf8("\x80\x80\x80\x80\x80", 3), "\x80\x80\x80");
  EXPECT_EQ(TruncateUtf8("ab\xffzz", 3), "ab\xff");
}

}  // namespace
}  // namespace grpccommon
