// SPDX-License-Identifier: Apache-2.0
// What admission costs: rate limits, concurrency, deadlines, validation.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "benchmarks/count_allocations.h"
#include "benchmarks/micro_benchmark.h"
#include "grpccommon/concurrency/concurrency_interceptor.h"
#include "grpccommon/concurrency/deadline_interceptor.h"
#include "grpccommon/ratelimit/gcra.h"
#include "grpccommon/ratelimit/keyed_limiter.h"
#include "grpccommon/ratelimit/rate_limit_interceptor.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/validate/validator.h"
#include "support/resident_memory.h"
#include "validate/rules.pb.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

// The machine's clock, and so much faster that the largest rate refuses
// nothing: what is measured is an admission.
class RacingClock : public Clock {
 public:
  TimePoint Now() const override {
    static thread_local std::int64_t calls = 0;
    return SteadyClock().Now() + ++calls * 4us;
  }
  WallTime WallNow() const override { return SteadyClock().WallNow(); }
};

const RacingClock kRacingClock;

const GcraRate& Generous() {
  static const GcraRate rate =
      *GcraRate::Create({.rate = 1e6, .burst = 1'000'000});
  return rate;
}

std::string_view Bytes(const std::uint64_t& key) {
  return {reinterpret_cast<const char*>(&key), sizeof(key)};
}

void GcraTryTake(benchmark::State& state) {
  static auto* const gcra = new Gcra(Generous(), kRacingClock);
  for (auto _ : state) benchmark::DoNotOptimize(gcra->TryTake());
}
BENCHMARK(GcraTryTake)->ThreadRange(1, 2)->UseRealTime();

void GcraRefuse(benchmark::State& state) {
  Gcra gcra(*GcraRate::Create({.rate = 0.001, .burst = 1}));
  gcra.TryTake();
  for (auto _ : state) benchmark::DoNotOptimize(gcra.TryTake());
}
BENCHMARK(GcraRefuse);

// range(0) keys in random order.
void KeyedLimiterTryTake(benchmark::State& state) {
  static auto* const limiter =
      KeyedLimiter::Create({}, kRacingClock)->release();
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  std::uint64_t i = static_cast<std::uint64_t>(state.thread_index());
  for (auto _ : state) {
    const std::uint64_t key = (i += 2) * 0x9e3779b97f4a7c15 % keys;
    benchmark::DoNotOptimize(limiter->TryTake(Generous(), 1, Bytes(key)));
  }
}
BENCHMARK(KeyedLimiterTryTake)
    ->Arg(1000)
    ->Arg(1'000'000)
    ->ThreadRange(1, 2)
    ->UseRealTime();

// Each key is new and every place is in use.
void KeyedLimiterFlood(benchmark::State& state) {
  const GcraRate slow = *GcraRate::Create({.rate = 0.001, .burst = 10});
  const auto limiter = *KeyedLimiter::Create();
  std::uint64_t key = 0;
  while (limiter->displaced() == 0) limiter->TryTake(slow, 1, Bytes(++key));
  for (; key < 1'300'000; ++key) limiter->TryTake(slow, 1, Bytes(key));
  for (auto _ : state) {
    benchmark::DoNotOptimize(limiter->TryTake(slow, 1, Bytes(++key)));
  }
}
BENCHMARK(KeyedLimiterFlood);

// Memory: what the tables say and what the process grows by, and each
// insertion's share of growing them.
void KeyedLimiterFillAMillion(benchmark::State& state) {
  const GcraRate slow = *GcraRate::Create({.rate = 0.001, .burst = 10});
  for (auto _ : state) {
    const std::int64_t before = test::ResidentBytes();
    const auto limiter = *KeyedLimiter::Create();
    for (std::uint64_t key = 0; key < 1'000'000; ++key) {
      limiter->TryTake(slow, 1, Bytes(key));
    }
    state.counters["mebibytes"] =
        static_cast<double>(limiter->memory_bytes()) / (1 << 20);
    state.counters["resident_mebibytes"] =
        static_cast<double>(test::ResidentBytes() - before) / (1 << 20);
    state.counters["keys"] = static_cast<double>(limiter->keys());
  }
}
// Once: a second time would lie in what the first has given back.
BENCHMARK(KeyedLimiterFillAMillion)
    ->Iterations(1)
    ->Repetitions(1)
    ->Unit(benchmark::kMillisecond);

void RateLimitCall(benchmark::State& state) {
  const auto interceptor = *RateLimitInterceptor::Create({}, kRacingClock);
  Method method = testing::FakeCallOptions().method;
  method.policy.rate_limit = {.rate = 1e6, .burst = 1'000'000};
  (void)interceptor->Register(method);
  testing::FakeCall call({.method = method});
  if (state.range(0) != 0) {
    auto principal = std::make_shared<Principal>();
    principal->subject = "0198c2f1-7b7a-4cc1-9e1d-0f1e2d3c4b5a";
    principal->issuer = "https://issuer.example.com/";
    call->set_principal(std::move(principal));
  }
  (void)call->peer();
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) benchmark::DoNotOptimize(interceptor->OnStart(*call));
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(RateLimitCall)->ArgName("principal")->Arg(0)->Arg(1);

void ConcurrencyEnterLeave(benchmark::State& state) {
  static auto* const limiter = ConcurrencyLimiter::Create({})->release();
  for (auto _ : state) {
    benchmark::DoNotOptimize(limiter->TryEnter(CallPriority::kNormal));
    limiter->Leave();
  }
}
BENCHMARK(ConcurrencyEnterLeave)->ThreadRange(1, 2)->UseRealTime();

void ConcurrencyEnterLearn(benchmark::State& state) {
  static auto* const limiter =
      ConcurrencyLimiter::Create({.limit = Gradient2Options{}})->release();
  const Clock& clock = SteadyClock();
  for (auto _ : state) {
    benchmark::DoNotOptimize(limiter->TryEnter(CallPriority::kNormal));
    limiter->Leave(1ms, clock.Now());
  }
}
BENCHMARK(ConcurrencyEnterLearn)->ThreadRange(1, 2)->UseRealTime();

void ConcurrencyRefuse(benchmark::State& state) {
  const auto limiter =
      *ConcurrencyLimiter::Create({.limit = FixedLimitOptions{1}});
  benchmark::DoNotOptimize(limiter->TryEnter());
  for (auto _ : state) benchmark::DoNotOptimize(limiter->TryEnter());
}
BENCHMARK(ConcurrencyRefuse);

// Start and finish of a call that is admitted.
void ConcurrencyCall(benchmark::State& state) {
  const auto interceptor = *ConcurrencyInterceptor::Create({});
  testing::FakeCall call;
  (void)interceptor->Register(call->method());
  grpc::Status status;
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    benchmark::DoNotOptimize(interceptor->OnStart(*call));
    interceptor->OnFinish(*call, status);
  }
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(ConcurrencyCall);

void DeadlineCall(benchmark::State& state) {
  const auto interceptor = *DeadlineInterceptor::Create({});
  testing::FakeCall call({.timeout = 24h});
  (void)interceptor->Register(call->method());
  grpc::Status status;
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    benchmark::DoNotOptimize(interceptor->OnStart(*call));
    interceptor->OnFinish(*call, status);
  }
  bench::ReportAllocations(state, thread_allocations - before);
}
BENCHMARK(DeadlineCall);

template <typename Message>
void Validate(benchmark::State& state, const Message& message) {
  const auto validator = *Validator::Create(*Message::descriptor());
  benchmark::DoNotOptimize(validator->Validate(message));
  const std::uint64_t before = thread_allocations;
  for (auto _ : state) {
    benchmark::DoNotOptimize(validator->Validate(message));
  }
  bench::ReportAllocations(state, thread_allocations - before);
}

// One short string with a length, seven unset fields with rules.
void ValidateShort(benchmark::State& state) {
  validate_test::v1::Strings message;
  message.set_name("ada");
  Validate(state, message);
}
BENCHMARK(ValidateShort);

// Length, pattern, list, e-mail, UUID, URI, host name.
void ValidateFormats(benchmark::State& state) {
  validate_test::v1::Strings message;
  message.set_name("ada");
  message.set_code("ABC-12");
  message.set_colour("green");
  message.set_email("ada@example.com");
  message.set_id("0198c2f1-7b7a-4cc1-9e1d-0f1e2d3c4b5a");
  message.set_link("https://example.com/path?query=1");
  message.set_host("host.example.com");
  Validate(state, message);
}
BENCHMARK(ValidateFormats);

void ValidateNumbers(benchmark::State& state) {
  validate_test::v1::Numbers message;
  message.set_small(1);
  message.set_large(1);
  message.set_count(3);
  message.set_share(0.5);
  message.set_real(1.5);
  Validate(state, message);
}
BENCHMARK(ValidateNumbers);

// A map of 100 labels, each with a rule.
void ValidateMap(benchmark::State& state) {
  validate_test::v1::Maps maps;
  for (int i = 0; i < 100; ++i) {
    (*maps.mutable_labels())[std::to_string(i)] = "v";
  }
  Validate(state, maps);
}
BENCHMARK(ValidateMap);

// No rules anywhere.
void ValidateNothing(benchmark::State& state) {
  validate_test::v1::Plain message;
  message.set_text(std::string(1000, 'x'));
  Validate(state, message);
}
BENCHMARK(ValidateNothing);

void ValidateRefuse(benchmark::State& state) {
  const validate_test::v1::Strings message;
  Validate(state, message);
}
BENCHMARK(ValidateRefuse);

const bool kPromised = bench::AddPromises(
    {{.what = "an admission by GCRA",
      .benchmark = "GcraTryTake/real_time/threads:1",
      .at_most = 60},
     {.what = "a refusal by GCRA", .benchmark = "GcraRefuse", .at_most = 60},
     {.what = "a million keys",
      .benchmark = "KeyedLimiterFillAMillion/iterations:1/repeats:1",
      .at_most = 128,
      .unit = "MiB",
      .counter = "resident_mebibytes"}});

}  // namespace
}  // namespace grpccommon
