// SPDX-License-Identifier: Apache-2.0
#include "client/outgoing_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::MessageIs;
using ::testing::Not;
using ::testing::Pair;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

TEST(OutgoingMetadataTest, WhatHttp2CanCarryPasses) {
  EXPECT_THAT(CheckMetadata({{"x-a", "printable ~"},
                             {"a_b.c-1", ""},
                             {"x-bin", std::string("\0\xff\n", 3)}}),
              IsOk());
}

TEST(OutgoingMetadataTest, WhatItCannotIsNamedByItsKeyAlone) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "a"},
      {"X-A", "a"},
      {"x a", "a"},
      {":path", "a"},
      {"x\n", "a"},
      {"x-\xc3\xa4", "a"},
      {"x-a", "hunter2\n"},
      {"x-a", "hunter2\r"},
      {"x-a", "hunter2\x7f"},
      {"x-a", std::string("hunter2\0", 8)},
      {"x-a", "hunter2\xc3\xa4"},
  };
  for (const auto& [key, value] : cases) {
    EXPECT_THAT(CheckMetadata({{"x-good", "a"}, {key, value}}),
                AllOf(StatusIs(absl::StatusCode::kInternal),
                      MessageIs(HasSubstr("cannot be sent")),
                      MessageIs(Not(HasSubstr("hunter2")))))
        << key << " = " << value;
  }
}

TEST(OutgoingMetadataTest, KeysThatMustNotComeTwiceDoNot) {
  std::multimap<std::string, std::string> context = {
      {"traceparent", "old"}, {"authorization", "call"}, {"x-a", "1"}};
  MergeMetadata({{"traceparent", "new"},
                 {"tracestate", "a=1"},
                 {"authorization", "channel"},
                 {"x-api-key", "channel"},
                 {"x-a", "2"}},
                context);
  EXPECT_THAT(context,
              UnorderedElementsAre(
                  Pair("traceparent", "new"), Pair("tracestate", "a=1"),
                  Pair("authorization", "call"), Pair("x-api-key", "channel"),
                  Pair("x-a", "1"), Pair("x-a", "2")));
}

}  // namespace
}  // namespace grpccommon::internal
