// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/token_provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "auth/fetched_token.h"
#include "auth/http_server.h"
#include "auth/observed_scheduler.h"
#include "auth/reason_matcher.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

std::string TokenOf(const std::shared_ptr<TokenProvider>& provider) {
  const auto token = provider->Token();
  return token.ok() ? **token
                    : "none: " + std::string(token.status().message());
}

TEST(StaticTokenTest, KeepsItsToken) {
  EXPECT_EQ(TokenOf(*CreateStaticToken("abc")), "abc");
  for (const std::string bad : {"", "a b", "a\n", "\xc3\xa4"}) {
    EXPECT_THAT(CreateStaticToken(bad),
                FailsWith(absl::StatusCode::kInvalidArgument, "a token must"));
  }
  EXPECT_THAT(CreateStaticToken(std::string(16385, 'a')), Not(IsOk()));
}

class TokenFileTest : public ::testing::Test {
 protected:
  testing::FakeClock clock_;
  testing::FakeScheduler scheduler_{clock_};
  testing::TemporaryFolder folder_;
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
  const Logger logger_{sink_, "test"};
};

TEST_F(TokenFileTest, ReadsAndRereadsItsFile) {
  const std::string path = folder_.Write("token", "first\n");
  const auto provider = *CreateTokenFile(path, scheduler_, {}, logger_);
  EXPECT_EQ(TokenOf(provider), "first");
  folder_.Write("token", "  second  \n");
  clock_.Advance(5s);
  EXPECT_EQ(TokenOf(provider), "second");
}

TEST_F(TokenFileTest, ABrokenFileKeepsTheOldTokenAndIsNotQuoted) {
  const std::string path = folder_.Write("token", "first");
  const auto provider = *CreateTokenFile(path, scheduler_, {}, logger_);
  folder_.Write("token", "hunter2 hunter2");
  clock_.Advance(5s);
  EXPECT_EQ(TokenOf(provider), "first");
  EXPECT_EQ(sink_->LinesWhere("path", path).size(), 1u);
  EXPECT_THAT(sink_->text(), Not(HasSubstr("hunter2")));
}

TEST_F(TokenFileTest, AFileThatCannotBeUsedIsNamed) {
  EXPECT_THAT(CreateTokenFile(folder_.path() + "/none", scheduler_),
              FailsWith(absl::StatusCode::kNotFound, "/none"));
  EXPECT_THAT(CreateTokenFile(folder_.Write("empty", " \n"), scheduler_),
              FailsWith(absl::StatusCode::kInvalidArgument, "/empty"));
  EXPECT_THAT(CreateTokenFile(folder_.Write("token", "a"), scheduler_,
                              {.check_interval = 1ms}),
              FailsWith(absl::StatusCode::kInvalidArgument, "check_interval"));
}

class FetchedTokenTest : public ::testing::Test {
 protected:
  void Answer(absl::StatusOr<internal::FetchedToken> answer) {
    const MutexLock lock(mutex_);
    answer_ = std::move(answer);
  }
  std::shared_ptr<TokenProvider> Start(
      const ClientCredentialsOptions& options = {}) {
    return internal::CreateFetchedToken(
        [this](const std::atomic<bool>& /*stop*/) {
          const MutexLock lock(mutex_);
          return answer_;
        },
        scheduler_, options, Logger(sink_, "test"), clock_,
        [this] { return random_.load(); });
  }

  testing::FakeClock clock_;
  ObservedScheduler scheduler_{clock_};
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
  std::atomic<double> random_{0.0};
  Mutex mutex_;
  absl::StatusOr<internal::FetchedToken> answer_ ABSL_GUARDED_BY(mutex_) =
      internal::FetchedToken{.token = "one", .lifetime = 1000s};
};

TEST_F(FetchedTokenTest, IsFetchedAtOnceAndAgainBeforeItExpires) {
  const auto provider = Start();
  EXPECT_EQ(scheduler_.NextDelay(), 600s);
  EXPECT_EQ(TokenOf(provider), "one");
  Answer(internal::FetchedToken{.token = "two", .lifetime = 1000s});
  random_ = 1.0;
  clock_.Advance(600s);
  EXPECT_EQ(scheduler_.NextDelay(), 800s);
  EXPECT_EQ(TokenOf(provider), "two");
}

TEST_F(FetchedTokenTest, TheLastOneStaysWhileTheIssuerIsAwayAndItIsValid) {
  const auto provider = Start();
  EXPECT_EQ(scheduler_.NextDelay(), 600s);
  Answer(absl::UnavailableError("HTTP 503"));
  random_ = 1.0;
  clock_.Advance(600s);
  // Doubled from one second to a minute, with the largest jitter.
  for (const auto delay : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    EXPECT_EQ(scheduler_.NextDelay(), delay);
    EXPECT_EQ(TokenOf(provider), "one");
    clock_.Advance(delay);
  }
  scheduler_.NextDelay();
  // 783 s are over; the margin is ten.
  clock_.Advance(990s - 783s - 1ns);
  EXPECT_EQ(TokenOf(provider), "one");
  clock_.Advance(1ns);
  EXPECT_THAT(provider->Token(), HasReason(auth_reason::kTokenUnavailable));
  EXPECT_THAT(TokenOf(provider), HasSubstr("HTTP 503"));
}

TEST_F(FetchedTokenTest, AShortLivedTokenHasASmallerMargin) {
  Answer(internal::FetchedToken{.token = "short", .lifetime = 20s});
  const auto provider = Start();
  EXPECT_EQ(scheduler_.NextDelay(), 12s);
  Answer(absl::UnavailableError("away"));
  clock_.Advance(18s - 1ns);
  EXPECT_EQ(TokenOf(provider), "short");
  clock_.Advance(1ns);
  EXPECT_THAT(provider->Token(), Not(IsOk()));
}

TEST_F(FetchedTokenTest, TheBackoffDelaysNoFetchAfterASuccess) {
  Answer(internal::FetchedToken{.token = "short", .lifetime = 20s});
  const auto provider = Start({.min_backoff = 1min});
  EXPECT_EQ(scheduler_.NextDelay(), 12s);
}

TEST_F(FetchedTokenTest, IsNotFetchedMoreOftenThanOnceASecond) {
  Answer(internal::FetchedToken{.token = "stillborn", .lifetime = 0s});
  const auto provider = Start({.min_backoff = 100ms});
  EXPECT_EQ(scheduler_.NextDelay(), 1s);
  Answer(internal::FetchedToken{.token = "short", .lifetime = 1s});
  clock_.Advance(1s);
  EXPECT_EQ(scheduler_.NextDelay(), 1s);
}

TEST_F(FetchedTokenTest, WithoutATokenItSaysWhy) {
  Answer(absl::UnavailableError("HTTP 401, invalid_client"));
  const auto provider = Start();
  EXPECT_EQ(scheduler_.NextDelay(), 500ms);
  EXPECT_THAT(provider->Token(),
              FailsWith(absl::StatusCode::kUnavailable, "invalid_client"));
  EXPECT_THAT(provider->Token(), HasReason(auth_reason::kTokenUnavailable));
  Answer(internal::FetchedToken{.token = "late"});
  clock_.Advance(500ms);
  EXPECT_EQ(scheduler_.NextDelay(), 180s) << "the default lifetime holds";
  EXPECT_EQ(TokenOf(provider), "late");
}

TEST(TokenAnswerTest, IsReadAsTheRfcSays) {
  const auto good = internal::ParseTokenAnswer(
      200, R"({"access_token":"t","token_type":"bearer","expires_in":60})");
  ASSERT_THAT(good, IsOk());
  EXPECT_EQ(good->token, "t");
  EXPECT_EQ(good->lifetime, 60s);
  const auto without = internal::ParseTokenAnswer(
      200, R"({"access_token":"t","token_type":"Bearer","scope":"x"})");
  ASSERT_THAT(without, IsOk());
  EXPECT_EQ(without->lifetime, std::nullopt);
  const auto huge = internal::ParseTokenAnswer(
      200, R"({"access_token":"t","token_type":"Bearer","expires_in":1e300})");
  ASSERT_THAT(huge, IsOk());
  EXPECT_EQ(huge->lifetime, std::chrono::hours(366 * 24));
}

TEST(TokenAnswerTest, AnythingElseIsRefusedWithoutBeingQuoted) {
  for (
      const std::string body : {
          R"()",
          R"(hunter2)",
          R"(["hunter2"])",
          R"({"access_token":"hunter2"})",
          R"({"access_token":"hunter2","token_type":"mac"})",
          R"({"access_token":"hunter2 2","token_type":"Bearer"})",
          R"({"access_token":"","token_type":"Bearer"})",
          R"({"access_token":7,"token_type":"Bearer"})",
          R"({"access_token":"hunter2","token_type":"Bearer","expires_in":0})",
          R"({"access_token":"hunter2","token_type":"Bearer","expires_in":-5})",
          R"({"access_token":"hunter2","token_type":"Bearer","expires_in":"9"})",
          R"({"access_token":"hunter2","access_token":"x","token_type":"Bearer"})",
      }) {
    const auto refused = internal::ParseTokenAnswer(200, body);
    EXPECT_THAT(refused, FailsWith(absl::StatusCode::kUnavailable, "")) << body;
    EXPECT_THAT(std::string(refused.status().message()),
                Not(HasSubstr("hunter2")));
  }
  EXPECT_THAT(
      internal::ParseTokenAnswer(400, R"({"error":"invalid_scope"})"),
      FailsWith(absl::StatusCode::kUnavailable, "HTTP 400, invalid_scope"));
  const auto strange = internal::ParseTokenAnswer(
      401, R"({"error":"hunter2 ","error_description":"hunter2"})");
  EXPECT_EQ(strange.status().message(), "the issuer's answer is HTTP 401");
  EXPECT_THAT(internal::ParseTokenAnswer(500, "<html>"),
              FailsWith(absl::StatusCode::kUnavailable, "HTTP 500"));
}

class ClientCredentialsTest : public ::testing::Test {
 protected:
  ClientCredentialsTest() {
    server_.Answer(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        R"({"access_token":"issued","token_type":"Bearer","expires_in":100})");
    options_.token_url = server_.url();
    options_.allow_http = true;
    options_.client_id = "orders";
    options_.client_secret = "hunter:2";
  }
  absl::StatusOr<std::shared_ptr<TokenProvider>> Create() {
    return CreateClientCredentials(options_, scheduler_, Logger(sink_, "test"),
                                   clock_, [] { return 0.0; });
  }

  testing::FakeClock clock_;
  ObservedScheduler scheduler_{clock_};
  testing::TemporaryFolder folder_;
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
  CannedHttpServer server_;
  ClientCredentialsOptions options_;
};

TEST_F(ClientCredentialsTest, WaitsForTheFirstToken) {
  const auto provider = Create();
  ASSERT_THAT(provider, IsOk());
  EXPECT_EQ(TokenOf(*provider), "issued");
  EXPECT_EQ(scheduler_.NextDelay(), 60s);
}

TEST_F(ClientCredentialsTest, AsksAsTheRfcSays) {
  options_.scope = "read write";
  options_.audience = "users";
  const auto provider = Create();
  const std::string request = server_.request();
  EXPECT_THAT(request, HasSubstr("POST /keys HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("application/x-www-form-urlencoded"));
  // "orders:hunter%3A2"
  EXPECT_THAT(request,
              HasSubstr("Authorization: Basic b3JkZXJzOmh1bnRlciUzQTI="));
  EXPECT_THAT(request, HasSubstr("\r\n\r\ngrant_type=client_credentials"
                                 "&scope=read%20write&audience=users"));
}

TEST_F(ClientCredentialsTest, TheSecretMayComeFromAFile) {
  options_.client_secret.clear();
  options_.client_secret_file = folder_.Write("secret", "hunter:2\n");
  EXPECT_EQ(TokenOf(*Create()), "issued");
  EXPECT_THAT(server_.request(),
              HasSubstr("Authorization: Basic b3JkZXJzOmh1bnRlciUzQTI="));
}

TEST_F(ClientCredentialsTest, TheSecretMayGoInTheForm) {
  options_.secret_in_form = true;
  EXPECT_EQ(TokenOf(*Create()), "issued");
  EXPECT_THAT(server_.request(), Not(HasSubstr("Authorization:")));
  EXPECT_THAT(server_.request(),
              HasSubstr("&client_id=orders&client_secret=hunter%3A2"));
}

TEST_F(ClientCredentialsTest, StartsWithoutAnIssuerAndDoesNotTellTheSecret) {
  server_.Answer(
      "HTTP/1.1 401 No\r\nConnection: close\r\n\r\n"
      R"({"error":"invalid_client","error_description":"hunter:2"})");
  const auto provider = Create();
  ASSERT_THAT(provider, IsOk());
  EXPECT_THAT((*provider)->Token(), FailsWith(absl::StatusCode::kUnavailable,
                                              "HTTP 401, invalid_client"));
  scheduler_.NextDelay();
  EXPECT_THAT(sink_->text(), HasSubstr("invalid_client"));
  EXPECT_THAT(sink_->text(), Not(HasSubstr("hunter")));
}

TEST_F(ClientCredentialsTest, TheFirstWaitIsBounded) {
  server_.Answer("");  // never answers
  options_.first_wait = 0s;
  options_.timeout = 60s;
  const auto provider = Create();
  ASSERT_THAT(provider, IsOk());
  EXPECT_THAT((*provider)->Token(),
              FailsWith(absl::StatusCode::kUnavailable, "not fetched yet"));
}

TEST_F(ClientCredentialsTest, OptionsOutOfRangeAreNamed) {
  const auto refused = [this](auto change, const std::string& text) {
    const ClientCredentialsOptions good = options_;
    change(options_);
    EXPECT_THAT(Create(), FailsWith(absl::StatusCode::kInvalidArgument, text));
    options_ = good;
  };
  refused([](auto& o) { o.allow_http = false; }, "url must begin with https");
  refused([](auto& o) { o.token_url = "https://u:p@issuer/"; }, "password");
  refused([](auto& o) { o.client_id = ""; }, "client_id");
  refused([](auto& o) { o.client_secret = ""; }, "client_secret");
  refused([](auto& o) { o.client_secret_file = "x"; }, "client_secret_file");
  refused([](auto& o) { o.timeout = 0s; }, "timeout");
  refused([](auto& o) { o.first_wait = 2min; }, "first_wait");
  refused([](auto& o) { o.default_lifetime = 1s; }, "default_lifetime");
  refused([](auto& o) { o.expiry_margin = 6min; }, "expiry_margin");
  refused([](auto& o) { o.min_backoff = 2min; }, "min_backoff");
  refused([](auto& o) { o.max_backoff = 0s; }, "max_backoff");
}

}  // namespace
}  // namespace grpccommon
