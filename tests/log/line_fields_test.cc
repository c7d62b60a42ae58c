// SPDX-License-Identifier: Apache-2.0
#include "log/line_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <random>
#include <string>

namespace grpccommon::internal {
namespace {

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
constexpr std::uint64_t kHighest = std::numeric_limits<std::uint64_t>::max();

TEST(LineFieldsTest, WritesWhatLogLineWrites) {
  LogLine expected;
  expected.Add("first", "x")
      .Add("text", "a \"quoted\"\n\x01 line")
      .Add("word", "OK")
      .Add({"lowest", kLowest})
      .Add({"minus", -10})
      .Add({"zero", 0})
      .Add({"nine", 9u})
      .Add({"ten", 10u})
      .Add({"highest", kHighest})
      .Add("hex", "00ff10a5")
      .Add("empty", "");

  LogLine line;
  line.Add("first", "x");
  constexpr std::array<std::uint8_t, 4> kBytes = {0x00, 0xff, 0x10, 0xa5};
  LineFields(line)
      .Text<"text">("a \"quoted\"\n\x01 line")
      .Word<"word">("OK")
      .Integer<"lowest">(kLowest)
      .Integer<"minus">(-10)
      .Integer<"zero">(0)
      .Integer<"nine">(9u)
      .Integer<"ten">(10u)
      .Integer<"highest">(kHighest)
      .Hex<"hex">(kBytes)
      .Text<"empty">("");
  EXPECT_EQ(line.Finish(), expected.Finish());
}

TEST(LineFieldsTest, CopiesRenderedFields) {
  LogLine line;
  line.Add({"a", 1});
  LineFields(line).Rendered(",\"b\":[1]").Rendered("").Integer<"c">(2);
  line.Add({"d", 3});
  EXPECT_EQ(line.Finish(), "{\"a\":1,\"b\":[1],\"c\":2,\"d\":3}\n");
}

// Texts of every length around those at which the way of writing changes, made
// of all that needs care.
TEST(LineFieldsTest, WritesAnyTextOfAnyLengthAsLogLineDoes) {
  constexpr std::string_view kPieces[] = {"a",    "plain text of some length",
                                          "\"",   "\\",
                                          "\n",   "\x7f",
                                          "ä",    "\xC2\x85",
                                          "€",    "😀",
                                          "\xff", "\xe2\x82"};
  std::mt19937 random(7);
  for (std::size_t least = 0; least < 1200; ++least) {
    std::string text;
    const bool plain = least % 3 == 0;
    while (text.size() < least) {
      text += plain ? std::string_view("b")
                    : kPieces[random() % std::size(kPieces)];
    }
    LogLine expected;
    expected.Add("a", "x").Add("text", text).Add("end", "y");
    LogLine line;
    line.Add("a", "x");
    LineFields(line).Text<"text">(text).Word<"end">("y");
    ASSERT_EQ(line.Finish(), expected.Finish()) << text;
  }
}

TEST(LineFieldsTest, GrowsWithItsLine) {
  const std::string control(100, '\x01');
  LogLine expected;
  expected.Add("a", "x");
  LogLine line;
  line.Add("a", "x");
  {
    LineFields fields(line);
    for (int i = 0; i < 100; ++i) {
      expected.Add("text", control).Add({"number", i}).Add("word", control);
      fields.Text<"text">(control).Integer<"number">(i).Text<"word">(control);
    }
  }
  EXPECT_EQ(line.Finish(), expected.Finish());
}

}  // namespace
}  // namespace grpccommon::internal
