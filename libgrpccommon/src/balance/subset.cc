// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/balance/subset.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "balance/hash.h"

namespace grpccommon {

std::vector<std::size_t> ChooseSubset(
    std::string_view client_id, std::span<const std::string_view> addresses,
    std::size_t size) {
  const std::uint64_t seed = internal::XxHash64(client_id);
  std::vector<std::pair<std::uint64_t, std::size_t>> ranks;
  ranks.reserve(addresses.size());
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    ranks.emplace_back(internal::XxHash64(addresses[i], seed), i);
  }
  if (size < ranks.size()) {
    std::nth_element(ranks.begin(),
                     ranks.begin() + static_cast<std::ptrdiff_t>(size),
                     ranks.end());
    ranks.resize(size);
  }
  std::vector<std::size_t> chosen;
  chosen.reserve(ranks.size());
  for (const auto& [rank, index] : ranks) chosen.push_back(index);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace grpccommon
