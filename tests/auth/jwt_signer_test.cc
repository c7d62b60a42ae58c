// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/jwt_signer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/reason_matcher.h"
#include "auth/rfc_vectors.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/testing/certificates.h"
#include "nlohmann/json.hpp"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

std::string Part(const std::string& token, int index) {
  std::size_t begin = 0;
  for (; index > 0; --index) begin = token.find('.', begin) + 1;
  return *Base64UrlDecode(
      std::string_view(token).substr(begin, token.find('.', begin) - begin));
}

TEST(JwtSignerTest, SignsTheExamplesOfTheRfcs) {
  // ES256 and PS256 have chance in them, so no example to compare with.
  for (const auto& [key, token] :
       {std::pair(rfc::kHs256Key, rfc::kHs256Token),
        std::pair(rfc::kRs256Key, rfc::kRs256Token),
        std::pair(rfc::kEdDsaKey, rfc::kEdDsaToken)}) {
    const absl::StatusOr<JwtSigner> signer = JwtSigner::FromJwk(key);
    ASSERT_THAT(signer, IsOk());
    const absl::StatusOr<std::string> signed_again =
        signer->SignPayload(Part(token, 1), Part(token, 0));
    ASSERT_THAT(signed_again, IsOk());
    EXPECT_EQ(*signed_again, token);
  }
}

class EachAlgorithmTest : public ::testing::TestWithParam<JwtAlgorithm> {};

TEST_P(EachAlgorithmTest, PrivateKeyReadsBackAsItself) {
  const JwtSigner signer = *JwtSigner::Generate(GetParam(), "key-1");
  const absl::StatusOr<JwtSigner> again =
      JwtSigner::FromJwk(signer.PrivateJwk());
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->algorithm(), GetParam());
  EXPECT_EQ(again->id(), "key-1");
  const std::string token = *again->SignPayload("{}");
  const std::size_t dot = token.rfind('.');
  EXPECT_TRUE(signer.verification_key().Verify(
      GetParam(), token.substr(0, dot),
      *Base64UrlDecode(token.substr(dot + 1))));
}

TEST_P(EachAlgorithmTest, PublishesNothingPrivate) {
  const JwtSigner signer = *JwtSigner::Generate(GetParam(), "key-1");
  const absl::StatusOr<std::string> published = signer.PublicJwks();
  if (GetParam() == JwtAlgorithm::kHs256) {
    EXPECT_THAT(published,
                FailsWith(absl::StatusCode::kFailedPrecondition, "HS256"));
    return;
  }
  ASSERT_THAT(published, IsOk());
  const json key = json::parse(*published)["keys"][0];
  for (const char* secret : {"d", "p", "q", "dp", "dq", "qi", "k"}) {
    EXPECT_FALSE(key.contains(secret)) << secret;
  }
  EXPECT_EQ(key["alg"], JwtAlgorithmName(GetParam()));
  EXPECT_EQ(key["kid"], "key-1");
  EXPECT_EQ(JwkSet::Parse(*published)->keys().size(), 1u);
}

TEST_P(EachAlgorithmTest, MakesADifferentKeyEachTime) {
  EXPECT_NE(JwtSigner::Generate(GetParam())->PrivateJwk(),
            JwtSigner::Generate(GetParam())->PrivateJwk());
}

INSTANTIATE_TEST_SUITE_P(
    All, EachAlgorithmTest,
    ::testing::Values(JwtAlgorithm::kHs256, JwtAlgorithm::kRs256,
                      JwtAlgorithm::kPs256, JwtAlgorithm::kEs256,
                      JwtAlgorithm::kEdDsa),
    [](const auto& each) { return std::string(JwtAlgorithmName(each.param)); });

TEST(JwtSignerTest, WritesTheClaims) {
  const JwtSigner signer = *JwtSigner::Generate(JwtAlgorithm::kHs256, "k");
  const absl::StatusOr<std::string> token =
      signer.Sign({.subject = "alice",
                   .issuer = "https://issuer.example",
                   .audiences = {"a", "b"},
                   .issued_at = Clock::WallTime(1000s),
                   .not_before = Clock::WallTime(1001s),
                   .expires_at = Clock::WallTime(2000s + 900ms),
                   .id = "id-1",
                   .roles = {"admin"},
                   .scopes = {"read", "write"},
                   .attributes = {{"email", "alice@example.com"}}});
  ASSERT_THAT(token, IsOk());
  EXPECT_EQ(json::parse(Part(*token, 0)),
            json({{"alg", "HS256"}, {"kid", "k"}, {"typ", "JWT"}}));
  EXPECT_EQ(json::parse(Part(*token, 1)),
            json({{"sub", "alice"},
                  {"iss", "https://issuer.example"},
                  {"aud", {"a", "b"}},
                  {"iat", 1000},
                  {"nbf", 1001},
                  {"exp", 2000},
                  {"jti", "id-1"},
                  {"roles", {"admin"}},
                  {"scope", "read write"},
                  {"email", "alice@example.com"}}));
}

TEST(JwtSignerTest, LeavesOutWhatIsEmpty) {
  const JwtSigner signer = *JwtSigner::Generate(JwtAlgorithm::kHs256);
  EXPECT_EQ(Part(*signer.Sign({.subject = "a", .audiences = {"x"}}), 1),
            R"({"aud":"x","sub":"a"})");
}

TEST(JwtSignerTest, RefusesAttributesThatRepeatAClaimAndTextThatIsNotUtf8) {
  const JwtSigner signer = *JwtSigner::Generate(JwtAlgorithm::kHs256);
  EXPECT_THAT(signer.Sign({.subject = "a", .attributes = {{"sub", "b"}}}),
              FailsWith(absl::StatusCode::kInvalidArgument, "sub"));
  EXPECT_THAT(signer.Sign({.subject = "\xff"}),
              FailsWith(absl::StatusCode::kInvalidArgument, "UTF-8"));
  EXPECT_THAT(JwtSigner::Generate(JwtAlgorithm::kHs256, "\xff"),
              FailsWith(absl::StatusCode::kInvalidArgument, "UTF-8"));
}

TEST(JwtSignerTest, RefusesKeysThatCannotSign) {
  const JwtSigner rsa = *JwtSigner::Generate(JwtAlgorithm::kRs256);
  const json published = json::parse(*rsa.PublicJwks())["keys"][0];
  EXPECT_THAT(JwtSigner::FromJwk(published.dump()),
              FailsWith(absl::StatusCode::kInvalidArgument, "\"d\""));
  json verify_only = json::parse(rsa.PrivateJwk());
  verify_only["key_ops"] = {"verify"};
  EXPECT_THAT(JwtSigner::FromJwk(verify_only.dump()),
              FailsWith(absl::StatusCode::kUnimplemented, "sign"));

  const testing::Certificate p256 = testing::CertificateAuthority().Issue();
  EXPECT_THAT(JwtSigner::FromPem(p256.private_key_pem, JwtAlgorithm::kRs256),
              FailsWith(absl::StatusCode::kInvalidArgument, "RS256"));
  EXPECT_THAT(JwtSigner::FromPem(p256.certificate_pem, JwtAlgorithm::kEs256),
              FailsWith(absl::StatusCode::kInvalidArgument, "private key"));
}

TEST(JwtSignerTest, RefusesPartsThatDoNotBelongTogether) {
  for (const JwtAlgorithm algorithm :
       {JwtAlgorithm::kEs256, JwtAlgorithm::kEdDsa}) {
    json key = json::parse(JwtSigner::Generate(algorithm)->PrivateJwk());
    const json other =
        json::parse(JwtSigner::Generate(algorithm)->PrivateJwk());
    key["d"] = other["d"];
    EXPECT_THAT(JwtSigner::FromJwk(key.dump()),
                FailsWith(absl::StatusCode::kInvalidArgument, "belong"));
  }
}

}  // namespace
}  // namespace grpccommon
