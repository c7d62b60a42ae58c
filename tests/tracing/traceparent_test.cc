// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/traceparent.h"

#include <gtest/gtest.h>

#include <string>

#include "grpccommon/base/hex.h"

namespace grpccommon {
namespace {

const std::string kTraceId = "0af7651916cd43dd8448eb211c80319c";
const std::string kSpanId = "b7ad6b7169203331";
const std::string kParent = "00-" + kTraceId + "-" + kSpanId + "-01";

TEST(ParseTraceParentTest, ReadsTheIdsAndTheSampledFlag) {
  const auto context = ParseTraceParent(kParent);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(ToHex(context->trace_id), kTraceId);
  EXPECT_EQ(ToHex(context->span_id), kSpanId);
  EXPECT_EQ(context->parent_span_id, TraceContext().parent_span_id);
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(FormatTraceParent(*context), kParent);
}

TEST(ParseTraceParentTest, OnlyTheLastFlagMeansSampled) {
  const auto sampled = [](const std::string& flags) {
    const auto context =
        ParseTraceParent("00-" + kTraceId + "-" + kSpanId + "-" + flags);
    EXPECT_TRUE(context.has_value()) << flags;
    return context.has_value() && context->sampled;
  };
  EXPECT_FALSE(sampled("00"));
  EXPECT_FALSE(sampled("fe"));
  EXPECT_FALSE(sampled("02"));
  EXPECT_TRUE(sampled("ff"));
  EXPECT_TRUE(sampled("03"));
}

TEST(ParseTraceParentTest, RefusesEveryOtherLength) {
  for (std::size_t size = 0; size < kParent.size(); ++size) {
    EXPECT_FALSE(ParseTraceParent(kParent.substr(0, size)).has_value()) << size;
  }
  for (const char* more : {"-", "-00", "0", ".", " "}) {
    EXPECT_FALSE(ParseTraceParent(kParent + more).has_value()) << more;
  }
  EXPECT_FALSE(ParseTraceParent(" " + kParent).has_value());
}

TEST(ParseTraceParentTest, RefusesAnyWrongCharacterAnywhere) {
  for (std::size_t at = 0; at < kParent.size(); ++at) {
    for (const char wrong : {'g', 'A', 'F', '-', '_', ' ', '/', ':', '`', '\0',
                             '\n', '\x7F', '\xFF'}) {
      std::string text = kParent;
      if (text[at] == wrong) continue;
      text[at] = wrong;
      EXPECT_FALSE(ParseTraceParent(text).has_value())
          << "character " << at << " as " << static_cast<int>(wrong);
    }
  }
}

TEST(ParseTraceParentTest, RefusesIdsOfZeros) {
  EXPECT_FALSE(
      ParseTraceParent("00-" + std::string(32, '0') + "-" + kSpanId + "-01")
          .has_value());
  EXPECT_FALSE(
      ParseTraceParent("00-" + kTraceId + "-" + std::string(16, '0') + "-01")
          .has_value());
}

TEST(ParseTraceParentTest, ReadsWhatItKnowsOfLaterVersions) {
  const std::string rest = kParent.substr(2);
  for (const char* version : {"01", "cc", "fe"}) {
    const auto plain = ParseTraceParent(version + rest);
    ASSERT_TRUE(plain.has_value()) << version;
    EXPECT_EQ(ToHex(plain->span_id), kSpanId);
    EXPECT_TRUE(plain->sampled);
    EXPECT_TRUE(ParseTraceParent(version + rest + "-what-comes").has_value());
    EXPECT_TRUE(ParseTraceParent(version + rest + "-").has_value());
    EXPECT_FALSE(ParseTraceParent(version + rest + ".what-comes").has_value());
    EXPECT_FALSE(ParseTraceParent(version + rest + "0").has_value());
  }
}

TEST(ParseTraceParentTest, RefusesTheVersionThatIsNone) {
  const std::string rest = kParent.substr(2);
  EXPECT_FALSE(ParseTraceParent("ff" + rest).has_value());
  EXPECT_FALSE(ParseTraceParent("ff" + rest + "-x").has_value());
  EXPECT_FALSE(ParseTraceParent("0x" + rest).has_value());
  EXPECT_FALSE(ParseTraceParent("CC" + rest).has_value());
}

TEST(FormatTraceParentTest, SaysWhetherTheTraceIsSampled) {
  TraceContext context = *ParseTraceParent(kParent);
  context.sampled = false;
  EXPECT_EQ(FormatTraceParent(context),
            "00-" + kTraceId + "-" + kSpanId + "-00");
}

TEST(IsTraceStateTest, TakesWhatTheGrammarTakes) {
  for (const std::string& text : {
           std::string(),
           std::string("foo=1"),
           std::string("foo=1,bar=2"),
           std::string("foo=1 \t,\t bar=2 "),
           std::string("foo=1,,bar=2,"),
           std::string(", ,\t,"),
           std::string("a-b_c*d/e9=1"),
           std::string("0tenant@system=1"),
           std::string("fw529a3039@dt=FfSiM2DFEAA"),
           std::string("foo= with spaces inside"),
           std::string("foo=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~"),
           std::string(256, 'k') + "=1",
           "k=" + std::string(256, 'v'),
           std::string(241, 't') + "@" + std::string(14, 's') + "=1",
       }) {
    EXPECT_TRUE(IsTraceState(text)) << text;
  }
}

TEST(IsTraceStateTest, RefusesWhatItDoesNot) {
  for (const std::string& text : {
           std::string("foo"),
           std::string("=1"),
           std::string("foo="),
           std::string("foo=1=2"),
           std::string("Foo=1"),
           std::string("0foo=1"),
           std::string("foo =1"),
           std::string("foo@=1"),
           std::string("@bar=1"),
           std::string("foo@0bar=1"),
           std::string("foo@bar@baz=1"),
           std::string("foo=\xC3\xA9"),
           std::string("foo=a\nb"),
           std::string("foo=a\tb"),
           std::string("foo=1,foo=2"),
           std::string("foo=1,bar=1,foo=1"),
           std::string(257, 'k') + "=1",
           "k=" + std::string(257, 'v'),
           std::string(242, 't') + "@s=1",
           "t@" + std::string(15, 's') + "=1",
           std::string("foo=\0", 5),
       }) {
    EXPECT_FALSE(IsTraceState(text)) << text;
  }
  // A semicolon belongs to a value, an equals sign does not.
  EXPECT_TRUE(IsTraceState("foo=1;bar"));
  EXPECT_FALSE(IsTraceState("foo=1;bar=2"));
}

TEST(IsTraceStateTest, TakesThirtyTwoMembersAndNoMore) {
  const auto members = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text += (i > 0 ? ",k" : "k") + std::to_string(i) + "=1";
    }
    return text;
  };
  EXPECT_TRUE(IsTraceState(members(32)));
  EXPECT_FALSE(IsTraceState(members(33)));
  EXPECT_FALSE(IsTraceState(std::string(33, ',')));
}

TEST(IsTraceStateTest, TakesFiveHundredAndTwelveBytesAndNoMore) {
  const std::string half = "a=" + std::string(254, 'v');
  EXPECT_TRUE(IsTraceState(half + ",b=" + std::string(253, 'v')));
  EXPECT_FALSE(IsTraceState(half + ",b=" + std::string(254, 'v')));
  EXPECT_FALSE(IsTraceState(std::string(1 << 20, 'a')));
}

}  // namespace
}  // namespace grpccommon
