// SPDX-License-Identifier: Apache-2.0
// What retries cost a call that needs none, and one that does.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "benchmarks/count_allocations.h"
#include "benchmarks/micro_benchmark.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/random.h"
#include "grpccommon/retry/attempt_plan.h"
#include "grpccommon/retry/budget.h"
#include "grpccommon/retry/latency_percentile.h"
#include "grpccommon/retry/throttle.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

const Random kRandom = UniformRandom;

// A time for each iteration, a microsecond apart: reading the machine's clock
// is not what is measured, and all calls of one moment would be another case.
class Ticks {
 public:
  Clock::TimePoint Next() { return now_ += 1us; }

 private:
  Clock::TimePoint now_ = SteadyClock().Now();
};

void BudgetCall(benchmark::State& state) {
  static auto* const budget = RetryBudget::Create()->release();
  Ticks ticks;
  for (auto _ : state) budget->OnCall(ticks.Next());
}
BENCHMARK(BudgetCall)->ThreadRange(1, 2)->UseRealTime();

// Everything fails: one in ten is granted.
void BudgetCallAndTryRetry(benchmark::State& state) {
  static auto* const budget = RetryBudget::Create()->release();
  Ticks ticks;
  for (auto _ : state) {
    const Clock::TimePoint now = ticks.Next();
    budget->OnCall(now);
    benchmark::DoNotOptimize(budget->TryRetry(now));
  }
}
BENCHMARK(BudgetCallAndTryRetry)->ThreadRange(1, 2)->UseRealTime();

void ThrottleSuccess(benchmark::State& state) {
  static auto* const throttle = RetryThrottle::Create()->release();
  for (auto _ : state) throttle->OnSuccess();
}
BENCHMARK(ThrottleSuccess)->ThreadRange(1, 2)->UseRealTime();

void ThrottleFailure(benchmark::State& state) {
  static auto* const throttle = RetryThrottle::Create()->release();
  for (auto _ : state) {
    throttle->OnFailure();
    benchmark::DoNotOptimize(throttle->TryRetry({}));
    throttle->OnSuccess();
  }
}
BENCHMARK(ThrottleFailure)->ThreadRange(1, 2)->UseRealTime();

void PercentileGetAndRecord(benchmark::State& state) {
  static auto* const percentile = LatencyPercentile::Create()->release();
  Ticks ticks;
  std::int64_t latency = 0;
  for (auto _ : state) {
    const Clock::TimePoint now = ticks.Next();
    benchmark::DoNotOptimize(percentile->Get(now));
    latency = (latency + 1'234'567) % 100'000'000;
    percentile->Record(std::chrono::nanoseconds(latency), now);
  }
}
BENCHMARK(PercentileGetAndRecord)->ThreadRange(1, 2)->UseRealTime();

// What the one caller in three seconds pays.
void PercentileRefresh(benchmark::State& state) {
  const auto percentile = *LatencyPercentile::Create();
  Clock::TimePoint now = SteadyClock().Now();
  for (auto _ : state) {
    state.PauseTiming();
    for (std::int64_t i = 0; i < 1000; ++i) {
      percentile->Record(std::chrono::nanoseconds(i * 100'000), now);
    }
    state.ResumeTiming();
    benchmark::DoNotOptimize(percentile->Get(now += 3s));
  }
}
BENCHMARK(PercentileRefresh);

// A call that succeeds at once: what retries add to it.
void PlanWithoutFailure(benchmark::State& state) {
  static auto* const budget = RetryBudget::Create()->release();
  static const AttemptPolicy policy = {.idempotent = true, .allowance = budget};
  Ticks ticks;
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    const Clock::TimePoint now = ticks.Next();
    AttemptPlan plan(policy, kRandom, now + 1s);
    benchmark::DoNotOptimize(plan.Start(now));
    benchmark::DoNotOptimize(plan.OnAttemptEnd({}, now));
  }
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(PlanWithoutFailure)->ThreadRange(1, 2)->UseRealTime();

void PlanOfHedgingWithoutFailure(benchmark::State& state) {
  static auto* const budget = RetryBudget::Create()->release();
  static auto* const hedge_budget =
      RetryBudget::Create({.retry_share = 0.05, .min_retries_per_second = 0})
          ->release();
  static auto* const percentile = LatencyPercentile::Create()->release();
  static const AttemptPolicy policy = {.hedging = HedgingPolicy(),
                                       .idempotent = true,
                                       .allowance = budget,
                                       .hedge_allowance = hedge_budget,
                                       .latency = percentile};
  Ticks ticks;
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    const Clock::TimePoint now = ticks.Next();
    AttemptPlan plan(policy, kRandom, now + 1s);
    benchmark::DoNotOptimize(plan.Start(now));
    benchmark::DoNotOptimize(plan.OnAttemptEnd({}, now + 1ms));
  }
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(PlanOfHedgingWithoutFailure)->ThreadRange(1, 2)->UseRealTime();

// Three attempts, as in an outage without a budget.
void PlanWithTwoRetries(benchmark::State& state) {
  static const AttemptPolicy policy = {.idempotent = true};
  Ticks ticks;
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    Clock::TimePoint now = ticks.Next();
    AttemptPlan plan(policy, kRandom, std::nullopt);
    PlanStep step = plan.Start(now);
    while (!step.finished) {
      step = plan.OnAttemptEnd({.code = StatusCode::UNAVAILABLE}, now);
      if (step.wake.has_value()) step = plan.OnTimer(now = *step.wake);
    }
    benchmark::DoNotOptimize(plan.stop_reason());
  }
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(PlanWithTwoRetries)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace grpccommon
