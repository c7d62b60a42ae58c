// SPDX-License-Identifier: Apache-2.0
// What the policies make of endpoints that are slow, silent or gone, in
// simulated time: calls arrive at random, last as long as their endpoint takes,
// and are given up after a second.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/balance/balancer.h"
#include "grpccommon/balance/outlier_detector.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using Duration = Clock::Duration;

constexpr Duration kTimeout = 1s;

enum class Mood { kWell, kSlow, kSilent, kGone };

class Simulation {
 public:
  Simulation(BalancerKind kind, double calls_per_second, bool eject)
      : engine_(42), between_(calls_per_second) {
    const Random random = [this] {
      return std::uniform_real_distribution<>()(engine_);
    };
    for (int i = 0; i < 3; ++i) {
      endpoints_.push_back(std::make_shared<Endpoint>(
          EndpointOptions{.address = std::to_string(i)}));
    }
    balancer_ = *CreateBalancer({.kind = kind}, random);
    balancer_->Update(endpoints_);
    if (eject) {
      detector_ = *OutlierDetector::Create({}, random);
      detector_->Update(endpoints_, clock_.Now());
    }
  }

  void SetMood(Mood mood) { mood_ = mood; }

  struct Result {
    std::vector<Duration> latencies;
    std::map<std::string, int> picks;

    double PercentileMs(double share) {
      const auto rank = static_cast<std::ptrdiff_t>(
          share * static_cast<double>(latencies.size()));
      std::nth_element(latencies.begin(), latencies.begin() + rank,
                       latencies.end());
      return std::chrono::duration<double, std::milli>(
                 latencies[static_cast<std::size_t>(rank)])
          .count();
    }
    double ShareOfTheFirst() {
      return static_cast<double>(picks["0"]) /
             static_cast<double>(latencies.size());
    }
  };

  // Latencies are those of the calls that start within the time.
  Result Run(Duration length) {
    Result result;
    const Clock::TimePoint end = clock_.Now() + length;
    for (;;) {
      const Clock::TimePoint next =
          clock_.Now() + std::chrono::duration_cast<Duration>(
                             std::chrono::duration<double>(between_(engine_)));
      while (!running_.empty() && running_.top().end <= std::min(next, end)) {
        End();
      }
      if (next >= end) break;
      clock_.Advance(next - clock_.Now());
      result.latencies.push_back(Start(result));
    }
    clock_.Advance(end - clock_.Now());
    return result;
  }

 private:
  struct Running {
    Clock::TimePoint start;
    Clock::TimePoint end;
    Outcome outcome;
    std::shared_ptr<Endpoint> endpoint;

    bool operator<(const Running& other) const { return end > other.end; }
  };

  Duration Start(Result& result) {
    const Clock::TimePoint now = clock_.Now();
    auto endpoint = balancer_->Pick({.now = now});
    endpoint->OnStart(now);
    ++result.picks[endpoint->address()];
    const Mood mood = endpoint == endpoints_.front() ? mood_ : Mood::kWell;
    // 2 ms at least and 5 ms on average.
    Duration lasts =
        2ms + std::chrono::duration_cast<Duration>(
                  std::chrono::duration<double, std::milli>(
                      std::exponential_distribution<>(1.0 / 3)(engine_)));
    Outcome outcome = Outcome::kSuccess;
    switch (mood) {
      case Mood::kWell:
        break;
      case Mood::kSlow:
        lasts *= 50;
        break;
      case Mood::kSilent:
        lasts = kTimeout;
        break;
      case Mood::kGone:
        lasts = 100us;
        outcome = Outcome::kFailure;
        break;
    }
    if (lasts >= kTimeout) {
      lasts = kTimeout;
      outcome = Outcome::kFailure;
    }
    running_.push({now, now + lasts, outcome, std::move(endpoint)});
    return lasts;
  }

  void End() {
    const Running call = running_.top();
    running_.pop();
    clock_.Advance(call.end - clock_.Now());
    const int failures =
        call.endpoint->OnEnd(call.outcome, call.end - call.start, clock_.Now());
    if (detector_ != nullptr &&
        detector_->OnEnd(*call.endpoint, failures, clock_.Now())) {
      balancer_->Update(detector_->Admit(endpoints_));
    }
  }

  testing::FakeClock clock_;
  std::mt19937_64 engine_;
  std::exponential_distribution<> between_;
  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  std::unique_ptr<Balancer> balancer_;
  std::unique_ptr<OutlierDetector> detector_;
  Mood mood_ = Mood::kWell;
  std::priority_queue<Running> running_;
};

void Print(const char* what, BalancerKind kind, double normal, double then) {
  std::printf("%-28s %-11s p99 %6.1f ms, was %5.1f ms\n", what,
              kind == BalancerKind::kPeakEwma ? "peak EWMA" : "round robin",
              then, normal);
}

class SimulationTest : public ::testing::TestWithParam<double> {};

TEST_P(SimulationTest, PeakEwmaGoesAroundASlowEndpointAndComesBack) {
  std::map<BalancerKind, double> ratios;
  for (const auto kind : {BalancerKind::kPeakEwma, BalancerKind::kRoundRobin}) {
    Simulation simulation(kind, GetParam(), /*eject=*/false);
    const double normal = simulation.Run(30s).PercentileMs(0.99);
    simulation.SetMood(Mood::kSlow);
    Simulation::Result slow = simulation.Run(60s);
    const double then = slow.PercentileMs(0.99);
    Print("one of three 50 times slower", kind, normal, then);
    ratios[kind] = then / normal;
    if (kind == BalancerKind::kPeakEwma) {
      EXPECT_LT(slow.ShareOfTheFirst(), 0.01);
      simulation.SetMood(Mood::kWell);
      simulation.Run(60s);
      const double share = simulation.Run(30s).ShareOfTheFirst();
      std::printf("a minute after it has recovered, it has %.0f %%\n",
                  100 * share);
      EXPECT_NEAR(share, 1.0 / 3, 0.07);
    }
  }
  EXPECT_LT(ratios[BalancerKind::kPeakEwma], 2);
  EXPECT_GT(ratios[BalancerKind::kRoundRobin], 10);
}

TEST_P(SimulationTest, PeakEwmaLeavesASilentEndpointWithinASecond) {
  for (const bool eject : {false, true}) {
    Simulation simulation(BalancerKind::kPeakEwma, GetParam(), eject);
    const double normal = simulation.Run(30s).PercentileMs(0.99);
    simulation.SetMood(Mood::kSilent);
    simulation.Run(1s);
    EXPECT_LT(simulation.Run(4s).ShareOfTheFirst(), 0.005);
    Simulation::Result later = simulation.Run(20s);
    const double then = later.PercentileMs(0.99);
    Print("one of three silent", BalancerKind::kPeakEwma, normal, then);
    EXPECT_LT(then, 1.5 * normal);
  }
}

TEST_P(SimulationTest, PeakEwmaLeavesAnEndpointThatFailsAtOnce) {
  for (const bool eject : {false, true}) {
    Simulation simulation(BalancerKind::kPeakEwma, GetParam(), eject);
    simulation.Run(30s);
    simulation.SetMood(Mood::kGone);
    EXPECT_LE(simulation.Run(1s).picks["0"], 10);
    EXPECT_LE(simulation.Run(60s).picks["0"], 30);
  }
}

TEST_P(SimulationTest, EjectionTakesASilentEndpointOutOfRoundRobin) {
  Simulation simulation(BalancerKind::kRoundRobin, GetParam(), true);
  const double normal = simulation.Run(30s).PercentileMs(0.99);
  simulation.SetMood(Mood::kSilent);
  simulation.Run(3s);
  Simulation::Result later = simulation.Run(20s);
  const double then = later.PercentileMs(0.99);
  Print("one of three silent, ejected", BalancerKind::kRoundRobin, normal,
        then);
  EXPECT_EQ(later.picks["0"], 0);
  EXPECT_LT(then, 1.5 * normal);
}

TEST_P(SimulationTest, EjectionTakesAnEndpointThatFailsOutOfRoundRobin) {
  Simulation simulation(BalancerKind::kRoundRobin, GetParam(), true);
  simulation.Run(30s);
  simulation.SetMood(Mood::kGone);
  // Five, once no call from before ends well between them.
  EXPECT_LE(simulation.Run(25s).picks["0"], 20);
}

INSTANTIATE_TEST_SUITE_P(CallsPerSecond, SimulationTest,
                         ::testing::Values(30, 300, 2000));

}  // namespace
}  // namespace grpccommon
