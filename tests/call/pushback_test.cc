// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/pushback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "grpccommon/status/details.h"
#include "grpccommon/status/refusal.h"
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

TEST(PushbackTest, RefusesWithTheDelayInStatusAndTrailer) {
  const Refusal refusal(Overloaded("FULL", "too many", 0ns));
  testing::FakeCall call;
  const absl::Status returned = RefuseFor(*call, refusal, 1500us);
  EXPECT_EQ(returned, refusal.status());
  const absl::Status sent = call.Sent(returned);
  EXPECT_EQ(sent.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(sent), "FULL");
  EXPECT_EQ(RetryDelayOf(sent), 1500us);
  EXPECT_THAT(call.trailing_metadata(),
              ElementsAre(Pair("grpc-retry-pushback-ms", "2")));
}

TEST(PushbackTest, AnotherStatusIsSentAsItIs) {
  const Refusal refusal(Overloaded("FULL", "too many", 0ns));
  testing::FakeCall call;
  RefuseFor(*call, refusal, 1s).IgnoreError();
  const absl::Status other = PermissionDenied("NOT_YOURS", "no");
  EXPECT_EQ(call.Sent(other), other);
}

}  // namespace
}  // namespace grpccommon
