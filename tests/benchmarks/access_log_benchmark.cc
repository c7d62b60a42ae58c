// SPDX-License-Identifier: Apache-2.0
// What a call's log line costs the thread that ends the call.
#include <benchmark/benchmark.h>

#include <memory>

#include "benchmarks/count_allocations.h"
#include "benchmarks/micro_benchmark.h"
#include "grpccommon/accesslog/access_log.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/testing/fake_call.h"

namespace grpccommon {
namespace {

using testing::FakeCall;

Logger DevNull() {
  static const std::shared_ptr<LogSink> sink =
      *CreateLogSink({.destination = "/dev/null", .queue_bytes = 256 << 20});
  return Logger(sink, "benchmark");
}

class Benchmark {
 public:
  explicit Benchmark(AccessLogOptions options = {})
      : log_(*AccessLog::Create(std::move(options), DevNull())),
        call_({.metadata = {{"user-agent", "grpc-c++/1.51.1"}},
               .peer = "ipv4:10.11.12.13:54321",
               .logger = DevNull()}) {
    log_->Register(call_->method()).IgnoreError();
    TraceContext trace;
    trace.trace_id.fill(0xa7);
    trace.span_id.fill(0x3c);
    call_->set_trace(trace);
    Principal principal;
    principal.subject = "user-4711@example.com";
    call_->set_principal(std::make_shared<const Principal>(principal));
    call_.CountReceived(100);
    call_.CountSent(100);
  }

  void Run(benchmark::State& state, grpc::Status status = grpc::Status::OK) {
    log_->OnFinish(*call_, status);  // the thread's buffer is made
    const std::uint64_t before = thread_allocations;
    for (auto _ : state) log_->OnFinish(*call_, status);
    bench::ReportAllocations(state, thread_allocations - before);
  }

 private:
  std::unique_ptr<AccessLog> log_;
  FakeCall call_;
};

void BM_AccessLine(benchmark::State& state) { Benchmark().Run(state); }
BENCHMARK(BM_AccessLine);
BENCHMARK(BM_AccessLine)->Threads(2);

void BM_AccessLineOfARefusal(benchmark::State& state) {
  Benchmark().Run(state, grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                      "more than 10 calls a second"));
}
BENCHMARK(BM_AccessLineOfARefusal);

void BM_CallThatIsNotLogged(benchmark::State& state) {
  Benchmark({.ok = {.level = LogLevel::kDebug}}).Run(state);
}
BENCHMARK(BM_CallThatIsNotLogged);

void BM_CallThatIsSampledOut(benchmark::State& state) {
  Benchmark({.ok = {.share = 0.001}}).Run(state);
}
BENCHMARK(BM_CallThatIsSampledOut);

const bool kPromised = bench::AddPromises(
    {{.what = "an access line", .benchmark = "BM_AccessLine", .at_most = 700}});

}  // namespace
}  // namespace grpccommon
