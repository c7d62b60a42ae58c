// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/balance/balancer.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using Endpoints = std::vector<std::shared_ptr<Endpoint>>;

Random Seeded(std::uint64_t seed) {
  return [engine = std::make_shared<std::mt19937_64>(seed)] {
    return static_cast<double>((*engine)() >> 11) * 0x1.0p-53;
  };
}

// Gives what is in the list, and fails beyond.
Random Scripted(std::deque<double> numbers) {
  return [numbers = std::make_shared<std::deque<double>>(numbers)] {
    EXPECT_FALSE(numbers->empty());
    if (numbers->empty()) return 0.0;
    const double number = numbers->front();
    numbers->pop_front();
    return number;
  };
}

std::string Name(const Endpoint* endpoint) {
  return endpoint == nullptr ? "none" : endpoint->address();
}

class BalancerTest : public ::testing::Test {
 protected:
  std::shared_ptr<Endpoint> Add(const std::string& address, double weight = 1) {
    endpoints_.push_back(std::make_shared<Endpoint>(
        EndpointOptions{.address = address, .weight = weight}));
    return endpoints_.back();
  }
  // An endpoint whose calls have lasted so long.
  std::shared_ptr<Endpoint> Add(const std::string& address,
                                Clock::Duration latency) {
    auto endpoint = Add(address);
    endpoint->OnStart(clock_.Now());
    endpoint->OnEnd(Outcome::kSuccess, latency, clock_.Now());
    return endpoint;
  }

  std::unique_ptr<Balancer> Create(BalancerKind kind, Random random) {
    auto balancer = *CreateBalancer({.kind = kind}, std::move(random));
    balancer->Update(endpoints_);
    return balancer;
  }

  std::string Pick(Balancer& balancer,
                   const std::vector<const Endpoint*>& avoid = {}) {
    return Name(balancer
                    .Pick({.avoid = avoid.data(),
                           .avoid_count = avoid.size(),
                           .now = clock_.Now()})
                    .get());
  }

  std::map<std::string, int> Picks(
      Balancer& balancer, int count,
      const std::vector<const Endpoint*>& avoid = {}) {
    std::map<std::string, int> picks;
    for (int i = 0; i < count; ++i) ++picks[Pick(balancer, avoid)];
    return picks;
  }

  testing::FakeClock clock_;
  Endpoints endpoints_;
};

class EveryBalancerTest : public BalancerTest,
                          public ::testing::WithParamInterface<BalancerKind> {};

TEST_P(EveryBalancerTest, PicksNothingOutOfNothing) {
  auto balancer = *CreateBalancer({.kind = GetParam()}, Seeded(1));
  EXPECT_EQ(Pick(*balancer), "none");
  auto one = Add("a");
  EXPECT_EQ(Pick(*balancer, {one.get()}), "none");
  balancer->Update(endpoints_);
  EXPECT_EQ(Pick(*balancer), "a");
  balancer->Update({});
  EXPECT_EQ(Pick(*balancer), "none");
}

TEST_P(EveryBalancerTest, GoesWhereItHasNotBeenWhileThereIsSuchAPlace) {
  auto a = Add("a");
  auto b = Add("b");
  auto c = Add("c");
  auto balancer = Create(GetParam(), Seeded(2));
  for (int i = 0; i < 50; ++i) {
    EXPECT_NE(Pick(*balancer, {a.get()}), "a");
    EXPECT_EQ(Pick(*balancer, {a.get(), c.get()}), "b");
    EXPECT_NE(Pick(*balancer, {a.get(), b.get(), c.get()}), "none");
  }
}

TEST_P(EveryBalancerTest, SharesWhatIsLeftAmongTheOthers) {
  auto a = Add("a");
  Add("b");
  Add("c");
  auto balancer = Create(GetParam(), Seeded(3));
  const auto picks = Picks(*balancer, 3000, {a.get()});
  EXPECT_EQ(picks.size(), 2u);
  EXPECT_NEAR(picks.at("b"), 1500, 200);
}

TEST_P(EveryBalancerTest, HoldsEndpointsNoLongerThanTheyAreUsed) {
  auto balancer = *CreateBalancer({.kind = GetParam()}, Seeded(4));
  std::weak_ptr<Endpoint> watched = Add("a");
  balancer->Update(std::exchange(endpoints_, {}));
  std::shared_ptr<Endpoint> picked = balancer->Pick({.now = clock_.Now()});
  balancer->Update({});
  EXPECT_FALSE(watched.expired());
  picked.reset();
  EXPECT_TRUE(watched.expired());
}

TEST_P(EveryBalancerTest, PicksOfTheOldSetOrTheNewWhileItChanges) {
  constexpr int kThreads = 4;
  for (int i = 0; i < 20; ++i) Add("a" + std::to_string(i));
  auto balancer = *CreateBalancer({.kind = GetParam()});
  balancer->Update(endpoints_);
  const std::shared_ptr<Endpoint> tried = endpoints_[3];
  std::atomic<bool> done{false};
  std::atomic<int> picked{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const Endpoint* const avoid = tried.get();
      std::string key = "key";
      while (!done) {
        key.push_back(static_cast<char>('a' + key.size() % 26));
        const Clock::TimePoint now = clock_.Now();
        auto endpoint = balancer->Pick(
            {.hash_key = key, .avoid = &avoid, .avoid_count = 1, .now = now});
        ASSERT_NE(endpoint, nullptr);
        ASSERT_NE(endpoint.get(), tried.get());
        endpoint->OnStart(now);
        endpoint->OnEnd(Outcome::kSuccess, 1ms, now);
        ++picked;
      }
    });
  }
  for (int i = 0; i < 200 || picked < 1000; ++i) {
    Endpoints some(endpoints_.begin() + i % 10, endpoints_.end());
    some[some.size() / 2]->OnReady(clock_.Now());
    clock_.Advance(10ms);
    balancer->Update(std::move(some));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  for (const auto& endpoint : endpoints_) EXPECT_EQ(endpoint->in_flight(), 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryBalancerTest,
                         ::testing::Values(BalancerKind::kPeakEwma,
                                           BalancerKind::kRoundRobin));

TEST_F(BalancerTest, PeakEwmaTakesTheCheaperOfTwoByChance) {
  Add("slow", 30ms);
  Add("middle", 20ms);
  Add("fast", 10ms);
  // The first draw is of three, the second of the two that are left.
  auto balancer = Create(BalancerKind::kPeakEwma,
                         Scripted({0.0, 0.0, 0.0, 0.5, 0.34, 0.0, 0.34, 0.5,
                                   0.99, 0.0, 0.99, 0.99}));
  EXPECT_EQ(Pick(*balancer), "middle");  // slow, middle
  EXPECT_EQ(Pick(*balancer), "fast");    // slow, fast
  EXPECT_EQ(Pick(*balancer), "middle");  // middle, slow
  EXPECT_EQ(Pick(*balancer), "fast");    // middle, fast
  EXPECT_EQ(Pick(*balancer), "fast");    // fast, slow
  EXPECT_EQ(Pick(*balancer), "fast");    // fast, middle
}

TEST_F(BalancerTest, PeakEwmaTakesTheFirstOfTwoThatCostTheSame) {
  Add("a");
  Add("b");
  auto balancer =
      Create(BalancerKind::kPeakEwma, Scripted({0.0, 0.5, 0.5, 0.0}));
  EXPECT_EQ(Pick(*balancer), "a");
  EXPECT_EQ(Pick(*balancer), "b");
}

TEST_F(BalancerTest, PeakEwmaNeverPicksTheMostExpensive) {
  for (int i = 0; i < 9; ++i) Add("a" + std::to_string(i), 1ms);
  Add("slow", 2ms);
  auto balancer = Create(BalancerKind::kPeakEwma, Seeded(5));
  const auto picks = Picks(*balancer, 10'000);
  EXPECT_EQ(picks.size(), 9u);
  // Each with probability 1/9: standard deviation 31.
  for (const auto& [name, count] : picks) EXPECT_NEAR(count, 1111, 160) << name;
}

TEST_F(BalancerTest, PeakEwmaTriesEachNewEndpointOnceUntilItAnswers) {
  Add("a");
  Add("b");
  auto balancer = Create(BalancerKind::kPeakEwma, Seeded(6));
  std::map<std::string, int> picks;
  for (int i = 0; i < 100; ++i) {
    auto endpoint = balancer->Pick({.now = clock_.Now()});
    endpoint->OnStart(clock_.Now());
    ++picks[endpoint->address()];
    if (i == 1) {
      EXPECT_EQ(picks["a"], 1);
    }
  }
  // Least loaded from then on.
  EXPECT_EQ(picks["a"], 50);
}

TEST_F(BalancerTest, PeakEwmaFollowsAWeightThatChanges) {
  auto a = Add("a", 10ms);
  Add("b", 11ms);
  auto balancer = Create(BalancerKind::kPeakEwma, Seeded(7));
  EXPECT_EQ(Pick(*balancer), "a");
  a->set_weight(0.5);
  EXPECT_EQ(Pick(*balancer), "b");
}

TEST_F(BalancerTest, RoundRobinGoesRound) {
  for (const char* name : {"a", "b", "c"}) Add(name);
  auto balancer = Create(BalancerKind::kRoundRobin, Scripted({0.4}));
  std::string order;
  for (int i = 0; i < 7; ++i) order += Pick(*balancer);
  EXPECT_EQ(order, "bcabcab");
}

TEST_F(BalancerTest, RoundRobinIsEvenOverSeveralThreads) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 500;
  for (int i = 0; i < 7; ++i) Add("a" + std::to_string(i));
  auto balancer = *CreateBalancer({.kind = BalancerKind::kRoundRobin});
  balancer->Update(endpoints_);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds * 7; ++i) {
        balancer->Pick({.now = clock_.Now()})->OnStart(clock_.Now());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& endpoint : endpoints_) {
    EXPECT_EQ(endpoint->in_flight(), kThreads * kRounds);
  }
}

TEST_F(BalancerTest, RoundRobinIsEvenOverManyUpdates) {
  for (int i = 0; i < 10; ++i) Add("a" + std::to_string(i));
  auto balancer = Create(BalancerKind::kRoundRobin, Seeded(8));
  std::map<std::string, int> picks;
  for (int i = 0; i < 10'000; ++i) {
    balancer->Update(endpoints_);
    ++picks[Pick(*balancer)];
  }
  EXPECT_EQ(picks.size(), 10u);
  for (const auto& [name, count] : picks) EXPECT_NEAR(count, 1000, 150) << name;
}

TEST_F(BalancerTest, RefusesOptionsOutOfRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const BalancerOptions& options :
       {BalancerOptions{.ring_hash = {.min_ring_size = 0}},
        BalancerOptions{.ring_hash = {.max_ring_size = 1023}},
        BalancerOptions{.ring_hash = {.max_ring_size = 8'388'609}},
        BalancerOptions{.zone = {.local_caller_share = -0.1}},
        BalancerOptions{.zone = {.local_caller_share = 1.1}},
        BalancerOptions{.zone = {.local_caller_share = nan}},
        BalancerOptions{.zone = {.min_local_endpoints = 0}}}) {
    EXPECT_EQ(CreateBalancer(options).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace grpccommon
