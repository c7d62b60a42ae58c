// SPDX-License-Identifier: Apache-2.0
// What a log line costs the thread that writes it.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

#include "benchmarks/count_allocations.h"
#include "benchmarks/micro_benchmark.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {
namespace {

std::shared_ptr<LogSink> DevNull() {
  static const std::shared_ptr<LogSink> sink =
      *CreateLogSink({.destination = "/dev/null", .queue_bytes = 256 << 20});
  return sink;
}

void BM_ShortLine(benchmark::State& state) {
  const Logger logger(DevNull(), "benchmark");
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) logger.Info("started", {{"port", 50051}});
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(BM_ShortLine);
BENCHMARK(BM_ShortLine)->Threads(2);

void BM_DisabledLine(benchmark::State& state) {
  const Logger logger(DevNull(), "benchmark");
  for (auto _ : state) logger.Debug("started", {{"port", 50051}});
}
BENCHMARK(BM_DisabledLine);

// As wide as a call's line.
void BM_TwentyFields(benchmark::State& state) {
  const Logger logger(DevNull(), "benchmark");
  const std::string id = "01f0a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
  for (auto _ : state) {
    LogLine line;
    logger.Begin(line, LogLevel::kInfo, "call");
    line.Add("request_id", id).Add("trace_id", id).Add("span_id", id);
    for (int i = 0; i < 6; ++i) line.Add("grpc.text", "a value of some length");
    for (std::int64_t i = 0; i < 7; ++i) {
      line.AddInteger("grpc.number", 12345 * i);
    }
    logger.Write(line);
  }
}
BENCHMARK(BM_TwentyFields);

void BM_TextToEscape(benchmark::State& state) {
  const Logger logger(DevNull(), "benchmark");
  std::string text;
  while (text.size() < 1024) text += "naïve \"quoted\"\n";
  for (auto _ : state) logger.Info(text);
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) *
                          state.iterations());
}
BENCHMARK(BM_TextToEscape);

}  // namespace
}  // namespace grpccommon
