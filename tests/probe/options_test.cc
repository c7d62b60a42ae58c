// SPDX-License-Identifier: Apache-2.0
#include "probe/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace grpccommon::probe {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;
using Arguments = std::vector<std::string>;

Options Parse(const Arguments& arguments) {
  const absl::StatusOr<Options> options = ParseArguments(arguments);
  EXPECT_TRUE(options.ok()) << options.status();
  return options.ok() ? *options : Options();
}

std::string Refusal(const Arguments& arguments) {
  const absl::StatusOr<Options> options = ParseArguments(arguments);
  EXPECT_EQ(options.status().code(), absl::StatusCode::kInvalidArgument)
      << ::testing::PrintToString(arguments);
  std::string message(options.status().message());
  for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), ' ');
  return message;
}

TEST(ProbeOptionsTest, HasDefaultsForAllButTheAddress) {
  const Options options = Parse({"--addr=localhost:50051"});
  EXPECT_EQ(options.action, Options::Action::kProbe);
  EXPECT_EQ(options.address, "localhost:50051");
  EXPECT_EQ(options.service, "");
  EXPECT_EQ(options.connect_timeout, 1s);
  EXPECT_EQ(options.rpc_timeout, 1s);
  EXPECT_EQ(options.wait, std::nullopt);
  EXPECT_FALSE(options.watch);
  EXPECT_FALSE(options.tls);
  EXPECT_EQ(options.output, Options::Output::kText);
}

TEST(ProbeOptionsTest, ReadsEveryFlag) {
  const Options options =
      Parse({"--addr=h:1", "--service=a.B", "--connect-timeout=250ms",
             "--rpc-timeout=1m30s", "--wait=24h", "--tls", "--tls-ca-cert=ca",
             "--tls-client-cert=cert", "--tls-client-key=key",
             "--tls-server-name=name", "--user-agent=agent/1", "--json"});
  EXPECT_EQ(options.service, "a.B");
  EXPECT_EQ(options.connect_timeout, 250ms);
  EXPECT_EQ(options.rpc_timeout, 90s);
  EXPECT_EQ(options.wait, 24h);
  EXPECT_TRUE(options.tls);
  EXPECT_EQ(options.tls_ca_cert, "ca");
  EXPECT_EQ(options.tls_client_cert, "cert");
  EXPECT_EQ(options.tls_client_key, "key");
  EXPECT_EQ(options.tls_server_name, "name");
  EXPECT_EQ(options.user_agent, "agent/1");
  EXPECT_EQ(options.output, Options::Output::kJson);
  EXPECT_TRUE(Parse({"--addr=h:1", "--watch"}).watch);
  EXPECT_EQ(Parse({"--addr=h:1", "--quiet"}).output, Options::Output::kQuiet);
  EXPECT_EQ(Parse({"--help"}).action, Options::Action::kHelp);
  EXPECT_EQ(Parse({"--version"}).action, Options::Action::kVersion);
}

TEST(ProbeOptionsTest, TakesFlagsInTheWaysOfOtherProbes) {
  for (const Arguments& arguments :
       {Arguments{"-addr=h:1", "-service=s", "-tls"},
        Arguments{"-addr", "h:1", "-service", "s", "-tls=true"},
        Arguments{"--tls", "--service", "s", "--addr", "h:1"}}) {
    const Options options = Parse(arguments);
    EXPECT_EQ(options.address, "h:1");
    EXPECT_EQ(options.service, "s");
    EXPECT_TRUE(options.tls);
  }
  EXPECT_FALSE(Parse({"--addr=h:1", "--tls=false"}).tls);
  EXPECT_EQ(Parse({"--addr=h:1", "--service="}).service, "");
  EXPECT_EQ(Parse({"--addr=h:1", "--service=a=b"}).service, "a=b");
}

TEST(ProbeOptionsTest, TakesTheAddressesThatGrpcTakes) {
  const std::vector<std::pair<std::string, std::string>> addresses = {
      {":50051", "localhost:50051"},
      {"127.0.0.1:1", "127.0.0.1:1"},
      {"[::1]:65535", "[::1]:65535"},
      {"a.b-c_d:1", "a.b-c_d:1"},
      {"unix:/tmp/s", "unix:/tmp/s"},
      {"unix:///tmp/s", "unix:///tmp/s"},
      {"unix-abstract:s", "unix-abstract:s"},
      {"dns:///h:1", "dns:///h:1"},
      {"ipv4:127.0.0.1:1", "ipv4:127.0.0.1:1"},
      {"ipv6:[::1]:1", "ipv6:[::1]:1"}};
  for (const auto& [given, taken] : addresses) {
    EXPECT_EQ(Parse({"--addr=" + given}).address, taken);
  }
  for (const std::string refused :
       {"", "h", "h:", "h:x", "h:0", "h:65536", "h:-1", "::1:1", "[::1:1",
        "::1]:1", "[]:1", "http://h:1", "h:1/", "h x:1", "unix:", "/tmp/s"}) {
    EXPECT_THAT(Refusal({"--addr=" + refused}), HasSubstr("--addr")) << refused;
  }
}

TEST(ProbeOptionsTest, RefusesByNameAndSaysWhatToDo) {
  const std::vector<std::pair<Arguments, std::string>> refusals = {
      {{}, "--addr is missing"},
      {{"--service=a"}, "--addr is missing"},
      {{"localhost:50051"}, "'localhost:50051' is none; see --help"},
      {{"-"}, "'-' is none"},
      {{"--"}, "'--' is none"},
      {{"--adr=h:1"}, "there is no flag '--adr=h:1'; see --help"},
      {{"--=x"}, "there is no flag"},
      {{"--addr"}, "--addr needs a value"},
      {{"--addr=h:1", "--addr=h:2"}, "--addr is given twice"},
      {{"--addr=h:1", "-tls", "--tls"}, "--tls is given twice"},
      {{"--addr=h:1", "--tls=maybe"}, "--tls takes no value"},
      {{"--addr=h:1", "--rpc-timeout=5"}, "--rpc-timeout must be a duration"},
      {{"--addr=h:1", "--rpc-timeout=0s"},
       "--rpc-timeout must be in [1ms, 1h]"},
      {{"--addr=h:1", "--rpc-timeout=-1s"}, "--rpc-timeout must be in"},
      {{"--addr=h:1", "--rpc-timeout=inf"}, "--rpc-timeout must be in"},
      {{"--addr=h:1", "--connect-timeout=61m"}, "--connect-timeout must be in"},
      {{"--addr=h:1", "--wait=25h"}, "--wait must be in [1ms, 24h]"},
      {{"--addr=h:1", "--wait="}, "--wait must be a duration"},
      {{"--addr=h:1", "--wait=1s", "--watch"}, "leave one of them out"},
      {{"--addr=h:1", "--json", "--quiet"}, "leave one out"},
      {{"--addr=h:1", "--tls-ca-cert=f"},
       "--tls-ca-cert is for TLS: add --tls"},
      {{"--addr=h:1", "--tls-server-name=n"}, "--tls-server-name is for TLS"},
      {{"--addr=h:1", "--tls", "--tls-client-cert=f"}, "add --tls-client-key"},
      {{"--addr=h:1", "--tls", "--tls-client-key=f"}, "add --tls-client-cert"},
      {{"--addr=h:1", "--tls", "--tls-ca-cert="}, "--tls-ca-cert must not be"},
      {{"--addr=h:1", "--service=\xff"}, "--service must be UTF-8"},
      {{"--addr=h:1", "--tls-no-verify"},
       "--tls-no-verify is not offered: name the authority with --tls-ca-cert"},
      {{"--addr=h:1", "-spiffe"}, "--spiffe is not offered: use --tls"},
      {{"--addr=h:1", "--rpc-header=a:b"}, "--rpc-header is not offered"},
      {{"--addr=h:1", "-gzip"}, "--gzip is not offered"},
      {{"--addr=h:1", "-v"}, "--v is not offered: use --json"},
      {{"--addr=h:1\n\x1b[2J"}, "--addr must end in a port"}};
  for (const auto& [arguments, message] : refusals) {
    EXPECT_THAT(Refusal(arguments), HasSubstr(message));
  }
}

TEST(ProbeOptionsTest, TheHelpNamesEveryFlagAndEveryExitCode) {
  const std::string help(HelpText());
  for (const std::string flag :
       {"addr", "service", "connect-timeout", "rpc-timeout", "wait", "watch",
        "tls", "tls-ca-cert", "tls-client-cert", "tls-client-key",
        "tls-server-name", "user-agent", "json", "quiet", "help", "version"}) {
    EXPECT_THAT(help, HasSubstr("--" + flag));
  }
  for (int code = 0; code <= 5; ++code) {
    EXPECT_THAT(help, HasSubstr("\n  " + std::to_string(code) + "  "));
  }
}

}  // namespace
}  // namespace grpccommon::probe
