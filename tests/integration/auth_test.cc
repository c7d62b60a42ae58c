// SPDX-License-Identifier: Apache-2.0
// Credentials on real connections: who is let in, and that nobody else is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/http_server.h"
#include "grpccommon/auth/authenticate_interceptor.h"
#include "grpccommon/auth/authorize_interceptor.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "support/every_call.h"
#include "support/test_server.h"

namespace grpccommon::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Reason(const grpc::Status& status) {
  return ReasonOf(FromGrpcStatus(status));
}

// Guards every method: any verified caller may call.
void Guard(Server& server, std::unique_ptr<Authenticator> authenticator,
           Scheduler& scheduler, const Logger& audit) {
  auto authorize = AuthorizeInterceptor::Create(
      {.default_access = {.kind = AccessRule::Kind::kAuthenticated},
       .credential_hint = authenticator->hint(),
       .audit = audit},
      scheduler);
  ASSERT_TRUE(authorize.ok());
  server.Use(std::make_shared<AuthenticateInterceptor>(
      std::move(authenticator), AuthenticateOptions{.audit = audit}));
  server.Use(*std::move(authorize));
}

class BearerTest
    : public ::testing::TestWithParam<std::tuple<Style, bool, CallKind>> {
 protected:
  CallResult Call(const std::string& authorization) {
    return server_.Call(std::get<2>(GetParam()),
                        [&](grpc::ClientContext& context) {
                          context.AddMetadata("authorization", authorization);
                        });
  }
  const JwtSigner signer_ = *JwtSigner::Generate(JwtAlgorithm::kEdDsa, "k");
  const std::string token_ = *signer_.Sign(
      {.subject = "alice", .expires_at = SteadyClock().WallNow() + 1h});
  const std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  std::shared_ptr<testing::RecordingLogSink> audit_ =
      std::make_shared<testing::RecordingLogSink>();
  TestServer server_{
      std::get<0>(GetParam()), std::get<1>(GetParam()), [this](Server& server) {
        auto jwt = CreateJwtAuthenticator(
            CreateStaticKeySource(JwkSet({signer_.verification_key()})));
        ASSERT_TRUE(jwt.ok());
        Guard(server, *std::move(jwt), *scheduler_, Logger(audit_, "audit"));
      }};
};

TEST_P(BearerTest, LetsInWhoHasAToken) {
  std::string subject;
  server_.probe().on_enter = [&](grpc::ServerContextBase& context) {
    subject = ServerCall::Of(context)->principal().subject;
  };
  const CallResult result = Call("Bearer " + token_);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.text, ExpectedText(std::get<2>(GetParam())));
  EXPECT_EQ(subject, "alice");
}

TEST_P(BearerTest, KeepsEverybodyElseFromTheHandler) {
  std::string forged = token_;
  char& changed = forged[forged.size() - 4];
  changed = changed == 'A' ? 'B' : 'A';
  for (const auto& [authorization, reason] :
       {std::pair<std::string, std::string>("Bearer " + forged,
                                            "TOKEN_SIGNATURE"),
        {"Bearer " + token_ + ".x", "TOKEN_MALFORMED"},
        {"Basic " + token_, "CREDENTIAL_MISSING"},
        {"", "CREDENTIAL_MISSING"}}) {
    const CallResult result = Call(authorization);
    EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(Reason(result.status), reason);
    EXPECT_EQ(result.messages, 0);
    EXPECT_THAT(result.status.error_message(), Not(HasSubstr(forged)));
  }
  EXPECT_EQ(server_.probe().entered, 0);
  EXPECT_EQ(audit_->LinesWhere("msg", "access denied").size(), 4u);
  EXPECT_THAT(audit_->text(), Not(HasSubstr(token_.substr(0, 30))));
}

INSTANTIATE_TEST_SUITE_P(
    All, BearerTest,
    ::testing::Combine(test::EveryStyle(), ::testing::Bool(),
                       ::testing::Values(CallKind::kUnary,
                                         CallKind::kBidiStream)));

// Users' keys come from a URL, programs' from a file, as in a platform whose
// programs start before its user service.
class IssuersTest : public ::testing::Test {
 protected:
  ServerOptions Options(const std::string& url) {
    ServerOptions options;
    options.auth.jwks_file =
        folder_.Write("keys.json", *programs_.PublicJwks());
    options.auth.issuer = "programs";
    options.auth.audiences = {"platform"};
    options.auth.issuers = {{.issuer = "users",
                             .audiences = {"platform"},
                             .jwks_url = url,
                             .allow_http_jwks = true}};
    return options;
  }
  static grpc::Status Call(TestServer& server, const JwtSigner& signer,
                           const std::string& issuer) {
    const std::string token =
        *signer.Sign({.subject = "alice",
                      .issuer = issuer,
                      .audiences = {"platform"},
                      .expires_at = SteadyClock().WallNow() + 1h});
    return server
        .Call(CallKind::kUnary,
              [&](grpc::ClientContext& context) {
                context.AddMetadata("authorization", "Bearer " + token);
              })
        .status;
  }

  const testing::TemporaryFolder folder_;
  const JwtSigner users_ = *JwtSigner::Generate(JwtAlgorithm::kEs256, "k");
  const JwtSigner programs_ = *JwtSigner::Generate(JwtAlgorithm::kEs256, "k");
};

TEST_F(IssuersTest, OneThatIsAwayNeitherStopsTheStartNorTheOthersCalls) {
  CannedHttpServer keys;
  keys.Answer("HTTP/1.1 503 Not yet\r\nContent-Length: 0\r\n\r\n");
  for (const std::string& url :
       {keys.url(), std::string("http://127.0.0.1:1/keys")}) {
    TestServer server(Style::kCallback, /*tls=*/false, {}, Options(url));
    EXPECT_TRUE(Call(server, programs_, "programs").ok());
    const grpc::Status away = Call(server, users_, "users");
    EXPECT_EQ(away.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(Reason(away), "KEYS_UNAVAILABLE");
    // Nobody steps in for it.
    EXPECT_FALSE(Call(server, programs_, "users").ok());
    EXPECT_EQ(Reason(Call(server, users_, "programs")), "TOKEN_SIGNATURE");
    EXPECT_EQ(Reason(Call(server, users_, "stranger")), "TOKEN_ISSUER");
  }
}

TEST_F(IssuersTest, OneThatComesBackIsHeardWithoutARestart) {
  CannedHttpServer keys;
  keys.Answer("HTTP/1.1 503 Not yet\r\nContent-Length: 0\r\n\r\n");
  TestServer server(Style::kCallback, /*tls=*/false, {}, Options(keys.url()));
  EXPECT_EQ(Reason(Call(server, users_, "users")), "KEYS_UNAVAILABLE");
  const std::string body = *users_.PublicJwks();
  keys.Answer("HTTP/1.1 200 OK\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  grpc::Status status;
  do {
    status = Call(server, users_, "users");
  } while (status.error_code() == grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(Call(server, programs_, "users").ok());
  EXPECT_TRUE(Call(server, programs_, "programs").ok());
}

TEST_F(IssuersTest, OneThatServesHandsItsKeysOver) {
  const auto keys = std::make_shared<SettableKeySource>();
  ServerOptions options = Options("");
  options.auth.issuers[0].keys = keys;
  TestServer server(Style::kCallback, /*tls=*/false, {}, options);
  EXPECT_EQ(Reason(Call(server, users_, "users")), "KEYS_UNAVAILABLE");
  keys->Set(JwkSet({users_.verification_key()}));
  EXPECT_TRUE(Call(server, users_, "users").ok());
  EXPECT_FALSE(Call(server, programs_, "users").ok());
  EXPECT_TRUE(Call(server, programs_, "programs").ok());
}

TEST_F(IssuersTest, AConfigurationThatMakesNoSenseIsRefused) {
  const auto refused = [this](auto change) {
    ServerOptions options = Options("http://127.0.0.1:1/keys");
    options.name = "echo";
    change(options.auth);
    return std::string(Server::Create(options).status().message());
  };
  EXPECT_THAT(refused([](AuthOptions& auth) { auth.issuer.clear(); }),
              HasSubstr("name of its own"));
  EXPECT_THAT(
      refused([](AuthOptions& auth) { auth.issuers[0].issuer = "programs"; }),
      HasSubstr("\"programs\""));
  EXPECT_THAT(
      refused([](AuthOptions& auth) { auth.issuers[0].jwks_url.clear(); }),
      HasSubstr("auth.issuers[0].jwks_file"));
  EXPECT_THAT(refused([](AuthOptions& auth) {
                auth.issuers[0].jwks_file = auth.jwks_file;
              }),
              HasSubstr("not both"));
  EXPECT_THAT(refused([](AuthOptions& auth) {
                auth.issuers[0].keys = std::make_shared<SettableKeySource>();
              }),
              HasSubstr("not both"));
  EXPECT_THAT(refused([](AuthOptions& auth) {
                auth.issuers[0].allow_http_jwks = false;
              }),
              HasSubstr("https"));
}

class MtlsTest : public ::testing::Test {
 protected:
  grpc::Status Call(const testing::Certificate* client, Principal& principal) {
    grpc::SslCredentialsOptions tls{.pem_root_certs =
                                        authority_.certificate_pem()};
    if (client != nullptr) {
      tls.pem_private_key = client->private_key_pem;
      tls.pem_cert_chain = client->certificate_pem;
    }
    const auto stub = EchoService::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->grpc_port()),
                            grpc::SslCredentials(tls)));
    probe_.on_enter = [&](grpc::ServerContextBase& context) {
      principal = ServerCall::Of(context)->principal();
    };
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 20s);
    EchoRequest request;
    EchoResponse response;
    return stub->Unary(&context, request, &response);
  }

  void SetUp() override {
    const testing::Certificate own = authority_.Issue();
    auto server = Server::Create(
        {.name = "echo",
         .grpc_address = "127.0.0.1:0",
         .tls = TlsOptions{.certificate_file =
                               folder_.Write("c.pem", own.certificate_pem),
                           .private_key_file =
                               folder_.Write("k.pem", own.private_key_pem),
                           .client_ca_file = folder_.Write(
                               "ca.pem", authority_.certificate_pem()),
                           .require_client_certificate = false},
         .log_sink = std::make_shared<testing::RecordingLogSink>()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Add<EchoService>(echo_);
    auto mtls = CreateMtlsAuthenticator(
        {.rules = {{.pattern = "spiffe://prod/ns/*/sa/cart", .roles = {"cart"}},
                   {.pattern = "*.shop.example", .roles = {"shop"}}}});
    ASSERT_TRUE(mtls.ok());
    Guard(*server_, *std::move(mtls), *scheduler_, Logger());
    ASSERT_TRUE(server_->Start().ok());
  }

  const testing::CertificateAuthority authority_;
  const testing::TemporaryFolder folder_;
  EchoProbe probe_;
  CallbackEcho echo_{probe_};
  const std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  std::unique_ptr<Server> server_;
};

TEST_F(MtlsTest, ACertificateIsAPrincipal) {
  const testing::Certificate spiffe =
      authority_.Issue({.common_name = "cart",
                        .dns_names = {"cart.local"},
                        .ip_addresses = {},
                        .uris = {"spiffe://prod/ns/a/sa/cart"}});
  Principal principal;
  grpc::Status status = Call(&spiffe, principal);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(principal.subject, "spiffe://prod/ns/a/sa/cart");
  EXPECT_EQ(principal.issuer, "mtls");
  EXPECT_TRUE(principal.HasRole("cart"));
  EXPECT_EQ(principal.attributes["common_name"], "cart");

  const testing::Certificate dns = authority_.Issue(
      {.dns_names = {"till.shop.example"}, .ip_addresses = {}});
  status = Call(&dns, principal);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(principal.subject, "till.shop.example");
  EXPECT_TRUE(principal.HasRole("shop"));
}

TEST_F(MtlsTest, OthersAreRefused) {
  Principal principal;
  const testing::Certificate stranger =
      authority_.Issue({.dns_names = {"stranger.example"}});
  grpc::Status status = Call(&stranger, principal);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Reason(status), "CERTIFICATE_NOT_ALLOWED");

  status = Call(nullptr, principal);
  EXPECT_EQ(Reason(status), "CREDENTIAL_MISSING");
  EXPECT_THAT(status.error_message(), HasSubstr("client certificate"));

  const testing::CertificateAuthority unknown;
  const testing::Certificate forged =
      unknown.Issue({.uris = {"spiffe://prod/ns/a/sa/cart"}});
  EXPECT_FALSE(Call(&forged, principal).ok());
  EXPECT_EQ(probe_.entered, 0);
}

}  // namespace
}  // namespace grpccommon::test
