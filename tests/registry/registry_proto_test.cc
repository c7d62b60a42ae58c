// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/registry_proto.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <limits>

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

google::protobuf::Duration Of(std::int64_t seconds, std::int32_t nanos) {
  google::protobuf::Duration duration;
  duration.set_seconds(seconds);
  duration.set_nanos(nanos);
  return duration;
}

TEST(RegistryProtoTest, KeepsDurationsThatFit) {
  for (const nanoseconds exact : std::initializer_list<nanoseconds>{
           0ns, 1ns, -1ns, 1500ms, -1500ms, 24h, 24h * 365}) {
    EXPECT_EQ(FromProto(ToProto(exact)), exact);
  }
}

TEST(RegistryProtoTest, TakesTheLongestForDurationsThatDoNotFit) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(FromProto(Of(kMost, 0)), nanoseconds::max());
  EXPECT_EQ(FromProto(Of(kLeast, 0)), nanoseconds::min());
}

// A peer may send more nanoseconds than a second has.
TEST(RegistryProtoTest, AddsUpWhateverNanosecondsCome) {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t kLeast = std::numeric_limits<std::int32_t>::min();
  EXPECT_EQ(FromProto(Of(1, kMost)), 1s + nanoseconds(kMost));
  constexpr std::int64_t kWhole = 9'223'372'035;  // of nanoseconds::max()
  EXPECT_EQ(FromProto(Of(kWhole, kMost)), nanoseconds::max());
  EXPECT_EQ(FromProto(Of(-kWhole, kLeast)), nanoseconds::min());
}

TEST(RegistryProtoTest, KeepsAnInstance) {
  const Instance instance = {.address = "a:1",
                             .weight = 0.5,
                             .zone = "z",
                             .version = "v",
                             .metadata = {{"k", "v"}},
                             .healthy = false};
  EXPECT_EQ(FromProto(ToProto(instance)), instance);
  // Who names no weight has that of most.
  registry::v1::Instance proto;
  proto.set_address("a:1");
  EXPECT_EQ(FromProto(proto), Instance{.address = "a:1"});
}

}  // namespace
}  // namespace grpccommon
