// SPDX-License-Identifier: Apache-2.0
#include "testing/pattern_sampler.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "grpccommon/testing/status_matchers.h"
#include "re2/re2.h"

namespace grpccommon::testing {
namespace {

class PatternTest : public ::testing::TestWithParam<const char*> {};

TEST_P(PatternTest, EverySampleMatches) {
  const std::string pattern = GetParam();
  const RE2 regex(pattern);
  ASSERT_TRUE(regex.ok()) << regex.error();
  const absl::StatusOr<PatternSampler> sampler =
      PatternSampler::Create(pattern);
  ASSERT_THAT(sampler, IsOk()) << pattern;
  for (std::size_t variant = 0; variant < 100; ++variant) {
    for (const std::size_t extra : {0, 1, 2, 40}) {
      const std::string text = sampler->Sample(variant, extra);
      EXPECT_TRUE(RE2::FullMatch(text, regex))
          << "\"" << text << "\" does not match " << pattern;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Patterns, PatternTest,
    ::testing::Values("", "a", "abc", "a*", "a+b?", "a{3}", "a{2,}", "a{2,5}?",
                      "(ab)+", "(?:ab|c|)d", "(?P<name>x+)",
                      "[a-z0-9]+(-[a-z0-9]+)*", "me|[0-9a-fA-F-]{36}",
                      "[^\\x00]*", "[^\\x00-\\x1f]*", "[A-Za-z0-9._:-]*",
                      "[A-Z]{3}-\\d+", "^\\w+\\s\\S\\D\\W$", ".*",
                      "\\x{1F600}+", "\\x41\\t\\n\\.",
                      "[[:alpha:]]+[[:digit:]_]?", "\\p{L}+\\pN", "[]a]+",
                      "[a\\]]", "[a-]", "é[à-ü]+", "a{,3}", "{", "[\\d-]x",
                      "\\Aa\\z", "(a(b(c)*)*)*", "[^a-zA-Z0-9 -~]", "x{0}"));

TEST(PatternSamplerTest, GrowsWithTheExtraAsFarAsThePatternAllows) {
  const PatternSampler free = *PatternSampler::Create("[a-z]*");
  EXPECT_EQ(free.Sample(0, 0), "");
  EXPECT_EQ(free.Sample(0, 7), "aaaaaaa");
  const PatternSampler bounded = *PatternSampler::Create("[a-z]{2,5}");
  EXPECT_EQ(bounded.Sample(0, 0), "aa");
  EXPECT_EQ(bounded.Sample(0, 100), "aaaaa");
  // Repetitions inside one another do not multiply.
  const PatternSampler nested = *PatternSampler::Create("((a+)+)+");
  EXPECT_EQ(nested.Sample(0, 999).size(), 1000u);
}

TEST(PatternSamplerTest, VariantsDiffer) {
  const PatternSampler sampler = *PatternSampler::Create("[a-z]{2}|[0-9]");
  std::set<std::string> texts;
  for (std::size_t variant = 0; variant < std::size_t{52} * 26; ++variant) {
    texts.insert(sampler.Sample(variant, 0));
  }
  EXPECT_EQ(texts.size(), 26u * 26 + 10);
}

TEST(PatternSamplerTest, SaysWhatItDoesNotKnow) {
  for (const char* const pattern :
       {"(?i)a", "\\ba", "\\p{Greek}", "[a", "(a", "a)", "\\", "[[:x:]]",
        "\\x{zz}", "a{3,2}", "[\\D]", "\xff", "\\Q.\\E"}) {
    EXPECT_THAT(PatternSampler::Create(pattern),
                StatusIs(absl::StatusCode::kUnimplemented))
        << pattern;
  }
}

TEST(PatternSamplerTest, RefusesPatternsThatWouldTakeTheStack) {
  EXPECT_THAT(PatternSampler::Create(std::string(100'000, '(')),
              StatusIs(absl::StatusCode::kUnimplemented));
}

}  // namespace
}  // namespace grpccommon::testing
