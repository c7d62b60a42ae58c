// SPDX-License-Identifier: Apache-2.0
#include "validate/formats.h"

#include <gtest/gtest.h>

#include <string>

namespace grpccommon::internal {
namespace {

using std::string_literals::operator""s;

TEST(FormatsTest, CountsCodePointsNotBytes) {
  EXPECT_EQ(CountCodePoints(""), 0u);
  EXPECT_EQ(CountCodePoints("abc"), 3u);
  EXPECT_EQ(CountCodePoints("exactly8 and then some"), 22u);
  EXPECT_EQ(CountCodePoints("häßlich €"), 9u);
  EXPECT_EQ(CountCodePoints("\xf0\x9f\x98\x80"), 1u);
  EXPECT_EQ(CountCodePoints("a\0b"s), 3u);
  EXPECT_EQ(CountCodePoints("\xf4\x8f\xbf\xbf"), 1u);  // U+10FFFF
  EXPECT_EQ(CountCodePoints("\xed\x9f\xbf"), 1u);      // U+D7FF
  EXPECT_EQ(CountCodePoints("\xee\x80\x80"), 1u);      // U+E000
}

TEST(FormatsTest, RefusesWhatIsNotUtf8) {
  for (const std::string& text :
       {"\x80"s, "\xff"s, "\xc3"s, "\xe2\x82"s, "\xf0\x9f\x98"s, "\xc3("s,
        "\xc0\xaf"s,          // overlong '/'
        "\xc1\x81"s,          // overlong 'A'
        "\xe0\x80\xaf"s,      // overlong again
        "\xf0\x80\x80\xaf"s,  // and again
        "\xed\xa0\x80"s,      // a surrogate
        "\xf4\x90\x80\x80"s,  // U+110000
        "\xf5\x80\x80\x80"s, "12345678\xfe"s, "12345\xfe"s}) {
    EXPECT_EQ(CountCodePoints(text), std::nullopt)
        << ::testing::PrintToString(text);
  }
}

TEST(FormatsTest, TakesTheEmailAddressesThatBrowsersTake) {
  for (const char* text :
       {"a@b", "ada@example.com", "a.b+c@x-y.example", "..@example.com",
        "!#$%&'*+/=?^_`{|}~-@e.c", "a@1.2.3.4"}) {
    EXPECT_TRUE(IsEmail(text)) << text;
  }
  EXPECT_TRUE(IsEmail("a@" + std::string(63, 'x') + ".com"));
}

TEST(FormatsTest, RefusesOtherEmailAddresses) {
  for (const std::string& text : {""s,
                                  "@"s,
                                  "a"s,
                                  "a@"s,
                                  "@b"s,
                                  "a@b."s,
                                  "a@.b"s,
                                  "a@b..c"s,
                                  "a@-b"s,
                                  "a@b-"s,
                                  "a b@c"s,
                                  "\"a\"@b"s,
                                  "a@b@c"s,
                                  "a@b c"s,
                                  "a@[1.2.3.4]"s,
                                  "a\0@b"s,
                                  "a@b\n"s,
                                  "\xc3\xa4@b.c"s,
                                  "a@b_c"s,
                                  "a@" + std::string(64, 'x')}) {
    EXPECT_FALSE(IsEmail(text)) << text;
  }
}

TEST(FormatsTest, KnowsHostNames) {
  for (const char* text : {"a", "localhost", "example.com", "3com.com", "X-1.y",
                           "a1", "xn--bcher-kva.example"}) {
    EXPECT_TRUE(IsHostname(text)) << text;
  }
  for (const std::string& text :
       {""s, "."s, "a."s, ".a"s, "a..b"s, "-a"s, "a-"s, "a_b"s, "1.2.3.4"s,
        "123"s, "a.1"s, "a b"s, "a:80"s, "a\0"s, "\xc3\xa4"s,
        std::string(64, 'a')}) {
    EXPECT_FALSE(IsHostname(text)) << text;
  }
}

TEST(FormatsTest, BoundsTheLengthOfAHostName) {
  std::string name = "a";
  while (name.size() < 253) name += ".a";
  ASSERT_EQ(name.size(), 253u);
  EXPECT_TRUE(IsHostname(name));
  EXPECT_FALSE(IsHostname(name + "a"));
}

TEST(FormatsTest, KnowsAbsoluteUris) {
  for (const char* text :
       {"http://a", "https://example.com/", "https://u:p@h:8080/p/a?q=1#f",
        "a+b-c.d1://host", "http://[::1]", "http://[::1]:80/",
        "http://h:", "http://h?q", "http://h#f", "http://h/%7Ea/?a=/&b=?#/?",
        "dns://8.8.8.8/x", "http://a%20b/"}) {
    EXPECT_TRUE(IsUri(text)) << text;
  }
  for (const std::string& text : {""s,
                                  "a"s,
                                  "/path"s,
                                  "//host/"s,
                                  "mailto:a@b"s,
                                  "file:///etc"s,
                                  "http:/h"s,
                                  "http://"s,
                                  "http:///p"s,
                                  "1a://h"s,
                                  "h_p://h"s,
                                  "://h"s,
                                  "http://h:8o"s,
                                  "http://[::1"s,
                                  "http://[zz]"s,
                                  "http://[::1]x"s,
                                  "http://a b"s,
                                  "http://h/%zz"s,
                                  "http://h/%2"s,
                                  "http://h/\x7f"s,
                                  "http://h/\xc3\xa4"s,
                                  "http://h/a#b#c"s,
                                  "http://h/<"s,
                                  "http://h\\"s,
                                  "http://h/\0"s,
                                  "http://[::1%25eth0]"s,
                                  "http://u@"s,
                                  "http://:80"s,
                                  "http://[" + std::string(100, ':') + "]"}) {
    EXPECT_FALSE(IsUri(text)) << text;
  }
}

}  // namespace
}  // namespace grpccommon::internal
