// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/key_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/http_fetch.h"
#include "auth/http_server.h"
#include "auth/key_url.h"
#include "auth/observed_scheduler.h"
#include "auth/reason_matcher.h"
#include "grpccommon/auth/jwt.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "support/no_file_descriptors.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

JwtSigner NewSigner(const std::string& id) {
  return *JwtSigner::Generate(JwtAlgorithm::kEdDsa, id);
}

TEST(StaticKeySourceTest, KeepsItsKeys) {
  const auto source =
      CreateStaticKeySource(JwkSet({NewSigner("a").verification_key()}));
  EXPECT_THAT(source->Keys()->keys(), SizeIs(1));
  EXPECT_EQ(source->generation(), source->generation());
  EXPECT_THAT(source->status(), IsOk());
}

TEST(SettableKeySourceTest, HasTheKeysThatWereSetLast) {
  SettableKeySource source;
  EXPECT_TRUE(source.Keys()->empty());
  std::uint64_t generation = source.generation();
  for (const std::string id : {"a", "b"}) {
    const JwtSigner signer = NewSigner(id);
    source.Set(JwkSet({signer.verification_key()}));
    ASSERT_THAT(source.Keys()->keys(), SizeIs(1));
    EXPECT_EQ(source.Keys()->keys()[0].id(), id);
    EXPECT_GT(source.generation(), generation);
    generation = source.generation();
  }
  source.Set(JwkSet());
  EXPECT_TRUE(source.Keys()->empty());
  EXPECT_THAT(source.status(), IsOk());
}

class KeyFileTest : public ::testing::Test {
 protected:
  testing::FakeClock clock_;
  testing::FakeScheduler scheduler_{clock_};
  testing::TemporaryFolder folder_;
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
  const Logger logger_{sink_, "test"};
};

TEST_F(KeyFileTest, ReadsAndRereadsItsFile) {
  const std::string path =
      folder_.Write("keys.json", *NewSigner("a").PublicJwks());
  const auto source = *CreateKeyFile(path, scheduler_, {}, logger_);
  EXPECT_EQ(source->Keys()->keys()[0].id(), "a");
  const std::uint64_t generation = source->generation();
  clock_.Advance(1min);
  EXPECT_EQ(source->generation(), generation) << "nothing changed";

  folder_.Write("keys.json", *NewSigner("b").PublicJwks());
  clock_.Advance(5s);
  EXPECT_EQ(source->Keys()->keys()[0].id(), "b");
  EXPECT_GT(source->generation(), generation);
}

TEST_F(KeyFileTest, ABrokenFileKeepsTheOldKeysAndSaysSo) {
  const std::string path =
      folder_.Write("keys.json", *NewSigner("a").PublicJwks());
  const auto source = *CreateKeyFile(path, scheduler_, {}, logger_);
  const std::uint64_t generation = source->generation();
  folder_.Write("keys.json", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"");
  clock_.Advance(5s);
  EXPECT_EQ(source->Keys()->keys()[0].id(), "a");
  EXPECT_EQ(source->generation(), generation);
  EXPECT_THAT(source->status(),
              FailsWith(absl::StatusCode::kInvalidArgument, path));
  EXPECT_THAT(sink_->LinesWhere("level", "error"), SizeIs(1));
  EXPECT_THAT(sink_->text(), HasSubstr("old stay in force"));
  EXPECT_THAT(sink_->text(), Not(HasSubstr("c2Vj")));

  folder_.Write("keys.json", *NewSigner("c").PublicJwks());
  clock_.Advance(5s);
  EXPECT_EQ(source->Keys()->keys()[0].id(), "c");
  EXPECT_THAT(source->status(), IsOk());
}

TEST_F(KeyFileTest, AFileThatGoesAwayKeepsTheOldKeys) {
  const std::string path =
      folder_.Write("keys.json", *NewSigner("a").PublicJwks());
  const auto source = *CreateKeyFile(path, scheduler_, {}, logger_);
  ASSERT_EQ(unlink(path.c_str()), 0);
  clock_.Advance(1min);
  EXPECT_EQ(source->Keys()->keys()[0].id(), "a");
  EXPECT_THAT(source->status(), FailsWith(absl::StatusCode::kNotFound, path));
  EXPECT_THAT(sink_->LinesWhere("level", "error"), SizeIs(1));
  EXPECT_THAT(sink_->text(), HasSubstr("old stay in force"));

  folder_.Write("keys.json", *NewSigner("b").PublicJwks());
  clock_.Advance(5s);
  EXPECT_EQ(source->Keys()->keys()[0].id(), "b");
  EXPECT_THAT(source->status(), IsOk());
}

TEST_F(KeyFileTest, AChangeThatCouldNotBeReadIsReadAtALaterLook) {
  const std::string path =
      folder_.Write("keys.json", *NewSigner("a").PublicJwks());
  const auto source = *CreateKeyFile(path, scheduler_, {}, logger_);
  folder_.Write("keys.json", *NewSigner("b").PublicJwks());
  {
    const NoFileDescriptors none;
    clock_.Advance(1min);
  }
  EXPECT_EQ(source->Keys()->keys()[0].id(), "a");
  EXPECT_THAT(source->status(),
              FailsWith(absl::StatusCode::kUnavailable, path));
  EXPECT_THAT(sink_->LinesWhere("level", "error"), SizeIs(1))
      << "said at one look, not at each";

  clock_.Advance(5s);
  EXPECT_EQ(source->Keys()->keys()[0].id(), "b");
  EXPECT_THAT(source->status(), IsOk());
  clock_.Advance(1min);
  EXPECT_THAT(sink_->LinesWhere("msg", "keys reloaded"), SizeIs(1));
}

TEST_F(KeyFileTest, NamesKeysThatItLeavesOut) {
  const std::string path = folder_.Write(
      "keys.json", "{\"keys\":[{\"kty\":\"magic\"}," +
                       NewSigner("a").verification_key().id() + "]}");
  EXPECT_THAT(CreateKeyFile(path, scheduler_).status(),
              FailsWith(absl::StatusCode::kInvalidArgument, path));
  std::string keys = *NewSigner("a").PublicJwks();
  keys.insert(keys.find('[') + 1, "{\"kty\":\"magic\"},");
  folder_.Write("keys.json", keys);
  const auto source = CreateKeyFile(path, scheduler_, {}, logger_);
  ASSERT_THAT(source, IsOk());
  EXPECT_THAT(sink_->LinesWhere("msg", "key left out"), SizeIs(1));
}

TEST_F(KeyFileTest, CreateNamesWhatIsWrong) {
  EXPECT_THAT(CreateKeyFile("/nowhere/keys.json", scheduler_).status(),
              FailsWith(absl::StatusCode::kNotFound, "/nowhere/keys.json"));
  EXPECT_THAT(CreateKeyFile("x", scheduler_, {.check_interval = 1ms}).status(),
              FailsWith(absl::StatusCode::kInvalidArgument, "check_interval"));
}

class FetchedKeySourceTest : public ::testing::Test {
 protected:
  void Answer(absl::StatusOr<internal::FetchedKeys> answer) {
    const MutexLock lock(mutex_);
    answer_ = std::move(answer);
  }
  void AnswerKeys(const std::string& id,
                  std::optional<Clock::Duration> lifetime = std::nullopt) {
    Answer(internal::FetchedKeys{.body = *NewSigner(id).PublicJwks(),
                                 .lifetime = lifetime});
  }
  int fetches() {
    const MutexLock lock(mutex_);
    return fetches_;
  }
  void Start(const KeyUrlOptions& options = {}) {
    source_ = internal::CreateFetchedKeySource(
        [this](const std::atomic<bool>& /*stop*/) {
          const MutexLock lock(mutex_);
          ++fetches_;
          return answer_;
        },
        "https://issuer/keys", scheduler_, options, Logger(sink_, "test"),
        clock_, [this] { return random_; });
  }
  std::string KeyId() const { return source_->Keys()->keys().at(0).id(); }

  testing::FakeClock clock_;
  ObservedScheduler scheduler_{clock_};
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
  Mutex mutex_;
  absl::StatusOr<internal::FetchedKeys> answer_ ABSL_GUARDED_BY(mutex_);
  int fetches_ ABSL_GUARDED_BY(mutex_) = 0;
  double random_ = 0;
  std::unique_ptr<KeySource> source_;
};

TEST_F(FetchedKeySourceTest, FetchesAtOnceAndAgainBeforeTheKeysExpire) {
  AnswerKeys("a", 10min);
  Start();
  EXPECT_EQ(scheduler_.NextDelay(), 8min);  // 80 %
  EXPECT_EQ(KeyId(), "a");
  EXPECT_THAT(source_->status(), IsOk());
  AnswerKeys("b", 10min);
  random_ = 1;
  clock_.Advance(8min - 1ns);
  EXPECT_EQ(fetches(), 1);
  clock_.Advance(1ns);
  EXPECT_EQ(scheduler_.NextDelay(), 9min + 30s);  // 95 %
  EXPECT_EQ(KeyId(), "b");
}

TEST_F(FetchedKeySourceTest, BoundsTheLifetime) {
  AnswerKeys("a", 1s);
  Start(
      {.default_lifetime = 20min, .min_lifetime = 100s, .max_lifetime = 1000s});
  EXPECT_EQ(scheduler_.NextDelay(), 80s);
  AnswerKeys("a", 100000s);
  clock_.Advance(80s);
  EXPECT_EQ(scheduler_.NextDelay(), 800s);
  AnswerKeys("a");
  clock_.Advance(800s);
  EXPECT_EQ(scheduler_.NextDelay(), 800s) << "the default is bounded as well";
}

TEST_F(FetchedKeySourceTest, UsesTheDefaultLifetime) {
  AnswerKeys("a");
  Start({.default_lifetime = 20min});
  EXPECT_EQ(scheduler_.NextDelay(), 16min);
}

TEST_F(FetchedKeySourceTest, TheSameKeysAreNoNewGeneration) {
  AnswerKeys("a", 10min);
  Start();
  scheduler_.NextDelay();
  const std::uint64_t generation = source_->generation();
  clock_.Advance(8min);
  scheduler_.NextDelay();
  EXPECT_EQ(fetches(), 2);
  EXPECT_EQ(source_->generation(), generation);
  AnswerKeys("b", 10min);
  clock_.Advance(8min);
  scheduler_.NextDelay();
  EXPECT_GT(source_->generation(), generation);
}

TEST_F(FetchedKeySourceTest, IsEmptyUntilTheFirstFetchSucceeds) {
  Answer(absl::UnavailableError("down"));
  Start();
  scheduler_.NextDelay();
  EXPECT_TRUE(source_->Keys()->empty());
  EXPECT_THAT(source_->status(),
              FailsWith(absl::StatusCode::kUnavailable, "down"));
  AnswerKeys("a");
  clock_.Advance(1s);
  scheduler_.NextDelay();
  EXPECT_EQ(KeyId(), "a");
}

TEST_F(FetchedKeySourceTest, AFailureKeepsTheOldKeysAndBacksOff) {
  AnswerKeys("a", 10min);
  Start({.min_backoff = 1s, .max_backoff = 5s});
  scheduler_.NextDelay();
  Answer(absl::UnavailableError("down"));
  random_ = 1;
  clock_.Advance(8min);
  for (const Clock::Duration delay : {1s, 2s, 4s, 5s, 5s}) {
    EXPECT_EQ(scheduler_.NextDelay(), delay);
    EXPECT_EQ(KeyId(), "a");
    clock_.Advance(delay);
  }
  scheduler_.NextDelay();
  EXPECT_THAT(sink_->LinesWhere("level", "error"), SizeIs(6));
  EXPECT_THAT(sink_->text(), HasSubstr("old ones stay in force"));

  random_ = 0;  // equal jitter: at least half
  clock_.Advance(5s);
  EXPECT_EQ(scheduler_.NextDelay(), 2500ms);
  AnswerKeys("b", 10min);
  clock_.Advance(2500ms);
  EXPECT_EQ(scheduler_.NextDelay(), 8min);
  EXPECT_EQ(KeyId(), "b");
  Answer(absl::UnavailableError("down"));
  clock_.Advance(8min);
  EXPECT_EQ(scheduler_.NextDelay(), 500ms) << "begins anew";
}

TEST_F(FetchedKeySourceTest, BacksOffNoLessHoweverManyFetchesFail) {
  Answer(absl::UnavailableError("down"));
  random_ = 1;
  Start({.min_backoff = 20min, .max_backoff = 1h});
  for (int failures = 1; failures <= 40; ++failures) {
    const Clock::Duration delay = failures == 1   ? 20min
                                  : failures == 2 ? 40min
                                                  : 1h;
    ASSERT_EQ(scheduler_.NextDelay(), delay) << failures;
    clock_.Advance(delay);
  }
}

TEST_F(FetchedKeySourceTest, AnUnusableAnswerKeepsTheOldKeys) {
  AnswerKeys("a", 10min);
  Start();
  scheduler_.NextDelay();
  Answer(internal::FetchedKeys{.body = "<html>maintenance</html>"});
  clock_.Advance(8min);
  EXPECT_EQ(scheduler_.NextDelay(), 500ms);
  EXPECT_EQ(KeyId(), "a");
  EXPECT_THAT(source_->status(),
              FailsWith(absl::StatusCode::kInvalidArgument, "not JSON"));
}

TEST_F(FetchedKeySourceTest, AnUnknownKeyFetchesButNotBeforeTheFloor) {
  AnswerKeys("a", 1h);
  Start({.unknown_key_floor = 30s});
  scheduler_.NextDelay();
  AnswerKeys("b", 1h);
  clock_.Advance(30s - 1ns);
  for (int i = 0; i < 1000; ++i) source_->ReportUnknownKey();
  clock_.Advance(1ns);
  EXPECT_EQ(fetches(), 1) << "what came too early is forgotten";
  for (int i = 0; i < 1000; ++i) source_->ReportUnknownKey();
  EXPECT_EQ(scheduler_.NextDelay(), 48min);
  EXPECT_EQ(fetches(), 2);
  EXPECT_EQ(KeyId(), "b");
  for (int i = 0; i < 1000; ++i) source_->ReportUnknownKey();
  clock_.Advance(1ns);
  EXPECT_EQ(fetches(), 2);
}

TEST_F(FetchedKeySourceTest, AFetchForAnUnknownKeyReplacesThePlannedOne) {
  AnswerKeys("a", 1h);
  Start();
  EXPECT_EQ(scheduler_.NextDelay(), 48min);
  clock_.Advance(40min);
  source_->ReportUnknownKey();
  EXPECT_EQ(scheduler_.NextDelay(), 48min);
  clock_.Advance(47min);
  EXPECT_EQ(fetches(), 2);
  clock_.Advance(1min);
  scheduler_.NextDelay();
  EXPECT_EQ(fetches(), 3);
}

TEST_F(FetchedKeySourceTest, ATokenOfARotatedKeyWorksAfterTheFetch) {
  const JwtSigner old_key = NewSigner("old");
  const JwtSigner new_key = NewSigner("new");
  Answer(internal::FetchedKeys{.body = *old_key.PublicJwks(), .lifetime = 1h});
  Start();
  scheduler_.NextDelay();
  const auto verifier = *JwtVerifier::Create({}, *source_);
  clock_.Advance(1min);
  const JwtClaims claims = {.subject = "alice",
                            .expires_at = clock_.WallNow() + 1h};
  Answer(internal::FetchedKeys{.body = *new_key.PublicJwks(), .lifetime = 1h});
  EXPECT_THAT(verifier->Verify(*new_key.Sign(claims), clock_.WallNow()),
              HasReason(auth_reason::kTokenKeyUnknown));
  scheduler_.NextDelay();
  EXPECT_THAT(verifier->Verify(*new_key.Sign(claims), clock_.WallNow()),
              IsOk());
  EXPECT_THAT(verifier->Verify(*old_key.Sign(claims), clock_.WallNow()),
              HasReason(auth_reason::kTokenKeyUnknown));
}

TEST_F(FetchedKeySourceTest, ReadsOnManyThreadsWhileKeysRotate) {
  AnswerKeys("0", 10min);
  Start();
  scheduler_.NextDelay();
  std::atomic<bool> done = false;
  std::atomic<int> empty = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      std::uint64_t last = 0;
      while (!done) {
        const std::uint64_t generation = source_->generation();
        empty += source_->Keys()->empty();
        empty += generation < last;
        last = generation;
        source_->ReportUnknownKey();
      }
    });
  }
  for (int i = 1; i < 50; ++i) {
    AnswerKeys(std::to_string(i), 10min);
    clock_.Advance(8min);
    scheduler_.NextDelay();
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(empty, 0);
}

TEST(ParseMaxAgeTest, ReadsCacheControl) {
  using internal::ParseMaxAge;
  EXPECT_EQ(ParseMaxAge(""), std::nullopt);
  EXPECT_EQ(ParseMaxAge("public"), std::nullopt);
  EXPECT_EQ(ParseMaxAge("public, max-age=3600, must-revalidate"), 3600);
  EXPECT_EQ(ParseMaxAge("MAX-AGE=5"), 5);
  EXPECT_EQ(ParseMaxAge("max-age=5, no-store"), 0);
  EXPECT_EQ(ParseMaxAge("no-cache"), 0);
  EXPECT_EQ(ParseMaxAge("max-age=-5"), std::nullopt);
  EXPECT_EQ(ParseMaxAge("max-age=five"), std::nullopt);
  EXPECT_EQ(ParseMaxAge("s-maxage=5"), std::nullopt);
  EXPECT_EQ(ParseMaxAge("max-age=99999999999999999999"), std::nullopt);
  EXPECT_EQ(ParseMaxAge("max-age=9999999999999"), 366 * 24 * 3600);
}

class KeyUrlTest : public ::testing::Test {
 protected:
  std::unique_ptr<KeySource> Fetch(KeyUrlOptions options = {}) {
    options.allow_http = true;
    auto source =
        CreateKeyUrl(server_.url(), scheduler_, options, Logger(sink_, "test"),
                     clock_, [] { return 0.0; });
    EXPECT_THAT(source, IsOk());
    return *std::move(source);
  }

  testing::FakeClock clock_;
  ObservedScheduler scheduler_{clock_};
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
  CannedHttpServer server_;
};

TEST_F(KeyUrlTest, FetchesKeysAndHonoursCacheControlAndAge) {
  server_.Answer(
      "HTTP/1.1 200 OK\r\nCache-Control: public\r\ncache-control: "
      "max-age=1100\r\n"
      "Age: 100\r\nConnection: close\r\n\r\n" +
      *NewSigner("a").PublicJwks());
  const auto source = Fetch();
  EXPECT_EQ(scheduler_.NextDelay(), 800s);
  EXPECT_EQ(source->Keys()->keys().at(0).id(), "a");
}

TEST_F(KeyUrlTest, RefusesOtherAnswers) {
  const std::string keys = *NewSigner("a").PublicJwks();
  for (const auto& [answer, error] :
       std::vector<std::pair<std::string, std::string>>{
           {"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n" + keys,
            "HTTP 500"},
           {"HTTP/1.1 404 No\r\nConnection: close\r\n\r\n", "HTTP 404"},
           {"HTTP/1.1 302 Found\r\nLocation: " + server_.url() +
                "\r\nConnection: close\r\n\r\n",
            "HTTP 302"},
           {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "not JSON"},
           {"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + keys, ""},
           {"garbage\r\n\r\n", ""},
       }) {
    server_.Answer(answer);
    const auto source = Fetch();
    scheduler_.NextDelay();
    EXPECT_TRUE(source->Keys()->empty()) << answer;
    EXPECT_FALSE(source->status().ok()) << answer;
    EXPECT_THAT(std::string(source->status().message()), HasSubstr(error));
  }
}

TEST_F(KeyUrlTest, RefusesAnAnswerLargerThanTheLimit) {
  server_.Answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" +
                 std::string(5000, ' ') + *NewSigner("a").PublicJwks());
  const auto source = Fetch({.max_bytes = 4096});
  scheduler_.NextDelay();
  EXPECT_THAT(source->status(),
              FailsWith(absl::StatusCode::kInvalidArgument, "4096 bytes"));
}

TEST_F(KeyUrlTest, GivesUpAfterItsTimeout) {
  server_.Answer("");
  const auto source = Fetch({.timeout = 100ms});
  scheduler_.NextDelay();
  EXPECT_THAT(source->status(), FailsWith(absl::StatusCode::kUnavailable, ""));
}

TEST_F(KeyUrlTest, CanBeDestroyedWhileItFetches) {
  server_.Answer("");
  const auto begin = std::chrono::steady_clock::now();
  Fetch({.timeout = 1min}).reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST_F(KeyUrlTest, CreateNamesWhatIsWrong) {
  const auto create = [&](const std::string& url,
                          const KeyUrlOptions& options) {
    return CreateKeyUrl(url, scheduler_, options).status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(create("http://issuer/keys", {}), FailsWith(kInvalid, "https"));
  EXPECT_THAT(create("file:///etc/passwd", {.allow_http = true}),
              FailsWith(kInvalid, "https"));
  EXPECT_THAT(create("https://user:secret@issuer/keys", {}),
              FailsWith(kInvalid, "password"));
  EXPECT_THAT(create("https://i", {.timeout = 0s}),
              FailsWith(kInvalid, "timeout"));
  EXPECT_THAT(create("https://i", {.max_bytes = 1}),
              FailsWith(kInvalid, "max_bytes"));
  EXPECT_THAT(create("https://i", {.default_lifetime = 0s}),
              FailsWith(kInvalid, "default_lifetime"));
  EXPECT_THAT(create("https://i", {.min_lifetime = 2h, .max_lifetime = 1h}),
              FailsWith(kInvalid, "min_lifetime"));
  EXPECT_THAT(create("https://i", {.unknown_key_floor = 0s}),
              FailsWith(kInvalid, "unknown_key_floor"));
  EXPECT_THAT(create("https://i", {.min_backoff = 0s}),
              FailsWith(kInvalid, "min_backoff"));
  EXPECT_THAT(create("https://i", {.max_backoff = 2h}),
              FailsWith(kInvalid, "max_backoff"));
}

}  // namespace
}  // namespace grpccommon
