// SPDX-License-Identifier: Apache-2.0
#include "call/peer.h"

#include <gtest/gtest.h>

#include <string>

namespace grpccommon::internal {
namespace {

std::string Decoded(std::string peer) {
  DecodePeer(peer.data());
  return peer.substr(0, peer.find('\0'));
}

TEST(DecodePeerTest, UndoesTheEncodingOfBracketsAndZones) {
  EXPECT_EQ(Decoded("ipv6:%5B::1%5D:4711"), "ipv6:[::1]:4711");
  EXPECT_EQ(Decoded("ipv6:%5Bfe80::1%25eth0%5D:1"), "ipv6:[fe80::1%eth0]:1");
}

TEST(DecodePeerTest, LeavesOthersAlone) {
  EXPECT_EQ(Decoded("ipv4:127.0.0.1:4711"), "ipv4:127.0.0.1:4711");
  EXPECT_EQ(Decoded("ipv6:[::1]:4711"), "ipv6:[::1]:4711");
  EXPECT_EQ(Decoded("unix:/run/a%20b"), "unix:/run/a%20b");
  EXPECT_EQ(Decoded(""), "");
}

TEST(DecodePeerTest, DecodesNothingTwice) {
  EXPECT_EQ(Decoded("unix:%255B"), "unix:%5B");
}

TEST(DecodePeerTest, EndsWithAnEscapeThatIsCutOff) {
  EXPECT_EQ(Decoded("unix:a%"), "unix:a%");
  EXPECT_EQ(Decoded("unix:a%5"), "unix:a%5");
  EXPECT_EQ(Decoded("unix:%5Ba%2"), "unix:[a%2");
}

}  // namespace
}  // namespace grpccommon::internal
