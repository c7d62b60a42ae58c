// SPDX-License-Identifier: Apache-2.0
#include "balance/hash.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace grpccommon::internal {
namespace {

TEST(XxHash64Test, GivesThePublishedValues) {
  EXPECT_EQ(XxHash64(""), 0xef46db3751d8e999);
  EXPECT_EQ(XxHash64("a"), 0xd24ec4f1a98c6e5b);
  EXPECT_EQ(XxHash64("as"), 0x1c330fb2d66be179);
  EXPECT_EQ(XxHash64("asd"), 0x631c37ce72a97393);
  EXPECT_EQ(XxHash64("asdf"), 0x415872f599cea71e);
  EXPECT_EQ(XxHash64("abc"), 0x44bc2cf5ad770999);
  EXPECT_EQ(XxHash64("xxhash", 20141025), 0xb559b98d844e0635);
  EXPECT_EQ(XxHash64("Nobody inspects the spammish repetition"),
            0xfbcea83c8a378bf1);
  EXPECT_EQ(XxHash64("Call me Ishmael. Some years ago--never mind how long "
                     "precisely-"),
            0x02a2e85470d6fd96);
}

TEST(BucketsTest, CutTheRangeIntoEqualParts) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  for (const std::size_t count : {0u, 1u, 2u, 3u, 4u, 5u, 1000u}) {
    const Buckets buckets(count);
    EXPECT_GE(buckets.size(), count);
    EXPECT_LE(buckets.size(), std::max<std::size_t>(2 * count, 2));
    EXPECT_EQ(buckets.Of(0), 0u);
    EXPECT_EQ(buckets.Of(kMost), buckets.size() - 1);
    for (std::size_t i = 1; i < buckets.size(); ++i) {
      EXPECT_EQ(buckets.Of(buckets.First(i)), i);
      EXPECT_EQ(buckets.Of(buckets.First(i) - 1), i - 1);
    }
  }
}

TEST(HashOfTest, CoversTheRange) {
  EXPECT_EQ(HashOf([] { return 0.0; }), 0u);
  EXPECT_EQ(HashOf([] { return 0.5; }), std::uint64_t{1} << 63);
  EXPECT_EQ(UnitInterval(HashOf([] { return 0.625; })), 0.625);
  EXPECT_LT(UnitInterval(std::numeric_limits<std::uint64_t>::max()), 1);
}

TEST(Mix64Test, MapsNumbersToDifferentOnes) {
  std::set<std::uint64_t> values;
  for (std::uint64_t i = 0; i < 1000; ++i) values.insert(Mix64(i));
  EXPECT_EQ(values.size(), 1000u);
}

}  // namespace
}  // namespace grpccommon::internal
