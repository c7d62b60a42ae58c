// SPDX-License-Identifier: Apache-2.0
// What a breaker costs an attempt, asking for a permit and recording its end,
// and what a bulkhead costs a call.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "benchmarks/count_allocations.h"
#include "benchmarks/micro_benchmark.h"
#include "grpccommon/breaker/adaptive_breaker.h"
#include "grpccommon/breaker/bulkhead.h"
#include "grpccommon/breaker/sliding_window_breaker.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

// So many attempts in a thousand fail, evenly spread.
void Attempts(benchmark::State& state, CircuitBreaker& breaker,
              std::uint32_t failing) {
  std::uint32_t attempt = 0;
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    CircuitBreaker::Permit permit = breaker.TryAcquire();
    const bool fails = ++attempt * failing % 1000 < failing;
    permit.Record(fails ? Outcome::kFailure : Outcome::kSuccess, 1ms);
  }
  bench::ReportAllocations(state, thread_allocations - before);
}

void ClockNow(benchmark::State& state) {
  const Clock& clock = SteadyClock();
  for (auto _ : state) benchmark::DoNotOptimize(clock.Now());
}
BENCHMARK(ClockNow);

void ClockCoarse(benchmark::State& state) {
  const Clock& clock = SteadyClock();
  for (auto _ : state) benchmark::DoNotOptimize(clock.Coarse());
}
BENCHMARK(ClockCoarse);

void TimeWindowAttempt(benchmark::State& state) {
  static auto* const breaker = CreateSlidingWindowBreaker()->release();
  Attempts(state, *breaker, static_cast<std::uint32_t>(state.range(0)));
}
BENCHMARK(TimeWindowAttempt)
    ->ArgName("failing_permille")
    ->Arg(0)
    ->Arg(10)
    ->Arg(400)
    ->ThreadRange(1, 2)
    ->UseRealTime();

void CountWindowAttempt(benchmark::State& state) {
  static auto* const breaker =
      CreateSlidingWindowBreaker({.window = CountWindow{}})->release();
  Attempts(state, *breaker, 0);
}
BENCHMARK(CountWindowAttempt)->ThreadRange(1, 2)->UseRealTime();

void AdaptiveAttempt(benchmark::State& state) {
  static auto* const breaker = CreateAdaptiveBreaker()->release();
  Attempts(state, *breaker, static_cast<std::uint32_t>(state.range(0)));
}
BENCHMARK(AdaptiveAttempt)
    ->ArgName("failing_permille")
    ->Arg(0)
    ->Arg(10)
    ->Arg(400)
    ->ThreadRange(1, 2)
    ->UseRealTime();

void OpenRefuse(benchmark::State& state) {
  static auto* const breaker = [] {
    CircuitBreaker* const open =
        CreateSlidingWindowBreaker({.min_calls = 1, .open_duration = 1h})
            ->release();
    open->TryAcquire().Record(Outcome::kFailure, 1ms);
    return open;
  }();
  for (auto _ : state) benchmark::DoNotOptimize(breaker->TryAcquire());
}
BENCHMARK(OpenRefuse)->ThreadRange(1, 2)->UseRealTime();

// Everything fails: nearly all are refused.
void AdaptiveRefuse(benchmark::State& state) {
  static auto* const breaker = CreateAdaptiveBreaker()->release();
  Attempts(state, *breaker, 1000);
}
BENCHMARK(AdaptiveRefuse)->ThreadRange(1, 2)->UseRealTime();

void RefusalStatus(benchmark::State& state) {
  const auto breaker = *CreateSlidingWindowBreaker();
  breaker->ForceOpen();
  for (auto _ : state) {
    benchmark::DoNotOptimize(CircuitOpen("users.v1.UserService", *breaker));
  }
}
BENCHMARK(RefusalStatus);

void BulkheadCall(benchmark::State& state) {
  static auto* const bulkhead = Bulkhead::Create("users")->release();
  for (auto _ : state) benchmark::DoNotOptimize(bulkhead->TryAcquire());
}
BENCHMARK(BulkheadCall)->ThreadRange(1, 2)->UseRealTime();

// Joins the queue, and is handed its place by the one before.
void BulkheadWait(benchmark::State& state) {
  const auto scheduler = CreateScheduler();
  const auto bulkhead = *Bulkhead::Create("users", {.max_in_flight = 1});
  Bulkhead::Permit holder = bulkhead->TryAcquire();
  for (auto _ : state) {
    Bulkhead::Permit next;
    bulkhead->AcquireAsync(Clock::TimePoint::max(), *scheduler,
                           [&next](absl::StatusOr<Bulkhead::Permit> permit) {
                             next = *std::move(permit);
                           });
    holder.Release();
    holder = std::move(next);
  }
}
BENCHMARK(BulkheadWait);

const bool kPromised = bench::AddPromises(
    {{.what = "a call through a window of time",
      .benchmark = "TimeWindowAttempt/failing_permille:0/real_time/threads:1",
      .at_most = 50},
     {.what = "a call through a window of calls",
      .benchmark = "CountWindowAttempt/real_time/threads:1",
      .at_most = 50},
     {.what = "a call through an adaptive breaker",
      .benchmark = "AdaptiveAttempt/failing_permille:0/real_time/threads:1",
      .at_most = 50}});

}  // namespace
}  // namespace grpccommon
