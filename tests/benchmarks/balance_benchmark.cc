// SPDX-License-Identifier: Apache-2.0
// What choosing an endpoint costs, and what following a service's instances.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/count_allocations.h"
#include "benchmarks/micro_benchmark.h"
#include "grpccommon/balance/balancer.h"
#include "grpccommon/balance/outlier_detector.h"
#include "grpccommon/balance/subset.h"
#include "grpccommon/base/clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using Endpoints = std::vector<std::shared_ptr<Endpoint>>;

// With a latency each, and weights where they count.
Endpoints MakeEndpoints(std::int64_t count) {
  Endpoints endpoints;
  const Clock::TimePoint now = SteadyClock().Now();
  for (std::int64_t i = 0; i < count; ++i) {
    endpoints.push_back(std::make_shared<Endpoint>(EndpointOptions{
        .address = "10.0." + std::to_string(i / 256) + "." +
                   std::to_string(i % 256) + ":50051",
        .weight = static_cast<double>(1 + i % 4),
        .zone = std::string(1, static_cast<char>('a' + i % 3))}));
    endpoints.back()->OnStart(now);
    endpoints.back()->OnEnd(Outcome::kSuccess, 1ms + i * 1us, now);
  }
  return endpoints;
}

BalancerOptions OptionsOf(const benchmark::State& state) {
  BalancerOptions options;
  options.kind = static_cast<BalancerKind>(state.range(0));
  if (state.range(2) != 0) options.zone.local_zone = "a";
  return options;
}

void Label(benchmark::State& state) {
  static constexpr const char* kNames[] = {"peak EWMA", "round robin",
                                           "weighted round robin", "random",
                                           "ring hash"};
  state.SetLabel(std::string(kNames[state.range(0)]) + ", " +
                 std::to_string(state.range(1)) + " endpoints" +
                 (state.range(2) != 0 ? ", zones" : ""));
}

// One balancer for the threads of a run.
std::unique_ptr<Balancer> shared_balancer;

void SetUp(const benchmark::State& state) {
  shared_balancer = *CreateBalancer(OptionsOf(state));
  shared_balancer->Update(MakeEndpoints(state.range(1)));
}

void TearDown(const benchmark::State&) { shared_balancer.reset(); }

void Pick(benchmark::State& state) {
  std::uint64_t key = static_cast<std::uint64_t>(state.thread_index()) << 32;
  Clock::TimePoint now = SteadyClock().Now();
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    ++key;
    now += 100ns;
    benchmark::DoNotOptimize(shared_balancer->Pick(
        {.hash_key = {reinterpret_cast<const char*>(&key), sizeof(key)},
         .now = now}));
  }
  bench::ReportAllocations(state, thread_allocations - before);
  Label(state);
}
BENCHMARK(Pick)
    ->ArgsProduct({{0, 1, 2, 3, 4}, {3, 100, 10'000}, {0}})
    ->ArgsProduct({{0, 4}, {100}, {1}})
    ->Setup(SetUp)
    ->Teardown(TearDown)
    ->ThreadRange(1, 2)
    ->UseRealTime();

// A whole call's worth, with the two readings of the clock that go with it.
void PickAndCount(benchmark::State& state) {
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    const Clock::TimePoint start = SteadyClock().Now();
    const std::shared_ptr<Endpoint> endpoint =
        shared_balancer->Pick({.now = start});
    endpoint->OnStart(start);
    const Clock::TimePoint end = SteadyClock().Now();
    endpoint->OnEnd(Outcome::kSuccess, end - start, end);
  }
  bench::ReportAllocations(state, thread_allocations - before);
  Label(state);
}
BENCHMARK(PickAndCount)
    ->ArgsProduct({{0, 1}, {3, 100}, {0}})
    ->Setup(SetUp)
    ->Teardown(TearDown)
    ->ThreadRange(1, 2)
    ->UseRealTime();

void TwoReadingsOfTheClock(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(SteadyClock().Now());
    benchmark::DoNotOptimize(SteadyClock().Now());
  }
}
BENCHMARK(TwoReadingsOfTheClock)->ThreadRange(1, 2)->UseRealTime();

void DetectorOnEnd(benchmark::State& state) {
  static const Endpoints* const endpoints = new Endpoints(MakeEndpoints(100));
  static OutlierDetector* const detector = [] {
    auto created = *OutlierDetector::Create({});
    created->Update(*endpoints, SteadyClock().Now());
    return created.release();
  }();
  const Clock::TimePoint now = SteadyClock().Now();
  for (auto _ : state) {
    benchmark::DoNotOptimize(detector->OnEnd(*endpoints->front(), 0, now));
  }
}
BENCHMARK(DetectorOnEnd)->ThreadRange(1, 2)->UseRealTime();

// One endpoint comes and goes.
void Update(benchmark::State& state) {
  const Endpoints all = MakeEndpoints(state.range(1));
  const Endpoints fewer(all.begin() + 1, all.end());
  auto balancer = *CreateBalancer(OptionsOf(state));
  bool whole = false;
  for (auto _ : state) balancer->Update((whole = !whole) ? all : fewer);
  Label(state);
}
BENCHMARK(Update)
    ->ArgsProduct({{0, 1, 2, 3, 4}, {3, 10'000}, {0}})
    ->ArgsProduct({{0, 4}, {10'000}, {1}})
    ->Unit(benchmark::kMillisecond);

void DetectorUpdate(benchmark::State& state) {
  const Endpoints all = MakeEndpoints(10'000);
  const Endpoints fewer(all.begin() + 1, all.end());
  auto detector = *OutlierDetector::Create({});
  bool whole = false;
  const Clock::TimePoint now = SteadyClock().Now();
  for (auto _ : state) detector->Update((whole = !whole) ? all : fewer, now);
}
BENCHMARK(DetectorUpdate)->Unit(benchmark::kMillisecond);

void DetectorTick(benchmark::State& state) {
  const Endpoints all = MakeEndpoints(10'000);
  auto detector = *OutlierDetector::Create({});
  Clock::TimePoint now = SteadyClock().Now();
  detector->Update(all, now);
  for (auto _ : state) {
    for (const auto& endpoint : all) {
      endpoint->OnStart(now);
      endpoint->OnEnd(Outcome::kSuccess, 1ms, now);
    }
    detector->Tick(now += 10s);
  }
}
BENCHMARK(DetectorTick)->Unit(benchmark::kMillisecond);

void ChooseSubsetOfTenThousand(benchmark::State& state) {
  const Endpoints endpoints = MakeEndpoints(10'000);
  std::vector<std::string_view> addresses;
  for (const auto& endpoint : endpoints) {
    addresses.push_back(endpoint->address());
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(ChooseSubset("client-7", addresses, 100));
  }
}
BENCHMARK(ChooseSubsetOfTenThousand)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace grpccommon
