// SPDX-License-Identifier: Apache-2.0
#include "auth/glob.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace grpccommon::internal {
namespace {

struct Case {
  const char* pattern;
  const char* text;
  bool fits;
};

TEST(GlobTest, FitsAsDocumented) {
  for (const Case& c : {
           Case{"", "", true},
           {"", "a", false},
           {"a", "", false},
           {"abc", "abc", true},
           {"abc", "abd", false},
           {"*", "", true},
           {"*", "abc", true},
           {"*", "a.b", false},
           {"**", "a.b/c", true},
           {"a*c", "abbbc", true},
           {"a*c", "abbbd", false},
           {"*a*b*", "xxaxxbxx", true},
           {"*aab", "aaaab", true},
           {"/a.B/*", "/a.B/C", true},
           {"/a.B/*", "/a.B/", true},
           {"/a.B/*", "/a.B/C/D", false},
           {"/a.*/*", "/a.b.C/D", true},
           {"/*/Get*", "/a.B/GetTask", true},
           {"/*/Get*", "/a.B/ListTask", false},
           {"/**", "/a.B/C", true},
           {"/**/C", "/a/b/C", true},
           {"/**/*x", "/a/b/yx", true},
           {"/**/*x/z", "/a/x/b/yx/z", true},
           {"**a", "/b/a", true},
           {"*.b", "a.b", true},
           {"*.b", "a.a.b", false},
           {"**.b", "a.a.b", true},
           {"***", "a.b", true},
       }) {
    EXPECT_EQ(GlobMatch(c.pattern, c.text), c.fits)
        << c.pattern << " on " << c.text;
  }
}

TEST(GlobTest, DoesNotExplode) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "*a**b";
  const std::string text(5000, 'a');
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(GlobMatch(pattern, text));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

}  // namespace
}  // namespace grpccommon::internal
