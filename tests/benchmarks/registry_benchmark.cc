// SPDX-License-Identifier: Apache-2.0
// What a registry costs with ten thousand instances of a service.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/registry/lease_store.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/testing/fake_clock.h"
#include "registry/instance_file.h"
#include "registry/instances.h"
#include "registry/watch_hub.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

Instance MakeInstance(int number) {
  return {.address = "10." + std::to_string(number / 65536) + "." +
                     std::to_string(number / 256 % 256) + "." +
                     std::to_string(number % 256) + ":50051",
          .zone = "eu-central-1" + std::string(1, "abc"[number % 3]),
          .version = "1.4.2",
          .metadata = {{"rack", std::to_string(number % 40)}}};
}

std::vector<Instance> MakeInstances(benchmark::State& state) {
  std::vector<Instance> instances;
  for (int i = 0; i < state.range(0); ++i) instances.push_back(MakeInstance(i));
  return instances;
}

// A back end's answer: checked, sorted, compared and told to ten watchers. Each
// second answer is a change of one instance, the others are the same again.
void WatchUpdate(benchmark::State& state, bool changes) {
  testing::FakeClock clock;
  testing::FakeScheduler scheduler(clock);
  internal::WatchHub hub(scheduler, Logger(), [](const std::string&) {});
  std::uint64_t told = 0;
  std::vector<std::unique_ptr<InstanceWatch>> watches;
  for (int i = 0; i < 10; ++i) {
    watches.push_back(hub.Watch(
        "s", [&](const InstanceSet& set) { told += set.instances.size(); }));
  }
  const std::vector<Instance> instances = MakeInstances(state);
  double weight = 1;
  for (auto _ : state) {
    std::vector<Instance> answer = instances;
    if (changes) answer.back().weight = weight = 3 - weight;
    if (!internal::CheckInstances(answer).ok()) state.SkipWithError("check");
    hub.Publish("s", std::move(answer));
    clock.Advance(0s);
  }
  benchmark::DoNotOptimize(told);
}
BENCHMARK_CAPTURE(WatchUpdate, Changed, true)
    ->Arg(100)
    ->Arg(10'000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(WatchUpdate, TheSameAgain, false)
    ->Arg(10'000)
    ->Unit(benchmark::kMicrosecond);

// One instance of many changes in the store, and ten watchers are told.
void StoreUpdate(benchmark::State& state) {
  testing::FakeClock clock;
  testing::FakeScheduler scheduler(clock);
  const auto store = *LeaseStore::Create(scheduler, {}, {}, clock);
  Lease lease;
  for (const Instance& instance : MakeInstances(state)) {
    lease = *store->Register("s", instance, LeaseStore::kForever);
  }
  std::uint64_t told = 0;
  std::vector<std::unique_ptr<InstanceWatch>> watches;
  for (int i = 0; i < 10; ++i) {
    watches.push_back(*store->Watch(
        "s", [&](const InstanceSet& set, std::uint64_t /*revision*/) {
          told += set.instances.size();
        }));
  }
  Instance instance = MakeInstance(static_cast<int>(state.range(0)) - 1);
  for (auto _ : state) {
    instance.weight = 3 - instance.weight;
    if (!store->Update(lease.id, instance).ok()) state.SkipWithError("update");
    clock.Advance(0s);
  }
  benchmark::DoNotOptimize(told);
}
BENCHMARK(StoreUpdate)->Arg(100)->Arg(10'000)->Unit(benchmark::kMicrosecond);

// With ten thousand leases, as a registry service does it for each client every
// few seconds.
void StoreRenew(benchmark::State& state) {
  testing::FakeClock clock;
  testing::FakeScheduler scheduler(clock);
  const auto store = *LeaseStore::Create(scheduler, {}, {}, clock);
  std::vector<std::string> leases;
  for (const Instance& instance : MakeInstances(state)) {
    leases.push_back(store->Register("s", instance, 10s)->id);
  }
  std::size_t next = 0;
  for (auto _ : state) {
    if (!store->Renew(leases[next]).ok()) state.SkipWithError("renew");
    next = (next + 1) % leases.size();
  }
}
BENCHMARK(StoreRenew)->Arg(10'000);

void StoreRegisterAndDeregister(benchmark::State& state) {
  testing::FakeClock clock;
  testing::FakeScheduler scheduler(clock);
  const auto store = *LeaseStore::Create(scheduler, {}, {}, clock);
  for (const Instance& instance : MakeInstances(state)) {
    if (!store->Register("s", instance, 1h).ok()) state.SkipWithError("full");
  }
  const Instance instance = MakeInstance(1'000'000);
  for (auto _ : state) {
    const auto lease = store->Register("s", instance, 10s);
    if (!store->Deregister(lease->id).ok()) state.SkipWithError("deregister");
  }
}
BENCHMARK(StoreRegisterAndDeregister)->Arg(10'000);

void ParseFile(benchmark::State& state) {
  std::string text = "{\"services\": {\"s\": [";
  for (const Instance& instance : MakeInstances(state)) {
    if (text.back() == '}') text += ',';
    text += "{\"address\": \"" + instance.address + "\", \"zone\": \"" +
            instance.zone + "\", \"version\": \"1.4.2\", \"weight\": 1}";
  }
  text += "]}}";
  for (auto _ : state) {
    const auto lists = internal::ParseInstanceFile(text);
    if (!lists.ok()) state.SkipWithError("parse");
  }
}
BENCHMARK(ParseFile)->Arg(10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace grpccommon
