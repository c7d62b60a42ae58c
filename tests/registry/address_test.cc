// SPDX-License-Identifier: Apache-2.0
#include "registry/address.h"

#include <gmock/gmock.h>

#include <string>

#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::internal {
namespace {

using ::grpccommon::testing::IsOkAndHolds;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Field;

auto Is(const std::string& host, HostKind kind, std::uint16_t port) {
  return IsOkAndHolds(AllOf(Field(&HostPort::host, host),
                            Field(&HostPort::kind, kind),
                            Field(&HostPort::port, port)));
}

TEST(AddressTest, TakesNamesAndAddressesApart) {
  EXPECT_THAT(ParseHostPort("localhost:1"),
              Is("localhost", HostKind::kName, 1));
  EXPECT_THAT(ParseHostPort("a-1.Example.COM:65535"),
              Is("a-1.Example.COM", HostKind::kName, 65535));
  EXPECT_THAT(ParseHostPort("3com.example:80"),
              Is("3com.example", HostKind::kName, 80));
  EXPECT_THAT(ParseHostPort("0xen.example:80"),
              Is("0xen.example", HostKind::kName, 80));
  EXPECT_THAT(ParseHostPort("10.0.0.1:50051"),
              Is("10.0.0.1", HostKind::kIpv4, 50051));
  EXPECT_THAT(ParseHostPort("[2001:db8::1]:443"),
              Is("2001:db8::1", HostKind::kIpv6, 443));
  EXPECT_THAT(ParseHostPort("[::ffff:10.0.0.1]:443"),
              Is("::ffff:10.0.0.1", HostKind::kIpv6, 443));
}

TEST(AddressTest, JoinsWhatItTookApart) {
  for (const char* text : {"host:1", "10.0.0.1:2", "[::1]:3"}) {
    EXPECT_EQ(JoinHostPort(*ParseHostPort(text)), text);
  }
}

class BadAddressTest : public ::testing::TestWithParam<std::string> {};

TEST_P(BadAddressTest, IsRefused) {
  EXPECT_THAT(ParseHostPort(GetParam()),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

INSTANTIATE_TEST_SUITE_P(
    Hosts, BadAddressTest,
    ::testing::Values("", ":", ":80", "host", "host:80:90", " host:80",
                      "host :80", "host\n:80", "ho_st:80", "host.:80",
                      ".host:80", "a..b:80", "-host:80", "host-:80", "a.-b:80",
                      "h\xC3\xB6st:80", "user@host:80", "a/b:80",
                      "http://host:80", "*:80", std::string("ho\0st:80", 8),
                      std::string(64, 'a') + ":80",
                      // 254 bytes of parts that are each short enough.
                      std::string(63, 'a') + "." + std::string(63, 'a') + "." +
                          std::string(63, 'a') + "." + std::string(62, 'a') +
                          ":80"));

INSTANTIATE_TEST_SUITE_P(NumbersThatAreNoAddress, BadAddressTest,
                         ::testing::Values("1:80", "1.2:80", "1.2.3:80",
                                           "256.1.1.1:80", "1.2.3.4.5:80",
                                           "01.2.3.4:80", "1.2.3.4.:80",
                                           "0x7f000001:80", "127.0.0.0X1:80",
                                           "a.0x:80", "example.017:80",
                                           "2130706433:80", "-1.2.3.4:80"));

INSTANTIATE_TEST_SUITE_P(
    Brackets, BadAddressTest,
    ::testing::Values("::1", "::1:80", "[::1]", "[::1]80", "[::1]:", "[]:80",
                      "[host]:80", "[10.0.0.1]:80", "[::1:80", "::1]:80",
                      "[[::1]]:80", "[::1%eth0]:80", "[1::2::3]:80",
                      "[::12345]:80", std::string("[::1\0]:80", 9)));

INSTANTIATE_TEST_SUITE_P(Ports, BadAddressTest,
                         ::testing::Values("host:", "host:0", "host:00080",
                                           "host:65536", "host:99999999999",
                                           "host:-1", "host:+80", "host: 80",
                                           "host:80 ", "host:0x50", "host:8o",
                                           "host:http", "host:\xEF\xBC\x98"));

TEST(AddressTest, TakesTheLongestName) {
  const std::string part(63, 'a');
  EXPECT_THAT(ParseHostPort(part + "." + part + "." + part + "." +
                            std::string(61, 'a') + ":80"),
              testing::IsOk());
}

TEST(AddressTest, QuotesWithoutControlCharactersOrInvalidUtf8) {
  EXPECT_EQ(Quoted("a\"b"), "\"a\\\"b\"");
  EXPECT_EQ(Quoted("\xFF\n"), "\"\\xff\\n\"");
  EXPECT_EQ(Quoted(std::string(200, 'x')), "\"" + std::string(80, 'x') + "…\"");
}

}  // namespace
}  // namespace grpccommon::internal
