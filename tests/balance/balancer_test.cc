// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/balance/balancer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

TEST_P(EveryBalancerTest, PrefersTheLocalZone) {
  for (const char* name : {"a1", "a2", "b1", "b2"}) {
    endpoints_.push_back(std::make_shared<Endpoint>(EndpointOptions{
        .address = name, .zone = std::string(name).substr(0, 1)}));
  }
  auto balancer = *CreateBalancer(
      {.kind = GetParam(), .zone = {.local_zone = "a"}}, Seeded(9));
  balancer->Update(endpoints_);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Pick(*balancer)[0], 'a');
  // What has been tried at home is tried elsewhere.
  const Endpoint* const a1 = endpoints_[0].get();
  const Endpoint* const a2 = endpoints_[1].get();
  EXPECT_EQ(Pick(*balancer, {a1}), "a2");
  std::map<std::string, int> picks = Picks(*balancer, 100, {a1, a2});
  EXPECT_EQ(picks.size(), 2u);
  EXPECT_EQ(picks["b1"] + picks["b2"], 100);
  EXPECT_NE(Pick(*balancer, {a1, a2, endpoints_[2].get(), endpoints_[3].get()}),
            "none");
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
  constexpr int kThreads = 3;
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
  for (int i = 0; i < 50 || picked < 1000; ++i) {
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
                                           BalancerKind::kRoundRobin,
                                           BalancerKind::kWeightedRoundRobin,
                                           BalancerKind::kRandom,
                                           BalancerKind::kRingHash));

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

TEST_F(BalancerTest, RoundRobinSpreadsTheTurnsOfAnAvoidedEndpoint) {
  auto a = Add("a");
  for (const char* name : {"b", "c", "d"}) Add(name);
  auto balancer = Create(BalancerKind::kRoundRobin, Seeded(10));
  std::map<std::string, int> instead;
  for (int i = 0; i < 6000; ++i) {
    if (Pick(*balancer) == "d") ++instead[Pick(*balancer, {a.get()})];
  }
  // Not all to b, which is next.
  for (const auto& [name, count] : instead) EXPECT_GT(count, 300) << name;
}

TEST_F(BalancerTest, WeightedRoundRobinKeepsToTheWeightsAtAnyTime) {
  std::mt19937_64 engine(11);
  double total = 0;
  for (int i = 0; i < 50; ++i) {
    const double weight = static_cast<double>(1 + engine() % 1000) / 100;
    Add("a" + std::to_string(i), weight);
    total += weight;
  }
  auto balancer = Create(BalancerKind::kWeightedRoundRobin, Seeded(12));
  std::map<std::string, int> picks;
  for (int i = 1; i <= 100'000; ++i) {
    ++picks[Pick(*balancer)];
    if (i % 9973 != 0 && i != 100'000) continue;
    for (const auto& endpoint : endpoints_) {
      EXPECT_NEAR(picks[endpoint->address()], i * endpoint->weight() / total, 4)
          << "after " << i;
    }
  }
}

TEST_F(BalancerTest, WeightedRoundRobinSpreadsPicksOfOneEndpoint) {
  Add("a", 5);
  Add("b", 1);
  Add("c", 1);
  auto balancer = Create(BalancerKind::kWeightedRoundRobin, Seeded(13));
  std::string order;
  for (int i = 0; i < 1000; ++i) order += Pick(*balancer);
  EXPECT_EQ(order.find("bb"), std::string::npos);
  EXPECT_EQ(order.find("cc"), std::string::npos);
  EXPECT_EQ(order.find("aaaaaaaa"), std::string::npos);
}

TEST_F(BalancerTest, WeightedRoundRobinIsExactOverSeveralThreads) {
  constexpr int kThreads = 4;
  Add("a", 3);
  Add("b", 1);
  auto balancer = *CreateBalancer({.kind = BalancerKind::kWeightedRoundRobin});
  balancer->Update(endpoints_);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        balancer->Pick({.now = clock_.Now()})->OnStart(clock_.Now());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_NEAR(static_cast<double>(endpoints_[0]->in_flight()), 3000, 3);
}

TEST_F(BalancerTest, WeightsMayDifferAMillionfold) {
  Add("heavy", 1000);
  for (int i = 0; i < 100; ++i) Add("light" + std::to_string(i), 0.001);
  for (const auto kind :
       {BalancerKind::kWeightedRoundRobin, BalancerKind::kRandom}) {
    auto balancer = Create(kind, Seeded(14));
    EXPECT_GE(Picks(*balancer, 10'000)["heavy"], 9990);
  }
  // On a ring each has at least one point, of 1024.
  auto balancer = Create(BalancerKind::kRingHash, Seeded(14));
  EXPECT_NEAR(Picks(*balancer, 10'000)["heavy"], 9110, 300);
}

TEST_F(BalancerTest, WeightedRoundRobinTakesANewWeightWithTheNextUpdate) {
  auto a = Add("a");
  Add("b");
  auto balancer = Create(BalancerKind::kWeightedRoundRobin, Seeded(15));
  a->set_weight(3);
  EXPECT_NEAR(Picks(*balancer, 1000)["a"], 500, 4);
  balancer->Update(endpoints_);
  EXPECT_NEAR(Picks(*balancer, 1000)["a"], 750, 4);
}

TEST_F(BalancerTest, RandomKeepsToTheWeightsOnAverage) {
  Add("a", 7);
  Add("b", 2);
  Add("c", 1);
  auto balancer = Create(BalancerKind::kRandom, Seeded(16));
  auto picks = Picks(*balancer, 10'000);
  EXPECT_NEAR(picks["a"], 7000, 5 * 46);
  EXPECT_NEAR(picks["b"], 2000, 5 * 40);
  EXPECT_NEAR(picks["c"], 1000, 5 * 30);
}

class SlowStartTest : public BalancerTest,
                      public ::testing::WithParamInterface<BalancerKind> {
 protected:
  std::map<std::string, int> PicksOfManyKeys(Balancer& balancer) {
    std::map<std::string, int> picks;
    for (int i = 0; i < 10'000; ++i) {
      const std::string key = "key-" + std::to_string(i);
      ++picks[Name(
          balancer.Pick({.hash_key = key, .now = clock_.Now()}).get())];
    }
    return picks;
  }
};

TEST_P(SlowStartTest, GivesANewEndpointItsShareBitByBit) {
  Add("a");
  auto fresh = Add("fresh");
  fresh->OnReady(clock_.Now());
  auto balancer = Create(GetParam(), Seeded(17));
  EXPECT_NEAR(PicksOfManyKeys(*balancer)["fresh"], 10'000 * 0.1 / 1.1, 300);
  clock_.Advance(5s);
  // Half of the weight after half of the window, so a third of the calls.
  EXPECT_NEAR(PicksOfManyKeys(*balancer)["fresh"], 10'000 * 0.5 / 1.5, 300);
  clock_.Advance(5s);
  EXPECT_NEAR(PicksOfManyKeys(*balancer)["fresh"], 5000, 300);
}

TEST_P(SlowStartTest, HoldsNothingBackWhileAllStartTogether) {
  for (int i = 0; i < 4; ++i) {
    Add("a" + std::to_string(i))->OnReady(clock_.Now());
  }
  auto balancer = Create(GetParam(), Seeded(18));
  clock_.Advance(2s);
  auto started = PicksOfManyKeys(*balancer);
  for (const auto& [name, count] : started) {
    EXPECT_NEAR(count, 2500, 300) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, SlowStartTest,
                         ::testing::Values(BalancerKind::kRoundRobin,
                                           BalancerKind::kWeightedRoundRobin,
                                           BalancerKind::kRandom));

TEST_F(BalancerTest, PeakEwmaGivesANewEndpointItsShareOfTheLoad) {
  Add("a", 1ms);
  auto fresh = Add("fresh");
  fresh->OnReady(clock_.Now());
  fresh->OnStart(clock_.Now());
  fresh->OnEnd(Outcome::kSuccess, 1ms, clock_.Now());
  auto balancer = Create(BalancerKind::kPeakEwma, Seeded(19));
  for (int i = 0; i < 1100; ++i) {
    balancer->Pick({.now = clock_.Now()})->OnStart(clock_.Now());
  }
  EXPECT_NEAR(static_cast<double>(fresh->in_flight()), 100, 3);
}

class RingHashTest : public BalancerTest {
 protected:
  using Owners = std::map<std::string, std::string>;

  static constexpr int kKeys = 5000;

  std::unique_ptr<Balancer> Ring(Endpoints endpoints,
                                 const RingHashOptions& options = {}) {
    auto balancer = *CreateBalancer(
        {.kind = BalancerKind::kRingHash, .ring_hash = options}, Seeded(20));
    balancer->Update(std::move(endpoints));
    return balancer;
  }
  std::string OwnerOf(Balancer& balancer, const std::string& key,
                      const std::vector<const Endpoint*>& avoid = {}) {
    return Name(balancer
                    .Pick({.hash_key = key,
                           .avoid = avoid.data(),
                           .avoid_count = avoid.size(),
                           .now = clock_.Now()})
                    .get());
  }
  Owners AllOwners(Balancer& balancer) {
    Owners owners;
    for (int i = 0; i < kKeys; ++i) {
      const std::string key = "key-" + std::to_string(i);
      owners[key] = OwnerOf(balancer, key);
    }
    return owners;
  }
  static std::map<std::string, int> Shares(const Owners& owners) {
    std::map<std::string, int> shares;
    for (const auto& [key, owner] : owners) ++shares[owner];
    return shares;
  }
};

TEST_F(RingHashTest, SendsAKeyToTheSameEndpointFromEveryClient) {
  for (int i = 0; i < 10; ++i) Add("a" + std::to_string(i));
  auto balancer = Ring(endpoints_);
  const Owners owners = AllOwners(*balancer);
  EXPECT_EQ(AllOwners(*balancer), owners);
  std::reverse(endpoints_.begin(), endpoints_.end());
  EXPECT_EQ(AllOwners(*Ring(endpoints_)), owners);
}

// A change here sends the keys of clients of two versions to different places.
TEST_F(RingHashTest, AgreesWithOtherVersions) {
  for (int i = 0; i < 4; ++i) {
    Add("10.0.0." + std::to_string(i) + ":50051");
  }
  auto balancer = Ring(endpoints_);
  std::string owners;
  for (int i = 0; i < 32; ++i) {
    owners += OwnerOf(*balancer, "key-" + std::to_string(i))[7];
  }
  EXPECT_EQ(owners, "22130200213223122123323200033320");
}

TEST_F(RingHashTest, SpreadsKeysEvenly) {
  for (int i = 0; i < 10; ++i) Add("a" + std::to_string(i));
  // A share's deviation is 1 / sqrt(1024), that of a count of keys 2 %.
  for (const auto& [name, count] : Shares(AllOwners(*Ring(endpoints_)))) {
    EXPECT_NEAR(count, kKeys / 10.0, kKeys / 10.0 * 0.2) << name;
  }
}

TEST_F(RingHashTest, SpreadsKeysByWeight) {
  Add("a", 4);
  Add("b", 2);
  Add("c", 1);
  auto shares = Shares(AllOwners(*Ring(endpoints_)));
  EXPECT_NEAR(shares["a"], kKeys * 4 / 7.0, kKeys * 0.03);
  EXPECT_NEAR(shares["b"], kKeys * 2 / 7.0, kKeys * 0.03);
  EXPECT_NEAR(shares["c"], kKeys * 1 / 7.0, kKeys * 0.03);
}

TEST_F(RingHashTest, MovesOnlyTheKeysOfAnEndpointThatLeaves) {
  for (int i = 0; i < 10; ++i) Add("a" + std::to_string(i));
  const Owners before = AllOwners(*Ring(endpoints_));
  std::swap(endpoints_[3], endpoints_.back());
  endpoints_.pop_back();
  const Owners after = AllOwners(*Ring(endpoints_));
  std::map<std::string, int> heirs;
  for (const auto& [key, owner] : before) {
    if (owner == "a3") {
      ++heirs[after.at(key)];
    } else {
      EXPECT_EQ(after.at(key), owner) << key;
    }
  }
  EXPECT_EQ(heirs.size(), 9u);  // not all to one
}

TEST_F(RingHashTest, MovesKeysOnlyToAnEndpointThatComes) {
  for (int i = 0; i < 10; ++i) Add("a" + std::to_string(i));
  const Owners before = AllOwners(*Ring(endpoints_));
  Add("new");
  for (const auto& [key, owner] : AllOwners(*Ring(endpoints_))) {
    if (owner != "new") {
      EXPECT_EQ(before.at(key), owner) << key;
    }
  }
}

TEST_F(RingHashTest, WalksOnToWhereAKeyWouldBeWithoutTheAvoided) {
  for (int i = 0; i < 10; ++i) Add("a" + std::to_string(i));
  auto whole = Ring(endpoints_);
  const Endpoints two = {endpoints_[0], endpoints_[1]};
  auto without = Ring(Endpoints(endpoints_.begin() + 2, endpoints_.end()));
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "key-" + std::to_string(i);
    EXPECT_EQ(OwnerOf(*whole, key, {two[0].get(), two[1].get()}),
              OwnerOf(*without, key));
  }
}

TEST_F(RingHashTest, SpreadsCallsWithoutAKey) {
  for (int i = 0; i < 4; ++i) Add("a" + std::to_string(i));
  auto balancer = Ring(endpoints_);
  for (const auto& [name, count] : Picks(*balancer, 10'000)) {
    EXPECT_NEAR(count, 2500, 400) << name;
  }
}

TEST_F(RingHashTest, GivesEveryEndpointAPlaceOnASmallRing) {
  for (int i = 0; i < 40; ++i) Add("a" + std::to_string(i));
  for (const RingHashOptions& options :
       {RingHashOptions{.min_ring_size = 1, .max_ring_size = 1},
        RingHashOptions{.min_ring_size = 7, .max_ring_size = 50},
        RingHashOptions{.min_ring_size = 1024, .max_ring_size = 4096}}) {
    auto balancer = Ring(endpoints_, options);
    EXPECT_EQ(Shares(AllOwners(*balancer)).size(), 40u);
  }
}

TEST_F(RingHashTest, MovesEachKeyToAStartingEndpointOnce) {
  for (int i = 0; i < 4; ++i) Add("a" + std::to_string(i));
  const Owners before = AllOwners(*Ring(endpoints_));
  Add("new")->OnReady(clock_.Now());
  auto balancer = Ring(endpoints_);
  std::map<std::string, bool> moved;
  int last = 0;
  for (int second = 0; second <= 10; ++second) {
    const Owners owners = AllOwners(*balancer);
    int count = 0;
    for (const auto& [key, owner] : owners) {
      if (owner == "new") {
        moved[key] = true;
        ++count;
      } else {
        EXPECT_EQ(owner, before.at(key));
        EXPECT_FALSE(moved[key]) << key;
      }
    }
    EXPECT_GE(count, last);
    EXPECT_NEAR(count, kKeys / 5.0 * std::clamp(second, 1, 10) / 10,
                kKeys / 30.0);
    last = count;
    clock_.Advance(1s);
  }
}

class ZoneTest : public BalancerTest {
 protected:
  void AddZone(const std::string& zone, int count, double weight = 1) {
    for (int i = 0; i < count; ++i) {
      endpoints_.push_back(std::make_shared<Endpoint>(
          EndpointOptions{.address = zone + std::to_string(i),
                          .weight = weight,
                          .zone = zone}));
    }
  }
  // Picks by zone, of ten thousand.
  std::map<char, int> Zones(const ZoneOptions& zone) {
    auto balancer = *CreateBalancer(
        {.kind = BalancerKind::kRoundRobin, .zone = zone}, Seeded(21));
    balancer->Update(endpoints_);
    std::map<char, int> zones;
    for (const auto& [name, count] : Picks(*balancer, 10'000)) {
      zones[name[0]] += count;
    }
    return zones;
  }
};

TEST_F(ZoneTest, DoesNotMatterUnlessToldWhereTheCallerIs) {
  AddZone("a", 2);
  AddZone("b", 2);
  EXPECT_EQ(Zones({})['a'], 5000);
  EXPECT_EQ(Zones({.local_zone = "z"})['a'], 5000);
}

TEST_F(ZoneTest, StaysAtHomeWhileThatHasItsShareOfTheCapacity) {
  AddZone("a", 2);
  AddZone("b", 2);
  AddZone("c", 1);
  EXPECT_EQ(Zones({.local_zone = "a"})['a'], 10'000);
}

TEST_F(ZoneTest, SpillsWhatHomeHasNoCapacityFor) {
  AddZone("a", 2);
  AddZone("b", 2);
  AddZone("c", 5);
  // Capacity 2/9 for a demand of 1/3: two thirds stay, and only c has to spare.
  auto zones = Zones({.local_zone = "a"});
  EXPECT_NEAR(zones['a'], 6667, 250);
  EXPECT_EQ(zones['b'], 0);
  EXPECT_NEAR(zones['c'], 3333, 250);
}

TEST_F(ZoneTest, SpillsInProportionToWhatIsToSpare) {
  AddZone("a", 2);
  AddZone("b", 4);
  AddZone("c", 6);
  AddZone("d", 8);
  // Capacities 0.1, 0.2, 0.3, 0.4 for demands of 0.25 each.
  auto zones = Zones({.local_zone = "a"});
  EXPECT_NEAR(zones['a'], 4000, 250);
  EXPECT_EQ(zones['b'], 0);
  EXPECT_NEAR(zones['c'], 1500, 200);
  EXPECT_NEAR(zones['d'], 4500, 250);
}

TEST_F(ZoneTest, CountsWeightsAsCapacity) {
  AddZone("a", 2, 0.5);
  AddZone("b", 2, 1.5);
  EXPECT_NEAR(Zones({.local_zone = "a"})['a'], 5000, 250);
}

TEST_F(ZoneTest, KnowsWhereTheCallersAre) {
  AddZone("a", 2);
  AddZone("b", 2);
  EXPECT_NEAR(Zones({.local_zone = "a", .local_caller_share = 0.8})['a'], 6250,
              250);
  EXPECT_EQ(Zones({.local_zone = "a", .local_caller_share = 0.1})['a'], 10'000);
  EXPECT_NEAR(Zones({.local_zone = "a", .local_caller_share = 1})['a'], 5000,
              250);
}

TEST_F(ZoneTest, IsNotPreferredWithTooFewEndpoints) {
  AddZone("a", 1);
  AddZone("b", 1);
  EXPECT_EQ(Zones({.local_zone = "a"})['a'], 5000);
  EXPECT_EQ(Zones({.local_zone = "a", .min_local_endpoints = 1})['a'], 10'000);
}

TEST_F(ZoneTest, SendsAKeyToTheSameZone) {
  AddZone("a", 2);
  AddZone("b", 6);
  auto balancer = *CreateBalancer(
      {.kind = BalancerKind::kRingHash, .zone = {.local_zone = "a"}},
      Seeded(22));
  balancer->Update(endpoints_);
  std::map<char, int> zones;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "key-" + std::to_string(i);
    const PickContext context = {.hash_key = key, .now = clock_.Now()};
    const auto endpoint = balancer->Pick(context);
    ++zones[endpoint->address()[0]];
    EXPECT_EQ(balancer->Pick(context), endpoint);
  }
  EXPECT_NEAR(zones['a'], 500, 80);
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
