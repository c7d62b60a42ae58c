// SPDX-License-Identifier: Apache-2.0
#include "services/common/token.h"

#include <limits>

#include "gmock/gmock.h"
#include "grpccommon/base/base64.h"
#include "gtest/gtest.h"

namespace platform::common {
namespace {

TEST(TokenTest, ComesBackAsItWas) {
  for (const Place& place :
       {Place{}, Place{.number = 1}, Place{.number = -1},
        Place{.number = std::numeric_limits<std::int64_t>::max()},
        Place{.text = "title", .id = "id"}, Place{.text = "title"},
        Place{.number = 7, .id = "id"}, Place{.text = "é\xF0\x9F\x98\x80"}}) {
    EXPECT_EQ(ReadToken(TokenKind::kPage, MakeToken(TokenKind::kPage, place)),
              place);
    EXPECT_EQ(ReadToken(TokenKind::kResume,
                        MakeToken(TokenKind::kResume, place, {"context"}),
                        {"context"}),
              place);
  }
}

TEST(TokenTest, IsNoUseForAnythingElse) {
  const std::string token =
      MakeToken(TokenKind::kPage, {.number = 7}, {"milk", "ada"});
  EXPECT_TRUE(ReadToken(TokenKind::kPage, token, {"milk", "ada"}).has_value());
  EXPECT_FALSE(ReadToken(TokenKind::kPage, token).has_value());
  EXPECT_FALSE(ReadToken(TokenKind::kPage, token, {"Milk", "ada"}).has_value());
  EXPECT_FALSE(ReadToken(TokenKind::kPage, token, {"milka", "da"}).has_value());
  EXPECT_FALSE(
      ReadToken(TokenKind::kPage, token, {"milk", "ada", ""}).has_value());
  EXPECT_FALSE(
      ReadToken(TokenKind::kResume, token, {"milk", "ada"}).has_value());
}

TEST(TokenTest, IsRefusedWhenChanged) {
  const std::string token =
      MakeToken(TokenKind::kPage, {.number = 7, .text = "text", .id = "id"});
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
}

TEST(TokenTest, HasNoTextThatADatabaseWouldNotTake) {
  // Made up with the right sum, which is no secret.
  for (const char* text : {"\xff", "\xc0\x80", "\xed\xa0\x80"}) {
    EXPECT_FALSE(
        ReadToken(TokenKind::kPage, MakeToken(TokenKind::kPage, {.text = text}))
            .has_value());
  }
  EXPECT_FALSE(ReadToken(TokenKind::kPage,
                         MakeToken(TokenKind::kPage,
                                   {.text = "a", .id = std::string("b\0c", 3)}))
                   .has_value());
}

TEST(PageTokenTest, IsAPlaceOrNoneOrAnErrorOfItsField) {
  EXPECT_EQ(*ReadPageToken(""), std::nullopt);
  EXPECT_EQ(
      *ReadPageToken(MakeToken(TokenKind::kPage, {.number = 7}, {"x"}), {"x"}),
      Place{.number = 7});
  const absl::Status status = ReadPageToken("nonsense").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("page_token"));
}

}  // namespace
}  // namespace platform::common
