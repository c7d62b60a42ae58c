// SPDX-License-Identifier: Apache-2.0
// How a server listens, what it refuses at start, and how it ends.

#include "grpccommon/server/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "google/protobuf/empty.pb.h"
#include "google/protobuf/unknown_field_set.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/health/health_registry.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpcpp/impl/client_unary_call.h"
#include "support/echo_services.h"
#include "support/test_server.h"
#ifdef GRPCCOMMON_OWN_REFLECTION
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#endif

namespace grpccommon {
namespace {

using grpccommon::testing::Certificate;
using grpccommon::testing::CertificateAuthority;
using grpccommon::testing::IsOk;
using grpccommon::testing::MessageIs;
using grpccommon::testing::RecordingLogSink;
using grpccommon::testing::StatusIs;
using grpccommon::testing::TemporaryFolder;
using test::EchoProbe;
using test::EchoRequest;
using test::EchoResponse;
using test::EchoService;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

grpc::Status Echo(const std::shared_ptr<grpc::Channel>& channel,
                  const std::string& text = "hello",
                  std::chrono::milliseconds timeout = 5s) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  EchoRequest request;
  request.set_text(text);
  EchoResponse response;
  return EchoService::NewStub(channel)->Unary(&context, request, &response);
}

class ServerTest : public ::testing::Test {
 protected:
  // A server that is quiet and quick to stop, with an echo service.
  absl::StatusOr<std::unique_ptr<Server>> Create(ServerOptions options) {
    if (options.name.empty()) options.name = "echo";
    if (options.log_sink == nullptr) options.log_sink = log_;
    options.drain_delay = 0s;
    auto server = Server::Create(std::move(options));
    if (server.ok()) (*server)->Add<EchoService>(echo_);
    return server;
  }

  static std::shared_ptr<grpc::Channel> Plaintext(int port) {
    return grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                               grpc::InsecureChannelCredentials());
  }

  EchoProbe probe_;
  test::CallbackEcho echo_{probe_};
  TemporaryFolder folder_;
  CertificateAuthority authority_;
  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
};

TEST_F(ServerTest, NamesTheOptionThatIsOutOfRange) {
  const auto refused = [this](ServerOptions options, const std::string& name) {
    EXPECT_THAT(Create(std::move(options)),
                AllOf(StatusIs(kInvalid), MessageIs(HasSubstr(name))));
  };
  refused({.name = "two words"}, "name must be");
  refused({.max_receive_message_bytes = 0}, "max_receive_message_bytes");
  refused({.max_metadata_bytes = 10}, "max_metadata_bytes");
  refused({.keepalive = {.time = 1ms}}, "keepalive.time");
  refused({.connection = {.max_age = 1ms}}, "connection.max_age");
  // Their milliseconds are an int of gRPC's.
  refused({.connection = {.max_age = 25h * 24}}, "connection.max_age");
  refused({.connection = {.max_idle = 25h * 24}}, "connection.max_idle");
  refused({.grace_period = -1s}, "grace_period");
  refused({.memory_quota_bytes = 1}, "memory_quota_bytes must be");
  refused({.max_sync_threads = 1}, "max_sync_threads must be");
  refused({.max_health_watches = 0}, "max_health_watches: ");
  refused({.tracing = TracingOptions{.sample_ratio = 2}},
          "tracing: sample_ratio");
  refused({.access_log = AccessLogOptions{.ok = {.share = 2}}},
          "access_log: ok.share");
  EXPECT_THAT(Create({.auth = {.jwks_file = "/no/keys"}}),
              MessageIs(HasSubstr("auth.jwks_file: cannot read /no/keys")));
  EXPECT_THAT(Create({.auth = {.policy_file = "/no/rules"}}),
              MessageIs(HasSubstr("auth.policy_file: cannot read /no/rules")));
  EXPECT_THAT(Create({.auth = {.api_key_file = "/no/keys"}}),
              MessageIs(HasSubstr("auth.api_key_file: cannot read /no/keys")));
}

TEST_F(ServerTest, ServesWithTheLeastThatMayBeConfigured) {
  auto server = *Create({.grpc_address = "127.0.0.1:0",
                         .memory_quota_bytes = 64 << 10,
                         .max_sync_threads = 2});
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(Echo(Plaintext(server->grpc_port())), IsOk());
}

TEST_F(ServerTest, OptionsThatNeedOthersAreRefusedAlone) {
  const auto refused = [this](ServerOptions options, const std::string& text) {
    EXPECT_THAT(Create(std::move(options)),
                AllOf(StatusIs(kInvalid), MessageIs(HasSubstr(text))));
  };
  refused({.tls = TlsOptions()}, "tls.certificate_file");
  refused({.auth = {.issuer = "users"}}, "auth.issuer is about tokens");
  refused({.auth = {.audiences = {"users"}}}, "auth.audiences is about tokens");
  refused({.auth = {.any_audience = true}}, "auth.any_audience is about");
  refused({.auth = {.roles = {"user"}}}, "auth.roles is about tokens");
  refused({.auth = {.client_certificates = true}}, "tls.client_ca_file");
}

TEST_F(ServerTest, NobodyIsServedByAServerThatCannotBeAnnounced) {
  const auto refused = [this](AnnounceOptions announce,
                              const std::string& address,
                              const std::string& text) {
    auto server = *Create({.grpc_address = address, .announce = announce});
    EXPECT_THAT(server->Start(), MessageIs(HasSubstr(text)));
    EXPECT_EQ(server->phase(), ServerPhase::kCreated) << text;
    EXPECT_EQ(server->grpc_port(), 0) << text;
  };
  refused({.uri = "garbage"}, "127.0.0.1:0", "announce.uri: ");
  refused({.uri = "registry://127.0.0.1:1", .token_file = "/no/token"},
          "127.0.0.1:0", "announce.token_file: ");
  const auto scheduler = CreateScheduler();
  const std::shared_ptr<Registry> registry = CreateMemoryRegistry(*scheduler);
  refused({.registry = registry}, "0.0.0.0:0", "announce.address must say");
  refused({.registry = registry, .weight = 0}, "127.0.0.1:0",
          "announce: weight");
  refused({.registry = registry, .services = {"two words"}}, "127.0.0.1:0",
          "announce: ");
  refused({.registry = registry, .services = {"a", "b", "a"}}, "127.0.0.1:0",
          "announce: services names a twice");
  refused({.registry = registry, .lease = {.ttl = 1ms}}, "127.0.0.1:0",
          "announce: lease: ttl");
}

TEST_F(ServerTest, APortInUseIsNamedWithItsReason) {
  auto first = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(first->Start(), IsOk());
  const std::string address = "127.0.0.1:" + std::to_string(first->grpc_port());
  auto second = *Create({.grpc_address = address});
  EXPECT_THAT(second->Start(), AllOf(StatusIs(absl::StatusCode::kUnavailable),
                                     MessageIs(HasSubstr(address)),
                                     MessageIs(HasSubstr("in use"))));
  EXPECT_NE(second->health().Get(""), ServingStatus::kServing);
  EXPECT_THAT(Echo(Plaintext(first->grpc_port())), IsOk())
      << "the first one lost its port";
}

TEST_F(ServerTest, AnAddressThatDoesNotResolveIsNamed) {
  auto server = *Create({.grpc_address = "no-such-host.invalid:1"});
  EXPECT_THAT(server->Start(), MessageIs(HasSubstr("no-such-host.invalid")));
}

TEST_F(ServerTest, AServerStartsOnce) {
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(server->Start(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(ServerTest, AServiceIsServedOnce) {
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  server->Add<EchoService>(echo_);
  EXPECT_THAT(server->Start(),
              AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                    MessageIs(HasSubstr("/echo.v1.EchoService/Unary"))));
}

TEST_F(ServerTest, AnAddressThatGrpcWouldReadOtherwiseIsRefused) {
  for (const std::string address :
       {"127.0.0.1", "localhost", "[::1]", "::1:0", ":0",
        "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1: 0",
        "127.0.0.1:http", "http://127.0.0.1:0", "unix:", "/run/x.sock"}) {
    EXPECT_THAT(Create({.grpc_address = address}),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr("grpc_address must be"))))
        << address;
    EXPECT_THAT(Create({.plaintext_address = address}),
                MessageIs(HasSubstr("plaintext_address must be")))
        << address;
  }
}

TEST_F(ServerTest, ListensOnAUnixSocket) {
  const std::string path = folder_.path() + "/socket";
  auto server = *Create({.grpc_address = "unix:" + path});
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(Echo(grpc::CreateChannel("unix:" + path,
                                       grpc::InsecureChannelCredentials())),
              IsOk());
}

TEST_F(ServerTest, ASocketOfARunningServerIsNotTakenFromIt) {
  const std::string path = folder_.path() + "/socket";
  auto first = *Create({.grpc_address = "unix:" + path});
  ASSERT_THAT(first->Start(), IsOk());
  for (const std::string prefix : {"unix:", "unix://"}) {
    auto second = *Create({.grpc_address = prefix + path});
    EXPECT_THAT(second->Start(), AllOf(StatusIs(absl::StatusCode::kUnavailable),
                                       MessageIs(HasSubstr("in use"))));
  }
  EXPECT_THAT(Echo(grpc::CreateChannel("unix:" + path,
                                       grpc::InsecureChannelCredentials())),
              IsOk())
      << "the first one lost its socket";
}

TEST_F(ServerTest, ASocketThatAServerLeftBehindIsTaken) {
  const std::string path = folder_.path() + "/socket";
  const int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(
      bind(left, reinterpret_cast<const sockaddr*>(&address), sizeof address),
      0);
  close(left);
  auto server = *Create({.grpc_address = "unix:" + path});
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(Echo(grpc::CreateChannel("unix:" + path,
                                       grpc::InsecureChannelCredentials())),
              IsOk());
}

TEST_F(ServerTest, ServesAPlaintextAddressBesideTls) {
  const Certificate certificate = authority_.Issue();
  auto server =
      *Create({.grpc_address = "127.0.0.1:0",
               .tls = TlsOptions{.certificate_file = folder_.Write(
                                     "cert.pem", certificate.certificate_pem),
                                 .private_key_file = folder_.Write(
                                     "key.pem", certificate.private_key_pem)},
               .plaintext_address = "127.0.0.1:0"});
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(Echo(Plaintext(server->plaintext_port())), IsOk());
  EXPECT_THAT(Echo(Plaintext(server->grpc_port()), "hello", 300ms),
              ::testing::Not(IsOk()));
}

class TlsTest : public ServerTest {
 protected:
  TlsOptions Files(const Certificate& certificate) {
    return {.certificate_file =
                folder_.Write("cert.pem", certificate.certificate_pem),
            .private_key_file =
                folder_.Write("key.pem", certificate.private_key_pem),
            .reload_interval = 1s};
  }

  std::shared_ptr<grpc::Channel> Connect(int port,
                                         const Certificate* client = nullptr) {
    grpc::SslCredentialsOptions options{.pem_root_certs =
                                            authority_.certificate_pem()};
    if (client != nullptr) {
      options.pem_cert_chain = client->certificate_pem;
      options.pem_private_key = client->private_key_pem;
    }
    // A connection of its own, not one that an earlier channel has.
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                     grpc::SslCredentials(options), arguments);
  }
};

TEST_F(TlsTest, AFileThatCannotBeUsedIsNamed) {
  const Certificate certificate = authority_.Issue();
  const Certificate other = authority_.Issue();
  const auto refused = [this](const TlsOptions& tls, const std::string& text) {
    EXPECT_THAT(Create({.grpc_address = "127.0.0.1:0", .tls = tls}),
                MessageIs(HasSubstr(text)));
  };
  TlsOptions tls = Files(certificate);
  tls.certificate_file = folder_.path() + "/missing.pem";
  refused(tls, "missing.pem");
  tls = Files(certificate);
  tls.private_key_file = folder_.Write("other.pem", other.private_key_pem);
  refused(tls, "is not the key of");
  tls = Files(certificate);
  tls.certificate_file = folder_.Write("garbage.pem", "not a certificate");
  refused(tls, "garbage.pem holds no certificate");
  tls = Files(certificate);
  tls.client_ca_file = folder_.path();
  refused(tls, "is not a file");
}

TEST_F(TlsTest, AFileThatIsHalfWrittenIsNotUsed) {
  const Certificate certificate = authority_.Issue();
  const std::string& whole = authority_.certificate_pem();
  // Of the second certificate: a piece of its first line, of its content and
  // of its last line, and one that is whole but no certificate.
  for (const std::string& rest :
       {whole.substr(0, 8), whole.substr(0, 200),
        whole.substr(0, whole.size() - 8),
        std::string("-----BEGIN CERTIFICATE-----\nAAAA\n"
                    "-----END CERTIFICATE-----\n")}) {
    const auto refused = [this](const TlsOptions& tls,
                                const std::string& text) {
      EXPECT_THAT(Create({.grpc_address = "127.0.0.1:0", .tls = tls}),
                  MessageIs(HasSubstr(text)));
    };
    TlsOptions tls = Files(certificate);
    folder_.Write("cert.pem", certificate.certificate_pem + rest);
    refused(tls, "cert.pem holds a broken certificate after the first one");
    tls = Files(certificate);
    tls.client_ca_file = folder_.Write("ca.pem", whole + rest);
    refused(tls, "ca.pem holds a broken certificate after the first one");
  }
  TlsOptions chain = Files(certificate);
  folder_.Write("cert.pem", certificate.certificate_pem + "\n" + whole + "\n");
  auto server = Create({.grpc_address = "127.0.0.1:0", .tls = chain});
  ASSERT_THAT(server, IsOk());
  ASSERT_THAT((*server)->Start(), IsOk());
  EXPECT_THAT(Echo(Connect((*server)->grpc_port())), IsOk());
}

TEST_F(TlsTest, AClientWithoutTheCertificateThatIsRequiredIsTurnedAway) {
  TlsOptions tls = Files(authority_.Issue());
  tls.client_ca_file = folder_.Write("ca.pem", authority_.certificate_pem());
  auto server = *Create({.grpc_address = "127.0.0.1:0", .tls = tls});
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(Echo(Connect(server->grpc_port()), "hello", 500ms),
              ::testing::Not(IsOk()));
  EXPECT_EQ(probe_.entered, 0);
  const Certificate client =
      authority_.Issue({.common_name = "client", .dns_names = {"client"}});
  EXPECT_THAT(Echo(Connect(server->grpc_port(), &client)), IsOk());
}

TEST_F(TlsTest, ACertificateIsReloadedAndABrokenOneIsNot) {
  auto server = *Create({.grpc_address = "127.0.0.1:0",
                         .tls = Files(authority_.Issue({.valid_for = -60s}))});
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(Echo(Connect(server->grpc_port()), "hello", 300ms),
              ::testing::Not(IsOk()))
      << "an expired certificate was taken";
  const Certificate good = authority_.Issue();
  folder_.Write("key.pem", good.private_key_pem);
  folder_.Write("cert.pem", good.certificate_pem);
  const auto end = std::chrono::steady_clock::now() + 15s;
  bool served = false;
  while (!served && std::chrono::steady_clock::now() < end) {
    served = Echo(Connect(server->grpc_port()), "hello", 500ms).ok();
  }
  EXPECT_TRUE(served) << "the new certificate was never used";
  folder_.Write("cert.pem", "broken");
  ASSERT_TRUE(log_->WaitForLines(
      "msg", "TLS files are not usable; the old ones stay in force", 1));
  EXPECT_THAT(log_->text(), HasSubstr("cert.pem holds no certificate"));
  // Past gRPC's next look as well, which is after a second.
  const auto looked = std::chrono::steady_clock::now() + 1500ms;
  while (std::chrono::steady_clock::now() < looked) {
    ASSERT_THAT(Echo(Connect(server->grpc_port())), IsOk());
  }
  std::filesystem::remove(folder_.path() + "/cert.pem");
  ASSERT_TRUE(log_->WaitForLines(
      "msg", "TLS files are not usable; the old ones stay in force", 2));
  EXPECT_THAT(log_->text(), HasSubstr("No such file"));
  EXPECT_THAT(Echo(Connect(server->grpc_port())), IsOk());
}

TEST_F(ServerTest, MessagesAboveTheLimitAreRefusedWithoutTheHandler) {
  auto server = *Create(
      {.grpc_address = "127.0.0.1:0", .max_receive_message_bytes = 1000});
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(Echo(Plaintext(server->grpc_port()), std::string(2000, 'x')),
              StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_EQ(probe_.entered, 0);
}

TEST_F(ServerTest, AClientThatPingsAtItsFastestIsNotScolded) {
  auto server = *Create({.grpc_address = "127.0.0.1:0",
                         .keepalive = {.minimum_client_interval = 1s}});
  ASSERT_THAT(server->Start(), IsOk());
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  auto channel = grpc::CreateCustomChannel(
      "127.0.0.1:" + std::to_string(server->grpc_port()),
      grpc::InsecureChannelCredentials(), arguments);
  ASSERT_THAT(Echo(channel), IsOk());
  // Four pings' time; a scolded connection would be closed and left IDLE.
  EXPECT_FALSE(channel->WaitForStateChange(
      GRPC_CHANNEL_READY, std::chrono::system_clock::now() + 4500ms));
  EXPECT_THAT(Echo(channel), IsOk());
}

TEST_F(ServerTest, AConnectionIsAskedToCloseAtItsAge) {
  auto server = *Create({.grpc_address = "127.0.0.1:0",
                         .connection = {.max_age = 1s, .max_age_grace = 1s}});
  ASSERT_THAT(server->Start(), IsOk());
  const auto channel = Plaintext(server->grpc_port());
  ASSERT_THAT(Echo(channel), IsOk());
  EXPECT_TRUE(channel->WaitForStateChange(
      GRPC_CHANNEL_READY, std::chrono::system_clock::now() + 5s));
  EXPECT_THAT(Echo(channel), IsOk()) << "and a new one takes its place";
}

TEST_F(ServerTest, RepliesAreCompressedWhenToldTo) {
  auto server = *Create(
      {.grpc_address = "127.0.0.1:0", .compression = Compression::kGzip});
  ASSERT_THAT(server->Start(), IsOk());
  grpc::ClientContext context;
  EchoRequest request;
  request.set_text(std::string(5000, 'x'));
  EchoResponse response;
  ASSERT_THAT(EchoService::NewStub(Plaintext(server->grpc_port()))
                  ->Unary(&context, request, &response),
              IsOk());
  EXPECT_EQ(response.text(), request.text());
}

TEST_F(ServerTest, CompressedRequestsAreRefusedUnlessWanted) {
  const auto call = [this](Compression wanted) {
    auto server = *Create({.grpc_address = "127.0.0.1:0",
                           .max_receive_message_bytes = std::size_t{256} << 20,
                           .compression = wanted});
    EXPECT_THAT(server->Start(), IsOk());
    grpc::ClientContext context;
    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    EchoRequest request;
    request.set_text(std::string(100'000, 'x'));
    EchoResponse response;
    return EchoService::NewStub(Plaintext(server->grpc_port()))
        ->Unary(&context, request, &response);
  };
  EXPECT_THAT(call(Compression::kNone),
              StatusIs(grpc::StatusCode::UNIMPLEMENTED));
  EXPECT_EQ(probe_.entered, 0);
  EXPECT_THAT(call(Compression::kGzip), IsOk());
  EXPECT_EQ(probe_.entered, 1);
}

TEST_F(ServerTest, WhatGrpcItselfLogsGoesToTheServersLog) {
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(server->Start(), IsOk());
  auto second = *Create(
      {.grpc_address = "127.0.0.1:" + std::to_string(server->grpc_port())});
  EXPECT_FALSE(second->Start().ok());
  EXPECT_THAT(log_->text(), HasSubstr("Address already in use"));
}

#ifdef GRPCCOMMON_OWN_REFLECTION
std::vector<std::string> ListByReflection(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& path) {
  // Both versions of the protocol have the same messages.
  grpc::ClientContext context;
  const grpc::internal::RpcMethod method(
      path.c_str(), grpc::internal::RpcMethod::BIDI_STREAMING, channel);
  std::unique_ptr<
      grpc::ClientReaderWriter<grpc::reflection::v1::ServerReflectionRequest,
                               grpc::reflection::v1::ServerReflectionResponse>>
      stream(grpc::internal::ClientReaderWriterFactory<
             grpc::reflection::v1::ServerReflectionRequest,
             grpc::reflection::v1::ServerReflectionResponse>::Create(channel
                                                                         .get(),
                                                                     method,
                                                                     &context));
  grpc::reflection::v1::ServerReflectionRequest request;
  request.set_list_services("*");
  stream->Write(request);
  grpc::reflection::v1::ServerReflectionResponse response;
  std::vector<std::string> names;
  if (stream->Read(&response)) {
    for (const auto& service : response.list_services_response().service()) {
      names.push_back(service.name());
    }
  }
  stream->WritesDone();
  stream->Finish().ok();
  return names;
}

constexpr char kReflectionV1[] =
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
constexpr char kReflectionV1Alpha[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

TEST_F(ServerTest, ReflectsInBothVersions) {
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(server->Start(), IsOk());
  for (const char* path : {kReflectionV1, kReflectionV1Alpha}) {
    EXPECT_THAT(ListByReflection(Plaintext(server->grpc_port()), path),
                ::testing::Contains("echo.v1.EchoService"))
        << path;
  }
}

TEST_F(ServerTest, ReflectsOnUnguardedServicesToo) {
  auto server = *Server::Create({.name = "echo",
                                 .grpc_address = "127.0.0.1:0",
                                 .drain_delay = 0s,
                                 .log_sink = log_});
  server->AddUnguarded(echo_);
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(ListByReflection(Plaintext(server->grpc_port()), kReflectionV1),
              ::testing::Contains("echo.v1.EchoService"));
}

TEST_F(ServerTest, RefusesALargeQuestionOfReflection) {
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(server->Start(), IsOk());
  auto stub = grpc::reflection::v1::ServerReflection::NewStub(
      Plaintext(server->grpc_port()));
  grpc::ClientContext context;
  auto stream = stub->ServerReflectionInfo(&context);
  grpc::reflection::v1::ServerReflectionRequest request;
  grpc::reflection::v1::ServerReflectionResponse response;
  request.set_file_by_filename(std::string(4000, 'x'));
  stream->Write(request);
  EXPECT_TRUE(stream->Read(&response));
  request.set_file_by_filename(std::string(5000, 'x'));
  stream->Write(request);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_THAT(stream->Finish(),
              AllOf(StatusIs(grpc::StatusCode::INVALID_ARGUMENT),
                    MessageIs(HasSubstr("4096 bytes"))));
}

TEST_F(ServerTest, DoesNotReflectWhenToldNotTo) {
  auto server = *Create({.grpc_address = "127.0.0.1:0", .reflection = false});
  ASSERT_THAT(server->Start(), IsOk());
  for (const char* path : {kReflectionV1, kReflectionV1Alpha}) {
    EXPECT_THAT(ListByReflection(Plaintext(server->grpc_port()), path),
                ::testing::IsEmpty())
        << path;
  }
}

TEST_F(ServerTest, AnswersReflectionForFilesSymbolsAndExtensions) {
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(server->Start(), IsOk());
  auto stub = grpc::reflection::v1::ServerReflection::NewStub(
      Plaintext(server->grpc_port()));
  grpc::ClientContext context;
  auto stream = stub->ServerReflectionInfo(&context);
  grpc::reflection::v1::ServerReflectionRequest request;
  grpc::reflection::v1::ServerReflectionResponse response;
  const auto ask = [&] {
    EXPECT_TRUE(stream->Write(request));
    EXPECT_TRUE(stream->Read(&response));
  };
  request.set_file_containing_symbol("echo.v1.EchoService.Unary");
  ask();
  EXPECT_EQ(response.file_descriptor_response().file_descriptor_proto_size(),
            1);
  request.set_file_by_filename("grpccommon/v1/options.proto");
  ask();
  // Itself and its imports: descriptor.proto, duration.proto.
  EXPECT_EQ(response.file_descriptor_response().file_descriptor_proto_size(),
            3);
  request.mutable_file_containing_extension()->set_containing_type(
      "google.protobuf.MethodOptions");
  request.mutable_file_containing_extension()->set_extension_number(50551);
  ask();
  EXPECT_TRUE(response.has_file_descriptor_response());
  request.set_all_extension_numbers_of_type("google.protobuf.MethodOptions");
  ask();
  EXPECT_THAT(response.all_extension_numbers_response().extension_number(),
              ::testing::Contains(50551));
  request.set_file_by_filename("no/such/file.proto");
  ask();
  EXPECT_EQ(response.error_response().error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.clear_message_request();
  ask();
  EXPECT_EQ(response.error_response().error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  stream->WritesDone();
  EXPECT_THAT(stream->Finish(), IsOk());
}
#endif

// What gRPC counts of the servers of this process, as JSON.
std::string ServersOfChannelz() {
  char* const json = grpc_channelz_get_servers(0);
  std::string servers(json);
  gpr_free(json);
  return servers;
}

TEST_F(ServerTest, WithoutChannelzGrpcDoesNotCountCalls) {
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(server->Start(), IsOk());
  EXPECT_THAT(Echo(Plaintext(server->grpc_port())), IsOk());
  EXPECT_THAT(ServersOfChannelz(), ::testing::Not(HasSubstr("callsStarted")));
}

TEST_F(ServerTest, ChannelzTellsOfTheServersThatHaveIt) {
  const auto create = [this](bool channelz) {
    auto server =
        *Create({.grpc_address = "127.0.0.1:0", .channelz = channelz});
    EXPECT_THAT(server->Start(), IsOk());
    EXPECT_THAT(Echo(Plaintext(server->grpc_port())), IsOk());
    return server;
  };
  // Messages of channelz come without a header; what is not known of one is
  // kept as it came.
  google::protobuf::Empty servers;
  const auto ask = [&servers](const Server& server) {
    const grpc::internal::RpcMethod method(
        "/grpc.channelz.v1.Channelz/GetServers",
        grpc::internal::RpcMethod::NORMAL_RPC);
    grpc::ClientContext context;
    return grpc::internal::BlockingUnaryCall<google::protobuf::Empty,
                                             google::protobuf::Empty>(
        Plaintext(server.grpc_port()).get(), method, &context, {}, &servers);
  };
  const auto first = create(true);
  const auto second = create(true);
  const auto without = create(false);
  for (const Server* const server : {first.get(), second.get()}) {
    ASSERT_THAT(ask(*server), IsOk());
    const google::protobuf::UnknownFieldSet& fields =
        google::protobuf::Empty::GetReflection()->GetUnknownFields(servers);
    int count = 0;
    for (int i = 0; i < fields.field_count(); ++i) {
      if (fields.field(i).number() == 1) ++count;  // repeated Server server
    }
    EXPECT_EQ(count, 2);
  }
  // Their ends may be counted after the client has heard of them.
  EXPECT_THAT(ServersOfChannelz(), HasSubstr("callsStarted"));
  EXPECT_THAT(ask(*without), StatusIs(grpc::StatusCode::UNIMPLEMENTED));
}

TEST_F(ServerTest, HooksRunInReverseAndInTheirPhase) {
  std::vector<std::string> seen;
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  const auto note = [&](const char* name) {
    return [&seen, name, s = server.get()] {
      seen.push_back(std::string(name) + " " +
                     std::string(ServerPhaseName(s->phase())));
    };
  };
  server->OnDrain(note("a")).OnDrain(note("b")).OnStopped(note("c"));
  ASSERT_THAT(server->Start(), IsOk());
  server->Shutdown(0s, 0s);
  EXPECT_THAT(seen,
              ::testing::ElementsAre("b draining", "a draining", "c stopping"));
  EXPECT_EQ(log_->LinesWhere("msg", "server phase").size(), 4u);
}

TEST_F(ServerTest, AHookThatThrowsKeepsNothingElseFromTheEnd) {
  std::vector<std::string> seen;
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  const auto note = [&seen](const char* name) {
    return [&seen, name] { seen.emplace_back(name); };
  };
  const auto fail = [] { throw std::runtime_error("no such registry"); };
  server->OnDrain(note("drain")).OnDrain(fail);
  server->OnStopped(note("stopped")).OnStopped([] { throw 7; });
  ASSERT_THAT(server->Start(), IsOk());
  server->Shutdown(0s, 0s);
  EXPECT_THAT(seen, ::testing::ElementsAre("drain", "stopped"));
  EXPECT_EQ(server->phase(), ServerPhase::kStopped);
  EXPECT_EQ(log_->LinesWhere("exception", "no such registry").size(), 1u);
  EXPECT_EQ(log_->LinesWhere("hook", "OnStopped").size(), 1u);
}

TEST_F(ServerTest, AHookMayAskForTheEnd) {
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  server->OnDrain([s = server.get()] { s->ShutdownNow(); });
  server->OnStopped([s = server.get()] { s->Shutdown(); });
  ASSERT_THAT(server->Start(), IsOk());
  server->Shutdown(1h, 1h);
  EXPECT_EQ(server->phase(), ServerPhase::kStopped);
}

TEST_F(ServerTest, CanBeShutDownWithoutHavingStarted) {
  {
    const auto server = *Create({.grpc_address = "127.0.0.1:0"});
    server->Shutdown();
    server->ShutdownNow();
    EXPECT_EQ(server->phase(), ServerPhase::kStopped);
    EXPECT_THAT(server->Start(), StatusIs(absl::StatusCode::kCancelled));
    EXPECT_EQ(server->grpc_port(), 0);
  }
  {
    const auto server = *Create({.grpc_address = "127.0.0.1:0"});
    server->Shutdown();
    EXPECT_EQ(server->Run(), 0);
  }
  const auto first = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(first->Start(), IsOk());
  const auto second = *Create(
      {.grpc_address = "127.0.0.1:" + std::to_string(first->grpc_port())});
  EXPECT_THAT(second->Start(), StatusIs(absl::StatusCode::kUnavailable));
  second->Shutdown();
  EXPECT_EQ(second->phase(), ServerPhase::kStopped);
}

TEST_F(ServerTest, IsStartedOnceAlsoIfThatFails) {
  auto first =
      *Create({.grpc_address = "127.0.0.1:0", .http_address = "127.0.0.1:0"});
  ASSERT_THAT(first->Start(), IsOk());
  const auto second = *Create(
      {.grpc_address = "127.0.0.1:" + std::to_string(first->grpc_port()),
       .http_address = "127.0.0.1:0"});
  EXPECT_THAT(second->Start(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(second->http_port(), 0);
  first = nullptr;
  EXPECT_THAT(second->Start(),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                    MessageIs(HasSubstr("only once"))));
}

TEST_F(ServerTest, NamesTheOneOfItsAddressesThatIsInUse) {
  const auto first = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(first->Start(), IsOk());
  const std::string taken = "127.0.0.1:" + std::to_string(first->grpc_port());
  const auto refused = [&](ServerOptions options) {
    const auto server = *Create(std::move(options));
    EXPECT_THAT(server->Start(),
                AllOf(StatusIs(absl::StatusCode::kUnavailable),
                      MessageIs(HasSubstr(taken + ": Address already"))));
    EXPECT_EQ(server->grpc_port(), 0);
    EXPECT_EQ(server->plaintext_port(), 0);
  };
  refused({.grpc_address = "127.0.0.1:0", .plaintext_address = taken});
  refused({.grpc_address = "unix:" + folder_.path() + "/socket",
           .plaintext_address = taken});
  refused({.grpc_address = taken, .plaintext_address = "127.0.0.1:0"});
}

// Runs a test's code while the server starts.
class AtRegistration : public ServerInterceptor {
 public:
  explicit AtRegistration(std::function<void()> code)
      : code_(std::move(code)) {}
  std::string_view name() const override { return "at_registration"; }
  Stage stage() const override { return Stage::kCheck; }
  absl::StatusOr<Hooks> Register(const Method& /*method*/) override {
    if (code_ != nullptr) std::exchange(code_, nullptr)();
    return Hooks{};
  }

 private:
  std::function<void()> code_;
};

TEST_F(ServerTest, IsNotServingAfterAShutdownThatCameWhileItStarted) {
  const auto server = *Create({.grpc_address = "127.0.0.1:0"});
  server->Use(std::make_shared<AtRegistration>(
      [&] { std::thread([&] { server->Shutdown(); }).join(); }));
  EXPECT_THAT(server->Start(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(server->phase(), ServerPhase::kStopped);
  EXPECT_EQ(server->grpc_port(), 0);
}

TEST_F(ServerTest, StartAndShutdownMayMeetAnywhere) {
  for (int round = 0; round < 40; ++round) {
    const auto server = *Create({.grpc_address = "127.0.0.1:0"});
    std::promise<void> starting;
    server->Use(std::make_shared<AtRegistration>(
        [&starting] { starting.set_value(); }));
    std::thread ending([&] {
      starting.get_future().wait();
      // From here it takes Start about a millisecond.
      const auto until = std::chrono::steady_clock::now() +
                         round * std::chrono::microseconds(50);
      while (std::chrono::steady_clock::now() < until) {
      }
      server->Shutdown(0s, 0s);
      EXPECT_EQ(server->phase(), ServerPhase::kStopped);
    });
    const absl::Status started = server->Start();
    EXPECT_THAT(started, AnyOf(IsOk(), StatusIs(absl::StatusCode::kCancelled)));
    ending.join();
    EXPECT_EQ(server->phase(), ServerPhase::kStopped);
  }
}

TEST_F(ServerTest, WhatIsAddedTooLateIsLeftOutAndTold) {
  auto server = *Server::Create({.name = "echo",
                                 .grpc_address = "127.0.0.1:0",
                                 .drain_delay = 0s,
                                 .log_sink = log_});
  ASSERT_THAT(server->Start(), IsOk());
  bool ran = false;
  server->Add<EchoService>(echo_).AddUnguarded(echo_).Use(
      std::make_shared<AtRegistration>([&] { ran = true; }));
  EXPECT_EQ(log_->LinesWhere("what", "a service").size(), 1u);
  EXPECT_EQ(log_->LinesWhere("what", "an unguarded service").size(), 1u);
  EXPECT_EQ(log_->LinesWhere("what", "at_registration").size(), 1u);
  server->Shutdown(0s, 0s);
  EXPECT_FALSE(ran);
}

TEST_F(ServerTest, RunEndsWithAShutdownByTheApplication) {
  const auto server = *Create({.grpc_address = "127.0.0.1:0"});
  auto code = std::async(std::launch::async, [&] { return server->Run(); });
  while (server->phase() != ServerPhase::kServing) std::this_thread::yield();
  server->Shutdown(0s, 0s);
  EXPECT_EQ(code.get(), 0);
}

// Its disk is slow.
class SlowSink : public LogSink {
 public:
  void Write(std::string_view /*line*/) override {}
  void Flush() override {
    std::this_thread::sleep_for(100ms);
    flushed = true;
  }
  std::uint64_t dropped() const override { return 0; }

  std::atomic<bool> flushed{false};
};

TEST_F(ServerTest, IsNotDestroyedWhileAnotherThreadEndsIt) {
  const auto sink = std::make_shared<SlowSink>();
  auto server = *Create({.grpc_address = "127.0.0.1:0", .log_sink = sink});
  std::thread ending;
  {
    auto code = std::async(std::launch::async, [&] { return server->Run(); });
    while (server->phase() != ServerPhase::kServing) std::this_thread::yield();
    ending = std::thread([s = server.get()] { s->Shutdown(0s, 0s); });
    EXPECT_EQ(code.get(), 0);
  }
  server = nullptr;
  EXPECT_TRUE(sink->flushed);
  ending.join();
}

class BrokenRegistry : public Registry {
 public:
  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string /*service*/, Instance /*instance*/,
      RegistrationOptions /*options*/) override {
    throw std::runtime_error("no such registry");
  }
  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string /*service*/, OnChange /*on_change*/) override {
    return absl::UnimplementedError("nobody watches");
  }
};

TEST_F(ServerTest, AnnouncementsTakeNoHealthWatchesFromClients) {
  const auto server =
      *Create({.grpc_address = "127.0.0.1:0",
               .announce = {.uri = "memory:", .services = {"one", "two"}},
               .max_health_watches = 1});
  ASSERT_THAT(server->Start(), IsOk());
  namespace proto = grpc::health::v1;
  const auto health = proto::Health::NewStub(Plaintext(server->grpc_port()));
  grpc::ClientContext context;
  const auto watch = health->Watch(&context, proto::HealthCheckRequest());
  proto::HealthCheckResponse response;
  EXPECT_TRUE(watch->Read(&response));
  context.TryCancel();
}

TEST_F(ServerTest, AnExceptionOutOfStartLeavesNothingBehind) {
  const auto server =
      *Create({.grpc_address = "127.0.0.1:0",
               .announce = {.registry = std::make_shared<BrokenRegistry>()}});
  EXPECT_THROW((void)server->Start(), std::runtime_error);
  EXPECT_EQ(server->phase(), ServerPhase::kCreated);
  EXPECT_EQ(server->grpc_port(), 0);
  server->Shutdown();
  EXPECT_EQ(server->phase(), ServerPhase::kStopped);
}

TEST_F(ServerTest, AnEndlessGraceDoesNotEndAtOnce) {
  const auto server = *Create({.grpc_address = "127.0.0.1:0"});
  std::promise<void> entered;
  std::promise<void> leave;
  probe_.on_enter = [&](grpc::ServerContextBase& /*context*/) {
    entered.set_value();
    leave.get_future().wait();
  };
  ASSERT_THAT(server->Start(), IsOk());
  auto call = std::async(std::launch::async, [&] {
    return Echo(Plaintext(server->grpc_port()), "hello", 30s);
  });
  entered.get_future().wait();
  std::thread ending(
      [&] { server->Shutdown(-1s, std::chrono::nanoseconds::max()); });
  while (server->phase() != ServerPhase::kStopping) std::this_thread::yield();
  leave.set_value();
  EXPECT_THAT(call.get(), IsOk());
  ending.join();
  EXPECT_EQ(log_->LinesWhere("code", "CANCELLED").size(), 0u);
}

grpc::health::v1::HealthCheckResponse::ServingStatus Health(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = grpc::health::v1::Health::NewStub(channel)->Check(
      &context, request, &response);
  return status.ok() ? response.status()
                     : grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN;
}

// The status line of an answer to a GET, and its body.
std::pair<std::string, std::string> Get(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return {"no connection", ""};
  }
  const std::string request = "GET " + path +
                              " HTTP/1.1\r\nhost: test\r\n"
                              "connection: close\r\n\r\n";
  EXPECT_EQ(write(fd, request.data(), request.size()),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(fd, buffer, sizeof buffer)) > 0;) {
    answer.append(buffer, static_cast<std::size_t>(count));
  }
  close(fd);
  return {answer.substr(0, answer.find('\r')),
          answer.substr(std::min(answer.size(), answer.find("\r\n\r\n") + 4))};
}

TEST_F(ServerTest, HealthFollowsTheServersLife) {
  std::promise<void> draining;
  std::promise<void> checked;
  auto server =
      *Create({.grpc_address = "127.0.0.1:0", .http_address = "127.0.0.1:0"});
  server->OnDrain([&] {
    draining.set_value();
    checked.get_future().wait();
  });
  ASSERT_THAT(server->Start(), IsOk());
  const auto channel = Plaintext(server->grpc_port());
  using grpc::health::v1::HealthCheckResponse;
  for (const char* service : {"", "echo.v1.EchoService"}) {
    EXPECT_EQ(Health(channel, service), HealthCheckResponse::SERVING);
  }
  EXPECT_EQ(Health(channel, "no.such.Service"),
            HealthCheckResponse::SERVICE_UNKNOWN);
  EXPECT_THAT(Get(server->http_port(), "/healthz/ready").first,
              HasSubstr("200"));

  // A watch sees the end coming, and does not keep the server from it.
  grpc::ClientContext context;
  auto watch = grpc::health::v1::Health::NewStub(channel)->Watch(
      &context, grpc::health::v1::HealthCheckRequest());
  HealthCheckResponse seen;
  ASSERT_TRUE(watch->Read(&seen));
  EXPECT_EQ(seen.status(), HealthCheckResponse::SERVING);
  std::thread stopping([&] { server->Shutdown(0s, 1h); });
  draining.get_future().wait();
  ASSERT_TRUE(watch->Read(&seen));
  EXPECT_EQ(seen.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_THAT(Get(server->http_port(), "/healthz/ready").first,
              HasSubstr("503"));
  EXPECT_THAT(Get(server->http_port(), "/healthz/live").first,
              HasSubstr("200"));
  checked.set_value();
  stopping.join();
  EXPECT_FALSE(watch->Read(&seen));
  EXPECT_THAT(watch->Finish(), StatusIs(grpc::StatusCode::UNAVAILABLE));
}

TEST_F(ServerTest, ChecksHoldDownWhatCannotDoWithoutUntilItEnds) {
  std::atomic<bool> there = false;
  std::atomic<int> runs = 0;
  auto server =
      *Create({.grpc_address = "127.0.0.1:0", .http_address = "127.0.0.1:0"});
  server
      ->AddCheck({.name = "database",
                  .interval = 10ms,
                  .timeout = 10ms,
                  .failures_before_down = 1},
                 [&](DependencyChecks::Done done) {
                   ++runs;
                   done(there ? absl::OkStatus()
                              : absl::UnavailableError("not there"));
                 })
      .AddBlockingCheck({.name = "disk", .interval = 10ms, .timeout = 10ms},
                        [] { return absl::OkStatus(); });
  EXPECT_EQ(runs, 0);
  ASSERT_THAT(server->Start(), IsOk());
  const auto wait_for = [&](const std::string& status,
                            const std::string& text) {
    for (;;) {
      const auto [line, body] = Get(server->http_port(), "/healthz/ready");
      if (line.find(status) != std::string::npos &&
          body.find(text) != std::string::npos) {
        return true;
      }
    }
  };
  EXPECT_TRUE(wait_for("503", "not there"));
  EXPECT_NE(Health(Plaintext(server->grpc_port()), "echo.v1.EchoService"),
            grpc::health::v1::HealthCheckResponse::SERVING);
  there = true;
  EXPECT_TRUE(wait_for("200", R"("name":"disk","status":"up")"));
  there = false;
  EXPECT_TRUE(wait_for("503", "not there"));
  bool ended = false;
  server->OnStopped([&] {
    const int before = runs;
    std::promise<void> later;  // the server's timers go on without it
    server->scheduler().RunAfter(50ms, [&later] { later.set_value(); });
    later.get_future().wait();
    ended = runs == before;
  });
  server->Shutdown(0s, 0s);
  EXPECT_TRUE(ended);
}

TEST_F(ServerTest, ACheckThatMakesNoSenseStopsTheStart) {
  const auto up = [](DependencyChecks::Done done) { done(absl::OkStatus()); };
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  server->AddCheck({.name = "database"}, up).AddCheck({.name = "database"}, up);
  EXPECT_THAT(server->Start(), StatusIs(absl::StatusCode::kAlreadyExists));
  auto other = *Create({.grpc_address = "127.0.0.1:0"});
  other->AddCheck({.name = "database", .interval = 1ns}, up);
  EXPECT_THAT(other->Start(),
              AllOf(StatusIs(kInvalid), MessageIs(HasSubstr("interval"))));
}

TEST_F(ServerTest, TheHttpPortShowsMetricsAndVersion) {
  auto server = *Create({.version = "1.2.3",
                         .grpc_address = "127.0.0.1:0",
                         .http_address = "127.0.0.1:0"});
  ASSERT_THAT(server->Start(), IsOk());
  ASSERT_THAT(Echo(Plaintext(server->grpc_port())), IsOk());
  EXPECT_THAT(
      Get(server->http_port(), "/version").second,
      AllOf(HasSubstr("\"version\":\"1.2.3\""), HasSubstr("\"grpc\":\"")));
  EXPECT_THAT(Get(server->http_port(), "/metrics").second,
              AllOf(HasSubstr("grpc_server_handled_total"),
                    HasSubstr("grpccommon_build_info"),
                    HasSubstr("process_resident_memory_bytes")));
  server->Shutdown(0s, 0s);
  EXPECT_EQ(Get(server->http_port(), "/version").first, "no connection");
}

TEST_F(ServerTest, AClientThatOnlyHoldsItsConnectionDoesNotHoldUpTheEnd) {
  auto server = *Create({.grpc_address = "127.0.0.1:0"});
  ASSERT_THAT(server->Start(), IsOk());
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(server->grpc_port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address),
            0);
  // HTTP/2's preface and empty SETTINGS, and never a look at the answer.
  const std::string hello(
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
      "\0\0\0\4\0\0\0\0\0",
      24 + 9);
  ASSERT_EQ(write(fd, hello.data(), hello.size()),
            static_cast<ssize_t>(hello.size()));
  char answer;
  ASSERT_EQ(read(fd, &answer, 1), 1);
  const auto begin = std::chrono::steady_clock::now();
  server->Shutdown(0s, 1h);
  // gRPC's clients look at such connections every five seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
  close(fd);
}

TEST_F(ServerTest, AnHttpPortInUseStopsTheStart) {
  auto first =
      *Create({.grpc_address = "127.0.0.1:0", .http_address = "127.0.0.1:0"});
  ASSERT_THAT(first->Start(), IsOk());
  const std::string address = "127.0.0.1:" + std::to_string(first->http_port());
  auto second =
      *Create({.grpc_address = "127.0.0.1:0", .http_address = address});
  EXPECT_THAT(second->Start(), AllOf(StatusIs(absl::StatusCode::kUnavailable),
                                     MessageIs(HasSubstr(address))));
}

// Runs a server in a process of its own, whose end can be watched.
class Process {
 public:
  explicit Process(const std::function<int(int ready_fd)>& run) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      _exit(run(ends[1]));
    }
    close(ends[1]);
    char byte = 0;
    EXPECT_EQ(read(ends[0], &byte, 1), 1) << "the server did not start";
    close(ends[0]);
  }
  void Signal(int signal) const { kill(pid_, signal); }
  int Wait() const {
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

// Forked before this process has used gRPC, which does not survive a fork: the
// tests that do so are DeathTests, which googletest runs first.
int RunServer(ServerOptions options, int ready_fd) {
  // What Run puts back at its end: a signal too many is not to end the process.
  std::signal(SIGINT, SIG_IGN);
  options.name = "child";
  options.grpc_address = "127.0.0.1:0";
  EchoProbe probe;
  test::SyncEcho echo(probe);
  auto server = Server::Create(std::move(options));
  if (!server.ok()) return ExitWith(server.status());
  (*server)->Add<EchoService>(echo);
  // A hook that tells the parent cannot come from inside Run, so a thread asks.
  std::thread teller([&server, ready_fd] {
    while ((*server)->phase() != ServerPhase::kServing) {
      std::this_thread::yield();
    }
    if (write(ready_fd, "r", 1) != 1) std::abort();
  });
  const int code = (*server)->Run();
  teller.join();
  return code;
}

TEST(ServerProcessDeathTest, SigtermEndsItWithCodeZeroAndALoggedLife) {
  TemporaryFolder folder;
  const std::string log = folder.path() + "/log";
  Process process([&](int ready) {
    return RunServer({.drain_delay = 0s, .log = {.destination = log}}, ready);
  });
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0);
  std::ifstream file(log);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  for (const char* phase : {"serving", "draining", "stopping", "stopped"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\"phase\":\"") + phase));
  }
}

TEST(ServerProcessDeathTest, TheFirstSignalAfterAShutdownIsNoSecondOne) {
  TemporaryFolder folder;
  const std::string log = folder.path() + "/log";
  Process process([&](int ready) {
    ServerOptions options{.name = "child",
                          .grpc_address = "127.0.0.1:0",
                          .drain_delay = 1h,
                          .log = {.destination = log}};
    const auto server = *Server::Create(std::move(options));
    std::thread ending([&] {
      while (server->phase() != ServerPhase::kServing) {
        std::this_thread::yield();
      }
      server->Shutdown();
    });
    std::thread teller([&] {
      while (server->phase() != ServerPhase::kDraining) {
        std::this_thread::yield();
      }
      if (write(ready, "r", 1) != 1) std::abort();
    });
    const int code = server->Run();
    ending.join();
    teller.join();
    return code;
  });
  const auto logged = [&log](std::string_view text) {
    std::ifstream file(log);
    const std::string all((std::istreambuf_iterator<char>(file)), {});
    return all.find(text) != std::string::npos;
  };
  process.Signal(SIGTERM);
  while (!logged("shutting down already")) std::this_thread::yield();
  EXPECT_FALSE(logged("second signal"));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0);
  EXPECT_TRUE(logged("second signal"));
}

TEST(ServerProcessDeathTest, ASecondSignalSkipsTheDrain) {
  TemporaryFolder folder;
  Process process([&](int ready) {
    return RunServer({.drain_delay = 1h,
                      .grace_period = 1h,
                      .log = {.destination = folder.path() + "/log"}},
                     ready);
  });
  process.Signal(SIGINT);
  // Again and again: two signals that come together may count as one.
  std::promise<int> ended;
  std::thread waiter([&] { ended.set_value(process.Wait()); });
  auto code = ended.get_future();
  while (code.wait_for(20ms) != std::future_status::ready) {
    process.Signal(SIGINT);
  }
  waiter.join();
  EXPECT_EQ(code.get(), 0);
}

// A server whose dependency check never returns, in a process that tells when
// it runs; with what ends its start, if anything.
Process StuckInACheck(const std::string& log,
                      std::shared_ptr<Registry> registry = nullptr,
                      std::shared_ptr<std::promise<void>> checking =
                          std::make_shared<std::promise<void>>()) {
  return Process([=](int ready) {
    std::signal(SIGINT, SIG_IGN);
    auto server = *Server::Create(
        {.name = "child",
         .grpc_address = "127.0.0.1:0",
         .drain_delay = 0s,
         .stuck_timeout = 100ms,
         .announce = {.registry = registry, .services = {"one"}},
         .log = {.destination = log}});
    server->AddBlockingCheck(
        {.name = "database", .interval = 10ms, .timeout = 10ms},
        [=]() -> absl::Status {
          if (write(ready, "r", 1) != 1) std::abort();
          checking->set_value();
          while (true) pause();
        });
    return server->Run();
  });
}

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(ServerProcessDeathTest, ADependencyCheckThatHangsDoesNotHoldUpTheEnd) {
  TemporaryFolder folder;
  const std::string log = folder.path() + "/log";
  const Process process = StuckInACheck(log);
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 70);
  EXPECT_THAT(TextOf(log), HasSubstr("a dependency check does not end"));
}

TEST(ServerProcessDeathTest, NorIfNobodyReadsItsLog) {
  TemporaryFolder folder;
  const std::string log = folder.path() + "/log";
  ASSERT_EQ(mkfifo(log.c_str(), 0600), 0);
  const int pipe = open(log.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(pipe, 0);
  while (write(pipe, "x", 1) == 1) {
  }
  const Process process = StuckInACheck(log);
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 70);
  close(pipe);
}

// Refuses once a check runs.
class LateRegistry : public BrokenRegistry {
 public:
  explicit LateRegistry(std::shared_ptr<std::promise<void>> checking)
      : checking_(std::move(checking)) {}
  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string /*service*/, Instance /*instance*/,
      RegistrationOptions /*options*/) override {
    checking_->get_future().wait();
    return absl::UnavailableError("no such registry");
  }

 private:
  const std::shared_ptr<std::promise<void>> checking_;
};

TEST(ServerProcessDeathTest, NorThatOfAFailedStart) {
  TemporaryFolder folder;
  const std::string log = folder.path() + "/log";
  const auto checking = std::make_shared<std::promise<void>>();
  const Process process =
      StuckInACheck(log, std::make_shared<LateRegistry>(checking), checking);
  EXPECT_EQ(process.Wait(), 70);
  EXPECT_THAT(TextOf(log), HasSubstr("no such registry"));
}

// Has itself called, and refuses once that call runs.
class CallingRegistry : public BrokenRegistry {
 public:
  explicit CallingRegistry(std::future<void> running)
      : running_(std::move(running)) {}
  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string /*service*/, Instance instance,
      RegistrationOptions /*options*/) override {
    std::thread([address = instance.address] {
      Echo(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()),
           "hello", 1h);
    }).detach();
    running_.wait();
    return absl::UnavailableError("no such registry");
  }

 private:
  const std::future<void> running_;
};

TEST(ServerProcessDeathTest, NorDoesAHandlerHoldUpThatOfAFailedStart) {
  TemporaryFolder folder;
  const std::string log = folder.path() + "/log";
  const Process process([&](int ready) {
    std::promise<void> running;
    EchoProbe probe;
    probe.on_enter = [&](grpc::ServerContextBase& /*context*/) {
      if (write(ready, "r", 1) != 1) std::abort();
      running.set_value();
      while (true) pause();
    };
    test::SyncEcho echo(probe);
    const auto server = *Server::Create(
        {.name = "child",
         .grpc_address = "127.0.0.1:0",
         .stuck_timeout = 100ms,
         .announce = {.registry = std::make_shared<CallingRegistry>(
                          running.get_future()),
                      .services = {"one"}},
         .log = {.destination = log}});
    server->Add<EchoService>(echo);
    return server->Run();
  });
  EXPECT_EQ(process.Wait(), 70);
  EXPECT_THAT(TextOf(log),
              AllOf(HasSubstr("handlers ignore their cancellation"),
                    HasSubstr("no such registry")));
}

TEST(ServerProcessDeathTest, NorDoesACheckThatHangsBesideOneThatCannotBe) {
  const Process process([&](int ready) {
    const auto server = *Server::Create({.name = "child",
                                         .grpc_address = "127.0.0.1:0",
                                         .stuck_timeout = 100ms,
                                         .log = {.destination = "/dev/null"}});
    // So many that the first run while the others are added.
    for (int i = 0; i <= 2000; ++i) {
      server->AddBlockingCheck({.name = absl::StrCat("check-", i % 2000),
                                .interval = 10ms,
                                .timeout = 10ms},
                               [] {
                                 while (true) pause();
                                 return absl::OkStatus();
                               });
    }
    if (write(ready, "r", 1) != 1) std::abort();
    return server->Run();
  });
  // The latter where none has run after all.
  EXPECT_THAT(process.Wait(), AnyOf(70, 78));
}

// Abseil's answer to mutexes that are locked in the other order.
int LockInBothOrders() {
  absl::Mutex first;
  absl::Mutex second;
  first.Lock();
  second.Lock();
  second.Unlock();
  first.Unlock();
  second.Lock();
  first.Lock();
  first.Unlock();
  second.Unlock();
  return 0;
}

TEST(ServerProcessDeathTest, AbseilLooksForDeadlocksOnlyWhereItIsLeftTo) {
  const auto child = [](std::optional<bool> detection) {
    Process process([&](int ready) {
      absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kAbort);
      if (detection.has_value()) {
        auto server = *Server::Create({.name = "child",
                                       .grpc_address = "127.0.0.1:0",
                                       .log = {.destination = "/dev/null"},
                                       .mutex_deadlock_detection = *detection});
        if (!server->Start().ok()) return 1;
        server->Shutdown(0s, 0s);
      }
      if (write(ready, "r", 1) != 1) return 1;
      return LockInBothOrders();
    });
    return process.Wait();
  };
  // How Abseil was built decides whether it looks at all.
  const int alone = child(std::nullopt);
  EXPECT_THAT(alone, AnyOf(0, -SIGABRT));
  EXPECT_EQ(child(true), alone);
  EXPECT_EQ(child(false), 0);
}

TEST(ServerProcessDeathTest, ExitCodesAreThoseOfSysexits) {
  EXPECT_EQ(ExitWith(absl::OkStatus()), 0);
  EXPECT_EQ(ExitWith(absl::InvalidArgumentError("x")), 78);
  EXPECT_EQ(ExitWith(absl::PermissionDeniedError("x")), 77);
  EXPECT_EQ(ExitWith(absl::UnavailableError("x")), 69);
  EXPECT_EQ(ExitWith(absl::InternalError("x")), 70);
}

}  // namespace
}  // namespace grpccommon
