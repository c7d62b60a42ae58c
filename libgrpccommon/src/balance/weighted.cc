// SPDX-License-Identifier: Apache-2.0
#include "balance/weighted.h"

#include <limits>
#include <utility>

namespace grpccommon::internal {

WeightedPicker::WeightedPicker(Endpoints endpoints, Order order,
                               const Random& random)
    : endpoints_(std::move(endpoints)),
      gate_(endpoints_),
      order_(order),
      random_(random),
      buckets_(endpoints_.size()),
      next_point_(HashOf(random)) {
  if (endpoints_.empty()) return;
  std::vector<long double> ends;  // of the parts, as sums of weights
  ends.reserve(endpoints_.size());
  long double total = 0;
  for (const auto& endpoint : endpoints_) {
    ends.push_back(total += endpoint->weight());
  }
  constexpr std::uint64_t kEnd = std::numeric_limits<std::uint64_t>::max();
  last_points_.reserve(ends.size());
  for (const long double end : ends) {
    const long double scaled = end / total * 0x1.0p64L;
    last_points_.push_back(
        scaled >= 0x1.0p64L ? kEnd : static_cast<std::uint64_t>(scaled) - 1);
  }
  last_points_.back() = kEnd;

  first_owners_.reserve(buckets_.size());
  std::uint32_t owner = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    while (last_points_[owner] < buckets_.First(bucket)) ++owner;
    first_owners_.push_back(owner);
  }
}

std::size_t WeightedPicker::OwnerOf(std::uint64_t point) const {
  std::size_t owner = first_owners_[buckets_.Of(point)];
  while (last_points_[owner] < point) ++owner;
  return owner;
}

const std::shared_ptr<Endpoint>* WeightedPicker::Pick(
    const PickContext& context) const {
  const auto by_chance = [this] { return OwnerOf(HashOf(random_)); };
  if (order_ == Order::kByChance) {
    return DrawAdmitted(endpoints_, gate_, context, random_, by_chance,
                        by_chance);
  }
  return DrawAdmitted(
      endpoints_, gate_, context, random_,
      [this] {
        return OwnerOf(
            next_point_.fetch_add(kGolden, std::memory_order_relaxed));
      },
      by_chance);
}

}  // namespace grpccommon::internal
