// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "auth/reason_matcher.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsNull;
using ::testing::NotNull;
using ::testing::Pair;
using ::testing::SizeIs;
using Result = absl::StatusOr<std::shared_ptr<const Principal>>;
using Metadata = std::vector<std::pair<std::string, std::string>>;

// Keys that a test can change, counting how often somebody looked.
class ChangingKeys : public KeySource {
 public:
  explicit ChangingKeys(JwkSet keys) { Set(std::move(keys)); }
  void Set(JwkSet keys) {
    keys_ = std::make_shared<const JwkSet>(std::move(keys));
    ++generation_;
  }
  std::shared_ptr<const JwkSet> Keys() const override {
    ++looks;
    return keys_;
  }
  std::uint64_t generation() const override { return generation_; }
  mutable std::atomic<int> looks = 0;

 private:
  std::shared_ptr<const JwkSet> keys_;
  std::uint64_t generation_ = 0;
};

class AuthenticatorTest : public ::testing::Test {
 protected:
  Result Authenticate(Authenticator& authenticator, const Metadata& metadata) {
    testing::FakeCall call({.metadata = metadata, .clock = &clock_});
    return authenticator.Authenticate(*call);
  }
  std::string Token(const std::string& subject, Clock::Duration valid = 1h,
                    const std::vector<std::string>& roles = {}) const {
    return *signer_.Sign({.subject = subject,
                          .issuer = "idp",
                          .expires_at = clock_.WallNow() + valid,
                          .roles = roles,
                          .attributes = {{"email", subject + "@example"}}});
  }
  static Metadata Bearer(const std::string& token) {
    return {{"authorization", "Bearer " + token}};
  }
  std::unique_ptr<Authenticator> Jwt(
      const JwtAuthenticatorOptions& options = {}) {
    auto keys =
        std::make_unique<ChangingKeys>(JwkSet({signer_.verification_key()}));
    keys_ = keys.get();
    return *CreateJwtAuthenticator(std::move(keys), options);
  }
  std::unique_ptr<Authenticator> ApiKeys() {
    return CreateApiKeyAuthenticator(
        *ApiKeySet::Create({{.name = "ci",
                             .sha256 = HashApiKey("the-key"),
                             .roles = {"deployer", "user"},
                             .scopes = {"deploy"},
                             .expires_at = clock_.WallNow() + 2h}}));
  }

  testing::FakeClock clock_;
  const JwtSigner signer_ = *JwtSigner::Generate(JwtAlgorithm::kHs256, "k");
  ChangingKeys* keys_ = nullptr;
};

TEST_F(AuthenticatorTest, JwtTakesABearerToken) {
  const auto jwt = Jwt();
  for (const char* const scheme : {"Bearer ", "bearer ", "BEARER   "}) {
    const Result result =
        Authenticate(*jwt, {{"authorization", scheme + Token("alice")}});
    ASSERT_THAT(result, IsOk());
    ASSERT_THAT(*result, NotNull());
    EXPECT_EQ((*result)->subject, "alice");
  }
}

TEST_F(AuthenticatorTest, JwtSeesNoCredentialInOtherSchemes) {
  const auto jwt = Jwt();
  for (const Metadata& metadata : {Metadata(), Metadata{{"authorization", ""}},
                                   Metadata{{"authorization", "Basic YTpi"}},
                                   Metadata{{"authorization", "Bearerx y"}},
                                   Metadata{{"x-api-key", "k"}}}) {
    const Result result = Authenticate(*jwt, metadata);
    ASSERT_THAT(result, IsOk());
    EXPECT_THAT(*result, IsNull());
  }
}

TEST_F(AuthenticatorTest, JwtRefusesABearerWithoutToken) {
  const auto jwt = Jwt();
  for (const char* const value : {"Bearer", "Bearer ", "bearer    "}) {
    EXPECT_THAT(Authenticate(*jwt, {{"authorization", value}}),
                HasReason(auth_reason::kTokenMalformed));
  }
}

TEST_F(AuthenticatorTest, JwtTakesNoneOfTwoTokens) {
  const auto jwt = Jwt();
  const std::string good = "Bearer " + Token("alice");
  const std::vector<std::string> others = {good, "Bearer x", "Basic YTpi", ""};
  for (const std::string& other : others) {
    for (const Metadata& metadata :
         {Metadata{{"authorization", good}, {"authorization", other}},
          Metadata{{"authorization", other}, {"authorization", good}}}) {
      EXPECT_THAT(Authenticate(*jwt, metadata),
                  FailsWith(absl::StatusCode::kUnauthenticated,
                            "more than one `authorization`"))
          << other;
    }
  }
}

TEST_F(AuthenticatorTest, JwtRefusesASubjectWithControlCharacters) {
  const auto jwt = Jwt();
  for (const std::string& subject :
       {std::string("a\nb"), std::string("a\0b", 3), std::string("\x7f")}) {
    EXPECT_THAT(Authenticate(*jwt, Bearer(Token(subject))),
                FailsWith(absl::StatusCode::kUnauthenticated,
                          "`sub` has a control character"));
  }
  EXPECT_THAT(Authenticate(*jwt, Bearer(Token("jürgen@example"))), IsOk());
}

TEST_F(AuthenticatorTest, ApiKeyTakesNoneOfTwo) {
  const auto keys = ApiKeys();
  EXPECT_THAT(
      Authenticate(*keys, {{"x-api-key", "the-key"}, {"x-api-key", "other"}}),
      HasReason(auth_reason::kApiKeyUnknown));
}

TEST_F(AuthenticatorTest, JwtVerifiesATokenOncePerThread) {
  const auto jwt = Jwt();
  const std::string token = Token("alice");
  for (int i = 0; i < 100; ++i) {
    ASSERT_THAT(Authenticate(*jwt, Bearer(token)), IsOk());
  }
  EXPECT_EQ(keys_->looks, 1);
}

TEST_F(AuthenticatorTest, JwtDoesNotTrustItsCacheBeyondExpiry) {
  const auto jwt = Jwt();
  const std::string token = Token("alice", 1min);
  ASSERT_THAT(Authenticate(*jwt, Bearer(token)), IsOk());
  clock_.Advance(1min + 30s - 1ns);
  EXPECT_THAT(Authenticate(*jwt, Bearer(token)), IsOk());
  clock_.Advance(1ns);
  EXPECT_THAT(Authenticate(*jwt, Bearer(token)),
              HasReason(auth_reason::kTokenExpired));
}

TEST_F(AuthenticatorTest, JwtForgetsTokensWhenTheKeysChange) {
  const auto jwt = Jwt();
  const std::string token = Token("alice");
  ASSERT_THAT(Authenticate(*jwt, Bearer(token)), IsOk());
  keys_->Set(JwkSet(
      {JwtSigner::Generate(JwtAlgorithm::kHs256, "k2")->verification_key()}));
  EXPECT_THAT(Authenticate(*jwt, Bearer(token)),
              HasReason(auth_reason::kTokenKeyUnknown));
}

TEST_F(AuthenticatorTest, JwtDoesNotCacheRefusals) {
  const auto jwt = Jwt();
  const std::string token =
      *signer_.Sign({.subject = "alice",
                     .not_before = clock_.WallNow() + 1min,
                     .expires_at = clock_.WallNow() + 1h});
  EXPECT_THAT(Authenticate(*jwt, Bearer(token)),
              HasReason(auth_reason::kTokenNotYetValid));
  clock_.Advance(1min);
  EXPECT_THAT(Authenticate(*jwt, Bearer(token)), IsOk());
}

TEST_F(AuthenticatorTest, JwtRefusesAMegabyteAtOnce) {
  const auto jwt = Jwt();
  testing::FakeCall call(
      {.metadata = Bearer(std::string(1 << 20, 'a')), .clock = &clock_});
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(jwt->Authenticate(*call),
                HasReason(auth_reason::kTokenMalformed));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 500ms);
}

TEST_F(AuthenticatorTest, JwtServesManyThreadsWhileKeysChange) {
  const testing::TemporaryFolder folder;
  const JwtSigner other = *JwtSigner::Generate(JwtAlgorithm::kEdDsa, "other");
  const std::string both =
      "{\"keys\":[" + signer_.PrivateJwk() + "," + other.PrivateJwk() + "]}";
  const std::string path = folder.Write("keys.json", both);
  testing::FakeScheduler scheduler(clock_);
  const auto jwt = *CreateJwtAuthenticator(*CreateKeyFile(path, scheduler));
  const std::string good = Token("alice");
  std::string bad = good;
  char& changed = bad[bad.size() - 5];
  changed = changed == 'A' ? 'B' : 'A';
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!done) {
        testing::FakeCall call({.metadata = Bearer(good), .clock = &clock_});
        const Result result = jwt->Authenticate(*call);
        wrong += !result.ok() || (*result)->subject != "alice";
        testing::FakeCall bad_call({.metadata = Bearer(bad), .clock = &clock_});
        wrong += jwt->Authenticate(*bad_call).ok();
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    folder.Write("keys.json",
                 both + std::string(static_cast<std::size_t>(i), ' '));
    clock_.Advance(5s);
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(AuthenticatorTest, JwtTakesKeysThatTheirOwnerReplaces) {
  const auto keys = std::make_shared<SettableKeySource>();
  const auto jwt = *CreateJwtAuthenticator(keys);
  const std::string token = Token("alice");
  EXPECT_THAT(Authenticate(*jwt, Bearer(token)),
              HasReason(auth_reason::kKeysUnavailable));
  keys->Set(JwkSet({signer_.verification_key()}));
  EXPECT_THAT(Authenticate(*jwt, Bearer(token)), IsOk());
  const JwtSigner other = *JwtSigner::Generate(JwtAlgorithm::kEdDsa, "other");
  keys->Set(JwkSet({other.verification_key()}));
  EXPECT_THAT(Authenticate(*jwt, Bearer(token)),
              HasReason(auth_reason::kTokenKeyUnknown));
}

TEST_F(AuthenticatorTest, JwtCreateNamesTheOptionThatIsWrong) {
  const auto create = [](const JwtAuthenticatorOptions& options) {
    return CreateJwtAuthenticator(CreateStaticKeySource(JwkSet()), options)
        .status();
  };
  EXPECT_THAT(create({.verifier = {.leeway = 1h}}),
              FailsWith(absl::StatusCode::kInvalidArgument, "leeway"));
  EXPECT_THAT(create({.cache = {.max_bytes = 0}}),
              FailsWith(absl::StatusCode::kInvalidArgument, "max_bytes"));
}

// Two issuers, of users and of programs, each with keys of its own.
class IssuersTest : public AuthenticatorTest {
 protected:
  struct Issuer {
    std::string name;
    std::string audience;
    JwtSigner signer;
    std::shared_ptr<ChangingKeys> keys;
  };
  static Issuer MakeIssuer(const std::string& name,
                           const std::string& audience) {
    // The same `kid`: it is the issuer that tells them apart.
    const JwtSigner signer = *JwtSigner::Generate(JwtAlgorithm::kEs256, "k");
    return {
        name, audience, signer,
        std::make_shared<ChangingKeys>(JwkSet({signer.verification_key()}))};
  }
  static TrustedIssuer Trust(const Issuer& issuer) {
    TrustedIssuer trusted{.keys = issuer.keys};
    trusted.verifier.issuer = issuer.name;
    trusted.verifier.audiences = {issuer.audience};
    return trusted;
  }

  // What the signer signs as whoever it says it is.
  std::string TokenOf(const JwtSigner& signer, const std::string& issuer,
                      const std::string& audience,
                      std::vector<std::string> roles = {}) const {
    return *signer.Sign({.subject = "alice",
                         .issuer = issuer,
                         .audiences = {audience},
                         .expires_at = clock_.WallNow() + 1h,
                         .roles = std::move(roles)});
  }
  std::string TokenOf(const Issuer& issuer) const {
    return TokenOf(issuer.signer, issuer.name, issuer.audience);
  }
  Result Try(const std::string& token) {
    return Authenticate(*jwt_, Bearer(token));
  }

  const Issuer users_ = MakeIssuer("users", "platform");
  const Issuer programs_ = MakeIssuer("programs", "inside");
  const std::unique_ptr<Authenticator> jwt_ =
      *CreateJwtAuthenticator({Trust(users_), Trust(programs_)});
};

TEST_F(IssuersTest, EachVerifiesItsOwnTokens) {
  for (int i = 0; i < 2; ++i) {  // the second time from the cache
    for (const Issuer* issuer : {&users_, &programs_}) {
      const Result result = Try(TokenOf(*issuer));
      ASSERT_THAT(result, IsOk());
      EXPECT_EQ((*result)->subject, "alice");
      EXPECT_EQ((*result)->issuer, issuer->name);
    }
  }
}

TEST_F(IssuersTest, NoneSignsForAnother) {
  for (const auto& [signing, named] :
       {std::pair(&users_, &programs_), std::pair(&programs_, &users_)}) {
    for (const std::string& audience : {signing->audience, named->audience}) {
      EXPECT_THAT(Try(TokenOf(signing->signer, named->name, audience)),
                  HasReason(auth_reason::kTokenSignature));
    }
    // Nor does one's key id lead to its key in the other's token.
    const JwtSigner other =
        *JwtSigner::Generate(JwtAlgorithm::kEs256, "another");
    EXPECT_THAT(Try(TokenOf(other, named->name, named->audience)),
                HasReason(auth_reason::kTokenKeyUnknown));
  }
}

TEST_F(IssuersTest, EachGivesTheRolesThatItMayGiveAndNoOther) {
  TrustedIssuer users = Trust(users_);
  users.verifier.allowed_roles = {"user", "admin"};
  TrustedIssuer programs = Trust(programs_);
  programs.verifier.allowed_roles = {"service"};
  const auto jwt = *CreateJwtAuthenticator({users, programs});
  const std::vector<std::string> roles = {"service", "user", "service ",
                                          "Admin",   "",     "admin"};
  const auto given = [&](Authenticator& authenticator, const Issuer& issuer) {
    const Result result = Authenticate(
        authenticator,
        Bearer(TokenOf(issuer.signer, issuer.name, issuer.audience, roles)));
    return result.ok() ? (*result)->roles : std::vector<std::string>{"refused"};
  };
  for (int i = 0; i < 2; ++i) {  // the second time from the cache
    EXPECT_THAT(given(*jwt, users_), ElementsAre("user", "admin"));
    EXPECT_THAT(given(*jwt, programs_), ElementsAre("service"));
    EXPECT_THAT(given(*jwt_, users_), ElementsAreArray(roles)) << "any";
  }
  programs.verifier.allowed_roles = {"nothing that it gives"};
  EXPECT_THAT(given(**CreateJwtAuthenticator({programs}), programs_),
              IsEmpty());
}

TEST_F(IssuersTest, EachHasItsOwnAudience) {
  EXPECT_THAT(Try(TokenOf(users_.signer, "users", "inside")),
              HasReason(auth_reason::kTokenAudience));
  EXPECT_THAT(Try(TokenOf(programs_.signer, "programs", "platform")),
              HasReason(auth_reason::kTokenAudience));
}

TEST_F(IssuersTest, ATokenOfNobodyKnownIsRefused) {
  for (const char* name : {"", "stranger", "Users", "users ", "users\n", "user",
                           "users.", "programs,users"}) {
    EXPECT_THAT(Try(TokenOf(users_.signer, name, "platform")),
                HasReason(auth_reason::kTokenIssuer))
        << name;
  }
}

TEST_F(IssuersTest, ATokenThatNamesItsIssuerTwiceOrInNoTextIsRefused) {
  for (const char* issuer :
       {R"("iss":"users","iss":"programs")", R"("iss":"users","iss":"users")",
        R"("iss":["users"])", R"("iss":{"iss":"users"})", R"("iss":7)",
        R"("iss":null)", R"("iss":true)"}) {
    const std::string token = *users_.signer.SignPayload(
        "{\"sub\":\"alice\",\"aud\":\"platform\",\"exp\":9999999999," +
        std::string(issuer) + "}");
    EXPECT_THAT(Try(token), HasReason(auth_reason::kTokenMalformed)) << issuer;
  }
  // What only looks like it, inside of something else, does not count.
  EXPECT_THAT(Try(*users_.signer.SignPayload(
                  R"({"sub":"a","aud":"inside","exp":9999999999,)"
                  R"("x":{"iss":"users"},"y":["iss","users"],)"
                  R"("iss":"programs"})")),
              HasReason(auth_reason::kTokenSignature));
}

TEST_F(IssuersTest, ABrokenTokenIsRefused) {
  for (const char* token :
       {"", "a", "a.b", "a.b.c", "a.b.c.d", "..", "e30.W10.e30"}) {
    EXPECT_THAT(Try(token), HasReason(auth_reason::kTokenMalformed)) << token;
  }
  EXPECT_THAT(Try(std::string(1 << 20, 'a')),
              HasReason(auth_reason::kTokenMalformed));
}

TEST_F(IssuersTest, OneWhoseKeysAreAwayIsInNobodysWay) {
  const std::string token = TokenOf(users_);
  programs_.keys->Set(JwkSet());
  EXPECT_THAT(Try(token), IsOk());
  EXPECT_THAT(Try(TokenOf(programs_)),
              HasReason(auth_reason::kKeysUnavailable));
}

TEST_F(IssuersTest, KnownTokensAreForgottenWhenKeysOfTheirIssuerChange) {
  const std::string of_users = TokenOf(users_);
  const std::string of_programs = TokenOf(programs_);
  ASSERT_THAT(Try(of_users), IsOk());
  ASSERT_THAT(Try(of_programs), IsOk());
  programs_.keys->Set(JwkSet(
      {JwtSigner::Generate(JwtAlgorithm::kEs256, "k")->verification_key()}));
  EXPECT_THAT(Try(of_users), IsOk());
  EXPECT_THAT(Try(of_programs), HasReason(auth_reason::kTokenSignature));
}

TEST_F(IssuersTest, MustAllHaveANameOfTheirOwn) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  Issuer nameless = MakeIssuer("", "platform");
  EXPECT_THAT(CreateJwtAuthenticator(std::vector<TrustedIssuer>()),
              FailsWith(kInvalid, "issuers"));
  EXPECT_THAT(CreateJwtAuthenticator({Trust(nameless)}),
              FailsWith(kInvalid, "name"));
  EXPECT_THAT(CreateJwtAuthenticator({Trust(users_), Trust(users_)}),
              FailsWith(kInvalid, "\"users\""));
  TrustedIssuer impatient = Trust(users_);
  impatient.verifier.leeway = -1s;
  EXPECT_THAT(CreateJwtAuthenticator({impatient}),
              FailsWith(kInvalid, "leeway"));
}

TEST_F(AuthenticatorTest, ApiKeyHasThreeOutcomes) {
  const auto keys = ApiKeys();
  const Result known = Authenticate(*keys, {{"x-api-key", "the-key"}});
  ASSERT_THAT(known, IsOk());
  EXPECT_EQ((*known)->subject, "ci");
  EXPECT_EQ((*known)->issuer, "api-key");
  EXPECT_THAT(*Authenticate(*keys, {}), IsNull());
  EXPECT_THAT(*Authenticate(*keys, {{"x-api-key", ""}}), IsNull());
  EXPECT_THAT(Authenticate(*keys, {{"x-api-key", "another"}}),
              HasReason(auth_reason::kApiKeyUnknown));
  clock_.Advance(2h);
  EXPECT_THAT(Authenticate(*keys, {{"x-api-key", "the-key"}}),
              HasReason(auth_reason::kApiKeyExpired));
}

TEST_F(AuthenticatorTest, APrincipalOutlivesTheKeysItCameFrom) {
  auto keys = ApiKeys();
  const Result known = Authenticate(*keys, {{"x-api-key", "the-key"}});
  keys.reset();
  EXPECT_EQ((*known)->subject, "ci");
}

TEST_F(AuthenticatorTest, ApiKeyFileIsReadAgainAndABrokenOneKeepsTheOldKeys) {
  const testing::TemporaryFolder folder;
  const auto file = [](const std::string& name, const std::string& key) {
    return "{\"keys\":[{\"name\":\"" + name + "\",\"sha256\":\"" +
           HashApiKey(key) + "\"}]}";
  };
  const std::string path = folder.Write("keys.json", file("one", "key-one"));
  testing::FakeScheduler scheduler(clock_);
  const auto sink = std::make_shared<testing::RecordingLogSink>();
  const auto keys =
      *CreateApiKeyFileAuthenticator(path, scheduler, {}, Logger(sink, "test"));
  EXPECT_THAT(Authenticate(*keys, {{"x-api-key", "key-one"}}), IsOk());
  folder.Write("keys.json", "{\"keys\":[{}]}");
  clock_.Advance(5s);
  EXPECT_THAT(Authenticate(*keys, {{"x-api-key", "key-one"}}), IsOk());
  EXPECT_THAT(sink->LinesWhere("level", "error"), SizeIs(1));
  folder.Write("keys.json", file("two", "key-two"));
  clock_.Advance(5s);
  EXPECT_THAT(Authenticate(*keys, {{"x-api-key", "key-one"}}),
              HasReason(auth_reason::kApiKeyUnknown));
  EXPECT_THAT(Authenticate(*keys, {{"x-api-key", "key-two"}}), IsOk());

  EXPECT_THAT(CreateApiKeyFileAuthenticator("/nowhere", scheduler).status(),
              FailsWith(absl::StatusCode::kNotFound, "/nowhere"));
  EXPECT_THAT(
      CreateApiKeyFileAuthenticator(path, scheduler, {.check_interval = 0s})
          .status(),
      FailsWith(absl::StatusCode::kInvalidArgument, "check_interval"));
}

TEST_F(AuthenticatorTest, MtlsSeesNoCredentialOnAPlaintextConnection) {
  const auto mtls = *CreateMtlsAuthenticator();
  EXPECT_THAT(*Authenticate(*mtls, {}), IsNull());
}

TEST_F(AuthenticatorTest, AnyOfTakesTheFirstThatHasACredential) {
  const auto any = AnyOf(Jwt(), ApiKeys());
  const std::string token = Token("alice");
  EXPECT_EQ((*Authenticate(*any, Bearer(token)))->subject, "alice");
  EXPECT_EQ((*Authenticate(*any, {{"x-api-key", "the-key"}}))->subject, "ci");
  EXPECT_EQ((*Authenticate(*any, {{"authorization", "Bearer " + token},
                                  {"x-api-key", "the-key"}}))
                ->subject,
            "alice");
  EXPECT_THAT(*Authenticate(*any, {}), IsNull());
}

TEST_F(AuthenticatorTest, AnyOfNeverFallsThroughABadCredential) {
  const auto any = AnyOf(Jwt(), ApiKeys());
  EXPECT_THAT(Authenticate(*any, {{"authorization", "Bearer x"},
                                  {"x-api-key", "the-key"}}),
              HasReason(auth_reason::kTokenMalformed));
  EXPECT_THAT(Authenticate(*any, {{"x-api-key", "wrong"}}),
              HasReason(auth_reason::kApiKeyUnknown));
}

TEST_F(AuthenticatorTest, AllOfPutsPrincipalsTogether) {
  const auto all = AllOf(Jwt(), ApiKeys());
  const Result result = Authenticate(
      *all,
      {{"authorization", "Bearer " + Token("alice", 1h, {"user", "admin"})},
       {"x-api-key", "the-key"}});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ((*result)->subject, "alice");
  EXPECT_EQ((*result)->issuer, "idp");
  EXPECT_THAT((*result)->roles, ElementsAre("user", "admin", "deployer"));
  EXPECT_THAT((*result)->scopes, ElementsAre("deploy"));
  EXPECT_THAT((*result)->attributes,
              ElementsAre(Pair("email", "alice@example")));
}

TEST_F(AuthenticatorTest, AllOfRefusesSomeOfTheCredentials) {
  const auto all = AllOf(Jwt(), ApiKeys());
  EXPECT_THAT(Authenticate(*all, Bearer(Token("alice"))),
              HasReason(auth_reason::kCredentialMissing));
  EXPECT_THAT(Authenticate(*all, {{"x-api-key", "the-key"}}),
              FailsWith(absl::StatusCode::kUnauthenticated, "authorization"));
  EXPECT_THAT(Authenticate(*all, {{"authorization", "Bearer " + Token("a")},
                                  {"x-api-key", "wrong"}}),
              HasReason(auth_reason::kApiKeyUnknown));
  EXPECT_THAT(*Authenticate(*all, {}), IsNull());
}

TEST_F(AuthenticatorTest, HintsSayWhatToSend) {
  EXPECT_EQ(AnyOf(Jwt(), ApiKeys())->hint(),
            "send `authorization: Bearer <token>` or send `x-api-key: <key>`");
  EXPECT_THAT(AllOf(Jwt(), *CreateMtlsAuthenticator())->hint(),
              HasSubstr(" and connect with a client certificate"));
}

}  // namespace
}  // namespace grpccommon
