// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/token_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "auth/reason_matcher.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

class TokenCacheTest : public ::testing::Test {
 protected:
  VerifiedToken Verified(const std::string& subject) const {
    return {.principal = std::make_shared<const Principal>(
                Principal{.subject = subject}),
            .valid_from = clock_.WallNow() - 1min,
            .valid_until = clock_.WallNow() + 1min};
  }
  // A token that no small-string optimisation keeps.
  static std::string Token(int i) {
    return "token-number-" + std::to_string(1000000 + i);
  }
  std::shared_ptr<const Principal> Find(const std::string& token,
                                        std::uint64_t generation = 0) {
    return cache_->Find(token, generation, clock_.WallNow());
  }

  testing::FakeClock clock_;
  std::unique_ptr<TokenCache> cache_ = *TokenCache::Create();
};

TEST_F(TokenCacheTest, FindsWhatWasInserted) {
  EXPECT_EQ(Find("token"), nullptr);
  cache_->Insert("token", 0, Verified("alice"));
  ASSERT_NE(Find("token"), nullptr);
  EXPECT_EQ(Find("token")->subject, "alice");
}

TEST_F(TokenCacheTest, ComparesTheWholeToken) {
  cache_->Insert(std::string(2000, 'a') + "1", 0, Verified("one"));
  EXPECT_EQ(Find(std::string(2000, 'a') + "2"), nullptr);
  EXPECT_EQ(Find(std::string(2000, 'a')), nullptr);
  EXPECT_NE(Find(std::string(2000, 'a') + "1"), nullptr);
}

TEST_F(TokenCacheTest, NeverOutlivesTheToken) {
  cache_->Insert("token", 0, Verified("alice"));
  clock_.Advance(1min - 1ns);
  EXPECT_NE(Find("token"), nullptr);
  clock_.Advance(1ns);
  EXPECT_EQ(Find("token"), nullptr);
  EXPECT_EQ(cache_->entries(), 0u) << "and does not keep it either";
}

TEST_F(TokenCacheTest, HoldsWhenTheCalendarIsSetBack) {
  const Clock::WallTime now = clock_.WallNow();
  cache_->Insert("token", 0, Verified("alice"));
  clock_.SetWall(now - 1min - 1ns);
  EXPECT_EQ(Find("token"), nullptr) << "not valid yet";
  clock_.SetWall(now);
  EXPECT_NE(Find("token"), nullptr);
}

TEST_F(TokenCacheTest, AnswersAsTheVerifierDoesAtEveryInstant) {
  const JwtSigner signer = *JwtSigner::Generate(JwtAlgorithm::kHs256);
  const auto keys = CreateStaticKeySource(JwkSet({signer.verification_key()}));
  const auto verifier = *JwtVerifier::Create({.leeway = 10s}, *keys);
  const Clock::WallTime start = clock_.WallNow();
  const std::string token = *signer.Sign(
      {.subject = "alice", .not_before = start, .expires_at = start + 60s});
  const auto verified = verifier->Verify(token, start);
  ASSERT_THAT(verified, IsOk());
  for (const Clock::Duration at :
       {Clock::Duration(-11s), Clock::Duration(-10s - 1ns),
        Clock::Duration(-10s), Clock::Duration(0), Clock::Duration(60s),
        Clock::Duration(70s - 1ns), Clock::Duration(70s),
        Clock::Duration(1h)}) {
    cache_->Insert(token, 0, *verified);
    EXPECT_EQ(cache_->Find(token, 0, start + at) != nullptr,
              verifier->Verify(token, start + at).ok())
        << at.count();
  }
}

TEST_F(TokenCacheTest, ForgetsWhatOtherKeysVerified) {
  cache_->Insert("token", 1, Verified("alice"));
  EXPECT_NE(Find("token", 1), nullptr);
  EXPECT_EQ(Find("token", 2), nullptr);
  EXPECT_EQ(Find("token", 1), nullptr) << "and does not come back";
}

TEST_F(TokenCacheTest, ReplacesAnEntry) {
  cache_->Insert("token", 0, Verified("old"));
  const std::size_t bytes = cache_->bytes();
  cache_->Insert("token", 0, Verified("new"));
  EXPECT_EQ(Find("token")->subject, "new");
  EXPECT_EQ(cache_->entries(), 1u);
  EXPECT_EQ(cache_->bytes(), bytes);
}

TEST_F(TokenCacheTest, DropsTheLeastRecentlyUsedBeyondItsEntries) {
  cache_ = *TokenCache::Create(
      {.max_entries = std::size_t{16} * 3});  // 3 for each shard
  for (int i = 0; i < 3; ++i) cache_->Insert(Token(i), 0, Verified("a"));
  EXPECT_NE(Find(Token(0)), nullptr);  // now the most recently used
  cache_->Insert(Token(3), 0, Verified("a"));
  EXPECT_EQ(cache_->entries(), 3u);
  EXPECT_NE(Find(Token(0)), nullptr);
  EXPECT_EQ(Find(Token(1)), nullptr);
  EXPECT_NE(Find(Token(2)), nullptr);
  EXPECT_NE(Find(Token(3)), nullptr);
}

TEST_F(TokenCacheTest, StaysWithinItsBytes) {
  constexpr std::size_t kMaxBytes = 64 << 10;
  cache_ = *TokenCache::Create({.max_bytes = kMaxBytes});
  for (int i = 0; i < 1000; ++i) {
    cache_->Insert(Token(i) + std::string(300, 'x'), 0, Verified("a"));
    ASSERT_LE(cache_->bytes(), kMaxBytes / 16);
  }
  EXPECT_GE(cache_->entries(), 1u);
  const std::size_t entries = cache_->entries();
  cache_->Insert(std::string(kMaxBytes, 'x'), 0, Verified("a"));
  EXPECT_EQ(cache_->entries(), entries) << "too large for any place";
}

TEST_F(TokenCacheTest, CountsWhatPrincipalsHold) {
  VerifiedToken large = Verified("a");
  Principal principal{.subject = "a"};
  principal.roles.emplace_back(500, 'r');
  principal.scopes.emplace_back(500, 's');
  principal.attributes["name"] = std::string(500, 'v');
  large.principal = std::make_shared<const Principal>(principal);
  cache_->Insert("token", 0, large);
  EXPECT_GT(cache_->bytes(), 1500u);
  // The last reference to it goes with the entry.
  const std::weak_ptr<const Principal> watch = large.principal;
  large = {};
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(Find("token", 1), nullptr);
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(cache_->bytes(), 0u);
}

TEST_F(TokenCacheTest, OfZeroEntriesKeepsNone) {
  cache_ = *TokenCache::Create({.max_entries = 0});
  cache_->Insert("token", 0, Verified("a"));
  EXPECT_EQ(Find("token"), nullptr);
}

TEST_F(TokenCacheTest, CreateNamesTheOptionThatIsWrong) {
  EXPECT_THAT(TokenCache::Create({.max_entries = 10000001}).status(),
              FailsWith(absl::StatusCode::kInvalidArgument, "max_entries"));
  EXPECT_THAT(TokenCache::Create({.max_bytes = 1}).status(),
              FailsWith(absl::StatusCode::kInvalidArgument, "max_bytes"));
}

TEST_F(TokenCacheTest, NeverMixesTokensUpUnderManyThreads) {
  cache_ = *TokenCache::Create({.max_entries = 160});
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  std::atomic<int> hits = 0;
  for (int t = 0; t < 20; ++t) {  // more threads than shards
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const std::string token = Token((i / 2 * 7 + t) % 30);
        const auto found = Find(token, static_cast<std::uint64_t>(i / 1000));
        if (found != nullptr) {
          hits += 1;
          wrong += found->subject != token;
        } else {
          cache_->Insert(token, static_cast<std::uint64_t>(i / 1000),
                         Verified(token));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(hits, 0);
  EXPECT_LE(cache_->entries(), 160u);
}

}  // namespace
}  // namespace grpccommon
