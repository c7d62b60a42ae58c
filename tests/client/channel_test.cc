// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/client/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/contracts.pb.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::CertificateAuthority;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::MessageIs;
using testing::StatusIs;
using testing::TemporaryFolder;

TEST(ChannelTest, IsMadeWithoutAServer) {
  const auto channel = CreateChannel("localhost:1");
  ASSERT_THAT(channel, IsOk());
  EXPECT_EQ((*channel)->GetState(false), GRPC_CHANNEL_IDLE);
}

TEST(ChannelTest, RefusesATargetThatCannotWork) {
  EXPECT_THAT(CreateChannel("localhost"),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs(HasSubstr("\"localhost\": must be host:port"))));
}

TEST(ChannelTest, OptionsOutOfRangeAreNamed) {
  const auto refused = [](const ChannelOptions& options,
                          const std::string& text) {
    EXPECT_THAT(CreateChannel("localhost:1", options),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(text))))
        << text;
  };
  refused({.keepalive = {.time = 9s}}, "keepalive.time must be in");
  refused({.keepalive = {.timeout = 0s}}, "keepalive.timeout must be in");
  refused({.reconnect = {.initial_backoff = 99ms}},
          "reconnect.initial_backoff must be in");
  refused({.reconnect = {.max_backoff = 499ms}},
          "reconnect.max_backoff must be in");
  refused({.reconnect = {.connect_timeout = 0ms}},
          "reconnect.connect_timeout must be in");
  refused({.max_send_message_bytes = 0}, "max_send_message_bytes must be in");
  refused({.max_receive_message_bytes = std::size_t{1} << 31},
          "max_receive_message_bytes must be in");
  refused({.compression = static_cast<grpc_compression_algorithm>(3)},
          "compression must be in");
  refused({.user_agent = "a\nb"}, "user_agent must be printable ASCII");
  refused({.services = {"no.such.Service"}},
          "no service \"no.such.Service\" is linked into this program");
  refused({.interceptors = {nullptr}}, "interceptors must not be null");
  refused({.tls = ChannelTlsOptions{.certificate_file = "a.pem"}},
          "must be set together");
  refused({.tls = ChannelTlsOptions{.reload_interval = 999ms}},
          "tls.reload_interval must be in");
}

TEST(ChannelTest, AFileThatCannotBeUsedIsNamed) {
  const CertificateAuthority authority;
  const TemporaryFolder folder;
  const auto certificate = authority.Issue();
  const std::string good =
      folder.Write("cert.pem", certificate.certificate_pem);
  EXPECT_THAT(
      CreateChannel("localhost:1",
                    {.tls = ChannelTlsOptions{.ca_file = folder.path() +
                                                         "/missing.pem"}}),
      AllOf(StatusIs(absl::StatusCode::kNotFound),
            MessageIs(HasSubstr("missing.pem"))));
  EXPECT_THAT(CreateChannel("localhost:1",
                            {.tls =
                                 ChannelTlsOptions{
                                     .ca_file = folder.Write("bad.pem", "x"),
                                 }}),
              MessageIs(HasSubstr("bad.pem holds no certificate")));
  EXPECT_THAT(
      CreateChannel(
          "localhost:1",
          {.tls = ChannelTlsOptions{.certificate_file = good,
                                    .private_key_file = folder.Write(
                                        "other.pem",
                                        authority.Issue().private_key_pem)}}),
      MessageIs(HasSubstr("other.pem is not the key of")));
}

TEST(ChannelTest, TakesAllOptionsAtOnce) {
  test::contracts::Nothing linked;
  const CertificateAuthority authority;
  const TemporaryFolder folder;
  const auto certificate = authority.Issue();
  EXPECT_THAT(
      CreateChannel(
          "dns:///localhost:1",
          {.tls =
               ChannelTlsOptions{.ca_file = folder.Write(
                                     "ca.pem", authority.certificate_pem()),
                                 .certificate_file = folder.Write(
                                     "cert.pem", certificate.certificate_pem),
                                 .private_key_file = folder.Write(
                                     "key.pem", certificate.private_key_pem),
                                 .server_name = "localhost"},
           .keepalive = {.time = 10s, .timeout = 1s, .without_calls = true},
           .compression = GRPC_COMPRESS_GZIP,
           .user_agent = "orders/1.4",
           .load_balancing_policy = "pick_first",
           .share_connections = false,
           .services = {"grpccommon.test.contracts.ContractsService"},
           .arguments = {{"grpc.max_metadata_size", 16384},
                         {"grpc.default_authority", "localhost"}}}),
      IsOk());
}

}  // namespace
}  // namespace grpccommon
