// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/operations.h"

#include <gtest/gtest.h>

#include <optional>

namespace grpccommon {
namespace {

class KeptAnswer : public ResponseWriter {
 public:
  explicit KeptAnswer(std::optional<HttpResponse>& kept) : kept_(kept) {}
  void Send(HttpResponse response) override { kept_ = std::move(response); }
  void Start(HttpResponse) override {}
  void Write(std::string, Done) override {}
  void End() override {}
  void OnDisconnect(std::function<void()>) override {}

 private:
  std::optional<HttpResponse>& kept_;
};

HttpResponse Get(const Router& router, std::string_view path) {
  const RouteMatch match = router.Find("GET", *ParseRequestTarget(path));
  if (match.handler == nullptr) return {.status = 404};
  std::optional<HttpResponse> answer;
  (*match.handler)({}, std::make_shared<KeptAnswer>(answer));
  return answer.value_or(HttpResponse{.status = 500});
}

TEST(OperationsTest, ServesMetricsAsPrometheusText) {
  Router router;
  int scrapes = 0;
  ASSERT_TRUE(
      AddOperationsRoutes(
          router,
          {.metrics =
               [&] { return "scrapes " + std::to_string(++scrapes) + "\n"; }})
          .ok());
  const HttpResponse response = Get(router, "/metrics");
  EXPECT_EQ(response.headers.Get("content-type"),
            "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(response.headers.Get("cache-control"), "no-store");
  EXPECT_EQ(response.body, "scrapes 1\n");
  EXPECT_EQ(Get(router, "/metrics").body, "scrapes 2\n");
}

TEST(OperationsTest, TellsReadinessWithItsChecks) {
  Router router;
  Readiness now = {.ready = true, .checks = R"([{"name":"db"}])"};
  ASSERT_TRUE(AddOperationsRoutes(router, {.ready = [&] { return now; }}).ok());
  HttpResponse response = Get(router, "/healthz/ready");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"status":"ready","checks":[{"name":"db"}]})");
  now.ready = false;
  response = Get(router, "/healthz/ready");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body,
            R"({"status":"not_ready","checks":[{"name":"db"}]})");
}

TEST(OperationsTest, IsAliveWhenItAnswersUnlessTold) {
  Router plain;
  ASSERT_TRUE(AddOperationsRoutes(plain, {}).ok());
  EXPECT_EQ(Get(plain, "/healthz/live").status, 200);
  EXPECT_EQ(Get(plain, "/healthz/ready").status, 404);
  EXPECT_EQ(Get(plain, "/metrics").status, 404);
  EXPECT_EQ(Get(plain, "/version").status, 404);

  Router router;
  bool live = true;
  ASSERT_TRUE(AddOperationsRoutes(router, {.live = [&] { return live; }}).ok());
  EXPECT_EQ(Get(router, "/healthz/live").status, 200);
  live = false;
  EXPECT_EQ(Get(router, "/healthz/live").status, 503);
  EXPECT_EQ(Get(router, "/healthz/live").body, R"({"status":"not_live"})");
}

TEST(OperationsTest, TellsTheVersion) {
  Router router;
  ASSERT_TRUE(AddOperationsRoutes(
                  router, {.version = [] { return R"({"version":"1.2.3"})"; }})
                  .ok());
  EXPECT_EQ(Get(router, "/version").body, R"({"version":"1.2.3"})");
  EXPECT_EQ(Get(router, "/version").headers.Get("content-type"),
            "application/json");
}

TEST(OperationsTest, RefusesToBeAddedTwice) {
  Router router;
  ASSERT_TRUE(AddOperationsRoutes(router, {}).ok());
  EXPECT_EQ(AddOperationsRoutes(router, {}).code(),
            absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace grpccommon
