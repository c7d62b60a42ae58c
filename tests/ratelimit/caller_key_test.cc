// SPDX-License-Identifier: Apache-2.0
#include "ratelimit/caller_key.h"

#include <gtest/gtest.h>

#include <string>

namespace grpccommon::internal {
namespace {

TEST(CallerKeyTest, GroupsIpv6ByItsFirst64Bits) {
  EXPECT_EQ(KeyOfPeer("2001:db8:1:2::1"), KeyOfPeer("2001:db8:1:2:ffff::9"));
  EXPECT_NE(KeyOfPeer("2001:db8:1:2::1"), KeyOfPeer("2001:db8:1:3::1"));
  EXPECT_EQ(KeyOfPeer("fe80::1%eth0"), KeyOfPeer("fe80::2"));
}

TEST(CallerKeyTest, TakesMappedIpv4AddressesForWhatTheyAre) {
  EXPECT_EQ(KeyOfPeer("::ffff:192.0.2.1"), KeyOfPeer("192.0.2.1"));
  EXPECT_NE(KeyOfPeer("::ffff:192.0.2.1"), KeyOfPeer("::ffff:192.0.2.2"));
}

TEST(CallerKeyTest, KeepsOtherNamesWhole) {
  EXPECT_NE(KeyOfPeer("/run/a.sock"), KeyOfPeer("/run/b.sock"));
  EXPECT_NE(KeyOfPeer(""), KeyOfPeer("0.0.0.0"));
  const std::string longer(1000, 'x');
  EXPECT_NE(KeyOfPeer(longer), KeyOfPeer(longer + "x"));
}

TEST(CallerKeyTest, TellsPrincipalsApartByIssuerAndSubject) {
  const auto key = [](const char* issuer, const char* subject) {
    Principal principal;
    principal.issuer = issuer;
    principal.subject = subject;
    return KeyOfPrincipal(principal);
  };
  EXPECT_EQ(key("a", "b"), key("a", "b"));
  EXPECT_NE(key("a", "b"), key("b", "b"));
  EXPECT_NE(key("ab", "c"), key("a", "bc"));
  EXPECT_NE(key("", "1.2.3.4"), KeyOfPeer("1.2.3.4"));
}

}  // namespace
}  // namespace grpccommon::internal
