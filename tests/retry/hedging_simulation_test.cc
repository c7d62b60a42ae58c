// SPDX-License-Identifier: Apache-2.0
// What hedging by percentile gains, and what it costs, on servers whose
// latencies have long tails.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "grpccommon/retry/attempt_plan.h"
#include "grpccommon/retry/budget.h"
#include "grpccommon/testing/fake_clock.h"
#include "retry/event_queue.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

constexpr Clock::Duration kBetweenCalls = 1ms;
constexpr int kCalls = 60'000;

// An attempt's latency, given the time since the start.
using Latency =
    std::function<Clock::Duration(Clock::Duration, std::mt19937_64&)>;

struct Result {
  double extra = 0;  // attempts for each call, beyond the first
  Clock::Duration median{};
  Clock::Duration p99{};
};

class Simulation {
 public:
  Simulation(bool hedges, Latency latency) : latency_(std::move(latency)) {
    policy_.idempotent = true;
    policy_.retry.max_attempts = 1;
    if (!hedges) return;
    policy_.hedging = HedgingPolicy();
    policy_.hedge_allowance = hedge_budget_.get();
    policy_.allowance = budget_.get();
    policy_.latency = percentile_.get();
  }

  Result Run() {
    events_.Add(clock_.Now(), {Event::kCall, 0});
    events_.RunUntil(start_ + 1h,
                     [this](const Event& event) { Handle(event); });
    std::vector<Clock::Duration> took;
    for (const Call& call : calls_) took.push_back(call.took);
    std::sort(took.begin(), took.end());
    EXPECT_EQ(took.size(), static_cast<std::size_t>(kCalls));
    EXPECT_GT(took.front(), 0s);  // all ended
    return {.extra = static_cast<double>(attempts_) / kCalls - 1,
            .median = took[kCalls / 2],
            .p99 = took[kCalls * 99 / 100]};
  }

 private:
  struct Call {
    AttemptPlan plan;
    Clock::TimePoint started;
    Clock::Duration took{};
  };
  struct Event {
    enum { kCall, kSuccess, kTimer } what;
    std::size_t call;
  };

  void Handle(const Event& event) {
    const Clock::TimePoint now = clock_.Now();
    switch (event.what) {
      case Event::kCall:
        calls_.push_back({AttemptPlan(policy_, random_, now + 10s), now});
        Follow(event.call, calls_.back().plan.Start(now));
        if (event.call + 1 < kCalls) {
          events_.Add(now + kBetweenCalls, {Event::kCall, event.call + 1});
        }
        break;
      case Event::kTimer:
        Follow(event.call, calls_[event.call].plan.OnTimer(now));
        break;
      case Event::kSuccess:
        Follow(event.call, calls_[event.call].plan.OnAttemptEnd({}, now));
        break;
    }
  }

  void Follow(std::size_t index, const PlanStep& step) {
    const Clock::TimePoint now = clock_.Now();
    if (step.finished) calls_[index].took = now - calls_[index].started;
    if (step.wake.has_value()) events_.Add(*step.wake, {Event::kTimer, index});
    if (step.send) {
      ++attempts_;
      events_.Add(now + latency_(now - start_, generator_),
                  {Event::kSuccess, index});
    }
  }

  testing::FakeClock clock_;
  const Clock::TimePoint start_ = clock_.Now();
  EventQueue<Event> events_{clock_};
  std::mt19937_64 generator_{1};
  Random random_ = [] { return 0.5; };
  Latency latency_;
  std::unique_ptr<RetryBudget> budget_ = *RetryBudget::Create();
  std::unique_ptr<RetryBudget> hedge_budget_ = *RetryBudget::Create(
      {.retry_share = HedgingPolicy().max_extra, .min_retries_per_second = 0});
  std::unique_ptr<LatencyPercentile> percentile_ =
      *LatencyPercentile::Create({.quantile = 1 - HedgingPolicy().max_extra});
  AttemptPolicy policy_;
  std::vector<Call> calls_;
  int attempts_ = 0;
};

Clock::Duration Milliseconds(double milliseconds) {
  return Clock::Duration(
      1 + static_cast<std::int64_t>(std::min(milliseconds, 9999.0) * 1e6));
}

double Milliseconds(Clock::Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// Most take around 10 ms; one in thirty meets a pause of up to a second.
Clock::Duration Pauses(std::mt19937_64& random) {
  const double usual =
      std::lognormal_distribution<double>(std::log(10), 0.3)(random);
  const bool pause = std::uniform_real_distribution<double>()(random) < 1. / 30;
  return Milliseconds(
      usual +
      (pause ? std::uniform_real_distribution<double>(100, 1000)(random) : 0));
}

// No typical value at all beyond the median: Pareto, with exponent 1.1.
Clock::Duration Pareto(std::mt19937_64& random) {
  const double uniform = std::uniform_real_distribution<double>()(random);
  return Milliseconds(5 * std::pow(1 - uniform, -1 / 1.1));
}

void Print(const char* name, const Result& without, const Result& with) {
  std::printf(
      "%-8s p99 %.1f -> %.1f ms, median %.1f -> %.1f ms, %.2f %% more calls\n",
      name, Milliseconds(without.p99), Milliseconds(with.p99),
      Milliseconds(without.median), Milliseconds(with.median),
      100 * with.extra);
}

TEST(HedgingSimulationTest, CutsTheTailOfPausesForAtMostFivePercentMoreCalls) {
  const Latency latency = [](Clock::Duration, std::mt19937_64& random) {
    return Pauses(random);
  };
  const Result without = Simulation(false, latency).Run();
  const Result with = Simulation(true, latency).Run();
  Print("pauses", without, with);
  EXPECT_EQ(without.extra, 0);
  EXPECT_LE(with.extra, 0.05);
  EXPECT_LT(with.p99 * 10, without.p99);
}

TEST(HedgingSimulationTest, CutsAHeavyTailForAtMostFivePercentMoreCalls) {
  const Latency latency = [](Clock::Duration, std::mt19937_64& random) {
    return Pareto(random);
  };
  const Result without = Simulation(false, latency).Run();
  const Result with = Simulation(true, latency).Run();
  Print("pareto", without, with);
  EXPECT_LE(with.extra, 0.05);
  EXPECT_LT(with.p99 * 2, without.p99);
}

// Every call passes the percentile, and hedging all of them would double the
// load of a server that is slow already.
TEST(HedgingSimulationTest, HedgesNoMoreWhenEverythingBecomesSlow) {
  const Latency latency = [](Clock::Duration since_start,
                             std::mt19937_64& random) {
    const bool slow = since_start > 20s && since_start < 40s;
    return Pauses(random) * (slow ? 20 : 1);
  };
  const Result with = Simulation(true, latency).Run();
  std::printf("slow     %.2f %% more calls\n", 100 * with.extra);
  EXPECT_LE(with.extra, 0.05);
}

}  // namespace
}  // namespace grpccommon
