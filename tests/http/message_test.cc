// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

using nlohmann::json;

TEST(HttpHeadersTest, ComparesNamesWithoutCase) {
  HttpHeaders headers = {{"Content-Type", "text/plain"}};
  headers.Add("set-cookie", "a");
  headers.Add("Set-Cookie", "b");
  EXPECT_EQ(headers.Get("content-type"), "text/plain");
  EXPECT_EQ(headers.Get("SET-COOKIE"), "a");
  EXPECT_EQ(headers.Get("cookie"), std::nullopt);
  headers.Set("SET-cookie", "c");
  EXPECT_EQ(headers.fields().size(), 2u);
  EXPECT_EQ(headers.Get("set-cookie"), "c");
  headers.Remove("Set-Cookie");
  EXPECT_EQ(headers.Get("set-cookie"), std::nullopt);
}

TEST(IsValidHeaderTest, RefusesWhatCouldForgeAnotherHeader) {
  EXPECT_TRUE(IsValidHeader("x-a", "b c\td\xe2\x82\xac"));
  EXPECT_TRUE(IsValidHeader("x-a", ""));
  EXPECT_FALSE(IsValidHeader("", "a"));
  EXPECT_FALSE(IsValidHeader("x a", "b"));
  EXPECT_FALSE(IsValidHeader("x-a:", "b"));
  EXPECT_FALSE(IsValidHeader("x-a\r\nx-b", "b"));
  EXPECT_FALSE(IsValidHeader(std::string("x\0a", 3), "b"));
  EXPECT_FALSE(IsValidHeader("x-a", "b\r\nset-cookie: c"));
  EXPECT_FALSE(IsValidHeader("x-a", "b\n"));
  EXPECT_FALSE(IsValidHeader("x-a", std::string("b\0", 2)));
  EXPECT_FALSE(IsValidHeader("x-a", "\x7f"));
}

TEST(HttpRequestTest, FindsCapturesAndParametersByName) {
  HttpRequest request;
  request.captures = {{"id", "7"}};
  request.target.query = {{"a", "1"}, {"a", "2"}};
  EXPECT_EQ(request.Capture("id"), "7");
  EXPECT_EQ(request.Capture("other"), "");
  EXPECT_EQ(request.Query("a"), "1");
  EXPECT_EQ(request.Query("b"), std::nullopt);
}

TEST(ErrorResponseTest, IsTheStatusAsJsonWithItsDetails) {
  absl::Status error = WithReason(absl::NotFoundError("no \"user\""), "NO_USER",
                                  "examples", {{"id", "7"}});
  error.SetPayload("type.googleapis.com/no.such.Type", absl::Cord("\x01"));
  const HttpResponse response = ErrorResponse(error);
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.headers.Get("content-type"), "application/json");
  const json body = json::parse(response.body);
  EXPECT_EQ(body["code"], 5);
  EXPECT_EQ(body["message"], "no \"user\"");
  ASSERT_EQ(body["details"].size(), 1u);
  EXPECT_EQ(body["details"][0]["@type"],
            "type.googleapis.com/google.rpc.ErrorInfo");
  EXPECT_EQ(body["details"][0]["reason"], "NO_USER");
  EXPECT_EQ(body["details"][0]["metadata"]["id"], "7");
}

TEST(ErrorResponseTest, HasNoDetailsAsAnEmptyArray) {
  EXPECT_EQ(ErrorResponse(absl::InternalError("x")).body,
            R"({"code":13,"message":"x","details":[]})");
  EXPECT_EQ(ErrorResponse(absl::InternalError("x"), 431).status, 431);
}

TEST(ErrorResponseTest, SurvivesAMessageThatIsNotUtf8) {
  const HttpResponse response = ErrorResponse(absl::InternalError("a\xff\xfe"));
  EXPECT_TRUE(json::accept(response.body)) << response.body;
}

}  // namespace
}  // namespace grpccommon
