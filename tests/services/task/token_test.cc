// SPDX-License-Identifier: Apache-2.0
#include "services/task/token.h"

#include <limits>

#include "gtest/gtest.h"

namespace platform::task {
namespace {

TEST(TokenTest, ComesBackAsItWas) {
  for (const std::int64_t place :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 40,
        std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(ReadToken(TokenKind::kPage, MakeToken(TokenKind::kPage, place)),
              place);
    EXPECT_EQ(
        ReadToken(TokenKind::kResume,
                  MakeToken(TokenKind::kResume, place, "context"), "context"),
        place);
  }
}

TEST(TokenTest, IsNoUseForAnythingElse) {
  const std::string token = MakeToken(TokenKind::kPage, 7, "milk");
  EXPECT_FALSE(ReadToken(TokenKind::kPage, token).has_value());
  EXPECT_FALSE(ReadToken(TokenKind::kPage, token, "Milk").has_value());
  EXPECT_FALSE(ReadToken(TokenKind::kResume, token, "milk").has_value());
}

TEST(TokenTest, IsRefusedWhenChanged) {
  const std::string token = MakeToken(TokenKind::kPage, 7);
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(ReadToken(TokenKind::kPage, changed).has_value()) << i;
    EXPECT_FALSE(ReadToken(TokenKind::kPage, token.substr(0, i)).has_value());
  }
  EXPECT_FALSE(ReadToken(TokenKind::kPage, token + "A").has_value());
  EXPECT_FALSE(ReadToken(TokenKind::kPage, "10").has_value());
  EXPECT_FALSE(
      ReadToken(TokenKind::kPage, std::string(10'000, 'A')).has_value());
  EXPECT_FALSE(
      ReadToken(TokenKind::kPage, MakeToken(TokenKind::kPage, -1)).has_value());
}

}  // namespace
}  // namespace platform::task
