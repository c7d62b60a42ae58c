// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/refusal.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// A refusal sends what the slow way sends, byte for byte.
void ExpectTheSame(const absl::Status& status, nanoseconds delay) {
  const grpc::Status slow = ToGrpcStatus(WithRetryDelay(status, delay));
  const grpc::Status sent = Refusal(status).After(delay);
  EXPECT_EQ(sent.error_code(), slow.error_code());
  EXPECT_EQ(sent.error_message(), slow.error_message());
  EXPECT_EQ(sent.error_details(), slow.error_details());
}

TEST(RefusalTest, IsTheStatusWithTheDelay) {
  absl::Status rich = Exhausted("RATE_LIMITED", "/t.v1.T/Get", "too many", 5s);
  google::rpc::Help help;
  help.add_links()->set_url("https://example.org");
  AddDetail(rich, help);
  for (const absl::Status& status :
       {rich, Overloaded("FULL", "later", 1ns), absl::AbortedError("bare"),
        absl::UnavailableError("odd \xff text"),
        Unauthenticated("NO_TOKEN", "bring one")}) {
    for (const nanoseconds delay :
         {nanoseconds(-1), 0ns, 1ns, nanoseconds(999'999'999), nanoseconds(1s),
          nanoseconds(1h) + 7ns, nanoseconds::max()}) {
      SCOPED_TRACE(absl::StrCat(status.ToString(), " ", delay.count()));
      ExpectTheSame(status, delay);
    }
  }
}

TEST(RefusalTest, KeepsItsStatus) {
  const absl::Status status = Overloaded("FULL", "later", 1s);
  EXPECT_EQ(Refusal(status).status(), status);
}

// What fits beside the longest delay is sent beside each.
TEST(RefusalTest, FitsIntoTheHeader) {
  for (std::size_t size = kMaxDetailsBytes - 300; size < kMaxDetailsBytes + 8;
       ++size) {
    const Refusal refusal(WithReason(absl::UnavailableError("later"),
                                     std::string(size, 'R'), "grpccommon"));
    for (const nanoseconds delay : {0ns, nanoseconds::max()}) {
      const grpc::Status sent = refusal.After(delay);
      EXPECT_LE(sent.error_details().size(), kMaxDetailsBytes) << size;
      EXPECT_EQ(sent.error_code(), grpc::StatusCode::UNAVAILABLE);
    }
  }
  // Nothing fits beside a reason of that length, and only then.
  const std::string longest(kMaxDetailsBytes - 100, 'R');
  EXPECT_EQ(RetryDelayOf(FromGrpcStatus(
                Refusal(WithReason(absl::UnavailableError("later"), longest,
                                   "grpccommon"))
                    .After(1s))),
            std::nullopt);
  EXPECT_EQ(RetryDelayOf(FromGrpcStatus(
                Refusal(WithReason(absl::UnavailableError("later"),
                                   longest.substr(200), "grpccommon"))
                    .After(1s))),
            1s);
}

}  // namespace
}  // namespace grpccommon
