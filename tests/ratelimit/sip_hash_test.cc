// SPDX-License-Identifier: Apache-2.0
#include "ratelimit/sip_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace grpccommon::internal {
namespace {

constexpr std::uint64_t kKey0 = 0x0706050403020100;
constexpr std::uint64_t kKey1 = 0x0f0e0d0c0b0a0908;

// 00 01 02 …
std::string Counting(std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

TEST(SipHashTest, GivesThePublishedVectorsOfSipHash24) {
  const auto hash = [](std::size_t size) {
    return SipHash<2, 4>(kKey0, kKey1)(Counting(size));
  };
  EXPECT_EQ(hash(0), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(hash(1), 0x74f839c593dc67fdu);
  EXPECT_EQ(hash(7), 0xab0200f58b01d137u);
  EXPECT_EQ(hash(8), 0x93f5f5799a932462u);
  EXPECT_EQ(hash(15), 0xa129ca6149be45e5u);  // the one in the paper
}

TEST(SipHashTest, DependsOnEveryByteOfKeyAndInput) {
  std::set<std::uint64_t> seen;
  for (std::size_t size = 0; size < 64; ++size) {
    seen.insert(SipHash<1, 3>(kKey0, kKey1)(Counting(size)));
    seen.insert(SipHash<1, 3>(kKey0 ^ 1, kKey1)(Counting(size)));
    seen.insert(SipHash<1, 3>(kKey0, kKey1 ^ 1)(Counting(size)));
  }
  EXPECT_EQ(seen.size(), 3u * 64);
}

}  // namespace
}  // namespace grpccommon::internal
