// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/balance/endpoint.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"

namespace grpccommon {

/// What a pick may depend on.
struct PickContext {
  /// For kRingHash: calls with the same key go to the same endpoint, from all
  /// clients. Empty: any endpoint.
  std::string_view hash_key;
  /// What earlier attempts of the call have tried; picked only if there is
  /// nothing else. Borrowed for the pick.
  const Endpoint* const* avoid = nullptr;
  std::size_t avoid_count = 0;
  Clock::TimePoint now;
};

/// Chooses the endpoint of each attempt.
///
/// Thread-safe, but for updates among each other.
class GRPCCOMMON_EXPORT Balancer {
 public:
  virtual ~Balancer() = default;

  /// Replaces the set of endpoints that may be picked. Picks go on meanwhile;
  /// those that begin after the return see the new set. One caller at a time.
  virtual void Update(std::vector<std::shared_ptr<Endpoint>> ready) = 0;

  /// Null if there is none. Waits for no other pick, allocates nothing.
  virtual std::shared_ptr<Endpoint> Pick(const PickContext& context) = 0;
};

enum class BalancerKind : std::uint8_t {
  /// Of two endpoints by chance, the one of lower Endpoint::Cost. Goes around
  /// slow, failing and silent ones by itself.
  kPeakEwma,
  /// One after the other, whatever their weights.
  kRoundRobin,
  /// In turn, in exact proportion to their weights.
  kWeightedRoundRobin,
  /// By chance, in proportion to their weights.
  kRandom,
  /// By PickContext::hash_key.
  kRingHash,
};

struct RingHashOptions {
  /// Points that the endpoint of most weight has on the ring, in [1, 8388608];
  /// the others have as many as their share of that weight makes. They are
  /// halved until the ring fits into …
  int min_ring_size = 1024;
  /// … so many, in [min_ring_size, 8388608]; but each endpoint has at least
  /// one. A point takes 16 bytes.
  int max_ring_size = 262144;
};

struct ZoneOptions {
  /// Where the caller runs. Empty: zones do not matter.
  std::string local_zone;
  /// Share of all callers that run in this zone, in [0, 1]. Zero: as many as in
  /// each other zone that has endpoints.
  double local_caller_share = 0;
  /// With fewer endpoints in it, the zone is not preferred: one alone could not
  /// be gone around. In [1, 1e6].
  int min_local_endpoints = 2;
};

struct BalancerOptions {
  BalancerKind kind = BalancerKind::kPeakEwma;
  RingHashOptions ring_hash;
  ZoneOptions zone;
};

/// `random` is called by many threads at once, and must not call the balancer.
/// Errors: kInvalidArgument, naming the option that is out of range.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<Balancer>> CreateBalancer(
    const BalancerOptions& options, Random random = UniformRandom);

}  // namespace grpccommon
