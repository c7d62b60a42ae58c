// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/tracer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "grpccommon/base/hex.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/tracing/memory_exporter.h"
#include "grpccommon/tracing/traceparent.h"

namespace grpccommon {
namespace {

using ::testing::HasSubstr;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class TracerTest : public ::testing::Test {
 protected:
  TracerTest() {
    auto exporter = std::make_unique<MemorySpanExporter>();
    exporter_ = exporter.get();
    processor_ = *BatchSpanProcessor::Create(std::move(exporter));
  }

  std::unique_ptr<Tracer> Make(TracerOptions options) {
    return *Tracer::Create(processor_.get(), options, clock_);
  }
  static TraceContext Caller(bool sampled) {
    TraceContext caller = *ParseTraceParent(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    caller.sampled = sampled;
    caller.state = "vendor=1";
    return caller;
  }
  // A caller whose trace id ends in `last`, 64 bits.
  static TraceContext CallerOf(const std::string& last) {
    return *ParseTraceParent("00-ffffffffffffffff" + last +
                             "-b7ad6b7169203331-00");
  }

  testing::FakeClock clock_;
  MemorySpanExporter* exporter_;
  std::unique_ptr<BatchSpanProcessor> processor_;
};

TEST_F(TracerTest, BeginsATraceWhereThereIsNone) {
  const auto tracer = Make({.sample_ratio = 1.0});
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    const TraceContext context = tracer->Continue({});
    EXPECT_TRUE(context.valid());
    EXPECT_EQ(context.parent_span_id, TraceContext().parent_span_id);
    EXPECT_TRUE(context.sampled);
    EXPECT_TRUE(context.state.empty());
    ids.insert(ToHex(context.trace_id));
    ids.insert(ToHex(context.span_id));
  }
  EXPECT_EQ(ids.size(), 200u);
}

TEST_F(TracerTest, ContinuesTheTraceOfACaller) {
  const auto tracer = Make({.sample_ratio = 0.0});
  for (const bool sampled : {true, false}) {
    const TraceContext caller = Caller(sampled);
    const TraceContext context = tracer->Continue(caller);
    EXPECT_EQ(context.trace_id, caller.trace_id);
    EXPECT_EQ(context.parent_span_id, caller.span_id);
    EXPECT_NE(context.span_id, caller.span_id);
    EXPECT_EQ(context.state, "vendor=1");
    EXPECT_EQ(context.sampled, sampled);
  }
}

TEST_F(TracerTest, MayDecideForCallersToo) {
  EXPECT_TRUE(Make({.sample_ratio = 1.0, .follow_caller = false})
                  ->Continue(Caller(false))
                  .sampled);
  const TraceContext context =
      Make({.sample_ratio = 0.0, .follow_caller = false})
          ->Continue(Caller(true));
  EXPECT_FALSE(context.sampled);
  EXPECT_EQ(context.trace_id, Caller(true).trace_id);
}

TEST_F(TracerTest, SamplesNewTracesByTheEndOfTheTraceId) {
  const auto tracer = Make({.sample_ratio = 0.25});
  for (int i = 0; i < 1000; ++i) {
    const TraceContext context = tracer->Continue({});
    // A quarter of 2^63, and the first bit does not count.
    EXPECT_EQ(context.sampled, (context.trace_id[8] & 0x7f) < 0x20)
        << ToHex(context.trace_id);
  }
}

TEST_F(TracerTest, NoTraceIdOfACallersHasItRecorded) {
  const auto tracer = Make({.sample_ratio = 0.25, .follow_caller = false});
  for (const char* last : {"0000000000000000", "ffffffffffffffff"}) {
    int sampled = 0;
    for (int i = 0; i < 10'000; ++i) {
      sampled += tracer->Continue(CallerOf(last)).sampled;
    }
    // Ten standard deviations.
    EXPECT_NEAR(sampled, 2500, 10 * std::sqrt(10'000 * 0.25 * 0.75)) << last;
  }
}

TEST_F(TracerTest, SamplesItsShareOfNewTraces) {
  const auto tracer = Make({.sample_ratio = 0.25});
  int sampled = 0;
  for (int i = 0; i < 10'000; ++i) sampled += tracer->Continue({}).sampled;
  // Ten standard deviations.
  EXPECT_NEAR(sampled, 2500, 10 * std::sqrt(10'000 * 0.25 * 0.75));
}

TEST_F(TracerTest, RecordsAChildOfASampledSpan) {
  const auto tracer = Make({.sample_ratio = 0.0});
  const TraceContext parent = Caller(true);
  TraceContext child_context;
  {
    const Span child = tracer->StartSpan("query", parent, SpanKind::kClient);
    child_context = child.context();
    EXPECT_TRUE(child.recording());
    clock_.Advance(2ms);
  }
  ASSERT_TRUE(processor_->Flush(60s));
  const std::vector<SpanData> spans = exporter_->spans();
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].name, "query");
  EXPECT_EQ(spans[0].kind, SpanKind::kClient);
  EXPECT_EQ(spans[0].context.trace_id, parent.trace_id);
  EXPECT_EQ(spans[0].context.parent_span_id, parent.span_id);
  EXPECT_EQ(spans[0].context.span_id, child_context.span_id);
  EXPECT_NE(child_context.span_id, parent.span_id);
  EXPECT_EQ(child_context.state, "vendor=1");
  EXPECT_EQ(spans[0].end - spans[0].start, 2ms);
}

TEST_F(TracerTest, AChildOfAnUnsampledSpanPassesTheParentOn) {
  const auto tracer = Make({.sample_ratio = 1.0});
  const TraceContext parent = Caller(false);
  const Span child = tracer->StartSpan("query", parent);
  EXPECT_FALSE(child.recording());
  EXPECT_EQ(child.context().span_id, parent.span_id);
}

TEST_F(TracerTest, ASpanWithoutParentIsTheFirstOfATrace) {
  const Span all = Make({.sample_ratio = 1.0})->StartSpan("job", {});
  EXPECT_TRUE(all.recording());
  EXPECT_TRUE(all.context().valid());
  const Span none = Make({.sample_ratio = 0.0})->StartSpan("job", {});
  EXPECT_FALSE(none.recording());
  EXPECT_TRUE(none.context().valid());
}

TEST_F(TracerTest, WithoutAProcessorNothingIsRecordedAndCallersAreFollowed) {
  const auto tracer = *Tracer::Create(nullptr, {.sample_ratio = 1.0}, clock_);
  EXPECT_FALSE(tracer->Continue({}).sampled);
  EXPECT_TRUE(tracer->Continue(Caller(true)).sampled);
  EXPECT_FALSE(tracer->StartSpan("query", Caller(true)).recording());
  EXPECT_FALSE(tracer
                   ->StartSpanOf(Caller(true), "call", SpanKind::kServer,
                                 clock_.Now(), clock_.WallNow())
                   .recording());
}

TEST_F(TracerTest, RefusesARatioOutOfRange) {
  for (const double ratio :
       {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    const absl::Status status =
        Tracer::Create(processor_.get(), {.sample_ratio = ratio}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("sample_ratio"));
  }
}

}  // namespace
}  // namespace grpccommon
