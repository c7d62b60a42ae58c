// SPDX-License-Identifier: Apache-2.0
#include "services/execution/checker.h"

#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace platform::execution {
namespace {

constexpr Checker kTokens{.kind = CheckerKind::kTokens};
constexpr Checker kLines{.kind = CheckerKind::kLines};
constexpr Checker kExact{.kind = CheckerKind::kExact};

Checker Numbers(double tolerance) {
  return {.kind = CheckerKind::kNumbers, .tolerance = tolerance};
}

TEST(CheckerTest, TokensIgnoreWhiteSpaceBetweenWords) {
  EXPECT_TRUE(Matches(kTokens, "1 2\n3", "1\t2 \r\n 3\v\f\n\n"));
  EXPECT_TRUE(Matches(kTokens, "", " \n"));
  EXPECT_FALSE(Matches(kTokens, "12", "1 2"));
  EXPECT_FALSE(Matches(kTokens, "1 2", "12"));
  EXPECT_FALSE(Matches(kTokens, "1 2", "1 2 3"));
  EXPECT_FALSE(Matches(kTokens, "1 2 3", "1 2"));
  EXPECT_FALSE(Matches(kTokens, "", "1"));
  EXPECT_FALSE(Matches(kTokens, "1", ""));
  EXPECT_FALSE(Matches(kTokens, "a", "A"));
  EXPECT_FALSE(Matches(kTokens, "01", "1"));
}

TEST(CheckerTest, TokensTakeAnyBytesForPartsOfWords) {
  using std::string_literals::operator""s;
  EXPECT_TRUE(Matches(kTokens, "a\0b"s, "a\0b"s));
  EXPECT_FALSE(Matches(kTokens, "a\0b"s, "a b"s));
  EXPECT_FALSE(Matches(kTokens, "a\0"s, "a"s));
  // U+00A0 and bytes above 127 are no white space of ASCII.
  EXPECT_FALSE(Matches(kTokens, "a\xC2\xA0"s, "a"s));
  EXPECT_TRUE(Matches(kTokens, "\xFF\xFE"s, "\xFF\xFE"s));
}

TEST(CheckerTest, LinesIgnoreWhiteSpaceAtTheirEndsAlone) {
  EXPECT_TRUE(Matches(kLines, "a  \nb\r\n", "a\nb"));
  EXPECT_TRUE(Matches(kLines, "a\n\n \n\n", "a"));
  EXPECT_TRUE(Matches(kLines, "", "\n \n"));
  EXPECT_TRUE(Matches(kLines, "a\n\nb", "a\n\nb\n"));
  EXPECT_FALSE(Matches(kLines, " a", "a"));
  EXPECT_FALSE(Matches(kLines, "a  b", "a b"));
  EXPECT_FALSE(Matches(kLines, "a\n\nb", "a\nb"));
  EXPECT_FALSE(Matches(kLines, "\na", "a"));
  EXPECT_FALSE(Matches(kLines, "a\nb", "a"));
  EXPECT_FALSE(Matches(kLines, "a", "a\nb"));
}

TEST(CheckerTest, ExactIsByteForByte) {
  EXPECT_TRUE(Matches(kExact, "a\n", "a\n"));
  EXPECT_TRUE(Matches(kExact, "", ""));
  EXPECT_FALSE(Matches(kExact, "a", "a\n"));
  EXPECT_FALSE(Matches(kExact, "a\r\n", "a\n"));
}

TEST(CheckerTest, NumbersMayDifferByTheTolerance) {
  EXPECT_TRUE(Matches(Numbers(1e-6), "0.3333333", "0.333333333"));
  EXPECT_FALSE(Matches(Numbers(1e-6), "0.3333", "0.333333333"));
  // Relative to the expected one.
  EXPECT_TRUE(Matches(Numbers(1e-6), "1000000.5", "1000000"));
  EXPECT_FALSE(Matches(Numbers(1e-6), "1000002", "1000000"));
  EXPECT_TRUE(Matches(Numbers(0.1), "-1.05", "-1"));
  EXPECT_FALSE(Matches(Numbers(0.1), "1", "-1"));
  EXPECT_TRUE(Matches(Numbers(1e-9), "1e3 +5 x", "1000 5.0 x"));
  EXPECT_FALSE(Matches(Numbers(1e-9), "1 2", "1"));
}

TEST(CheckerTest, NumbersWithoutToleranceAreTheSameNumber) {
  EXPECT_TRUE(Matches(Numbers(0), "1.0", "1"));
  EXPECT_TRUE(Matches(Numbers(0), "007 -0 +0", "7 0 -0"));
  EXPECT_FALSE(Matches(Numbers(0), "-7", "7"));
  // Beyond what a double can tell apart.
  EXPECT_FALSE(Matches(Numbers(0), "9007199254740993", "9007199254740992"));
  const std::string digits(1000, '9');
  EXPECT_TRUE(Matches(Numbers(0), "0" + digits, digits));
  EXPECT_FALSE(Matches(Numbers(0), digits + "9", digits));
}

TEST(CheckerTest, WhatIsNoFiniteNumberIsAWord) {
  for (const char* word :
       {"nan", "inf", "-inf", "1e999", "0x10", "1,5", "1.5.2", "++1", "+-1",
        "1e", "-", "+", ".", "1_000", "1f"}) {
    EXPECT_TRUE(Matches(Numbers(1), word, word)) << word;
    EXPECT_FALSE(Matches(Numbers(1), word, "1")) << word;
    EXPECT_FALSE(Matches(Numbers(1), "1", word)) << word;
  }
  EXPECT_FALSE(Matches(Numbers(1), "nan", "inf"));
  EXPECT_FALSE(Matches(Numbers(1), "1e999", "2e999"));
}

TEST(CheckerTest, ReadsLargeOutputsOnce) {
  std::string output;
  for (int i = 0; output.size() < (4u << 20); ++i) {
    output += std::to_string(i) + ' ';
  }
  std::string other = output;
  EXPECT_TRUE(Matches(kTokens, output, other));
  EXPECT_TRUE(Matches(Numbers(1e-9), output, other));
  EXPECT_TRUE(Matches(kLines, output, other));
  other.back() = '7';
  EXPECT_FALSE(Matches(kTokens, output, other));
  EXPECT_FALSE(Matches(kLines, output, other));
  // One line, one word, only white space: nothing is looked at twice.
  const std::string spaces(4u << 20, ' ');
  EXPECT_TRUE(Matches(kTokens, spaces, ""));
  EXPECT_TRUE(Matches(kLines, spaces, ""));
  const std::string newlines(4u << 20, '\n');
  EXPECT_TRUE(Matches(kLines, newlines, ""));
  EXPECT_FALSE(Matches(kLines, newlines + "x", ""));
  const std::string digits(4u << 20, '1');
  EXPECT_TRUE(Matches(Numbers(0), digits, digits));
  EXPECT_FALSE(Matches(Numbers(0.5), digits, digits + "1"));
}

// What the kinds mean, written the slow and obvious way.
std::vector<std::string> Words(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text + ' ') {
    if (std::string_view(" \t\n\v\f\r").find(c) == std::string::npos) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  }
  return words;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    line.erase(line.find_last_not_of(" \t\n\v\f\r") + 1);
    lines.push_back(line);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

TEST(CheckerTest, AgreesWithTheDefinitionOnRandomTexts) {
  std::mt19937 random(42);
  constexpr std::string_view kAlphabet = "a1 \n\r\t.-+0e";
  const auto text = [&] {
    std::string made(random() % 9, ' ');
    for (char& c : made) c = kAlphabet[random() % kAlphabet.size()];
    return made;
  };
  int equal = 0;
  for (int i = 0; i < 50'000; ++i) {
    const std::string a = text();
    std::string b = text();
    if (random() % 2 == 0) {  // else they would seldom be near
      b = a;
      if (!b.empty()) b[random() % b.size()] = kAlphabet[random() % 11];
    }
    ASSERT_EQ(Matches(kTokens, a, b), Words(a) == Words(b)) << a << '|' << b;
    ASSERT_EQ(Matches(kLines, a, b), Lines(a) == Lines(b)) << a << '|' << b;
    ASSERT_EQ(Matches(Numbers(0), a, b), Matches(Numbers(0), b, a))
        << a << '|' << b;
    if (Words(a) == Words(b)) {
      ++equal;
      ASSERT_TRUE(Matches(Numbers(0), a, b)) << a << '|' << b;
    }
    ASSERT_EQ(Matches(kExact, a, b), a == b);
  }
  EXPECT_GT(equal, 2'000);
}

}  // namespace
}  // namespace platform::execution
