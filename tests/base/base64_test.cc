// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/base64.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace grpccommon {
namespace {

using namespace std::string_literals;

TEST(Base64Test, EncodesTheVectorsOfRfc4648WithoutPadding) {
  const std::vector<std::pair<std::string, std::string>> vectors = {
      {"", ""},
      {"f", "Zg"},
      {"fo", "Zm8"},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg"},
      {"fooba", "Zm9vYmE"},
      {"foobar", "Zm9vYmFy"},
      {"\xfb\xff\xbf", "-_-_"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(Base64UrlEncode(bytes), text);
    EXPECT_EQ(Base64UrlDecode(text), bytes);
  }
}

TEST(Base64Test, AnyBytesSurvive) {
  std::mt19937 random(1);
  for (std::size_t size = 0; size < 200; ++size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    EXPECT_EQ(Base64UrlDecode(Base64UrlEncode(bytes)), bytes);
  }
}

TEST(Base64Test, RefusesEverythingButTheUrlAlphabet) {
  const std::string alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (int c = 0; c < 256; ++c) {
    const std::string text = "Zm9"s + static_cast<char>(c);
    EXPECT_EQ(
        Base64UrlDecode(text).has_value(),
        c != 0 && alphabet.find(static_cast<char>(c)) != std::string::npos)
        << c;
  }
}

TEST(Base64Test, RefusesPaddingAndWhiteSpace) {
  for (const char* const text : {"Zg==", "Zm8=", "=", " Zg", "Zg\n", "Z g"}) {
    EXPECT_EQ(Base64UrlDecode(text), std::nullopt) << text;
  }
}

TEST(Base64Test, RefusesALengthThatNoBytesHave) {
  EXPECT_EQ(Base64UrlDecode("A"), std::nullopt);
  EXPECT_EQ(Base64UrlDecode("AAAAA"), std::nullopt);
}

TEST(Base64Test, RefusesASecondSpellingOfTheSameBytes) {
  EXPECT_EQ(Base64UrlDecode("Zg"), "f");
  EXPECT_EQ(Base64UrlDecode("Zh"), std::nullopt);
  EXPECT_EQ(Base64UrlDecode("Zm9"), std::nullopt);
}

}  // namespace
}  // namespace grpccommon
