// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/process/clients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpccommon/base/scheduler.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/config.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "support/test_server.h"

namespace grpccommon {
namespace {

using grpccommon::testing::IsOk;
using grpccommon::testing::MessageIs;
using grpccommon::testing::RecordingLogSink;
using grpccommon::testing::StatusIs;
using grpccommon::testing::TemporaryFolder;
using test::EchoRequest;
using test::EchoService;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class ClientsTest : public ::testing::Test {
 protected:
  // The server of the process that calls.
  std::unique_ptr<Server> CreateServer(ServerOptions options) {
    options.name = "caller";
    options.log_sink = std::make_shared<RecordingLogSink>();
    auto server = Server::Create(std::move(options));
    EXPECT_THAT(server, IsOk());
    return *std::move(server);
  }
  // A registry that says where `callee` is.
  std::string RegistryOf(const test::TestServer& callee) {
    return "file:" +
           folder_.Write(
               "registry.json",
               R"({"services": {"echo.v1.EchoService": [{"address": ")" +
                   callee.address() + "\"}]}}");
  }
  // Clients that wait for their endpoint however busy the machine is.
  static absl::StatusOr<std::unique_ptr<ClientManager>> Patient(
      Server& server) {
    ClientManagerOptions options;
    options.defaults.discovery.max_wait = std::chrono::seconds(30);
    return CreateClients(server, std::move(options));
  }
  static absl::Status Call(ClientManager& clients) {
    const auto echo = clients.Get<EchoService>();
    EXPECT_THAT(echo, IsOk());
    EchoRequest request;
    request.set_text("hello");
    return (*echo)
        ->Call(&EchoService::Stub::Unary, request,
               {.timeout = std::chrono::seconds(30)})
        .status();
  }
  // What the echo service is shown.
  std::function<void(grpc::ServerContextBase&)> Note() {
    return [this](grpc::ServerContextBase& context) {
      authorization_.clear();
      const auto shown = context.client_metadata().find("authorization");
      if (shown != context.client_metadata().end()) {
        authorization_.assign(shown->second.data(), shown->second.size());
      }
    };
  }

  TemporaryFolder folder_;
  std::string authorization_;
};

TEST_F(ClientsTest, FindOthersAndShowThemTheToken) {
  test::TestServer callee(test::Style::kCallback, /*tls=*/false);
  callee.probe().on_enter = Note();
  const auto options = ApplyEnvironment(
      {},
      {{"GRPCCOMMON_CLIENTS__REGISTRY", RegistryOf(callee)},
       {"GRPCCOMMON_CLIENTS__TOKEN_FILE", folder_.Write("token", "t0ken\n")},
       {"GRPCCOMMON_CLIENTS__TOKEN_IN_PLAINTEXT", "true"}});
  ASSERT_THAT(options, IsOk());
  const auto server = CreateServer(*options);
  const auto clients = Patient(*server);
  ASSERT_THAT(clients, IsOk());
  EXPECT_THAT(Call(**clients), IsOk());
  EXPECT_EQ(authorization_, "Bearer t0ken");
  EXPECT_THAT(server->metrics().Expose(),
              HasSubstr("grpc_client_handled_total{"));
}

TEST_F(ClientsTest, ShowNoTokenInPlaintextUnlessTold) {
  test::TestServer callee(test::Style::kCallback, /*tls=*/false);
  const auto server = CreateServer(
      {.clients = {.registry = RegistryOf(callee),
                   .token_file = folder_.Write("token", "t0ken")}});
  const auto clients = Patient(*server);
  ASSERT_THAT(clients, IsOk());
  EXPECT_THAT(Call(**clients),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                    MessageIs(Not(HasSubstr("t0ken")))));
  EXPECT_EQ(callee.probe().entered, 0);
}

TEST_F(ClientsTest, SpeakTls) {
  test::TestServer callee(test::Style::kCallback, /*tls=*/true);
  callee.probe().on_enter = Note();
  const auto server = CreateServer(
      {.clients = {.registry = RegistryOf(callee),
                   .token_file = folder_.Write("token", "t0ken"),
                   .tls = true,
                   .ca_file = folder_.Write("ca.pem", callee.ca_pem())}});
  const auto clients = Patient(*server);
  ASSERT_THAT(clients, IsOk());
  EXPECT_THAT(Call(**clients), IsOk());
  EXPECT_EQ(authorization_, "Bearer t0ken");
}

TEST_F(ClientsTest, LookWhereTheServerAnnouncesItself) {
  const auto scheduler = CreateScheduler();
  const std::shared_ptr<Registry> registry = CreateMemoryRegistry(*scheduler);
  test::TestServer callee(test::Style::kCallback, /*tls=*/false, {},
                          {.announce = {registry}});
  callee.probe().on_enter = Note();
  const auto server = CreateServer({.announce = {registry}});
  const auto clients = Patient(*server);
  ASSERT_THAT(clients, IsOk());
  EXPECT_THAT(Call(**clients), IsOk());
  EXPECT_EQ(authorization_, "");

  const auto by_uri = CreateServer({.announce = {.uri = RegistryOf(callee)}});
  const auto others = Patient(*by_uri);
  ASSERT_THAT(others, IsOk());
  EXPECT_THAT(Call(**others), IsOk());
}

TEST_F(ClientsTest, KeepWhatCodeDecides) {
  test::TestServer callee(test::Style::kCallback, /*tls=*/false);
  const auto scheduler = CreateScheduler();
  const std::shared_ptr<Registry> empty = CreateMemoryRegistry(*scheduler);
  const auto server =
      CreateServer({.clients = {.registry = RegistryOf(callee)}});
  ClientManagerOptions options{.registry = empty};
  options.defaults.discovery.max_wait = std::chrono::milliseconds(1);
  const auto clients = CreateClients(*server, std::move(options));
  ASSERT_THAT(clients, IsOk());
  EXPECT_THAT(Call(**clients), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ClientsTest, AreRefusedWhatMakesNoSense) {
  const auto refused = [this](ClientsOptions options) {
    const auto server = CreateServer({.clients = std::move(options)});
    return CreateClients(*server).status();
  };
  EXPECT_THAT(refused({}), AllOf(StatusIs(kInvalid),
                                 MessageIs(HasSubstr("clients.registry"))));
  EXPECT_THAT(refused({.registry = "nonsense://"}), StatusIs(kInvalid));
  EXPECT_THAT(refused({.registry = "dns:", .ca_file = "ca.pem"}),
              AllOf(StatusIs(kInvalid), MessageIs(HasSubstr("clients.tls"))));
  EXPECT_THAT(
      refused({.registry = "dns:", .token_file = folder_.path() + "/none"}),
      Not(IsOk()));
}

}  // namespace
}  // namespace grpccommon
