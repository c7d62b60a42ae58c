// SPDX-License-Identifier: Apache-2.0
// What tracing adds to one call: not sampled, with and without a caller's
// context, and sampled.

#include <benchmark/benchmark.h>

#include "grpccommon/testing/fake_call.h"
#include "grpccommon/tracing/traceparent.h"
#include "grpccommon/tracing/tracing_interceptor.h"

namespace grpccommon {
namespace {

class DiscardingExporter : public SpanExporter {
 public:
  absl::Status Export(const SpanResource& /*resource*/,
                      std::span<const SpanData> /*spans*/) override {
    return absl::OkStatus();
  }
};

const Tracer& TestTracer() {
  static const auto* const tracer = [] {
    auto processor = *BatchSpanProcessor::Create(
        std::make_unique<DiscardingExporter>(), {.max_queued_spans = 100'000});
    return Tracer::Create(processor.release(), {.sample_ratio = 0.0})
        ->release();
  }();
  return *tracer;
}

constexpr const char* kMetadata[][2] = {
    {"user-agent", "grpc-c++/1.51.1"},
    {"x-request-id", "0190163d-8694-739b-aea5-966c26f8ad91"},
    {"authorization", "Bearer abc"},
};

std::vector<std::pair<std::string, std::string>> Metadata(const char* parent) {
  std::vector<std::pair<std::string, std::string>> metadata;
  for (const auto& [key, value] : kMetadata) metadata.emplace_back(key, value);
  if (parent != nullptr) metadata.emplace_back("traceparent", parent);
  return metadata;
}

void InterceptCall(benchmark::State& state, const char* parent) {
  TracingInterceptor interceptor(TestTracer());
  testing::FakeCall call({.metadata = Metadata(parent)});
  grpc::Status status;
  for (auto _ : state) {
    benchmark::DoNotOptimize(interceptor.OnStart(*call));
    interceptor.OnFinish(*call, status);
  }
}
BENCHMARK_CAPTURE(InterceptCall, new_trace, nullptr);
BENCHMARK_CAPTURE(InterceptCall, unsampled_caller,
                  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
BENCHMARK_CAPTURE(InterceptCall, sampled_caller,
                  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

void ParseTraceParent(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(grpccommon::ParseTraceParent(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
  }
}
BENCHMARK(ParseTraceParent);

}  // namespace
}  // namespace grpccommon
