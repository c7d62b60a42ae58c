// SPDX-License-Identifier: Apache-2.0
#include "server/malformed_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/protobuf/descriptor.pb.h"

namespace grpccommon::internal {
namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;
using ::testing::HasSubstr;

// DescriptorProto serves as a message with strings at several depths, and as
// proto2 it may hold what proto3 could not be made to.
std::string Explain(const DescriptorProto& message) {
  return ExplainMalformed(*DescriptorProto::descriptor(),
                          message.SerializePartialAsString());
}

TEST(MalformedRequestTest, NamesTheFieldThatIsNotUtf8ByItsPath) {
  DescriptorProto message;
  message.set_name("good");
  message.add_field()->set_name("good");
  message.add_nested_type()->add_field()->set_type_name("bad \xff");
  const std::string why = Explain(message);
  EXPECT_THAT(why, HasSubstr("nested_type.field.type_name is not valid UTF-8"));
  EXPECT_EQ(why.find('\xff'), std::string::npos) << "the value was repeated";
}

TEST(MalformedRequestTest, SaysWhereTheBytesStopMakingSense) {
  DescriptorProto message;
  message.set_name("good");
  std::string bytes = message.SerializeAsString();
  const auto& type = *DescriptorProto::descriptor();
  EXPECT_THAT(ExplainMalformed(type, bytes + '\x12' + '\x7f'),
              HasSubstr("after field"));
  EXPECT_THAT(ExplainMalformed(type, bytes + '\x80'), HasSubstr("after name"));
  EXPECT_THAT(ExplainMalformed(type, std::string(3, '\0')),
              HasSubstr("its beginning"));
  EXPECT_THAT(ExplainMalformed(type, bytes + '\x09' + "short"),
              HasSubstr("after name"));
  // A group, which no proto3 message has.
  EXPECT_THAT(ExplainMalformed(type, bytes + '\x0b'), HasSubstr("after name"));
}

TEST(MalformedRequestTest, NamesTheLastKnownFieldOfADeepMessageByItsPath) {
  const auto& type = *DescriptorProto::descriptor();
  // nested_type { nested_type { name: a number that does not end } }
  EXPECT_EQ(ExplainMalformed(type, "\x1a\x04\x1a\x02\x08\x80"),
            "the bytes after nested_type.nested_type.name are no message");
  // nested_type { nested_type { a field that nobody knows, cut } }
  EXPECT_EQ(ExplainMalformed(type, "\x1a\x04\x1a\x02\x7a\x09"),
            "the bytes after nested_type.nested_type are no message");
}

TEST(MalformedRequestTest, SurvivesNestingThatAParserWouldRefuse) {
  std::string bytes;
  for (int i = 0; i < 5000; ++i) {
    std::string outer = "\x1a";  // nested_type
    std::size_t size = bytes.size();
    while (size >= 0x80) {
      outer += static_cast<char>((size & 0x7f) | 0x80);
      size >>= 7;
    }
    outer += static_cast<char>(size);
    bytes = outer + bytes;
  }
  EXPECT_THAT(ExplainMalformed(*DescriptorProto::descriptor(), bytes),
              HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace grpccommon::internal
