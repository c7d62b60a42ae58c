// SPDX-License-Identifier: Apache-2.0
#include "client/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::MessageIs;
using testing::StatusIs;

TEST(TargetTest, HostAndPortIsADnsTarget) {
  EXPECT_THAT(CheckTarget("localhost:50051"),
              IsOkAndHolds("dns:///localhost:50051"));
  EXPECT_THAT(CheckTarget("127.0.0.1:1"), IsOkAndHolds("dns:///127.0.0.1:1"));
  EXPECT_THAT(CheckTarget("[::1]:65535"), IsOkAndHolds("dns:///[::1]:65535"));
  EXPECT_THAT(CheckTarget("user_service:80"),
              IsOkAndHolds("dns:///user_service:80"));
  EXPECT_THAT(CheckTarget("users.default.svc.cluster.local.:80"),
              IsOkAndHolds("dns:///users.default.svc.cluster.local.:80"));
}

TEST(TargetTest, TargetsWithASchemeStayAsTheyAre) {
  for (const std::string target :
       {"dns:users:80", "dns:///users:80", "dns://10.0.0.2:53/users:80",
        "dns:///[2001:db8::1]:443", "ipv4:127.0.0.1:80",
        "ipv4:127.0.0.1:80,127.0.0.2:81", "ipv6:[::1]:80,[::2]:80",
        "unix:relative.sock", "unix:/run/a.sock", "unix:///run/a.sock",
        "unix-abstract:name", "xds:///users", "xds:users",
        "xds://authority/users"}) {
    EXPECT_THAT(CheckTarget(target), IsOkAndHolds(target));
  }
}

TEST(TargetTest, WhatCannotWorkIsRefusedWithWhatToDo) {
  const std::string long_path = "unix:/" + std::string(107, 'a');
  const std::pair<std::string, std::string> cases[] = {
      {"", "write host:port"},
      {"localhost", "must be host:port"},
      {"localhost:", "the port must be a number"},
      {"localhost:0", "the port must be a number"},
      {"localhost:65536", "the port must be a number"},
      {"localhost:http", "the port must be a number"},
      {":50051", "the host is empty"},
      {"::1:80", "IPv6 host must be in brackets"},
      {"[::1]", "must be host:port"},
      {"[localhost]:80", "in brackets must be an IPv6 address"},
      {"a..b:80", "each part of the host"},
      {"-a:80", "inner hyphens"},
      {"1.2.3:80", "ends in a number"},
      {"http://localhost:80", "begin with dns:"},
      {"https://localhost", "begin with dns:"},
      {"DNS:///localhost:80", "begin with dns:"},
      {"a b:80", "without blanks"},
      {"a\n:80", "without blanks"},
      {"h\xc3\xa4user:80", "printable ASCII"},
      {std::string("a\0b:80", 6), "printable ASCII"},
      {"dns:localhost", "must be host:port"},
      {"dns://localhost:80", "third slash"},
      {"dns://a:b/localhost:80", "the name server"},
      {"dns:///", "must be host:port"},
      {"dns:///a:80/b", "the port must be a number"},
      {"ipv4:", "must be host:port"},
      {"ipv4:127.0.0.1", "must be host:port"},
      {"ipv4:localhost:80", "must be IPv4 addresses"},
      {"ipv4:127.0.0.1:80,", "must be host:port"},
      {"ipv4:[::1]:80", "must be IPv4 addresses"},
      {"ipv6:127.0.0.1:80", "must be IPv6 addresses"},
      {"ipv6:::1:80", "IPv6 host must be in brackets"},
      {"unix:", "the path is empty"},
      {"unix://relative", "absolute path"},
      {long_path, "longer than 107 bytes"},
      {"unix-abstract:", "1 to 107 bytes"},
      {"xds:", "names no service"},
      {"xds:///", "names no service"},
      {"xds://authority", "names no service"},
      {std::string(5000, 'a') + ":80", "at most 4096 bytes"},
  };
  for (const auto& [target, what] : cases) {
    EXPECT_THAT(CheckTarget(target),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(what))))
        << target;
  }
}

}  // namespace
}  // namespace grpccommon::internal
