// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "auth/reason_matcher.h"
#include "auth/rfc_vectors.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/testing/fake_clock.h"
#include "nlohmann/json.hpp"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

// Static keys that count how often somebody asked for unknown ones.
class CountingKeySource : public KeySource {
 public:
  explicit CountingKeySource(JwkSet keys)
      : keys_(std::make_shared<const JwkSet>(std::move(keys))) {}
  std::shared_ptr<const JwkSet> Keys() const override { return keys_; }
  std::uint64_t generation() const override { return 0; }
  void ReportUnknownKey() override { ++reports; }
  void Replace(JwkSet keys) {
    keys_ = std::make_shared<const JwkSet>(std::move(keys));
  }
  int reports = 0;

 private:
  std::shared_ptr<const JwkSet> keys_;
};

const JwtSigner& Signer(JwtAlgorithm algorithm) {
  static const auto* const signers = new std::map<JwtAlgorithm, JwtSigner>{
      {JwtAlgorithm::kHs256,
       *JwtSigner::Generate(JwtAlgorithm::kHs256, "HS256")},
      {JwtAlgorithm::kRs256,
       *JwtSigner::Generate(JwtAlgorithm::kRs256, "RS256")},
      {JwtAlgorithm::kPs256,
       *JwtSigner::Generate(JwtAlgorithm::kPs256, "PS256")},
      {JwtAlgorithm::kEs256,
       *JwtSigner::Generate(JwtAlgorithm::kEs256, "ES256")},
      {JwtAlgorithm::kEdDsa,
       *JwtSigner::Generate(JwtAlgorithm::kEdDsa, "EdDSA")},
  };
  return signers->at(algorithm);
}

JwkSet AllKeys() {
  std::vector<Jwk> keys;
  for (const JwtAlgorithm algorithm :
       {JwtAlgorithm::kHs256, JwtAlgorithm::kRs256, JwtAlgorithm::kPs256,
        JwtAlgorithm::kEs256, JwtAlgorithm::kEdDsa}) {
    keys.push_back(Signer(algorithm).verification_key());
  }
  return JwkSet(std::move(keys));
}

class JwtVerifierTest : public ::testing::TestWithParam<JwtAlgorithm> {
 protected:
  std::int64_t Second(std::chrono::seconds from_now) const {
    return std::chrono::floor<std::chrono::seconds>(
               (clock_.WallNow() + from_now).time_since_epoch())
        .count();
  }
  json Claims() const {
    return {{"sub", "alice"}, {"iss", "https://issuer"}, {"exp", Second(60s)}};
  }
  static std::string Sign(const json& claims,
                          JwtAlgorithm algorithm = JwtAlgorithm::kHs256) {
    return *Signer(algorithm).SignPayload(claims.dump());
  }
  static std::string SignText(std::string_view payload) {
    return *Signer(JwtAlgorithm::kHs256).SignPayload(payload);
  }
  static std::string SignHeader(std::string_view header, const json& claims,
                                JwtAlgorithm algorithm = JwtAlgorithm::kHs256) {
    return *Signer(algorithm).SignPayload(claims.dump(), header);
  }
  void Configure(const JwtVerifierOptions& options) {
    verifier_ = *JwtVerifier::Create(options, keys_);
  }
  absl::StatusOr<VerifiedToken> Verify(std::string_view token) const {
    return verifier_->Verify(token, clock_.WallNow());
  }

  testing::FakeClock clock_;
  CountingKeySource keys_{AllKeys()};
  std::unique_ptr<JwtVerifier> verifier_ = *JwtVerifier::Create({}, keys_);
};

TEST_P(JwtVerifierTest, AcceptsWhatItsKeySigned) {
  const absl::StatusOr<VerifiedToken> token =
      Verify(Sign(Claims(), GetParam()));
  ASSERT_THAT(token, IsOk());
  EXPECT_EQ(token->principal->subject, "alice");
  EXPECT_EQ(token->principal->issuer, "https://issuer");
}

TEST_P(JwtVerifierTest, RefusesTheTokenWithAnyPartChanged) {
  const std::string token = Sign(Claims(), GetParam());
  ASSERT_THAT(Verify(token), IsOk());
  const std::size_t first = token.find('.');
  const std::size_t second = token.find('.', first + 1);
  // Another subject under the same signature.
  json claims = Claims();
  claims["sub"] = "admin";
  EXPECT_THAT(Verify(token.substr(0, first + 1) +
                     Base64UrlEncode(claims.dump()) + token.substr(second)),
              HasReason(auth_reason::kTokenSignature));
  // Every character of the signature, changed to its neighbour.
  for (std::size_t i = second + 1; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(Verify(changed).ok()) << i;
  }
}

TEST_P(JwtVerifierTest, RefusesAnotherKeyOfTheSameKind) {
  const JwtSigner other = *JwtSigner::Generate(
      GetParam(), std::string(JwtAlgorithmName(GetParam())));
  EXPECT_THAT(Verify(*other.SignPayload(Claims().dump())),
              HasReason(auth_reason::kTokenSignature));
}

TEST_P(JwtVerifierTest, RefusesAnotherAlgorithmForItsKey) {
  for (const char* const algorithm :
       {"HS256", "RS256", "PS256", "ES256", "EdDSA"}) {
    if (JwtAlgorithmName(GetParam()) == algorithm) continue;
    const json header = {{"alg", algorithm},
                         {"kid", std::string(JwtAlgorithmName(GetParam()))}};
    EXPECT_THAT(Verify(SignHeader(header.dump(), Claims(), GetParam())),
                HasReason(auth_reason::kTokenAlgorithm));
  }
}

TEST_P(JwtVerifierTest, PublicKeyIsNoSecret) {
  // The classic: HS256 keyed with the text of the public key.
  if (GetParam() == JwtAlgorithm::kHs256) return;
  const std::string published = *Signer(GetParam()).PublicJwks();
  const json key = {{"kty", "oct"},
                    {"k", Base64UrlEncode(published)},
                    {"kid", std::string(JwtAlgorithmName(GetParam()))}};
  const JwtSigner forger = *JwtSigner::FromJwk(key.dump());
  EXPECT_THAT(Verify(*forger.SignPayload(Claims().dump())),
              HasReason(auth_reason::kTokenAlgorithm));
}

TEST_P(JwtVerifierTest, RefusesNone) {
  const std::string kid(JwtAlgorithmName(GetParam()));
  for (const char* const none : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string unsigned_token =
        Base64UrlEncode(json({{"alg", none}, {"kid", kid}}).dump()) + "." +
        Base64UrlEncode(Claims().dump()) + ".";
    EXPECT_THAT(Verify(unsigned_token),
                HasReason(auth_reason::kTokenAlgorithm));
    EXPECT_THAT(Verify(unsigned_token + "AAAA"),
                HasReason(auth_reason::kTokenAlgorithm));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, JwtVerifierTest,
    ::testing::Values(JwtAlgorithm::kHs256, JwtAlgorithm::kRs256,
                      JwtAlgorithm::kPs256, JwtAlgorithm::kEs256,
                      JwtAlgorithm::kEdDsa),
    [](const auto& each) { return std::string(JwtAlgorithmName(each.param)); });

class JwtTest : public JwtVerifierTest {};
INSTANTIATE_TEST_SUITE_P(Hs256, JwtTest,
                         ::testing::Values(JwtAlgorithm::kHs256));

TEST_P(JwtTest, RefusesOtherAlgorithmNames) {
  for (const char* const name :
       {"HS512", "RS384", "hs256", "HS256 ", "ES256K"}) {
    EXPECT_THAT(Verify(SignHeader(json({{"alg", name}}).dump(), Claims())),
                HasReason(auth_reason::kTokenAlgorithm));
  }
  EXPECT_THAT(Verify(SignHeader("{}", Claims())),
              HasReason(auth_reason::kTokenAlgorithm));
}

TEST_P(JwtTest, ReadsTheExampleOfTheRfcAtItsTime) {
  const std::unique_ptr<KeySource> keys =
      CreateStaticKeySource(*JwkSet::Parse(rfc::kHs256Key));
  const auto verifier = *JwtVerifier::Create({}, *keys);
  // exp is 1300819380, and there is no `sub`.
  const Clock::WallTime expiry(1300819380s);
  EXPECT_THAT(verifier->Verify(rfc::kHs256Token, expiry + 30s),
              HasReason(auth_reason::kTokenExpired));
  EXPECT_THAT(verifier->Verify(rfc::kHs256Token, expiry + 30s - 1ns),
              FailsWith(absl::StatusCode::kUnauthenticated, "`sub`"));
}

TEST_P(JwtTest, RefusesUnknownKeysAndAsksForThem) {
  EXPECT_THAT(Verify(SignHeader(R"({"alg":"HS256","kid":"new"})", Claims())),
              HasReason(auth_reason::kTokenKeyUnknown));
  EXPECT_EQ(keys_.reports, 1);
  EXPECT_THAT(Verify(Sign(Claims())), IsOk());
  EXPECT_EQ(keys_.reports, 1);
  std::string forged = Sign(Claims());
  char& changed = forged[forged.size() - 5];
  changed = changed == 'A' ? 'B' : 'A';
  EXPECT_THAT(Verify(forged), Not(IsOk()));
  EXPECT_EQ(keys_.reports, 1) << "its key is known";
}

TEST_P(JwtTest, TriesKeysOfTheAlgorithmForATokenWithoutKid) {
  EXPECT_THAT(Verify(SignHeader(R"({"alg":"HS256"})", Claims())), IsOk());
  EXPECT_THAT(
      Verify(SignHeader(R"({"alg":"EdDSA"})", Claims(), JwtAlgorithm::kEdDsa)),
      IsOk());
}

TEST_P(JwtTest, AKeyWithoutIdFitsATokenWithOne) {
  CountingKeySource keys(
      JwkSet({JwtSigner::FromJwk(rfc::kEdDsaKey)->verification_key()}));
  const auto verifier = *JwtVerifier::Create({}, keys);
  const JwtSigner signer = *JwtSigner::FromJwk(rfc::kEdDsaKey);
  EXPECT_THAT(
      verifier->Verify(*signer.SignPayload(Claims().dump(),
                                           R"({"alg":"EdDSA","kid":"any"})"),
                       clock_.WallNow()),
      IsOk());
}

TEST_P(JwtTest, TriesEveryKeyWithoutIdOfTheAlgorithm) {
  std::vector<JwtSigner> signers;
  std::vector<Jwk> keys;
  for (std::size_t i = 0; i < JwkSet::kMaxTried; ++i) {
    // Those with an id come first and must not take the places of the others.
    keys.push_back(
        JwtSigner::Generate(JwtAlgorithm::kHs256, "other")->verification_key());
  }
  for (std::size_t i = 0; i < JwkSet::kMaxTried; ++i) {
    signers.push_back(*JwtSigner::Generate(JwtAlgorithm::kHs256));
    keys.push_back(signers.back().verification_key());
  }
  CountingKeySource source{JwkSet(keys)};
  const auto verifier = *JwtVerifier::Create({}, source);
  for (const JwtSigner& signer : signers) {
    for (const char* const header :
         {R"({"alg":"HS256"})", R"({"alg":"HS256","kid":"unknown"})"}) {
      EXPECT_THAT(verifier->Verify(*signer.SignPayload(Claims().dump(), header),
                                   clock_.WallNow()),
                  IsOk());
    }
  }
}

TEST_P(JwtTest, TriesNoMoreKeysThanTheBoundForATokenWithoutKid) {
  std::vector<JwtSigner> signers;
  std::vector<Jwk> keys;
  for (std::size_t i = 0; i <= JwkSet::kMaxTried; ++i) {
    signers.push_back(
        *JwtSigner::Generate(JwtAlgorithm::kHs256, "key " + std::to_string(i)));
    keys.push_back(signers.back().verification_key());
  }
  CountingKeySource source{JwkSet(keys)};
  const auto verifier = *JwtVerifier::Create({}, source);
  const auto verify = [&](std::size_t i, const std::string& header) {
    return verifier->Verify(*signers[i].SignPayload(Claims().dump(), header),
                            clock_.WallNow());
  };
  const std::string nameless = R"({"alg":"HS256"})";
  EXPECT_THAT(verify(JwkSet::kMaxTried - 1, nameless), IsOk());
  EXPECT_THAT(verify(JwkSet::kMaxTried, nameless),
              HasReason(auth_reason::kTokenSignature));
  EXPECT_THAT(verify(JwkSet::kMaxTried, R"({"alg":"HS256","kid":"key 16"})"),
              IsOk());
}

TEST_P(JwtTest, WithoutKeysItIsUnavailableNotUnauthenticated) {
  CountingKeySource none{JwkSet()};
  const auto verifier = *JwtVerifier::Create({}, none);
  const auto result = verifier->Verify(Sign(Claims()), clock_.WallNow());
  EXPECT_THAT(result, HasReason(auth_reason::kKeysUnavailable));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
}

TEST_P(JwtTest, RefusesCriticalExtensions) {
  for (const char* const header :
       {R"({"alg":"HS256","crit":["exp"]})", R"({"alg":"HS256","crit":[]})",
        R"({"alg":"HS256","crit":["b64"],"b64":false})",
        R"({"alg":"HS256","crit":null})"}) {
    EXPECT_THAT(Verify(SignHeader(header, Claims())),
                HasReason(auth_reason::kTokenCritical))
        << header;
  }
}

TEST_P(JwtTest, LooksAtTheTypeIfToldSo) {
  Configure({.type = "at+jwt"});
  EXPECT_THAT(Verify(SignHeader(R"({"alg":"HS256","typ":"at+jwt"})", Claims())),
              IsOk());
  EXPECT_THAT(Verify(SignHeader(R"({"alg":"HS256","typ":"application/AT+JWT"})",
                                Claims())),
              IsOk());
  EXPECT_THAT(Verify(SignHeader(R"({"alg":"HS256","typ":"JWT"})", Claims())),
              HasReason(auth_reason::kTokenType));
  EXPECT_THAT(Verify(SignHeader(R"({"alg":"HS256"})", Claims())),
              HasReason(auth_reason::kTokenType));
}

TEST_P(JwtTest, IgnoresKeysThatATokenBringsAlong) {
  const JwtSigner forger = *JwtSigner::Generate(JwtAlgorithm::kEs256, "ES256");
  const json jwk = json::parse(*forger.PublicJwks())["keys"][0];
  const json header = {{"alg", "ES256"},
                       {"kid", "ES256"},
                       {"jwk", jwk},
                       {"jku", "http://127.0.0.1:1/keys"},
                       {"x5u", "http://127.0.0.1:1/keys"}};
  EXPECT_THAT(Verify(*forger.SignPayload(Claims().dump(), header.dump())),
              HasReason(auth_reason::kTokenSignature));
}

TEST_P(JwtTest, RefusesWhatIsNotThreePartsInBase64url) {
  const std::string good = Sign(Claims());
  const std::size_t first = good.find('.');
  const std::size_t second = good.rfind('.');
  for (const std::string& token :
       {std::string(), std::string("."), std::string(".."), std::string("..."),
        std::string("a.b"), std::string("a.b.c"), good + ".", "." + good,
        good + "." + good, good + "=", good + " ", " " + good, good + "\n",
        good + std::string(1, '\0'), good.substr(0, second),
        good.substr(0, first) + "=" + good.substr(first),
        good.substr(0, first) + "+" + good.substr(first + 1),
        good.substr(first), std::string("\xff\xfe.\xff.\xff")}) {
    EXPECT_THAT(Verify(token), HasReason(auth_reason::kTokenMalformed))
        << token;
  }
  // An empty signature is no signature.
  EXPECT_THAT(Verify(good.substr(0, second + 1)),
              HasReason(auth_reason::kTokenSignature));
}

TEST_P(JwtTest, HasOneSpellingOnly) {
  // The last character of the signature carries two or four unused bits.
  const std::string good = Sign(Claims());
  int accepted = 0;
  for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm"
                                       "nopqrstuvwxyz0123456789-_")) {
    std::string token = good;
    token.back() = c;
    accepted += Verify(token).ok();
  }
  EXPECT_EQ(accepted, 1);
}

TEST_P(JwtTest, RefusesHeadersThatAreNotSoundObjects) {
  for (const std::string& header :
       {std::string("null"), std::string("[]"), std::string("\"HS256\""),
        std::string("1"), std::string("{"), std::string("{}{}"),
        std::string(R"({"alg":"HS256","alg":"HS256"})"),
        std::string(R"({"alg":"none","alg":"HS256"})"),
        std::string(R"({"alg":["HS256"]})"), std::string(R"({"alg":null})"),
        std::string(R"({"alg":"HS256","kid":5})"),
        std::string(R"({"alg":"HS256","kid":{}})"),
        std::string(R"({"alg":"HS256","typ":true})"),
        std::string(R"({"alg":"HS256","x":)") + std::string(100, '[') +
            std::string(100, ']') + "}",
        std::string("{\"alg\":\"HS256\",\"x\":\"\xff\"}"),
        std::string(R"({"alg":"HS256",})"),
        std::string(R"({'alg':'HS256'})")}) {
    EXPECT_THAT(Verify(SignHeader(header, Claims())),
                HasReason(auth_reason::kTokenMalformed))
        << header;
  }
}

TEST_P(JwtVerifierTest, AHeaderThatWasGoodOnceIsNoPassForTheNextToken) {
  const std::string good = Sign(Claims(), GetParam());
  ASSERT_THAT(Verify(good), IsOk());
  const std::string header = good.substr(0, good.find('.'));
  json admin = Claims();
  admin["sub"] = "admin";
  EXPECT_THAT(Verify(header + "." + Base64UrlEncode(admin.dump()) + "."),
              HasReason(auth_reason::kTokenSignature));
  EXPECT_THAT(Verify(header + ".x.y"), Not(IsOk()));
  EXPECT_THAT(Verify(header + ".e30"), HasReason(auth_reason::kTokenMalformed));
  // Its key is looked for each time.
  keys_.Replace(
      JwkSet({JwtSigner::Generate(GetParam(), "another")->verification_key()}));
  EXPECT_THAT(Verify(good), HasReason(auth_reason::kTokenKeyUnknown));
}

TEST_P(JwtTest, ReadsEachHeaderHoweverManyThereAre) {
  const auto header = [](int i, const char* algorithm) {
    return json({{"alg", algorithm}, {"kid", "HS256"}, {"n", i}}).dump();
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        EXPECT_THAT(Verify(SignHeader(header(i, "HS256"), Claims())), IsOk());
        EXPECT_THAT(Verify(SignHeader(header(i, "RS256"), Claims())),
                    HasReason(auth_reason::kTokenAlgorithm));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(JwtTest, RefusesClaimsThatAreNotSoundObjects) {
  const std::string exp = "\"exp\":" + std::to_string(Second(60s));
  const std::string rest = "\"sub\":\"a\"," + exp;
  ASSERT_THAT(Verify(SignText("{" + rest + "}")), IsOk());
  for (const std::string& payload :
       std::vector<std::string>{std::string("null"),
                                std::string("[]"),
                                std::string("\"a\""),
                                std::string("7"),
                                std::string("true"),
                                std::string("{"),
                                "{" + rest + "}}",
                                "{" + rest + ",}",
                                "{" + rest + ",\"sub\":\"b\"}",
                                "{" + rest + ",\"x\":{\"y\":1,\"y\":2}}",
                                "{" + rest + ",\"x\":[{\"y\":1,\"y\":2}]}",
                                "{" + rest + ",\"\\u0073ub\":\"b\"}",
                                "{" + rest + ",\"x\":" + std::string(17, '[') +
                                    std::string(17, ']') + "}",
                                "{" + exp + ",\"sub\":5}",
                                "{" + exp + ",\"sub\":null}",
                                "{" + exp + ",\"sub\":[\"a\"]}",
                                "{" + exp + ",\"sub\":{}}",
                                "{" + exp + ",\"sub\":\"\"}",
                                "{" + exp + "}",
                                "{\"sub\":\"a\",\"exp\":\"9999999999\"}",
                                "{\"sub\":\"a\",\"exp\":-1}",
                                "{\"sub\":\"a\",\"exp\":-1e300}",
                                "{\"sub\":\"a\",\"exp\":1e999}",
                                "{\"sub\":\"a\",\"exp\":NaN}",
                                "{\"sub\":\"a\",\"exp\":null}",
                                "{\"sub\":\"a\",\"exp\":[1]}",
                                "{\"sub\":\"a\",\"exp\":true}",
                                std::string("{\"sub\":\"a\"}"),
                                "{" + rest + ",\"nbf\":\"0\"}",
                                "{" + rest + ",\"iat\":-5}",
                                "{" + rest + ",\"iss\":5}",
                                "{" + rest + ",\"aud\":5}",
                                "{" + rest + ",\"aud\":{}}",
                                "{" + rest + ",\"aud\":[1]}",
                                "{" + rest + ",\"aud\":[[\"a\"]]}",
                                "{" + rest + ",\"aud\":null}",
                                "{" + rest + ",\"aud\":[null]}",
                                "{" + rest + ",\"roles\":5}",
                                "{" + rest + ",\"roles\":[1]}",
                                "{" + rest + ",\"roles\":[[\"a\"]]}",
                                "{" + rest + ",\"roles\":{}}",
                                "{" + rest + ",\"roles\":[null]}",
                                "{" + rest + ",\"scope\":true}",
                                "{" + rest + ",\"scp\":[{}]}"}) {
    EXPECT_THAT(Verify(SignText(payload)),
                HasReason(auth_reason::kTokenMalformed))
        << payload;
  }
}

TEST_P(JwtTest, RefusesAnObjectWithTooManyMembers) {
  json claims = Claims();
  while (claims.size() < 256) claims["c" + std::to_string(claims.size())] = 1;
  EXPECT_THAT(Verify(Sign(claims)), IsOk());
  claims["one more"] = 1;
  EXPECT_THAT(Verify(Sign(claims)), HasReason(auth_reason::kTokenMalformed));
}

TEST_P(JwtTest, RefusesATokenLargerThanTheLimit) {
  Configure({.max_token_bytes = 512});
  json claims = Claims();
  claims["filler"] = std::string(600, 'x');
  EXPECT_THAT(Verify(Sign(claims)),
              FailsWith(absl::StatusCode::kUnauthenticated, "512 bytes"));
  Configure({.max_token_bytes = 1024});
  EXPECT_THAT(Verify(Sign(claims)), IsOk());
}

TEST_P(JwtTest, RefusesAMegabyteUnread) {
  // Reading it would cost about a millisecond; a thousand of them would show.
  const std::string token = Sign(Claims()) + std::string(1 << 20, 'A');
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(Verify(token), HasReason(auth_reason::kTokenMalformed));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 500ms);
}

TEST_P(JwtTest, ExpiresWithLeewayAndNotBefore) {
  json claims = Claims();
  claims["exp"] = Second(0s);
  const std::string token = Sign(claims);
  clock_.Advance(30s - 1ns);
  const absl::StatusOr<VerifiedToken> verified = Verify(token);
  ASSERT_THAT(verified, IsOk());
  EXPECT_EQ(verified->valid_until, clock_.WallNow() + 1ns);
  clock_.Advance(1ns);
  EXPECT_THAT(Verify(token), HasReason(auth_reason::kTokenExpired));
}

TEST_P(JwtTest, HonoursFractionsOfASecond) {
  Configure({.leeway = 0s});
  json claims = Claims();
  claims["exp"] = static_cast<double>(Second(0s)) + 0.5;
  EXPECT_EQ(Verify(Sign(claims))->valid_until, clock_.WallNow() + 500ms);
}

TEST_P(JwtTest, StartsWithLeewayAndNotBefore) {
  for (const char* const claim : {"nbf", "iat"}) {
    json claims = Claims();
    claims[claim] = Second(31s);
    const std::string token = Sign(claims);
    EXPECT_THAT(Verify(token), HasReason(auth_reason::kTokenNotYetValid));
    testing::FakeClock clock;
    clock.SetWall(clock_.WallNow() + 1s);
    const auto verified = verifier_->Verify(token, clock.WallNow());
    ASSERT_THAT(verified, IsOk());
    EXPECT_EQ(verified->valid_from, clock.WallNow());
  }
}

TEST_P(JwtTest, TimesBeyondTheClockNeverCome) {
  json claims = Claims();
  claims["exp"] = 1e300;
  EXPECT_THAT(Verify(Sign(claims)), IsOk());
  claims["exp"] = std::numeric_limits<std::uint64_t>::max();
  EXPECT_THAT(Verify(Sign(claims)), IsOk());
  claims["nbf"] = 1e300;
  EXPECT_THAT(Verify(Sign(claims)), HasReason(auth_reason::kTokenNotYetValid));
}

TEST_P(JwtTest, AcceptsATokenWithoutExpiryOnlyIfToldSo) {
  const std::string token = Sign({{"sub", "a"}});
  EXPECT_THAT(Verify(token), HasReason(auth_reason::kTokenMalformed));
  Configure({.require_expiry = false});
  EXPECT_THAT(Verify(token), IsOk());
}

TEST_P(JwtTest, ChecksTheIssuer) {
  Configure({.issuer = "https://issuer"});
  EXPECT_THAT(Verify(Sign(Claims())), IsOk());
  json claims = Claims();
  claims["iss"] = "https://issuer/";
  EXPECT_THAT(Verify(Sign(claims)), HasReason(auth_reason::kTokenIssuer));
  claims.erase("iss");
  EXPECT_THAT(Verify(Sign(claims)), HasReason(auth_reason::kTokenIssuer));
}

TEST_P(JwtTest, ChecksTheAudience) {
  Configure({.audiences = {"shop", "shop-internal"}});
  json claims = Claims();
  EXPECT_THAT(Verify(Sign(claims)), HasReason(auth_reason::kTokenAudience));
  for (const json& audience :
       {json("shop"), json({"other", "shop-internal"})}) {
    claims["aud"] = audience;
    EXPECT_THAT(Verify(Sign(claims)), IsOk()) << audience;
  }
  for (const json& audience : {json("shop2"), json({"other"}), json::array()}) {
    claims["aud"] = audience;
    EXPECT_THAT(Verify(Sign(claims)), HasReason(auth_reason::kTokenAudience))
        << audience;
  }
}

TEST_P(JwtTest, WithoutAnAudienceOfItsOwnItRefusesATokenThatNamesOne) {
  json claims = Claims();
  claims["aud"] = "somebody else";
  EXPECT_THAT(Verify(Sign(claims)), HasReason(auth_reason::kTokenAudience));
  Configure({.any_audience = true});
  EXPECT_THAT(Verify(Sign(claims)), IsOk());
}

TEST_P(JwtTest, ReadsRolesScopesAndAttributes) {
  json claims = Claims();
  claims["roles"] = {"admin", "key account"};
  claims["scope"] = " read  write ";
  claims["email"] = "alice@example.com";
  claims["age"] = 7;
  claims["nested"] = {{"email", "no"}, {"roles", {"no"}}, {"sub", "no"}};
  claims["list"] = {"no", {{"sub", "no"}}};
  claims["nothing"] = nullptr;
  claims["flag"] = true;
  const absl::StatusOr<VerifiedToken> token = Verify(Sign(claims));
  ASSERT_THAT(token, IsOk());
  EXPECT_EQ(token->principal->subject, "alice");
  EXPECT_THAT(token->principal->roles, ElementsAre("admin", "key account"));
  EXPECT_THAT(token->principal->scopes, ElementsAre("read", "write"));
  EXPECT_THAT(token->principal->attributes,
              ElementsAre(Pair("email", "alice@example.com")));
}

TEST_P(JwtTest, ReadsRolesAsOneStringAndScopesFromScp) {
  json claims = Claims();
  claims["roles"] = "admin user";
  claims["scp"] = {"read", "write"};
  const absl::StatusOr<VerifiedToken> token = Verify(Sign(claims));
  ASSERT_THAT(token, IsOk());
  EXPECT_THAT(token->principal->roles, ElementsAre("admin", "user"));
  EXPECT_THAT(token->principal->scopes, ElementsAre("read", "write"));
}

TEST_P(JwtTest, NullMeansNoRolesAndNoScopes) {
  json claims = Claims();
  claims["roles"] = nullptr;
  claims["scope"] = nullptr;
  const absl::StatusOr<VerifiedToken> token = Verify(Sign(claims));
  ASSERT_THAT(token, IsOk());
  EXPECT_THAT(token->principal->roles, IsEmpty());
}

TEST_P(JwtTest, FindsRolesAtAPath) {
  Configure({.roles_claim = "access.shop.roles"});
  json claims = Claims();
  claims["roles"] = "not these";
  claims["access"] = {{"a", {{"roles", {"no"}}}},
                      {"roles", {"no"}},
                      {"shop", {{"x", {1, 2}}, {"roles", {"yes"}}, {"y", 1}}},
                      {"z", "no"}};
  claims["zz"] = "after";
  const absl::StatusOr<VerifiedToken> token = Verify(Sign(claims));
  ASSERT_THAT(token, IsOk());
  EXPECT_THAT(token->principal->roles, ElementsAre("yes"));
  EXPECT_THAT(token->principal->attributes,
              ElementsAre(Pair("roles", "not these"), Pair("zz", "after")));
  claims["access"] = "not an object";
  EXPECT_THAT(Verify(Sign(claims))->principal->roles, IsEmpty());
  claims["access"] = {{"shop", {"roles"}}};
  EXPECT_THAT(Verify(Sign(claims))->principal->roles, IsEmpty());
}

TEST_P(JwtTest, FindsRolesInAClaimNamedByAUrl) {
  Configure({.roles_claim = "https://shop.example/roles"});
  json claims = Claims();
  claims["https://shop.example/roles"] = {"admin"};
  const absl::StatusOr<VerifiedToken> token = Verify(Sign(claims));
  ASSERT_THAT(token, IsOk());
  EXPECT_THAT(token->principal->roles, ElementsAre("admin"));
}

TEST_P(JwtTest, ErrorsDoNotRepeatTheToken) {
  json claims = Claims();
  claims["iss"] = "marker-issuer";
  claims["aud"] = "marker-audience";
  claims["exp"] = Second(-3600s);
  const std::string token = Sign(claims);
  Configure({.issuer = "i", .audiences = {"a"}});
  for (const std::string& text :
       {token, token + "!", SignHeader(R"({"alg":"marker"})", claims),
        SignHeader(R"({"alg":"HS256","kid":"marker"})", claims)}) {
    const std::string message = Verify(text).status().ToString();
    EXPECT_THAT(message, Not(HasSubstr("marker")));
    EXPECT_THAT(message, Not(HasSubstr(token.substr(0, 10))));
  }
}

TEST_P(JwtTest, CreateNamesTheOptionThatIsWrong) {
  const auto create = [&](const JwtVerifierOptions& options) {
    return JwtVerifier::Create(options, keys_).status();
  };
  EXPECT_THAT(create({.leeway = -1s}),
              FailsWith(absl::StatusCode::kInvalidArgument, "leeway"));
  EXPECT_THAT(create({.leeway = 11min}),
              FailsWith(absl::StatusCode::kInvalidArgument, "leeway"));
  EXPECT_THAT(create({.max_token_bytes = 1}),
              FailsWith(absl::StatusCode::kInvalidArgument, "max_token_bytes"));
  for (const char* const path : {"", ".", "a.", "sub", "sub.roles", "exp"}) {
    EXPECT_THAT(create({.roles_claim = path}),
                FailsWith(absl::StatusCode::kInvalidArgument, "roles_claim"));
  }
  EXPECT_THAT(create({.audiences = {""}}),
              FailsWith(absl::StatusCode::kInvalidArgument, "audiences"));
}

TEST(UnverifiedIssuerTest, ReadsWhoATokenSaysHasIssuedIt) {
  const JwtSigner signer = *JwtSigner::Generate(JwtAlgorithm::kHs256, "k");
  const auto issuer_of = [&](std::string_view payload) {
    return UnverifiedIssuer(*signer.SignPayload(payload));
  };
  EXPECT_EQ(*issuer_of(R"({"sub":"a","x":{"iss":"no"},"iss":"me","y":[1]})"),
            "me");
  EXPECT_EQ(*issuer_of(R"({"sub":"a","exp":1.5,"z":null,"b":true})"), "");
  // A forged signature is another's concern.
  EXPECT_EQ(*UnverifiedIssuer(*signer.SignPayload(R"({"iss":"me"})") + "x"),
            "me");
  for (const char* payload :
       {"", "x", "[]", "\"iss\"", "7", "null", R"({"iss":7})",
        R"({"iss":["me"]})", R"({"iss":"me","iss":"me"})", R"({"iss":"me"}x)",
        "{\"iss\":\"\xff\"}"}) {
    EXPECT_THAT(issuer_of(payload), HasReason(auth_reason::kTokenMalformed))
        << payload;
  }
  EXPECT_THAT(UnverifiedIssuer("a.b"), HasReason(auth_reason::kTokenMalformed));
  EXPECT_THAT(UnverifiedIssuer(*signer.SignPayload(R"({"iss":"me"})"), 10),
              HasReason(auth_reason::kTokenMalformed));
}

}  // namespace
}  // namespace grpccommon
