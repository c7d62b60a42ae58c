// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/uri.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grpccommon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(PercentDecodeTest, DecodesOnceAndOnlyOnce) {
  EXPECT_EQ(*PercentDecode("a%20b%2Fc%2f"), "a b/c/");
  EXPECT_EQ(*PercentDecode("%2541"), "%41");
  EXPECT_EQ(*PercentDecode("a+b"), "a+b");
  EXPECT_EQ(*PercentDecode("a+b", /*plus_is_space=*/true), "a b");
  EXPECT_EQ(*PercentDecode("%E2%82%AC"), "\u20ac");
}

class BadEscape : public ::testing::TestWithParam<const char*> {};

TEST_P(BadEscape, IsRefused) {
  EXPECT_EQ(PercentDecode(GetParam()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(
    PercentDecodeTest, BadEscape,
    ::testing::Values("%", "%4", "a%4", "%g0", "%0g", "%%41", "% 41", "%+1",
                      "%00", "%0a", "%0D", "%7f", "%1f",  // control characters
                      "%ff", "%c0%af", "%e0%80%af",       // overlong slash
                      "%ed%a0%80", "%f4%90%80%80",  // surrogate, too large
                      "%e2%82", "%80"));

TEST(ParseQueryTest, KeepsOrderAndRepetition) {
  EXPECT_THAT(*ParseQuery("a=1&b=x%20y+z&a=2&flag&=v&&c=1=2"),
              ElementsAre(Pair("a", "1"), Pair("b", "x y z"), Pair("a", "2"),
                          Pair("flag", ""), Pair("", "v"), Pair("c", "1=2")));
  EXPECT_THAT(*ParseQuery(""), IsEmpty());
  EXPECT_THAT(*ParseQuery("&&&"), IsEmpty());
}

TEST(ParseQueryTest, AllowsLinesInValuesButNeverNul) {
  EXPECT_THAT(*ParseQuery("text=a%0D%0Ab%09"),
              ElementsAre(Pair("text", "a\r\nb\t")));
  EXPECT_FALSE(ParseQuery("te%0Axt=a").ok());
  EXPECT_FALSE(ParseQuery("text=%00").ok());
  EXPECT_FALSE(ParseQuery("text=%1b").ok());
  EXPECT_FALSE(ParseQuery("a=%zz").ok());
  EXPECT_FALSE(ParseQuery("a=%ff").ok());
}

TEST(ParseQueryTest, BoundsTheNumberOfParameters) {
  std::string query;
  for (std::size_t i = 0; i < kMaxQueryParameters; ++i) query += "a&";
  EXPECT_EQ(ParseQuery(query)->size(), kMaxQueryParameters);
  EXPECT_FALSE(ParseQuery(query + "a").ok());
}

TEST(ParseRequestTargetTest, TakesTheOriginFormApart) {
  const RequestTarget target = *ParseRequestTarget("/v1/a%2Fb/c%20d?x=1");
  EXPECT_EQ(target.path, "/v1/a%2Fb/c%20d");
  EXPECT_THAT(target.segments, ElementsAre("v1", "a/b", "c d"));
  EXPECT_THAT(target.query, ElementsAre(Pair("x", "1")));
  EXPECT_EQ(target.verb_at, RequestTarget::kNoVerb);

  EXPECT_THAT(ParseRequestTarget("/")->segments, IsEmpty());
  EXPECT_THAT(ParseRequestTarget("/a/")->segments, ElementsAre("a", ""));
  EXPECT_THAT(ParseRequestTarget("//a")->segments, ElementsAre("", "a"));
  EXPECT_THAT(ParseRequestTarget("/?a=/../")->segments, IsEmpty());
  EXPECT_THAT(ParseRequestTarget("/...")->segments, ElementsAre("..."));
}

TEST(ParseRequestTargetTest, TakesTheAbsoluteForm) {
  const RequestTarget target = *ParseRequestTarget("http://host:80/a?b=c");
  EXPECT_EQ(target.path, "/a");
  EXPECT_THAT(target.segments, ElementsAre("a"));
  EXPECT_THAT(target.query, ElementsAre(Pair("b", "c")));
  EXPECT_EQ(ParseRequestTarget("HTTPS://host")->path, "/");
  EXPECT_EQ(ParseRequestTarget("http://host?a=b")->path, "/");
  EXPECT_THAT(ParseRequestTarget("http://host?a=b")->query,
              ElementsAre(Pair("a", "b")));
}

TEST(ParseRequestTargetTest, FindsAVerbOnlyBehindAPlainColon) {
  EXPECT_EQ(ParseRequestTarget("/v1/%41b:cancel")->verb_at, 2u);
  EXPECT_EQ(ParseRequestTarget("/a:b/c")->verb_at, RequestTarget::kNoVerb);
  EXPECT_EQ(ParseRequestTarget("/a%3Ab")->verb_at, RequestTarget::kNoVerb);
  EXPECT_EQ(ParseRequestTarget("/a:b:c")->verb_at, 3u);
  EXPECT_EQ(ParseRequestTarget("/..a:b")->verb_at, 3u);
  EXPECT_EQ(ParseRequestTarget("/..%3Ab")->verb_at, RequestTarget::kNoVerb);
}

class BadTarget : public ::testing::TestWithParam<const char*> {};

TEST_P(BadTarget, IsRefused) {
  EXPECT_EQ(ParseRequestTarget(GetParam()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(
    ParseRequestTargetTest, BadTarget,
    ::testing::Values("", "a", "?a", "host:443", "**", "ftp://host/", "http://",
                      "http:///a", "/a#b", "/a b", "/a\tb", "/a\x7f",
                      "/\xc3\xa9", "/a\\b", "/%zz", "/a%00", "/a?b=%",
                      "/a%0d%0ab",
                      // What a normalising program would climb out with.
                      "/..", "/../a", "/a/..", "/a/../b", "/.", "/a/./b",
                      "/%2e%2e/a", "/%2E/a", "/.%2e", "/a/..%2fb", "/a%2f..",
                      "/..%5ca", "/a%5c..%5cb", "/a%2f.%2fb",
                      "http://host/../a",
                      // What a route with a verb would cut it from.
                      "/files/a/..:download", "/.:do", "/%2e%2e:do",
                      "/a%5c..:get", "/a%2f.:get"));

}  // namespace
}  // namespace grpccommon
