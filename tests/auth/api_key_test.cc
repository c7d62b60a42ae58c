// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/api_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/reason_matcher.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/testing/fake_clock.h"
#include "nlohmann/json.hpp"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ApiKeyTest : public ::testing::Test {
 protected:
  testing::FakeClock clock_;
  const std::string key_ = *GenerateApiKey();
};

TEST_F(ApiKeyTest, HashIsSha256) {
  // FIPS 180-4, example of one block.
  EXPECT_EQ(HashApiKey("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(ApiKeyTest, GeneratedKeysHave256BitsAndDiffer) {
  EXPECT_EQ(key_.size(), 43u);
  EXPECT_NE(key_, *GenerateApiKey());
}

TEST_F(ApiKeyTest, FindsWhoseKeyItIs) {
  const std::string other = *GenerateApiKey();
  const absl::StatusOr<ApiKeySet> keys = ApiKeySet::Create(
      {{.name = "ci", .sha256 = HashApiKey(key_), .roles = {"deployer"}},
       {.name = "cron", .sha256 = HashApiKey(other), .scopes = {"read"}}});
  ASSERT_THAT(keys, IsOk());
  const Principal& ci = **keys->Find(key_, clock_.WallNow());
  EXPECT_EQ(ci.subject, "ci");
  EXPECT_EQ(ci.issuer, "api-key");
  EXPECT_THAT(ci.roles, ElementsAre("deployer"));
  const Principal& cron = **keys->Find(other, clock_.WallNow());
  EXPECT_EQ(cron.subject, "cron");
  EXPECT_THAT(cron.scopes, ElementsAre("read"));
}

TEST_F(ApiKeyTest, RefusesEveryOtherKey) {
  const ApiKeySet keys =
      *ApiKeySet::Create({{.name = "ci", .sha256 = HashApiKey(key_)}});
  for (const std::string& wrong :
       {std::string(), std::string("x"), key_ + "x",
        key_.substr(0, key_.size() - 1), HashApiKey(key_),
        std::string(ApiKeySet::kMaxKeyBytes + 1, 'x'), *GenerateApiKey()}) {
    const auto result = keys.Find(wrong, clock_.WallNow());
    EXPECT_THAT(result, HasReason(auth_reason::kApiKeyUnknown));
    EXPECT_EQ(result.status().code(), absl::StatusCode::kUnauthenticated);
  }
  EXPECT_THAT(ApiKeySet().Find(key_, clock_.WallNow()),
              HasReason(auth_reason::kApiKeyUnknown));
}

TEST_F(ApiKeyTest, FindsEachOfManyKeys) {
  std::vector<ApiKey> keys;
  for (int i = 0; i < 500; ++i) {
    const std::string name = "key-" + std::to_string(i);
    keys.push_back({.name = name, .sha256 = HashApiKey(name)});
  }
  const ApiKeySet set = *ApiKeySet::Create(keys);
  for (const ApiKey& key : keys) {
    const auto found = set.Find(key.name, clock_.WallNow());
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ((*found)->subject, key.name);
  }
}

TEST_F(ApiKeyTest, ExpiresAtItsInstant) {
  const ApiKeySet keys =
      *ApiKeySet::Create({{.name = "ci",
                           .sha256 = HashApiKey(key_),
                           .expires_at = clock_.WallNow() + 1h}});
  clock_.Advance(1h - 1ns);
  EXPECT_THAT(keys.Find(key_, clock_.WallNow()), IsOk());
  clock_.Advance(1ns);
  EXPECT_THAT(keys.Find(key_, clock_.WallNow()),
              HasReason(auth_reason::kApiKeyExpired));
}

TEST_F(ApiKeyTest, CreateNamesTheKeyThatIsWrong) {
  const std::string hash = HashApiKey(key_);
  const auto create = [](const std::vector<ApiKey>& keys) {
    return ApiKeySet::Create(keys).status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(create({{.name = "", .sha256 = hash}}),
              FailsWith(kInvalid, "no name"));
  EXPECT_THAT(create({{.name = "a", .sha256 = hash},
                      {.name = "a", .sha256 = HashApiKey("b")}}),
              FailsWith(kInvalid, "\"a\" appears twice"));
  EXPECT_THAT(
      create({{.name = "a", .sha256 = hash}, {.name = "b", .sha256 = hash}}),
      FailsWith(kInvalid, "the same"));
  for (const std::string& bad :
       {std::string(), key_, hash + "0", std::string(64, 'g')}) {
    EXPECT_THAT(create({{.name = "a", .sha256 = bad}}),
                FailsWith(kInvalid, "\"a\": sha256"));
  }
}

TEST_F(ApiKeyTest, ReadsAFile) {
  const json file = {{"keys",
                      {{{"name", "ci"},
                        {"sha256", HashApiKey(key_)},
                        {"roles", {"deployer"}},
                        {"scopes", {"deploy"}},
                        {"expires_at", "2026-01-01T01:00:00+00:00"}}}}};
  const absl::StatusOr<ApiKeySet> keys = ApiKeySet::Parse(file.dump());
  ASSERT_THAT(keys, IsOk());
  EXPECT_EQ((*keys->Find(key_, clock_.WallNow()))->subject, "ci");
  clock_.Advance(1h);
  EXPECT_THAT(keys->Find(key_, clock_.WallNow()),
              HasReason(auth_reason::kApiKeyExpired));
}

TEST_F(ApiKeyTest, RefusesBrokenFilesNamingThePlace) {
  const std::string hash = "\"sha256\":\"" + HashApiKey(key_) + "\"";
  for (const auto& [text, place] :
       std::vector<std::pair<std::string, std::string>>{
           {"", "not JSON"},
           {"[]", "must be an object"},
           {"{}", "\"keys\" must be an array"},
           {"{\"keys\":[],\"key\":1}", "unknown member \"key\""},
           {"{\"keys\":[1]}", "keys[0]: must be an object"},
           {"{\"keys\":[{\"name\":\"a\"," + hash + ",\"role\":[]}]}",
            "keys[0]: unknown member \"role\""},
           {"{\"keys\":[{" + hash + "}]}", "keys[0].name"},
           {"{\"keys\":[{\"name\":\"a\"}]}", "keys[0].sha256"},
           {"{\"keys\":[{\"name\":\"a\"," + hash + ",\"roles\":\"x\"}]}",
            "keys[0].roles"},
           {"{\"keys\":[{\"name\":\"a\"," + hash + ",\"scopes\":[1]}]}",
            "keys[0].scopes"},
           {"{\"keys\":[{\"name\":\"a\"," + hash +
                ",\"expires_at\":\"soon\"}]}",
            "keys[0].expires_at"},
           {"{\"keys\":[{\"name\":\"a\"," + hash + ",\"expires_at\":1}]}",
            "keys[0].expires_at"},
           {"{\"keys\":[{\"name\":\"a\",\"name\":\"b\"," + hash + "}]}",
            "\"name\" appears twice"}}) {
    EXPECT_THAT(ApiKeySet::Parse(text),
                FailsWith(absl::StatusCode::kInvalidArgument, place))
        << text;
  }
}

TEST_F(ApiKeyTest, ErrorsDoNotRepeatTheKey) {
  const ApiKeySet keys =
      *ApiKeySet::Create({{.name = "ci", .sha256 = HashApiKey("x")}});
  EXPECT_THAT(keys.Find(key_, clock_.WallNow()).status().ToString(),
              Not(HasSubstr(key_.substr(0, 8))));
}

}  // namespace
}  // namespace grpccommon
