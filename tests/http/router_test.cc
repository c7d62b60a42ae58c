// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace grpccommon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class RouterTest : public ::testing::Test {
 protected:
  void Add(std::string_view method, std::string_view pattern) {
    const absl::Status added = router_.Add(
        method, pattern, [](HttpRequest, std::shared_ptr<ResponseWriter>) {});
    ASSERT_TRUE(added.ok()) << added;
  }
  void AddWebSocket(std::string_view pattern) {
    const absl::Status added = router_.AddWebSocket(
        pattern, [](HttpRequest, std::shared_ptr<WebSocketUpgrade>) {});
    ASSERT_TRUE(added.ok()) << added;
  }
  RouteMatch Find(std::string_view method, std::string_view target,
                  bool web_socket = false) {
    return router_.Find(method, *ParseRequestTarget(target), web_socket);
  }
  std::string PatternOf(std::string_view target) {
    return std::string(Find("GET", target).pattern);
  }

  Router router_;
};

TEST_F(RouterTest, FindsLiteralsExactly) {
  Add("GET", "/");
  Add("GET", "/v1/users");
  EXPECT_NE(Find("GET", "/").handler, nullptr);
  EXPECT_NE(Find("GET", "/v1/users").handler, nullptr);
  EXPECT_NE(Find("GET", "/v1/%75sers").handler, nullptr);
  EXPECT_EQ(Find("GET", "/v1").handler, nullptr);
  EXPECT_EQ(Find("GET", "/v1/users/").handler, nullptr);
  EXPECT_EQ(Find("GET", "/V1/users").handler, nullptr);
  EXPECT_EQ(Find("GET", "//v1/users").handler, nullptr);
  EXPECT_THAT(Find("GET", "/v1").allow, IsEmpty());
}

TEST_F(RouterTest, CapturesOneSegmentDecoded) {
  Add("GET", "/v1/users/{user.id}/books/{book}");
  EXPECT_THAT(Find("GET", "/v1/users/a%2Fb%20c/books/%2525").captures,
              ElementsAre(Pair("user.id", "a/b c"), Pair("book", "%25")));
  EXPECT_EQ(Find("GET", "/v1/users//books/x").handler, nullptr);
}

TEST_F(RouterTest, CapturesManySegmentsWithTheirSlashesTold) {
  Add("GET", "/files/{path=**}");
  EXPECT_THAT(Find("GET", "/files/a%20b/c%2Fd").captures,
              ElementsAre(Pair("path", "a b/c%2Fd")));
  EXPECT_THAT(Find("GET", "/files/a//b/").captures,
              ElementsAre(Pair("path", "a//b/")));
  EXPECT_THAT(Find("GET", "/files").captures, ElementsAre(Pair("path", "")));
}

TEST_F(RouterTest, CapturesResourceNamesAndTheirVerbs) {
  Add("POST", "/v1/{name=shelves/*/books/*}:publish");
  Add("POST", "/v1/{name=shelves/*}");
  Add("POST", "/v1/{name=ops/**}:cancel");
  EXPECT_THAT(Find("POST", "/v1/shelves/1/books/2:publish").captures,
              ElementsAre(Pair("name", "shelves/1/books/2")));
  EXPECT_EQ(Find("POST", "/v1/shelves/1/books/2").handler, nullptr);
  EXPECT_EQ(Find("POST", "/v1/shelves/1/books/2:burn").handler, nullptr);
  EXPECT_EQ(Find("POST", "/v1/shelves/1/books/:publish").handler, nullptr);
  EXPECT_THAT(Find("POST", "/v1/ops/a/b:cancel").captures,
              ElementsAre(Pair("name", "ops/a/b")));
}

TEST_F(RouterTest, TakesAColonAsTextWhereNoVerbMatches) {
  Add("GET", "/v1/{id}");
  Add("GET", "/v1/{id}:watch");
  EXPECT_THAT(Find("GET", "/v1/urn:7").captures,
              ElementsAre(Pair("id", "urn:7")));
  EXPECT_EQ(PatternOf("/v1/urn:7:watch"), "/v1/{id}:watch");
  EXPECT_THAT(Find("GET", "/v1/urn:7:watch").captures,
              ElementsAre(Pair("id", "urn:7")));
  EXPECT_THAT(Find("GET", "/v1/a%3Awatch").captures,
              ElementsAre(Pair("id", "a:watch")));
  EXPECT_THAT(Find("GET", "/v1/a:").captures, ElementsAre(Pair("id", "a:")));
}

TEST_F(RouterTest, PrefersLiteralsThenOneSegmentThenMany) {
  Add("GET", "/{rest=**}");
  Add("GET", "/v1/{id}");
  Add("GET", "/v1/me");
  Add("GET", "/v1/{id}/edit");
  Add("GET", "/v1/me/{what=**}");
  EXPECT_EQ(PatternOf("/v1/me"), "/v1/me");
  EXPECT_EQ(PatternOf("/v1/you"), "/v1/{id}");
  EXPECT_EQ(PatternOf("/v1/you/edit"), "/v1/{id}/edit");
  EXPECT_EQ(PatternOf("/v1/me/edit"), "/v1/me/{what=**}");
  EXPECT_EQ(PatternOf("/v1/you/else"), "/{rest=**}");
  EXPECT_EQ(PatternOf("/"), "/{rest=**}");
}

TEST_F(RouterTest, ARouteWithoutTheMethodDoesNotCompete) {
  Add("POST", "/v1/special");
  Add("GET", "/v1/{id}");
  EXPECT_EQ(PatternOf("/v1/special"), "/v1/{id}");
}

TEST_F(RouterTest, TellsTheMethodsOfAPath) {
  Add("POST", "/v1/{id}");
  Add("GET", "/v1/{id}");
  Add("DELETE", "/v1/a");
  EXPECT_EQ(Find("PUT", "/v1/a").allow, "DELETE, GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(Find("PUT", "/v1/b").allow, "GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(Find("get", "/v1/b").handler, nullptr);
  EXPECT_EQ(Find("OPTIONS", "*").allow, "DELETE, GET, HEAD, OPTIONS, POST");
}

TEST_F(RouterTest, AnswersHeadWithGetUnlessItHasItsOwn) {
  Add("GET", "/a");
  Add("GET", "/b");
  Add("HEAD", "/b");
  EXPECT_EQ(Find("HEAD", "/a").handler, Find("GET", "/a").handler);
  EXPECT_NE(Find("HEAD", "/b").handler, Find("GET", "/b").handler);
}

TEST_F(RouterTest, TellsUpgradesFromPlainGets) {
  AddWebSocket("/both");
  Add("GET", "/both");
  AddWebSocket("/only");
  Add("GET", "/plain");
  EXPECT_NE(Find("GET", "/both", true).web_socket, nullptr);
  EXPECT_NE(Find("GET", "/both", false).handler, nullptr);
  EXPECT_NE(Find("GET", "/plain", true).handler, nullptr);
  EXPECT_TRUE(Find("GET", "/only").upgrade_required);
  EXPECT_EQ(Find("GET", "/only").allow, "GET, HEAD, OPTIONS");
  EXPECT_FALSE(Find("PUT", "/only").upgrade_required);
  EXPECT_EQ(Find("(websocket)", "/only").web_socket, nullptr);
}

TEST_F(RouterTest, RefusesPatternsThatMatchTheSamePaths) {
  Add("GET", "/v1/{id}");
  const absl::Status same = router_.Add("GET", "/v1/{name}", nullptr);
  EXPECT_EQ(same.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(same.message()), HasSubstr("/v1/{id}"));
  EXPECT_THAT(std::string(same.message()), HasSubstr("/v1/{name}"));
  Add("PUT", "/v1/{name}");
  EXPECT_THAT(Find("PUT", "/v1/x").captures, ElementsAre(Pair("name", "x")));
}

class BadPattern : public ::testing::TestWithParam<const char*> {};

TEST_P(BadPattern, IsRefusedByName) {
  Router router;
  const absl::Status added = router.Add("GET", GetParam(), nullptr);
  EXPECT_EQ(added.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(added.message()), HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(
    RouterTest, BadPattern,
    ::testing::Values("", "a", "//", "/a//b", "/a/", "/{", "/{}", "/{a", "/a}",
                      "/{a}b", "/x{a}", "/{a=}", "/{a=b", "/{a={b}}",
                      "/{a}/{a}", "/**/a", "/{a=**}/b", "/a:", "/:v", "/a:b:c",
                      "/a:b/c", "/a*", "/{a.}", "/{a-b}", "/a b", "/%41", "/..",
                      "/a?b", "/{a=**/b}", "/\xc3\xa9"));

TEST_F(RouterTest, RefusesMalformedMethods) {
  for (const char* method : {"", "GE T", "GET\r\n", "(websocket)"}) {
    EXPECT_EQ(router_.Add(method, "/", nullptr).code(),
              absl::StatusCode::kInvalidArgument)
        << method;
  }
}

TEST_F(RouterTest, MatchesInTimeLinearInTheTree) {
  // Every pair of alternatives at every level: a matcher that tried all ways
  // through the path, rather than each node once, would need 2^16 steps each.
  for (int i = 0; i < 1 << 10; ++i) {
    std::string pattern;
    for (int bit = 0; bit < 10; ++bit) pattern += (i >> bit & 1) ? "/a" : "/*";
    Add("GET", pattern + "/end");
  }
  std::string path;
  for (int i = 0; i < 10; ++i) path += "/a";
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Find("GET", path + "/nowhere").handler, nullptr);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_NE(Find("GET", path + "/end").handler, nullptr);
}

}  // namespace
}  // namespace grpccommon
