// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/hex.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace grpccommon {
namespace {

TEST(HexTest, WritesTwoLowerCaseDigitsForEachByte) {
  EXPECT_EQ(ToHex(std::vector<std::uint8_t>{0x00, 0x09, 0xa0, 0x7f, 0xff}),
            "0009a07fff");
  EXPECT_EQ(ToHex({}), "");
}

TEST(HexTest, EveryByteReadsBackAsItself) {
  for (int value = 0; value < 256; ++value) {
    const std::array<std::uint8_t, 1> byte = {static_cast<std::uint8_t>(value)};
    EXPECT_EQ(std::stoi(ToHex(byte), nullptr, 16), value);
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
  std::string out = "######";
  WriteHex(std::vector<std::uint8_t>{0x12, 0xcd}, out.data() + 1);
  EXPECT_EQ(out, "#12cd#");
}

}  // namespace
}  // namespace grpccommon
