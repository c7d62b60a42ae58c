// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/span.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/tracing/batch_span_processor.h"
#include "grpccommon/tracing/memory_exporter.h"

namespace grpccommon {
namespace {

using ::testing::ElementsAre;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class SpanTest : public ::testing::Test {
 protected:
  SpanTest() {
    auto exporter = std::make_unique<MemorySpanExporter>();
    exporter_ = exporter.get();
    processor_ = *BatchSpanProcessor::Create(std::move(exporter));
  }

  Span Start(std::string name = "work") {
    SpanData data;
    data.name = std::move(name);
    data.context.trace_id[0] = 1;
    data.context.span_id[0] = 2;
    data.context.sampled = true;
    data.start = clock_.WallNow();
    return Span(std::move(data), clock_.Now(), *processor_, clock_);
  }
  std::vector<SpanData> Exported() {
    EXPECT_TRUE(processor_->Flush(60s));
    return exporter_->spans();
  }

  testing::FakeClock clock_;
  MemorySpanExporter* exporter_;
  std::unique_ptr<BatchSpanProcessor> processor_;
};

TEST_F(SpanTest, KeepsWhatItWasToldUntilItEnds) {
  const Clock::WallTime start = clock_.WallNow();
  {
    Span span = Start();
    EXPECT_TRUE(span.recording());
    EXPECT_EQ(span.context().span_id[0], 2);
    span.SetAttribute("flag", true);
    span.SetAttribute("count", 7);
    span.SetAttribute("ratio", 0.5);
    span.SetAttribute("text", "one");
    span.SetAttribute("text", "two");
    clock_.Advance(3ms);
    span.AddEvent("half", {{"at", std::string("noon")}});
    clock_.Advance(4ms);
    span.SetStatus(SpanStatus::kError, "it broke");
  }
  const std::vector<SpanData> spans = Exported();
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].name, "work");
  EXPECT_EQ(spans[0].start, start);
  EXPECT_EQ(spans[0].end, start + 7ms);
  EXPECT_THAT(spans[0].attributes,
              ElementsAre(SpanAttribute{"flag", true},
                          SpanAttribute{"count", std::int64_t{7}},
                          SpanAttribute{"ratio", 0.5},
                          SpanAttribute{"text", std::string("two")}));
  ASSERT_EQ(spans[0].events.size(), 1u);
  EXPECT_EQ(spans[0].events[0].name, "half");
  EXPECT_EQ(spans[0].events[0].time, start + 3ms);
  EXPECT_THAT(spans[0].events[0].attributes,
              ElementsAre(SpanAttribute{"at", std::string("noon")}));
  EXPECT_EQ(spans[0].status, SpanStatus::kError);
  EXPECT_EQ(spans[0].status_message, "it broke");
}

TEST_F(SpanTest, ACalendarThatJumpsDoesNotChangeItsLength) {
  Span span = Start();
  clock_.SetWall(clock_.WallNow() + 24h);
  clock_.Advance(5ms);
  span.End();
  const std::vector<SpanData> spans = Exported();
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].end - spans[0].start, 5ms);
}

TEST_F(SpanTest, EndsOnceAndNothingChangesItAfterwards) {
  Span span = Start();
  span.End();
  EXPECT_FALSE(span.recording());
  clock_.Advance(1s);
  span.SetAttribute("late", 1);
  span.AddEvent("late");
  span.RecordException("late");
  span.SetStatus(SpanStatus::kError, "late");
  span.End();
  const std::vector<SpanData> spans = Exported();
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].end, spans[0].start);
  EXPECT_TRUE(spans[0].attributes.empty());
  EXPECT_TRUE(spans[0].events.empty());
  EXPECT_EQ(spans[0].status, SpanStatus::kUnset);
}

TEST_F(SpanTest, MovingKeepsItOpenAndAssigningEndsTheOldOne) {
  Span span = Start("first");
  Span moved = std::move(span);
  EXPECT_TRUE(moved.recording());
  EXPECT_TRUE(Exported().empty());
  moved = Start("second");
  EXPECT_EQ(Exported().size(), 1u);
  EXPECT_EQ(Exported()[0].name, "first");
  moved = Span();
  EXPECT_EQ(Exported().size(), 2u);
}

TEST_F(SpanTest, AnExceptionIsAnEvent) {
  Span span = Start();
  span.RecordException("out of cheese");
  span.End();
  const std::vector<SpanData> spans = Exported();
  ASSERT_EQ(spans[0].events.size(), 1u);
  EXPECT_EQ(spans[0].events[0].name, "exception");
  EXPECT_THAT(spans[0].events[0].attributes,
              ElementsAre(SpanAttribute{"exception.message",
                                        std::string("out of cheese")}));
}

TEST_F(SpanTest, OnlyAnErrorKeepsAMessage) {
  Span span = Start();
  span.SetStatus(SpanStatus::kError, "wrong");
  span.SetStatus(SpanStatus::kOk, "fine");
  span.End();
  EXPECT_EQ(Exported()[0].status, SpanStatus::kOk);
  EXPECT_EQ(Exported()[0].status_message, "");
}

TEST_F(SpanTest, WhatIsBeyondItsLimitsIsCounted) {
  Span span = Start();
  for (std::size_t i = 0; i < kMaxSpanAttributes + 2; ++i) {
    span.SetAttribute("a" + std::to_string(i), 1);
  }
  span.SetAttribute("a0", 2);  // replacing needs no room
  for (std::size_t i = 0; i < kMaxSpanEvents + 3; ++i) span.AddEvent("e");
  span.End();
  const std::vector<SpanData> spans = Exported();
  EXPECT_EQ(spans[0].attributes.size(), kMaxSpanAttributes);
  EXPECT_EQ(spans[0].attributes[0], (SpanAttribute{"a0", std::int64_t{2}}));
  EXPECT_EQ(spans[0].dropped_attributes, 2u);
  EXPECT_EQ(spans[0].events.size(), kMaxSpanEvents);
  EXPECT_EQ(spans[0].dropped_events, 3u);
}

TEST_F(SpanTest, TextsAreMadeValidUtf8AndCut) {
  const std::string bad = "a\xFF";
  const std::string long_text(kMaxSpanTextBytes + 1, 'x');
  Span span = Start(bad);
  span.SetAttribute(bad, bad);
  span.SetAttribute("long", long_text);
  span.AddEvent(bad, {{bad, bad}});
  span.RecordException(bad);
  span.SetStatus(SpanStatus::kError, bad);
  span.End();
  const SpanData data = Exported().at(0);
  const std::string good = "a\uFFFD";
  EXPECT_EQ(data.name, good);
  EXPECT_EQ(data.attributes[0], (SpanAttribute{good, good}));
  EXPECT_EQ(std::get<std::string>(data.attributes[1].value),
            long_text.substr(1));
  EXPECT_EQ(data.events[0].name, good);
  EXPECT_EQ(data.events[0].attributes[0], (SpanAttribute{good, good}));
  EXPECT_EQ(data.events[1].attributes[0].value, AttributeValue(good));
  EXPECT_EQ(data.status_message, good);
}

TEST_F(SpanTest, OneThatRecordsNothingTakesEverything) {
  TraceContext context;
  context.trace_id[0] = 1;
  context.span_id[0] = 2;
  Span span(context);
  EXPECT_FALSE(span.recording());
  EXPECT_EQ(span.context().trace_id, context.trace_id);
  span.SetAttribute("a", 1);
  span.AddEvent("b");
  span.RecordException("c");
  span.SetStatus(SpanStatus::kError, "d");
  span.End();
  EXPECT_TRUE(Exported().empty());
}

TEST_F(SpanTest, ThreadsMayAddToOneSpan) {
  Span span = Start();
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) span.AddEvent("e");
      });
    }
  }
  span.End();
  EXPECT_EQ(Exported()[0].events.size() + Exported()[0].dropped_events, 200u);
}

}  // namespace
}  // namespace grpccommon
