// SPDX-License-Identifier: Apache-2.0
#include "call/sendable_metadata.h"

#include <gtest/gtest.h>

#include <string>

namespace grpccommon::internal {
namespace {

TEST(SendableMetadataTest, TextIsPrintableAscii) {
  EXPECT_TRUE(IsSendable("x-key_1.0", "a value, with ~ and spaces"));
  EXPECT_TRUE(IsSendable("x-key", ""));
  EXPECT_FALSE(IsSendable("x-key", "one\ntwo"));
  EXPECT_FALSE(IsSendable("x-key", "\xc3\xa4"));
  EXPECT_FALSE(IsSendable("x-key", std::string(1, '\0')));
}

TEST(SendableMetadataTest, KeysAreLowerCase) {
  EXPECT_FALSE(IsSendable("", "value"));
  EXPECT_FALSE(IsSendable("X-Key", "value"));
  EXPECT_FALSE(IsSendable("x key", "value"));
  EXPECT_FALSE(IsSendable(":path", "value"));
  EXPECT_FALSE(IsSendable("x-bin\n", "value"));
}

TEST(SendableMetadataTest, BinaryValuesNeedABinaryKey) {
  const std::string bytes("\0\xff", 2);
  EXPECT_TRUE(IsSendable("x-bin", bytes));
  // For gRPC this is a text's.
  EXPECT_FALSE(IsSendable("-bin", bytes));
  EXPECT_FALSE(IsSendable("x-binary", bytes));
}

}  // namespace
}  // namespace grpccommon::internal
