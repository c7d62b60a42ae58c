// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>

#include "grpccommon/base/utf8.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {
namespace {

using namespace std::string_literals;
using nlohmann::json;

std::string Rendered(const LogField& field) {
  LogLine line;
  return std::string(line.Add(field).Finish());
}

TEST(LogLineTest, WritesOneJsonObjectAndALineEnd) {
  LogLine line;
  EXPECT_EQ(line.Finish(), "{}\n");
  EXPECT_EQ(line.Add("a", "x").Finish(), "{\"a\":\"x\"}\n");
  EXPECT_EQ(line.Finish(), "{\"a\":\"x\"}\n");
  EXPECT_EQ(line.AddInteger("b", -7).Finish(), "{\"a\":\"x\",\"b\":-7}\n");
}

TEST(LogLineTest, WritesEachKindOfValue) {
  EXPECT_EQ(Rendered({"v", true}), "{\"v\":true}\n");
  EXPECT_EQ(Rendered({"v", false}), "{\"v\":false}\n");
  EXPECT_EQ(Rendered({"v", std::numeric_limits<std::int64_t>::min()}),
            "{\"v\":-9223372036854775808}\n");
  EXPECT_EQ(Rendered({"v", std::numeric_limits<std::uint64_t>::max()}),
            "{\"v\":18446744073709551615}\n");
  EXPECT_EQ(Rendered({"v", std::int8_t{-1}}), "{\"v\":-1}\n");
  EXPECT_EQ(Rendered({"v", 0.1}), "{\"v\":0.1}\n");
  EXPECT_EQ(Rendered({"v", 1e300}), "{\"v\":1e+300}\n");
  EXPECT_EQ(Rendered({"v", "text"}), "{\"v\":\"text\"}\n");
}

TEST(LogLineTest, WritesAsTextTheNumbersThatJsonLacks) {
  EXPECT_EQ(Rendered({"v", std::numeric_limits<double>::quiet_NaN()}),
            "{\"v\":\"nan\"}\n");
  EXPECT_EQ(Rendered({"v", std::numeric_limits<double>::infinity()}),
            "{\"v\":\"inf\"}\n");
  EXPECT_EQ(Rendered({"v", -std::numeric_limits<double>::infinity()}),
            "{\"v\":\"-inf\"}\n");
}

TEST(LogLineTest, AValueCannotForgeALine) {
  EXPECT_EQ(Rendered({"v", "a\n{\"msg\":\"forged\"}\r\n"}),
            "{\"v\":\"a\\n{\\\"msg\\\":\\\"forged\\\"}\\r\\n\"}\n");
}

TEST(LogLineTest, ANameCannotForgeAFieldEither) {
  EXPECT_EQ(Rendered({"a\":1,\"b\n", "x"}), "{\"a\\\":1,\\\"b\\n\":\"x\"}\n");
}

TEST(LogLineTest, EscapesEveryControlCharacterThatATerminalObeys) {
  for (int c = 0; c < 0x100; ++c) {
    // Below 0x80 the character itself, above its two bytes of UTF-8.
    std::string text(1, static_cast<char>(c));
    if (c >= 0x80) {
      text = {static_cast<char>(0xc0 | (c >> 6)),
              static_cast<char>(0x80 | (c & 0x3f))};
    }
    const std::string line = Rendered({"v", text});
    EXPECT_EQ(json::parse(line)["v"], text) << c;
    const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    EXPECT_EQ(line.find(text) == std::string::npos || c == '\n' || c == '"',
              control || c == '"')
        << line;
  }
}

TEST(LogLineTest, KeepsWellFormedUtf8) {
  const std::string text = "naïve 語 😀 \uFFFD\U0010FFFF\uE000\u07FF\u0800";
  EXPECT_EQ(Rendered({"v", text}), "{\"v\":\"" + text + "\"}\n");
}

TEST(LogLineTest, PutsAReplacementForWhatIsNotUtf8) {
  for (const auto& [bytes, expected] :
       {std::pair("\x80"s, "\uFFFD"s), std::pair("a\xc3"s, "a\uFFFD"s),
        std::pair("\xc0\xaf"s, "\uFFFD\uFFFD"s),
        std::pair("\xed\xa0\x80"s, "\uFFFD\uFFFD\uFFFD"s),
        std::pair("\xf4\x90\x80\x80"s, "\uFFFD\uFFFD\uFFFD\uFFFD"s),
        std::pair("\xf8\x88\x80\x80\x80"s, "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"s),
        std::pair("\xe8\xaa\"x"s, "\uFFFD\uFFFD\"x"s)}) {
    EXPECT_EQ(json::parse(Rendered({"v", bytes}))["v"], expected);
  }
}

TEST(LogLineTest, AnyBytesComeOutAsTheJsonOfTheirRepairedText) {
  std::mt19937 random(7);
  // Bytes that are often special, so that they meet in all combinations.
  const std::string pool =
      "aaaaaaaa\"\\\n\x01\x7f\xc3\xa9\xe8\xaa\x9e\xf0\xff"s;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    const std::size_t length = random() % (round % 10 == 0 ? 5000 : 40);
    for (std::size_t i = 0; i < length; ++i) {
      text.push_back(pool[random() % pool.size()]);
    }
    const std::string line = Rendered({"v", text});
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    ASSERT_EQ(json::parse(line)["v"], RepairUtf8(text));
  }
}

TEST(LogLineTest, ACharacterThatStraddlesAPartOfALongTextIsKept) {
  for (std::size_t length = 500; length < 520; ++length) {
    const std::string text =
        std::string(length, 'x') + "😀語é" + std::string(600, 'y');
    EXPECT_EQ(json::parse(Rendered({"v", text}))["v"], text);
  }
}

TEST(LogLineTest, JsonIsWrittenOnOneLine) {
  LogLine line;
  EXPECT_EQ(line.AddJson("v", "{\n\"a\":\r\n1}").Finish(),
            "{\"v\":{ \"a\":  1}}\n");
}

TEST(LogLineTest, TimeIsRfc3339InUtcWithMicroseconds) {
  const auto at = [](std::int64_t nanoseconds) {
    LogLine line;
    return std::string(
        line.AddTime("t",
                     Clock::WallTime(std::chrono::nanoseconds(nanoseconds)))
            .Finish());
  };
  EXPECT_EQ(at(0), "{\"t\":\"1970-01-01T00:00:00.000000Z\"}\n");
  EXPECT_EQ(at(1767225600123456789),
            "{\"t\":\"2026-01-01T00:00:00.123456Z\"}\n");
  EXPECT_EQ(at(1767225600999999999),
            "{\"t\":\"2026-01-01T00:00:00.999999Z\"}\n");
  EXPECT_EQ(at(1709251199000001000),
            "{\"t\":\"2024-02-29T23:59:59.000001Z\"}\n");
  EXPECT_EQ(at(-1), "{\"t\":\"1969-12-31T23:59:59.999999Z\"}\n");
  EXPECT_EQ(at(std::numeric_limits<std::int64_t>::max()),
            "{\"t\":\"2262-04-11T23:47:16.854775Z\"}\n");
  EXPECT_EQ(at(std::numeric_limits<std::int64_t>::min()),
            "{\"t\":\"1677-09-21T00:12:43.145224Z\"}\n");
}

TEST(LogLineTest, SeveralLinesOfAThreadMayBeOpenAtOnce) {
  LogLine outer;
  outer.Add("line", "outer");
  {
    LogLine inner;
    inner.Add("line", "inner");
    LogLine innermost;
    innermost.Add("line", "innermost");
    EXPECT_EQ(innermost.Finish(), "{\"line\":\"innermost\"}\n");
    EXPECT_EQ(inner.Finish(), "{\"line\":\"inner\"}\n");
  }
  LogLine next;
  next.Add("line", "next");
  EXPECT_EQ(outer.Finish(), "{\"line\":\"outer\"}\n");
  EXPECT_EQ(next.Finish(), "{\"line\":\"next\"}\n");
}

TEST(LogLineTest, AHugeLineIsWhole) {
  const std::string text(3 << 20, 'x');
  EXPECT_EQ(Rendered({"v", text}).size(), text.size() + 9);
  EXPECT_EQ(Rendered({"v", "small again"}), "{\"v\":\"small again\"}\n");
}

TEST(LogLineTest, ALineMayBeWrittenWhileItsThreadEnds) {
  std::string rendered;
  std::thread([&rendered] {
    struct AtExit {
      ~AtExit() { *out = Rendered({"v", "late"}); }
      std::string* out = nullptr;
    };
    // Made before the thread's line buffer, so destroyed after it.
    static thread_local AtExit at_exit;
    at_exit.out = &rendered;
    LogLine line;
  }).join();
  EXPECT_EQ(rendered, "{\"v\":\"late\"}\n");
}

}  // namespace
}  // namespace grpccommon
