// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/client_call.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_client_call.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using testing::FakeCall;
using testing::FakeClientCall;
using testing::FakeClock;

TEST(ClientCallTest, HasARequestIdOfItsOwnWithoutAParent) {
  FakeClientCall call;
  EXPECT_TRUE(IsUuid(call->request_id()));
}

TEST(ClientCallTest, TakesRequestIdAndTraceFromItsParent) {
  FakeCall parent({.metadata = {{"x-request-id", "order-7"}}});
  TraceContext trace;
  trace.trace_id.fill(1);
  trace.span_id.fill(2);
  parent->set_trace(trace);
  FakeClientCall call({.parent = &*parent});
  EXPECT_EQ(call->request_id(), "order-7");
  EXPECT_EQ(call->trace().trace_id, trace.trace_id);
  EXPECT_EQ(call->trace().span_id, trace.span_id);
}

TEST(ClientCallTest, KnowsWhatIsLeftOfItsTime) {
  FakeClock clock;
  FakeClientCall call({.timeout = 5s, .clock = &clock});
  clock.Advance(2s);
  EXPECT_EQ(call->remaining(), 3s);
  FakeClientCall unbounded({.clock = &clock});
  EXPECT_EQ(unbounded->remaining(), Clock::Duration::max());
}

TEST(ClientCallTest, CountsItsAttempts) {
  FakeClock clock;
  FakeClientCall call({.clock = &clock});
  const Clock::TimePoint begun = clock.Now();
  EXPECT_EQ(call.StartAttempt("a:1").number(), 1);
  clock.Advance(1s);
  const ClientAttempt& second = call.StartAttempt("b:1", true);
  EXPECT_EQ(second.number(), 2);
  EXPECT_EQ(second.endpoint(), "b:1");
  EXPECT_TRUE(second.hedged());
  EXPECT_EQ(second.started_at(), begun + 1s);
  EXPECT_EQ(call->attempts(), 2);
}

TEST(ClientCallTest, CanBeAnsweredIfItIsUnaryAndTheTypeIsRight) {
  google::rpc::RetryInfo right;
  right.mutable_retry_delay()->set_seconds(3);
  FakeClientCall untyped;
  EXPECT_TRUE(untyped->Answer(right));
  EXPECT_TRUE(untyped->answered());
  EXPECT_EQ(untyped.answer()->SerializeAsString(), right.SerializeAsString());

  FakeClientCall stream({.method = {.kind = CallKind::kServerStream}});
  EXPECT_FALSE(stream->Answer(right));
  EXPECT_FALSE(stream->answered());
}

}  // namespace
}  // namespace grpccommon
