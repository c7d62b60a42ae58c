// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/client_tracing_interceptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_client_call.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/tracing/memory_exporter.h"
#include "grpccommon/tracing/traceparent.h"
#include "grpcpp/support/status.h"

namespace grpccommon {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class ClientTracingInterceptorTest : public ::testing::Test {
 protected:
  ClientTracingInterceptorTest() {
    auto exporter = std::make_unique<MemorySpanExporter>();
    exporter_ = exporter.get();
    processor_ = *BatchSpanProcessor::Create(std::move(exporter));
    Sample(1.0);
  }
  void Sample(double ratio) {
    interceptor_.reset();
    tracer_ =
        *Tracer::Create(processor_.get(), {.sample_ratio = ratio}, clock_);
    interceptor_.emplace(
        *tracer_, ClientTracingInterceptorOptions{.message_events = true});
  }
  std::vector<SpanData> Spans() {
    EXPECT_TRUE(processor_->Flush(60s));
    return exporter_->spans();
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
  static std::optional<AttributeValue> Number(std::int64_t number) {
    return AttributeValue(number);
  }
  void Attempt(testing::FakeClientCall& call, const std::string& endpoint,
               const grpc::Status& status, bool hedged = false) {
    ClientAttempt& attempt = call.StartAttempt(endpoint, hedged);
    EXPECT_TRUE(interceptor_->OnAttemptStart(*call, attempt).ok());
    clock_.Advance(5ms);
    interceptor_->OnAttemptEnd(*call, attempt, status);
  }
  void Finish(testing::FakeClientCall& call, grpc::Status status = {}) {
    interceptor_->OnFinish(*call, status);
  }

  testing::FakeClock clock_;
  MemorySpanExporter* exporter_;
  std::unique_ptr<BatchSpanProcessor> processor_;
  std::unique_ptr<Tracer> tracer_;
  std::optional<ClientTracingInterceptor> interceptor_;
  const grpc::Status unavailable_{grpc::StatusCode::UNAVAILABLE, "gone"};
};

TEST_F(ClientTracingInterceptorTest, EachAttemptHasASpanBelowTheCalls) {
  testing::FakeClientCall call({.target = "users", .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  Attempt(call, "10.0.0.1:80", unavailable_);
  const std::string first = *call.attempt_metadata("traceparent");
  Attempt(call, "[::1]:81", grpc::Status::OK);
  const std::string second = *call.attempt_metadata("traceparent");
  Finish(call);

  const std::vector<SpanData> spans = Spans();
  ASSERT_EQ(spans.size(), 3u);
  const SpanData& a = spans[0];
  const SpanData& b = spans[1];
  const SpanData& whole = spans[2];
  EXPECT_EQ(first, FormatTraceParent(a.context));
  EXPECT_EQ(second, FormatTraceParent(b.context));
  EXPECT_NE(a.context.span_id, b.context.span_id);
  EXPECT_EQ(a.context.parent_span_id, whole.context.span_id);
  EXPECT_EQ(b.context.parent_span_id, whole.context.span_id);
  EXPECT_EQ(whole.context.parent_span_id, TraceContext().parent_span_id);
  EXPECT_EQ(a.context.trace_id, whole.context.trace_id);

  EXPECT_EQ(a.name, "test.v1.TestService/Test");
  EXPECT_EQ(a.kind, SpanKind::kClient);
  EXPECT_EQ(a.status, SpanStatus::kError);
  EXPECT_EQ(a.status_message, "gone");
  EXPECT_EQ(a.end - a.start, 5ms);
  EXPECT_EQ(Find(a, "rpc.system"), Text("grpc"));
  EXPECT_EQ(Find(a, "rpc.service"), Text("test.v1.TestService"));
  EXPECT_EQ(Find(a, "rpc.method"), Text("Test"));
  EXPECT_EQ(Find(a, "rpc.grpc.status_code"), Number(14));
  EXPECT_EQ(Find(a, "network.transport"), Text("tcp"));
  EXPECT_EQ(Find(a, "network.peer.address"), Text("10.0.0.1"));
  EXPECT_EQ(Find(a, "network.peer.port"), Number(80));
  EXPECT_EQ(Find(a, "grpccommon.attempt"), Number(1));
  EXPECT_EQ(Find(b, "network.peer.address"), Text("::1"));
  EXPECT_EQ(Find(b, "grpccommon.attempt"), Number(2));
  EXPECT_EQ(b.status, SpanStatus::kUnset);

  EXPECT_EQ(whole.kind, SpanKind::kInternal);
  EXPECT_EQ(whole.status, SpanStatus::kUnset);
  EXPECT_EQ(Find(whole, "server.address"), Text("users"));
  EXPECT_EQ(Find(whole, "grpccommon.attempts"), Number(2));
  EXPECT_EQ(Find(whole, "grpccommon.request_id"),
            Text(std::string(call->request_id())));
  EXPECT_EQ(Find(whole, "rpc.grpc.status_code"), Number(0));
  EXPECT_EQ(whole.end - whole.start, 10ms);
}

TEST_F(ClientTracingInterceptorTest, TheParentsTraceGoesOn) {
  testing::FakeCall parent;
  TraceContext trace;
  trace.trace_id.fill(1);
  trace.span_id.fill(2);
  trace.sampled = true;
  trace.state = "a=1";
  parent->set_trace(trace);
  Sample(0.0);  // the parent has decided
  testing::FakeClientCall call({.parent = &*parent, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  EXPECT_EQ(call->trace().trace_id, trace.trace_id);
  EXPECT_EQ(call->trace().parent_span_id, trace.span_id);
  Attempt(call, "unix:/run/a.sock", grpc::Status::OK);
  EXPECT_EQ(call.attempt_metadata("tracestate"), "a=1");
  Finish(call);
  const std::vector<SpanData> spans = Spans();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(Find(spans[0], "network.transport"), Text("unix"));
  EXPECT_EQ(Find(spans[0], "network.peer.address"), Text("/run/a.sock"));
}

TEST_F(ClientTracingInterceptorTest, WhatIsNotSampledIsPassedOnAndNotRecorded) {
  testing::FakeCall parent;
  TraceContext trace;
  trace.trace_id.fill(1);
  trace.span_id.fill(2);
  parent->set_trace(trace);
  testing::FakeClientCall call({.parent = &*parent, .clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  Attempt(call, "10.0.0.1:80", grpc::Status::OK);
  EXPECT_EQ(call.attempt_metadata("traceparent"), FormatTraceParent(trace));
  EXPECT_EQ(call.attempt_metadata("tracestate"), std::nullopt);
  Finish(call);

  Sample(0.0);
  testing::FakeClientCall root({.clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*root).ok());
  EXPECT_TRUE(root->trace().valid());
  Attempt(root, "10.0.0.1:80", grpc::Status::OK);
  EXPECT_EQ(root.attempt_metadata("traceparent"),
            FormatTraceParent(root->trace()));
  Finish(root);
  EXPECT_TRUE(Spans().empty());
}

TEST_F(ClientTracingInterceptorTest, ARefusedCallSaysByWhomAndHasNoAttempt) {
  testing::FakeClientCall call({.clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  call.SetRefusedBy(&*interceptor_);
  Finish(call, {grpc::StatusCode::UNAUTHENTICATED, "no token"});
  const std::vector<SpanData> spans = Spans();
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(Find(spans[0], "grpccommon.refused_by"), Text("tracing"));
  EXPECT_EQ(Find(spans[0], "grpccommon.attempts"), Number(0));
  EXPECT_EQ(spans[0].status, SpanStatus::kError);
}

TEST_F(ClientTracingInterceptorTest, AnAttemptThatWasCalledOffIsNoError) {
  testing::FakeClientCall call({.clock = &clock_});
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  Attempt(call, "a:1", {grpc::StatusCode::CANCELLED, "superseded"}, true);
  Finish(call);
  const std::vector<SpanData> spans = Spans();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0].status, SpanStatus::kUnset);
  EXPECT_EQ(Find(spans[0], "rpc.grpc.status_code"), Number(1));
  EXPECT_EQ(Find(spans[0], "grpccommon.hedged"),
            std::optional<AttributeValue>(true));
}

TEST_F(ClientTracingInterceptorTest, MessagesOfStreamsAreEventsIfWanted) {
  testing::FakeClientCall call(
      {.method = {.path = "/s/M", .kind = CallKind::kBidiStream},
       .clock = &clock_});
  EXPECT_TRUE(interceptor_->Register(call->method())->messages);
  EXPECT_FALSE(interceptor_->Register(Method{})->messages);
  EXPECT_FALSE(
      ClientTracingInterceptor(*tracer_).Register(call->method())->messages);
  ASSERT_TRUE(interceptor_->OnStart(*call).ok());
  call.CountSent();
  interceptor_->OnMessageSent(*call);
  call.CountReceived();
  call.CountReceived();
  interceptor_->OnMessageReceived(*call);
  Finish(call);
  const std::vector<SpanData> spans = Spans();
  ASSERT_EQ(spans.size(), 1u);
  ASSERT_EQ(spans[0].events.size(), 2u);
  EXPECT_EQ(spans[0].events[0].attributes[0].value, AttributeValue("SENT"));
  EXPECT_EQ(spans[0].events[1].attributes[1].value,
            AttributeValue(std::int64_t{2}));
}

}  // namespace
}  // namespace grpccommon
