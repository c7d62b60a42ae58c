// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/balance/subset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

namespace grpccommon {
namespace {

std::vector<std::string> Addresses(int count) {
  std::vector<std::string> addresses;
  for (int i = 0; i < count; ++i) {
    addresses.push_back("10.0." + std::to_string(i / 256) + "." +
                        std::to_string(i % 256) + ":50051");
  }
  return addresses;
}

std::set<std::string> Choose(const std::string& client,
                             const std::vector<std::string>& addresses,
                             std::size_t size) {
  const std::vector<std::string_view> views(addresses.begin(), addresses.end());
  std::set<std::string> chosen;
  for (const std::size_t index : ChooseSubset(client, views, size)) {
    chosen.insert(addresses[index]);
  }
  return chosen;
}

TEST(ChooseSubsetTest, TakesAllIfThereAreNoMore) {
  const std::vector<std::string_view> addresses = {"a", "b", "c"};
  using Indices = std::vector<std::size_t>;
  EXPECT_EQ(ChooseSubset("client", addresses, 4), (Indices{0, 1, 2}));
  EXPECT_EQ(ChooseSubset("client", addresses, 3), (Indices{0, 1, 2}));
  EXPECT_EQ(ChooseSubset("client", addresses, 0), Indices{});
  EXPECT_EQ(ChooseSubset("client", {}, 5), Indices{});
}

TEST(ChooseSubsetTest, DependsOnTheSetAndNotOnItsOrder) {
  std::vector<std::string> addresses = Addresses(100);
  const auto chosen = Choose("client", addresses, 10);
  EXPECT_EQ(chosen.size(), 10u);
  std::reverse(addresses.begin(), addresses.end());
  EXPECT_EQ(Choose("client", addresses, 10), chosen);
  EXPECT_NE(Choose("other", addresses, 10), chosen);
}

TEST(ChooseSubsetTest, SpreadsClientsOverAddresses) {
  constexpr int kClients = 2000;
  const auto addresses = Addresses(100);
  std::map<std::string, int> clients;
  for (int i = 0; i < kClients; ++i) {
    for (const auto& address :
         Choose("client-" + std::to_string(i), addresses, 10)) {
      ++clients[address];
    }
  }
  EXPECT_EQ(clients.size(), 100u);
  double squares = 0;
  for (const auto& [address, count] : clients) {
    EXPECT_NEAR(count, 200, 5 * std::sqrt(200)) << address;
    squares += std::pow(count - 200, 2);
  }
  // Binomial: sqrt(2000 x 0.1 x 0.9) = 13.4.
  EXPECT_NEAR(std::sqrt(squares / 100), 13.4, 3);
}

TEST(ChooseSubsetTest, ChangesNoMoreThanItMust) {
  auto addresses = Addresses(100);
  for (int i = 0; i < 100; ++i) {
    const std::string client = "client-" + std::to_string(i);
    const auto before = Choose(client, addresses, 10);
    for (const std::string& gone : {addresses[7], addresses[93]}) {
      auto others = addresses;
      std::erase(others, gone);
      const auto after = Choose(client, others, 10);
      std::set<std::string> lost;
      std::set_difference(before.begin(), before.end(), after.begin(),
                          after.end(), std::inserter(lost, lost.end()));
      EXPECT_EQ(lost.size(), before.count(gone));
    }
  }
}

}  // namespace
}  // namespace grpccommon
