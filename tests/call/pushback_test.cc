// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/pushback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "grpccommon/testing/fake_call.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Pair;

// What a client is told for `delay`.
std::multimap<std::string, std::string> Sent(std::chrono::nanoseconds delay) {
  testing::FakeCall call;
  AddRetryPushback(*call, delay);
  return call.trailing_metadata();
}

TEST(PushbackTest, RoundsUpToMilliseconds) {
  EXPECT_THAT(Sent(0ns), ElementsAre(Pair("grpc-retry-pushback-ms", "0")));
  EXPECT_THAT(Sent(1ns), ElementsAre(Pair("grpc-retry-pushback-ms", "1")));
  EXPECT_THAT(Sent(2ms), ElementsAre(Pair("grpc-retry-pushback-ms", "2")));
  EXPECT_THAT(Sent(2ms + 1ns),
              ElementsAre(Pair("grpc-retry-pushback-ms", "3")));
}

TEST(PushbackTest, FitsWhatGrpcReads) {
  EXPECT_THAT(Sent(std::chrono::nanoseconds::max()),
              ElementsAre(Pair("grpc-retry-pushback-ms", "2147483647")));
}

}  // namespace
}  // namespace grpccommon
