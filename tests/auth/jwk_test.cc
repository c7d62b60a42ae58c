// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/jwk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <thread>

#include "auth/openssl.h"
#include "auth/reason_matcher.h"
#include "auth/rfc_vectors.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/testing/certificates.h"
#include "nlohmann/json.hpp"

namespace grpccommon {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::array kAll = {JwtAlgorithm::kHs256, JwtAlgorithm::kRs256,
                             JwtAlgorithm::kPs256, JwtAlgorithm::kEs256,
                             JwtAlgorithm::kEdDsa};

std::vector<JwtAlgorithm> AllowedBy(const Jwk& key) {
  std::vector<JwtAlgorithm> allowed;
  for (const JwtAlgorithm algorithm : kAll) {
    if (key.Allows(algorithm)) allowed.push_back(algorithm);
  }
  return allowed;
}

struct Split {
  explicit Split(std::string_view token) {
    const std::size_t dot = token.rfind('.');
    message = token.substr(0, dot);
    signature = *Base64UrlDecode(token.substr(dot + 1));
  }
  std::string message;
  std::string signature;
};

std::string RsaJwk(unsigned bits) {
  const internal::PkeyPtr pkey(
      EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{bits}));
  BIGNUM* n = nullptr;
  EVP_PKEY_get_bn_param(pkey.get(), "n", &n);
  const internal::BignumPtr owned(n);
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(n)), '\0');
  BN_bn2bin(n, reinterpret_cast<unsigned char*>(bytes.data()));
  return json{{"kty", "RSA"}, {"n", Base64UrlEncode(bytes)}, {"e", "AQAB"}}
      .dump();
}

std::string With(const char* jwk, const json& changes) {
  json value = json::parse(jwk);
  value.merge_patch(changes);
  return value.dump();
}

struct Example {
  JwtAlgorithm algorithm;
  const char* key;
  const char* token;
};

class RfcExampleTest : public ::testing::TestWithParam<Example> {};

TEST_P(RfcExampleTest, Verifies) {
  const absl::StatusOr<Jwk> key = Jwk::FromJson(GetParam().key);
  ASSERT_THAT(key, IsOk());
  const Split token(GetParam().token);
  EXPECT_TRUE(
      key->Verify(GetParam().algorithm, token.message, token.signature));
}

TEST_P(RfcExampleTest, FailsWithAnyBitOfTheSignatureFlipped) {
  const Jwk key = *Jwk::FromJson(GetParam().key);
  const Split token(GetParam().token);
  for (std::size_t byte = 0; byte < token.signature.size(); ++byte) {
    std::string signature = token.signature;
    signature[byte] = static_cast<char>(signature[byte] ^ (1 << (byte % 8)));
    EXPECT_FALSE(key.Verify(GetParam().algorithm, token.message, signature));
  }
  EXPECT_FALSE(
      key.Verify(GetParam().algorithm, token.message + "x", token.signature));
}

TEST_P(RfcExampleTest, FailsWithASignatureOfAnotherLength) {
  const Jwk key = *Jwk::FromJson(GetParam().key);
  const Split token(GetParam().token);
  for (const std::string& signature :
       {std::string(), token.signature + '\0', '\0' + token.signature,
        token.signature.substr(1)}) {
    EXPECT_FALSE(key.Verify(GetParam().algorithm, token.message, signature));
  }
}

TEST_P(RfcExampleTest, IsPinnedToTheAlgorithmsOfItsType) {
  const Jwk key = *Jwk::FromJson(GetParam().key);
  const Split token(GetParam().token);
  for (const JwtAlgorithm other : kAll) {
    if (other == GetParam().algorithm) continue;
    EXPECT_FALSE(key.Verify(other, token.message, token.signature));
  }
}

TEST_P(RfcExampleTest, LeavesNoErrorForTheNextUserOfOpenssl) {
  const Jwk key = *Jwk::FromJson(GetParam().key);
  const Split token(GetParam().token);
  std::string signature = token.signature;
  signature[3] ^= 1;
  EXPECT_FALSE(key.Verify(GetParam().algorithm, token.message, signature));
  EXPECT_EQ(ERR_peek_error(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    All, RfcExampleTest,
    ::testing::Values(
        Example{JwtAlgorithm::kHs256, rfc::kHs256Key, rfc::kHs256Token},
        Example{JwtAlgorithm::kRs256, rfc::kRs256Key, rfc::kRs256Token},
        Example{JwtAlgorithm::kEs256, rfc::kEs256Key, rfc::kEs256Token},
        Example{JwtAlgorithm::kEdDsa, rfc::kEdDsaKey, rfc::kEdDsaToken}),
    [](const auto& each) {
      return std::string(JwtAlgorithmName(each.param.algorithm));
    });

TEST(JwkTest, AllowsWhatItsTypeDoes) {
  EXPECT_THAT(AllowedBy(*Jwk::FromJson(rfc::kHs256Key)),
              ElementsAre(JwtAlgorithm::kHs256));
  EXPECT_THAT(AllowedBy(*Jwk::FromJson(rfc::kRs256Key)),
              ElementsAre(JwtAlgorithm::kRs256, JwtAlgorithm::kPs256));
  EXPECT_THAT(AllowedBy(*Jwk::FromJson(rfc::kEs256Key)),
              ElementsAre(JwtAlgorithm::kEs256));
  EXPECT_THAT(AllowedBy(*Jwk::FromJson(rfc::kEdDsaKey)),
              ElementsAre(JwtAlgorithm::kEdDsa));
}

TEST(JwkTest, AllowsOnlyItsAlgIfItHasOne) {
  EXPECT_THAT(
      AllowedBy(*Jwk::FromJson(With(rfc::kRs256Key, {{"alg", "PS256"}}))),
      ElementsAre(JwtAlgorithm::kPs256));
  EXPECT_THAT(Jwk::FromJson(With(rfc::kRs256Key, {{"alg", "HS256"}})),
              FailsWith(absl::StatusCode::kInvalidArgument, "HS256"));
  EXPECT_THAT(Jwk::FromJson(With(rfc::kRs256Key, {{"alg", "RS512"}})),
              FailsWith(absl::StatusCode::kUnimplemented, "alg"));
}

TEST(JwkTest, RespectsUseAndKeyOperations) {
  EXPECT_THAT(Jwk::FromJson(With(rfc::kRs256Key, {{"use", "enc"}})),
              FailsWith(absl::StatusCode::kUnimplemented, "use"));
  EXPECT_THAT(Jwk::FromJson(With(rfc::kRs256Key, {{"key_ops", {"sign"}}})),
              FailsWith(absl::StatusCode::kUnimplemented, "verify"));
  EXPECT_THAT(Jwk::FromJson(With(rfc::kRs256Key, {{"key_ops", "verify"}})),
              FailsWith(absl::StatusCode::kInvalidArgument, "key_ops"));
  EXPECT_THAT(Jwk::FromJson(With(rfc::kRs256Key,
                                 {{"use", "sig"}, {"key_ops", {"verify"}}})),
              IsOk());
}

TEST(JwkTest, RefusesRsaOutsideItsBounds) {
  EXPECT_THAT(Jwk::FromJson(RsaJwk(1024)),
              FailsWith(absl::StatusCode::kInvalidArgument, "2048"));
  EXPECT_THAT(Jwk::FromJson(RsaJwk(2048)), IsOk());
  std::string huge(8192 / 8 + 1, '\xff');
  EXPECT_THAT(
      Jwk::FromJson(With(rfc::kRs256Key, {{"n", Base64UrlEncode(huge)}})),
      FailsWith(absl::StatusCode::kInvalidArgument, "8192"));
  huge.resize(100000, '\xff');
  EXPECT_THAT(
      Jwk::FromJson(With(rfc::kRs256Key, {{"n", Base64UrlEncode(huge)}})),
      FailsWith(absl::StatusCode::kInvalidArgument, "too large"));
}

TEST(JwkTest, RefusesUnsoundRsaExponents) {
  for (const std::string& exponent :
       {std::string("\x01"), std::string("\x02"), std::string(9, '\xff')}) {
    EXPECT_THAT(
        Jwk::FromJson(With(rfc::kRs256Key, {{"e", Base64UrlEncode(exponent)}})),
        FailsWith(absl::StatusCode::kInvalidArgument, ""));
  }
}

TEST(JwkTest, RefusesShortSecrets) {
  EXPECT_THAT(Jwk::FromSecret(std::string(31, 'k')),
              FailsWith(absl::StatusCode::kInvalidArgument, "32"));
  EXPECT_THAT(Jwk::FromSecret(std::string(32, 'k')), IsOk());
  EXPECT_THAT(Jwk::FromSecret(std::string(1025, 'k')),
              FailsWith(absl::StatusCode::kInvalidArgument, "1024"));
}

TEST(JwkTest, RefusesPointsOffTheCurveAndOtherCurves) {
  const std::string x(32, '\x01');
  EXPECT_THAT(Jwk::FromJson(With(rfc::kEs256Key, {{"x", Base64UrlEncode(x)}})),
              FailsWith(absl::StatusCode::kInvalidArgument, ""));
  EXPECT_THAT(Jwk::FromJson(
                  With(rfc::kEs256Key, {{"x", Base64UrlEncode(x.substr(1))}})),
              FailsWith(absl::StatusCode::kInvalidArgument, "32 bytes"));
  EXPECT_THAT(Jwk::FromJson(With(rfc::kEs256Key, {{"crv", "P-384"}})),
              FailsWith(absl::StatusCode::kUnimplemented, "curve"));
  EXPECT_THAT(Jwk::FromJson(With(rfc::kEdDsaKey, {{"crv", "X25519"}})),
              FailsWith(absl::StatusCode::kUnimplemented, "curve"));
}

TEST(JwkTest, AnEcdsaSignatureOfZerosIsNone) {
  // CVE-2022-21449: r = s = 0 fits any message where the range is not checked.
  const Jwk key = *Jwk::FromJson(rfc::kEs256Key);
  EXPECT_FALSE(
      key.Verify(JwtAlgorithm::kEs256, "message", std::string(64, '\0')));
}

TEST(JwkTest, AcceptsEcdsaNumbersWithLeadingZerosAndHighBits) {
  // One signature in 128 has a zero byte in front, every second a high bit.
  const JwtSigner signer = *JwtSigner::Generate(JwtAlgorithm::kEs256);
  const Jwk key = signer.verification_key();
  int short_numbers = 0;
  for (int i = 0; short_numbers < 2 && i < 20000; ++i) {
    const Split token(*signer.SignPayload(std::to_string(i)));
    short_numbers += token.signature[0] == 0 || token.signature[32] == 0;
    ASSERT_TRUE(
        key.Verify(JwtAlgorithm::kEs256, token.message, token.signature));
  }
  EXPECT_GE(short_numbers, 2);
}

TEST(JwkTest, RefusesWhatIsNotAJwk) {
  for (const char* text :
       {"", "null", "[]", "{}", "{\"kty\":1}", "{\"kty\":\"oct\"}",
        "{\"kty\":\"oct\",\"k\":5}", "{\"kty\":\"oct\",\"k\":\"***\"}",
        "{\"kty\":\"oct\",\"kty\":\"RSA\"}", "{\"kty\":\"RSA\",\"n\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"k\":\"", "\xff\xfe{}"}) {
    const absl::StatusOr<Jwk> key = Jwk::FromJson(text);
    EXPECT_EQ(key.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(JwkTest, ErrorsDoNotHoldKeyMaterial) {
  const std::string secret = "dG9wLXNlY3JldC10b3Atc2VjcmV0";
  for (const std::string& text :
       {"{\"kty\":\"oct\",\"k\":\"" + secret + "\"}",
        "{\"kty\":\"oct\",\"k\":\"" + secret,
        "{\"kty\":\"oct\",\"k\":\"" + secret + "\\x\"}"}) {
    const absl::StatusOr<Jwk> key = Jwk::FromJson(text);
    ASSERT_FALSE(key.ok());
    EXPECT_THAT(key.status().ToString(), Not(HasSubstr("dG9w"))) << text;
  }
}

TEST(JwkTest, ReadsPublicKeysAndCertificatesFromPem) {
  const testing::CertificateAuthority authority;
  const testing::Certificate issued = authority.Issue();
  const absl::StatusOr<Jwk> key = Jwk::FromPem(issued.certificate_pem, "tls");
  ASSERT_THAT(key, IsOk());
  EXPECT_EQ(key->id(), "tls");
  const JwtSigner signer =
      *JwtSigner::FromPem(issued.private_key_pem, JwtAlgorithm::kEs256);
  const Split token(*signer.SignPayload("{}"));
  EXPECT_TRUE(
      key->Verify(JwtAlgorithm::kEs256, token.message, token.signature));

  EXPECT_THAT(Jwk::FromPem(issued.private_key_pem),
              FailsWith(absl::StatusCode::kInvalidArgument, "private key"));
  EXPECT_THAT(Jwk::FromPem("-----BEGIN PUBLIC KEY-----\nAAAA\n"
                           "-----END PUBLIC KEY-----\n"),
              FailsWith(absl::StatusCode::kInvalidArgument, "public key"));
  EXPECT_THAT(Jwk::FromPem(""),
              FailsWith(absl::StatusCode::kInvalidArgument, "public key"));
}

TEST(JwkTest, RefusesOtherTypesInPem) {
  const internal::PkeyPtr p384(
      EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
  const internal::BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PUBKEY(bio.get(), p384.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  EXPECT_THAT(
      Jwk::FromPem(std::string_view(data, static_cast<std::size_t>(size))),
      FailsWith(absl::StatusCode::kUnimplemented, "P-256"));
}

TEST(JwkSetTest, LeavesOutWhatItCannotUseAndSaysSo) {
  const json set = {{"keys",
                     {json::parse(With(rfc::kEs256Key, {{"kid", "good"}})),
                      {{"kty", "EC"}, {"crv", "secp256k1"}},
                      json::parse(With(rfc::kRs256Key, {{"use", "enc"}})),
                      json::parse(RsaJwk(1024)),
                      "nonsense"}}};
  const absl::StatusOr<JwkSet> keys = JwkSet::Parse(set.dump());
  ASSERT_THAT(keys, IsOk());
  ASSERT_THAT(keys->keys(), SizeIs(1));
  EXPECT_EQ(keys->keys()[0].id(), "good");
  EXPECT_THAT(keys->skipped(),
              ElementsAre(HasSubstr("key 2: "), HasSubstr("key 3: "),
                          HasSubstr("key 4: "), HasSubstr("key 5: ")));
}

TEST(JwkSetTest, ReadsASingleKey) {
  EXPECT_THAT(JwkSet::Parse(rfc::kEs256Key)->keys(), SizeIs(1));
}

TEST(JwkSetTest, ReadsSeveralPemBlocks) {
  const testing::CertificateAuthority authority;
  const std::string pem = "# two\n" + authority.Issue().certificate_pem + "\n" +
                          authority.Issue().certificate_pem;
  const absl::StatusOr<JwkSet> keys = JwkSet::Parse(pem);
  ASSERT_THAT(keys, IsOk());
  EXPECT_THAT(keys->keys(), SizeIs(2));
}

std::string Pem(JwtAlgorithm algorithm, std::size_t count) {
  const internal::BioPtr bio(BIO_new(BIO_s_mem()));
  for (std::size_t i = 0; i < count; ++i) {
    const internal::PkeyPtr pkey(
        algorithm == JwtAlgorithm::kEdDsa
            ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
            : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    PEM_write_bio_PUBKEY(bio.get(), pkey.get());
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

TEST(JwkSetTest, LeavesOutKeysWithoutIdThatNoTokenWouldBeTriedWith) {
  const auto keys =
      JwkSet::Parse(Pem(JwtAlgorithm::kEdDsa, JwkSet::kMaxTried + 2) +
                    Pem(JwtAlgorithm::kEs256, JwkSet::kMaxTried));
  ASSERT_THAT(keys, IsOk());
  EXPECT_THAT(keys->keys(), SizeIs(2 * JwkSet::kMaxTried));
  EXPECT_THAT(keys->skipped(),
              ElementsAre("key 17: more than 16 EdDSA keys without an id",
                          "key 18: more than 16 EdDSA keys without an id"));

  std::vector<Jwk> made;
  for (std::size_t i = 0; i <= JwkSet::kMaxTried; ++i) {
    made.push_back(
        JwtSigner::Generate(JwtAlgorithm::kHs256)->verification_key());
  }
  EXPECT_THAT(JwkSet(made).skipped(), ElementsAre(HasSubstr("HS256")));
}

TEST(JwkSetTest, HasAsManyKeysWithIdsAsItMay) {
  json set = {{"keys", json::array()}};
  for (std::size_t i = 0; i < JwkSet::kMaxKeys; ++i) {
    set["keys"].push_back(json::parse(
        With(rfc::kEdDsaKey, {{"kid", "key " + std::to_string(i)}})));
  }
  const auto keys = JwkSet::Parse(set.dump());
  ASSERT_THAT(keys, IsOk());
  EXPECT_THAT(keys->keys(), SizeIs(JwkSet::kMaxKeys));
  EXPECT_THAT(keys->skipped(), SizeIs(0));
}

TEST(JwkSetTest, RefusesWhatHasNoUsableKey) {
  for (const char* text :
       {"", "{}", "[]", "3", "{\"keys\":{}}", "{\"keys\":[]}",
        "{\"keys\":[{\"kty\":\"magic\"}]}", "-----BEGIN PUBLIC KEY-----\n",
        "{\"keys\":[],\"keys\":[]}"}) {
    EXPECT_THAT(JwkSet::Parse(text),
                FailsWith(absl::StatusCode::kInvalidArgument, "keys: "))
        << text;
  }
}

TEST(JwkSetTest, RefusesTooManyKeysTooManyBytesAndTooDeepNesting) {
  json set = {{"keys", json::array()}};
  for (std::size_t i = 0; i < JwkSet::kMaxKeys + 1; ++i) {
    set["keys"].push_back(json::parse(rfc::kEdDsaKey));
  }
  EXPECT_THAT(JwkSet::Parse(set.dump()),
              FailsWith(absl::StatusCode::kInvalidArgument, "more than 256"));
  EXPECT_THAT(JwkSet::Parse(Pem(JwtAlgorithm::kEs256, JwkSet::kMaxKeys + 1)),
              FailsWith(absl::StatusCode::kInvalidArgument, "more than 256"));
  EXPECT_THAT(JwkSet::Parse(std::string(JwkSet::kMaxBytes + 1, ' ')),
              FailsWith(absl::StatusCode::kInvalidArgument, "larger than"));
  EXPECT_THAT(JwkSet::Parse(std::string(500000, '[')),
              FailsWith(absl::StatusCode::kInvalidArgument, "deeper"));
}

TEST(JwkTest, VerifiesOnManyThreadsAtOnce) {
  for (const JwtAlgorithm algorithm : kAll) {
    const JwtSigner signer = *JwtSigner::Generate(algorithm);
    const Jwk key = signer.verification_key();
    const Split token(*signer.SignPayload("{}"));
    std::vector<std::thread> threads;
    std::atomic<int> good = 0;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 50; ++n) {
          good += key.Verify(algorithm, token.message, token.signature);
          good -= key.Verify(algorithm, token.message + "x", token.signature);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(good, 200) << JwtAlgorithmName(algorithm);
  }
}

}  // namespace
}  // namespace grpccommon
