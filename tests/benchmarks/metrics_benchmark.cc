// SPDX-License-Identifier: Apache-2.0
// What an update of a metric costs, alone and while another thread updates the
// same one; prometheus-cpp's own counter and histogram beside ours.

#include <benchmark/benchmark.h>

#include "benchmarks/micro_benchmark.h"
#include "grpccommon/metrics/metrics_interceptor.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/testing/fake_call.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"

namespace grpccommon {
namespace {

MetricsRegistry& Registry() {
  static auto* const registry = new MetricsRegistry();
  return *registry;
}

void CounterIncrement(benchmark::State& state) {
  static Counter& counter =
      (*Registry().AddCounter("bench_total", "Benchmark."))->With();
  for (auto _ : state) counter.Increment();
}
BENCHMARK(CounterIncrement)->ThreadRange(1, 4)->UseRealTime();

void PrometheusCounterIncrement(benchmark::State& state) {
  static auto* const counter = new prometheus::Counter();
  for (auto _ : state) counter->Increment();
}
BENCHMARK(PrometheusCounterIncrement)->ThreadRange(1, 4)->UseRealTime();

// 1 ms, 20 ms and 700 ms: bounds at the beginning, the middle and the end.
void HistogramObserve(benchmark::State& state) {
  static Histogram& histogram =
      (*Registry().AddHistogram("bench_seconds", "Benchmark."))->With();
  const double value = static_cast<double>(state.range(0)) / 1e3;
  for (auto _ : state) histogram.Observe(value);
}
BENCHMARK(HistogramObserve)
    ->Arg(1)
    ->Arg(20)
    ->Arg(700)
    ->ThreadRange(1, 4)
    ->UseRealTime();

void PrometheusHistogramObserve(benchmark::State& state) {
  static auto* const histogram =
      new prometheus::Histogram(DefaultLatencyBuckets());
  for (auto _ : state) histogram->Observe(0.02);
}
BENCHMARK(PrometheusHistogramObserve)->ThreadRange(1, 4)->UseRealTime();

// All that one unary call updates, the clock read included.
void InterceptUnaryCall(benchmark::State& state) {
  static auto* const interceptor = [] {
    auto created = *MetricsInterceptor::Create(Registry());
    (void)created->Register(testing::FakeCallOptions().method);
    return created.release();
  }();
  testing::FakeCall call;
  call.CountReceived(100);
  call.CountSent(100);
  grpc::Status status;
  for (auto _ : state) {
    benchmark::DoNotOptimize(interceptor->OnStart(*call));
    interceptor->OnFinish(*call, status);
  }
}
BENCHMARK(InterceptUnaryCall)->ThreadRange(1, 4)->UseRealTime();

// A hundred methods: 3,600 series and more.
void ExposeAHundredMethods(benchmark::State& state) {
  MetricsRegistry registry;
  const auto interceptor = *MetricsInterceptor::Create(registry);
  for (std::size_t i = 0; i < 100; ++i) {
    (void)interceptor->Register({.path = "/bench.v1.Service/M",
                                 .service = "bench.v1.Service",
                                 .name = "Method" + std::to_string(i),
                                 .index = i});
  }
  for (auto _ : state) benchmark::DoNotOptimize(registry.Expose());
}
BENCHMARK(ExposeAHundredMethods)->Unit(benchmark::kMillisecond);

const bool kPromised =
    bench::AddPromises({{.what = "a counter's increment",
                         .benchmark = "CounterIncrement/real_time/threads:1",
                         .at_most = 60},
                        {.what = "a histogram's observation",
                         .benchmark = "HistogramObserve/20/real_time/threads:1",
                         .at_most = 60}});

}  // namespace
}  // namespace grpccommon
