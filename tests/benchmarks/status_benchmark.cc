// SPDX-License-Identifier: Apache-2.0
// What a refusal costs before it is sent.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>

#include "benchmarks/count_allocations.h"
#include "benchmarks/micro_benchmark.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

absl::Status Refusal() {
  return Exhausted("RATE_LIMITED", "user-4711", "more than 10 calls a second",
                   std::chrono::milliseconds(250));
}

void BM_MakeExhausted(benchmark::State& state) {
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) benchmark::DoNotOptimize(Refusal());
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(BM_MakeExhausted);

void BM_MakePermissionDenied(benchmark::State& state) {
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    benchmark::DoNotOptimize(PermissionDenied("ROLE_MISSING", "needs admin"));
  }
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(BM_MakePermissionDenied);

void BM_ExhaustedToGrpc(benchmark::State& state) {
  const absl::Status status = Refusal();
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) benchmark::DoNotOptimize(ToGrpcStatus(status));
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(BM_ExhaustedToGrpc);

void BM_PlainErrorToGrpc(benchmark::State& state) {
  const absl::Status status = absl::NotFoundError("no such task");
  for (auto _ : state) benchmark::DoNotOptimize(ToGrpcStatus(status));
}
BENCHMARK(BM_PlainErrorToGrpc);

void BM_ExhaustedFromGrpc(benchmark::State& state) {
  const grpc::Status status = ToGrpcStatus(Refusal());
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) benchmark::DoNotOptimize(FromGrpcStatus(status));
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(BM_ExhaustedFromGrpc);

}  // namespace
}  // namespace grpccommon
