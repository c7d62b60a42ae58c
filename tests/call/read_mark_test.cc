// SPDX-License-Identifier: Apache-2.0
#include "call/read_mark.h"

#include <string>

#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace grpccommon::internal {
namespace {

using google::protobuf::Value;
using google::protobuf::util::MessageDifferencer;

Value Something() {
  Value value;
  value.set_string_value("before");
  // A number that its type does not know.
  value.GetReflection()->MutableUnknownFields(&value)->AddVarint(100, 7);
  return value;
}

TEST(ReadMarkTest, WhatIsNotReadIsAsItWas) {
  Value value = Something();
  ReadMark mark;
  for (int i = 0; i < 3; ++i) {
    mark.Put(value);
    EXPECT_TRUE(mark.Take());
    EXPECT_TRUE(MessageDifferencer::Equals(value, Something()));
    EXPECT_EQ(value.SerializeAsString(), Something().SerializeAsString());
  }
}

TEST(ReadMarkTest, BytesThatAreNoMessageTakeItAway) {
  for (const std::string& bytes :
       {std::string("\xff\xff"), std::string("\x1a\x01\xff"),
        std::string("\x1a\x7f"), std::string("\xa0\x06\x07\x0f"),
        // The mark of somebody who does not know the secret.
        std::string("\xf8\xff\xff\xff\x0f\x01\x1a\x7f")}) {
    Value value = Something();
    ReadMark mark;
    mark.Put(value);
    EXPECT_FALSE(value.ParseFromString(bytes));
    EXPECT_FALSE(mark.Take());
  }
}

TEST(ReadMarkTest, AMessageTakesItAwayToo) {
  Value value;
  ReadMark mark;
  mark.Put(value);
  ASSERT_TRUE(value.ParseFromString(Something().SerializeAsString()));
  EXPECT_FALSE(mark.Take());
  EXPECT_TRUE(MessageDifferencer::Equals(value, Something()));
  EXPECT_TRUE(mark.Take());
}

}  // namespace
}  // namespace grpccommon::internal
