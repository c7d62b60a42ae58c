// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/tracing_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>

#include "grpccommon/base/hex.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/tracing/memory_exporter.h"

namespace grpccommon {
namespace {

using ::testing::HasSubstr;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

const std::string kTraceId = "0af7651916cd43dd8448eb211c80319c";
const std::string kSpanId = "b7ad6b7169203331";
const std::string kSampled = "00-" + kTraceId + "-" + kSpanId + "-01";
const std::string kUnsampled = "00-" + kTraceId + "-" + kSpanId + "-00";

using Metadata = std::vector<std::pair<std::string, std::string>>;

class TracingInterceptorTest : public ::testing::Test {
 protected:
  TracingInterceptorTest() {
    auto exporter = std::make_unique<MemorySpanExporter>();
    exporter_ = exporter.get();
    processor_ = *BatchSpanProcessor::Create(std::move(exporter));
    tracer_ = *Tracer::Create(processor_.get(), {.sample_ratio = 0.0}, clock_);
    interceptor_.emplace(*tracer_);
  }

  // The context of a call that came with this metadata.
  TraceContext TraceOf(Metadata metadata) {
    testing::FakeCall call({.metadata = std::move(metadata), .clock = &clock_});
    EXPECT_TRUE(interceptor_->OnStart(*call).ok());
    return call->trace();
  }
  void Finish(testing::FakeCall& call, grpc::StatusCode code,
              const std::string& message = "") {
    grpc::Status status(code, message);
    interceptor_->OnFinish(*call, status);
    EXPECT_EQ(status.error_code(), code);
  }
  SpanData OnlySpan() {
    EXPECT_TRUE(processor_->Flush(60s));
    const std::vector<SpanData> spans = exporter_->spans();
    EXPECT_EQ(spans.size(), 1u);
    return spans.empty() ? SpanData() : spans[0];
  }
  static std::optional<AttributeValue> Find(const SpanData& span,
                                            std::string_view name) {
    for (const SpanAttribute& attribute : span.attributes) {
      if (attribute.name == name) return attribute.value;
    }
    return std::nullopt;
  }
  static std::optional<AttributeValue> Text(std::string text) {
    return AttributeValue(std::move(text));
  }

  testing::FakeClock clock_;
  MemorySpanExporter* exporter_;
  std::unique_ptr<BatchSpanProcessor> processor_;
  std::unique_ptr<Tracer> tracer_;
  std::optional<TracingInterceptor> interceptor_;
};

TEST_F(TracingInterceptorTest, ACallWithoutATraceBeginsOne) {
  const TraceContext trace = TraceOf({});
  EXPECT_TRUE(trace.valid());
  EXPECT_FALSE(trace.sampled);
  EXPECT_EQ(trace.parent_span_id, TraceContext().parent_span_id);
  EXPECT_NE(TraceOf({}).trace_id, trace.trace_id);
}

TEST_F(TracingInterceptorTest, ACallContinuesItsCallersTrace) {
  const TraceContext trace =
      TraceOf({{"traceparent", kUnsampled}, {"tracestate", "a=1,b=2"}});
  EXPECT_EQ(ToHex(trace.trace_id), kTraceId);
  EXPECT_EQ(ToHex(trace.parent_span_id), kSpanId);
  EXPECT_NE(ToHex(trace.span_id), kSpanId);
  EXPECT_EQ(trace.state, "a=1,b=2");
  EXPECT_FALSE(trace.sampled);
}

TEST_F(TracingInterceptorTest, AMalformedTraceParentBeginsANewTrace) {
  for (const std::string& parent :
       {std::string("x"), kSampled + "-", "ff" + kSampled.substr(2),
        std::string(100'000, '0')}) {
    const TraceContext trace =
        TraceOf({{"traceparent", parent}, {"tracestate", "a=1"}});
    EXPECT_TRUE(trace.valid());
    EXPECT_NE(ToHex(trace.trace_id), kTraceId);
    EXPECT_FALSE(trace.sampled);
    EXPECT_EQ(trace.state, "");
  }
}

TEST_F(TracingInterceptorTest, TwoTraceParentsBeginANewTrace) {
  const TraceContext trace =
      TraceOf({{"traceparent", kSampled}, {"traceparent", kSampled}});
  EXPECT_TRUE(trace.valid());
  EXPECT_NE(ToHex(trace.trace_id), kTraceId);
}

TEST_F(TracingInterceptorTest, SeveralTraceStatesAreOneList) {
  EXPECT_EQ(TraceOf({{"traceparent", kSampled},
                     {"tracestate", "a=1"},
                     {"tracestate", ""},
                     {"tracestate", "b=2,c=3"}})
                .state,
            "a=1,,b=2,c=3");
}

TEST_F(TracingInterceptorTest, AMalformedTraceStateIsDroppedAlone) {
  for (const std::string& state :
       {std::string("A=1"), std::string("a=1,a=2"), std::string(513, ','),
        "a=" + std::string(100'000, 'x')}) {
    const TraceContext trace =
        TraceOf({{"traceparent", kSampled}, {"tracestate", state}});
    EXPECT_EQ(ToHex(trace.trace_id), kTraceId);
    EXPECT_EQ(trace.state, "");
  }
  Metadata many = {{"traceparent", kSampled}};
  for (int i = 0; i < 300; ++i) {
    many.emplace_back("tracestate", "k" + std::to_string(i) + "=1");
  }
  EXPECT_EQ(TraceOf(many).state, "");
}

TEST_F(TracingInterceptorTest, DescribesASampledCall) {
  testing::FakeCall call({.metadata = {{"traceparent", kSampled},
                                       {"tracestate", "a=1"},
                                       {"x-request-id", "req-7"},
                                       {"authorization", "Bearer s3cret"}},
                          .peer = "ipv6:[2001:db8::1]:4711",
                          .clock = &clock_});
  const Clock::WallTime start = clock_.WallNow();
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  clock_.Advance(9ms);
  Finish(call, grpc::StatusCode::OK);

  const SpanData span = OnlySpan();
  EXPECT_EQ(span.name, "test.v1.TestService/Test");
  EXPECT_EQ(span.kind, SpanKind::kServer);
  EXPECT_EQ(span.start, start);
  EXPECT_EQ(span.end, start + 9ms);
  EXPECT_EQ(ToHex(span.context.trace_id), kTraceId);
  EXPECT_EQ(ToHex(span.context.parent_span_id), kSpanId);
  EXPECT_EQ(span.context.span_id, call->trace().span_id);
  EXPECT_EQ(span.context.state, "a=1");
  EXPECT_EQ(span.status, SpanStatus::kUnset);
  EXPECT_EQ(Find(span, "rpc.system"), Text("grpc"));
  EXPECT_EQ(Find(span, "rpc.service"), Text("test.v1.TestService"));
  EXPECT_EQ(Find(span, "rpc.method"), Text("Test"));
  EXPECT_EQ(Find(span, "rpc.grpc.status_code"),
            AttributeValue(std::int64_t{0}));
  EXPECT_EQ(Find(span, "client.address"), Text("2001:db8::1"));
  EXPECT_EQ(Find(span, "network.peer.address"), Text("2001:db8::1"));
  EXPECT_EQ(Find(span, "network.peer.port"),
            AttributeValue(std::int64_t{4711}));
  EXPECT_EQ(Find(span, "network.transport"), Text("tcp"));
  EXPECT_EQ(Find(span, "grpccommon.request_id"), Text("req-7"));
  EXPECT_EQ(Find(span, "grpccommon.refused_by"), std::nullopt);
  EXPECT_TRUE(span.events.empty());
  for (const SpanAttribute& attribute : span.attributes) {
    const auto* const text = std::get_if<std::string>(&attribute.value);
    EXPECT_TRUE(text == nullptr || text->find("s3cret") == std::string::npos)
        << attribute.name;
  }
}

TEST_F(TracingInterceptorTest, APeerOnAUnixSocketHasNoPort) {
  testing::FakeCall call({.metadata = {{"traceparent", kSampled}},
                          .peer = "unix:/run/a.sock:7",
                          .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  Finish(call, grpc::StatusCode::OK);
  const SpanData span = OnlySpan();
  EXPECT_EQ(Find(span, "network.transport"), Text("unix"));
  EXPECT_EQ(Find(span, "network.peer.address"), Text("/run/a.sock:7"));
  EXPECT_EQ(Find(span, "network.peer.port"), std::nullopt);
}

TEST_F(TracingInterceptorTest, OnlyTheServersFaultsAreErrors) {
  const std::set<int> faults = {2, 4, 12, 13, 14, 15};
  for (int code = 0; code <= 16; ++code) {
    testing::FakeCall call(
        {.metadata = {{"traceparent", kSampled}}, .clock = &clock_});
    ASSERT_TRUE(interceptor_->OnStart(*call).ok());
    Finish(call, static_cast<grpc::StatusCode>(code), "why");
    const SpanData span = OnlySpan();
    const bool fault = faults.count(code) != 0;
    EXPECT_EQ(span.status, fault ? SpanStatus::kError : SpanStatus::kUnset)
        << code;
    EXPECT_EQ(span.status_message, fault ? "why" : "") << code;
    EXPECT_EQ(Find(span, "rpc.grpc.status_code"),
              AttributeValue(std::int64_t{code}));
    exporter_->Clear();
  }
}

TEST_F(TracingInterceptorTest, ARefusedCallSaysByWhom) {
  testing::FakeCall call(
      {.metadata = {{"traceparent", kSampled}}, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  call.SetRefusedBy(&*interceptor_);
  Finish(call, grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Find(OnlySpan(), "grpccommon.refused_by"), Text("tracing"));
}

TEST_F(TracingInterceptorTest, AnExceptionOfTheHandlerIsAnEvent) {
  testing::FakeCall call(
      {.metadata = {{"traceparent", kSampled}}, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  call.SetException("vector::at");
  Finish(call, grpc::StatusCode::INTERNAL);
  const SpanData span = OnlySpan();
  ASSERT_EQ(span.events.size(), 1u);
  EXPECT_EQ(span.events[0].name, "exception");
  EXPECT_EQ(span.events[0].attributes[0],
            (SpanAttribute{"exception.message", std::string("vector::at")}));
}

TEST_F(TracingInterceptorTest, HandlersAddToTheSpanOfTheirCall) {
  testing::FakeCall call(
      {.metadata = {{"traceparent", kSampled}}, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  EXPECT_TRUE(SpanOf(*call).recording());
  SpanOf(*call).SetAttribute("order.items", 3);
  tracer_->StartSpan("load", call->trace()).End();
  Finish(call, grpc::StatusCode::OK);
  ASSERT_TRUE(processor_->Flush(60s));
  const std::vector<SpanData> spans = exporter_->spans();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0].name, "load");
  EXPECT_EQ(spans[0].context.parent_span_id, spans[1].context.span_id);
  EXPECT_EQ(Find(spans[1], "order.items"), AttributeValue(std::int64_t{3}));
  EXPECT_FALSE(SpanOf(*call).recording());
}

TEST_F(TracingInterceptorTest, AnUnsampledCallRecordsNothing) {
  testing::FakeCall call(
      {.metadata = {{"traceparent", kUnsampled}}, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  EXPECT_FALSE(SpanOf(*call).recording());
  SpanOf(*call).SetAttribute("order.items", 3);
  Finish(call, grpc::StatusCode::INTERNAL);
  ASSERT_TRUE(processor_->Flush(60s));
  EXPECT_TRUE(exporter_->spans().empty());
}

TEST_F(TracingInterceptorTest, WithoutAProcessorASampledTraceIsPassedOn) {
  const auto tracer = *Tracer::Create(nullptr, {}, clock_);
  TracingInterceptor interceptor(*tracer);
  testing::FakeCall call(
      {.metadata = {{"traceparent", kSampled}}, .clock = &clock_});
  ASSERT_TRUE(interceptor.OnStart(*call).ok());
  EXPECT_TRUE(call->trace().sampled);
  EXPECT_FALSE(SpanOf(*call).recording());
  grpc::Status status;
  interceptor.OnFinish(*call, status);
}

TEST_F(TracingInterceptorTest, MessagesAreEventsOnlyWhereAskedFor) {
  const Method bidi = {.path = "/test.v1.TestService/Chat",
                       .service = "test.v1.TestService",
                       .name = "Chat",
                       .kind = CallKind::kBidiStream};
  const Hooks without = *interceptor_->Register(bidi);
  EXPECT_TRUE(without.start && without.finish);
  EXPECT_FALSE(without.received || without.sent);

  TracingInterceptor interceptor(*tracer_, {.message_events = true});
  const Hooks with = *interceptor.Register(bidi);
  EXPECT_TRUE(with.received && with.sent);
  const Hooks unary = *interceptor.Register({});
  EXPECT_FALSE(unary.received || unary.sent);

  testing::FakeCall call({.method = bidi,
                          .metadata = {{"traceparent", kSampled}},
                          .clock = &clock_});
  ASSERT_TRUE(interceptor.OnStart(*call).ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(interceptor.OnReceived(*call, nullptr).ok());
  }
  interceptor.OnSent(*call, nullptr);
  grpc::Status status;
  interceptor.OnFinish(*call, status);

  const SpanData span = OnlySpan();
  ASSERT_EQ(span.events.size(), 3u);
  EXPECT_EQ(span.events[1].name, "rpc.message");
  EXPECT_EQ(span.events[1].attributes[0],
            (SpanAttribute{"rpc.message.type", std::string("RECEIVED")}));
  EXPECT_EQ(span.events[1].attributes[1],
            (SpanAttribute{"rpc.message.id", std::int64_t{2}}));
  EXPECT_EQ(span.events[2].attributes[0],
            (SpanAttribute{"rpc.message.type", std::string("SENT")}));

  // A call that is not sampled has no place for them.
  testing::FakeCall unsampled({.method = bidi, .clock = &clock_});
  ASSERT_TRUE(interceptor.OnStart(*unsampled).ok());
  EXPECT_TRUE(interceptor.OnReceived(*unsampled, nullptr).ok());
  interceptor.OnSent(*unsampled, nullptr);
}

}  // namespace
}  // namespace grpccommon
