// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/uuid.h"

#include <gtest/gtest.h>

#include <set>

namespace grpccommon {
namespace {

TEST(UuidTest, HasVersionSevenAndTheVariantOfRfc9562) {
  const std::string uuid = UuidV7();
  EXPECT_TRUE(IsUuid(uuid)) << uuid;
  EXPECT_EQ(uuid[14], '7');
  EXPECT_NE(std::string_view("89ab").find(uuid[19]), std::string_view::npos);
}

TEST(UuidTest, BeginsWithTheMillisecondOfItsBirth) {
  char uuid[kUuidLength + 1] = {};
  WriteUuidV7(Clock::WallTime(std::chrono::milliseconds(0x0123456789ab)), uuid);
  EXPECT_EQ(std::string_view(uuid).substr(0, 13), "01234567-89ab");
}

TEST(UuidTest, DoesNotRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 10000; ++i) EXPECT_TRUE(seen.insert(UuidV7()).second);
}

TEST(UuidTest, RefusesWhatIsNotHyphenatedHex) {
  EXPECT_TRUE(IsUuid("0198C2F1-7b7a-4cc1-9e1d-0f1e2d3c4b5a"));
  EXPECT_FALSE(IsUuid(""));
  EXPECT_FALSE(IsUuid("0198c2f17b7a4cc19e1d0f1e2d3c4b5a"));
  EXPECT_FALSE(IsUuid("0198c2f1-7b7a-4cc1-9e1d-0f1e2d3c4b5g"));
  EXPECT_FALSE(IsUuid("0198c2f1-7b7a-4cc1-9e1d-0f1e2d3c4b5a0"));
}

}  // namespace
}  // namespace grpccommon
