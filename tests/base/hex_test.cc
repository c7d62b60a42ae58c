// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/hex.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace grpccommon {
namespace {

TEST(HexTest, WritesTwoLowerCaseDigitsForEachByte) {
  EXPECT_EQ(ToHex(std::vector<std::uint8_t>{0x00, 0x09, 0xa0, 0x7f, 0xff}),
            "0009a07fff");
  EXPECT_EQ(ToHex({}), "");
}

TEST(HexTest, EveryByteReadsBackAsItselfInEveryPlace) {
  constexpr std::size_t kSize = 31;  // sixteen, eight, four and three at once
  for (int value = 0; value < 256; ++value) {
    for (std::size_t place = 0; place < kSize; ++place) {
      std::array<std::uint8_t, kSize> bytes{};
      bytes[place] = static_cast<std::uint8_t>(value);
      std::string text = ToHex(bytes);
      EXPECT_EQ(std::stoi(text.substr(2 * place, 2), nullptr, 16), value);
      text.replace(2 * place, 2, "00");
      EXPECT_EQ(text, std::string(2 * kSize, '0'));
    }
  }
}

TEST(HexTest, EveryNumberOfBytesIsWrittenInOrder) {
  std::vector<std::uint8_t> bytes;
  std::string expected;
  for (int size = 1; size <= 40; ++size) {
    const int value = size * 53 % 256;
    bytes.push_back(static_cast<std::uint8_t>(value));
    expected += "0123456789abcdef"[value / 16];
    expected += "0123456789abcdef"[value % 16];
    EXPECT_EQ(ToHex(bytes), expected);
  }
}

TEST(HexTest, WritesNothingBeyondTheDigits) {
  for (std::size_t size = 0; size <= 40; ++size) {
    const std::vector<std::uint8_t> bytes(size, 0xcd);
    std::string expected = "#";
    for (std::size_t i = 0; i < size; ++i) expected += "cd";
    expected += '#';
    std::string out(2 * size + 2, '#');
    WriteHex(bytes, out.data() + 1);
    EXPECT_EQ(out, expected);
  }
}

}  // namespace
}  // namespace grpccommon
