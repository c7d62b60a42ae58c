// SPDX-License-Identifier: Apache-2.0
#include "balance/ring_hash.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace grpccommon::internal {
namespace {

// How many points each endpoint has.
std::vector<std::uint32_t> PointCounts(const Endpoints& endpoints,
                                       const RingHashOptions& options) {
  double most = 0;
  // Once: another thread may change them meanwhile.
  std::vector<double> weights;
  weights.reserve(endpoints.size());
  for (const auto& endpoint : endpoints) {
    weights.push_back(endpoint->weight());
    most = std::max(most, weights.back());
  }
  std::vector<std::uint32_t> counts(endpoints.size());
  const std::size_t limit = std::max<std::size_t>(
      static_cast<std::size_t>(options.max_ring_size), endpoints.size());
  for (std::uint32_t of_most =
           static_cast<std::uint32_t>(options.min_ring_size);
       ; of_most /= 2) {
    std::size_t total = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      counts[i] = std::max<std::uint32_t>(
          static_cast<std::uint32_t>(std::lround(of_most * weights[i] / most)),
          1);
      total += counts[i];
    }
    if (total <= limit) return counts;
  }
}

}  // namespace

RingHashPicker::RingHashPicker(Endpoints endpoints,
                               const RingHashOptions& options,
                               const Random& random)
    : endpoints_(std::move(endpoints)), gate_(endpoints_), random_(random) {
  if (!endpoints_.empty()) BuildRing(options);
}

// Hashes are spread evenly, so buckets of one point on average sort them in
// linear time, and find them in constant time afterwards.
void RingHashPicker::BuildRing(const RingHashOptions& options) {
  const std::vector<std::uint32_t> counts = PointCounts(endpoints_, options);
  std::vector<Point> points;
  std::size_t size = 0;
  for (const std::uint32_t count : counts) size += count;
  points.reserve(size);
  buckets_ = Buckets(size);
  first_points_.resize(buckets_.size() + 1);
  for (std::uint32_t owner = 0; owner < counts.size(); ++owner) {
    std::uint64_t seed = XxHash64(endpoints_[owner]->address());
    for (std::uint32_t i = 0; i < counts[owner]; ++i, seed += kGolden) {
      points.push_back({.hash = Mix64(seed), .owner = owner});
      ++first_points_[buckets_.Of(points.back().hash) + 1];
    }
  }
  for (std::size_t i = 1; i < first_points_.size(); ++i) {
    first_points_[i] += first_points_[i - 1];
  }
  ring_.resize(size);
  std::vector<std::uint32_t> next = first_points_;
  for (const Point& point : points) {
    ring_[next[buckets_.Of(point.hash)]++] = point;
  }
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    std::sort(ring_.begin() + first_points_[bucket],
              ring_.begin() + first_points_[bucket + 1],
              [](const Point& one, const Point& other) {
                return one.hash < other.hash;
              });
  }
}

const std::shared_ptr<Endpoint>* RingHashPicker::Pick(
    const PickContext& context) const {
  // Without this, a walk might go all the way round for nothing.
  if (context.avoid_count >= endpoints_.size() &&
      std::all_of(endpoints_.begin(), endpoints_.end(),
                  [&context](const auto& endpoint) {
                    return Avoids(context, endpoint.get());
                  })) {
    return nullptr;
  }
  const std::uint64_t hash =
      context.hash_key.empty() ? HashOf(random_) : XxHash64(context.hash_key);
  std::size_t at = first_points_[buckets_.Of(hash)];
  while (at < ring_.size() && ring_[at].hash < hash) ++at;

  constexpr int kMostHeldBack = 64;
  const std::shared_ptr<Endpoint>* first_held_back = nullptr;
  int held_back = 0;
  for (;; ++at) {
    if (at >= ring_.size()) at = 0;
    const std::uint32_t owner = ring_[at].owner;
    const std::shared_ptr<Endpoint>& endpoint = endpoints_[owner];
    if (context.avoid_count != 0 && Avoids(context, endpoint.get())) continue;
    // The same key and endpoint always give the same chance.
    if (gate_.Admits(*endpoint, context.now, [&] {
          return UnitInterval(Mix64(hash ^ XxHash64(endpoint->address())));
        })) {
      return &endpoint;
    }
    if (first_held_back == nullptr) first_held_back = &endpoint;
    if (++held_back == kMostHeldBack) return first_held_back;
  }
}

}  // namespace grpccommon::internal
