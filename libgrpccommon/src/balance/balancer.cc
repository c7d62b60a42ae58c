// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/balance/balancer.h"

#include <utility>

#include "balance/peak_ewma.h"
#include "balance/picker.h"
#include "balance/ring_hash.h"
#include "balance/round_robin.h"
#include "balance/weighted.h"
#include "balance/zone.h"
#include "base/snapshot.h"
#include "grpccommon/base/check_range.h"

namespace grpccommon {
namespace internal {

std::unique_ptr<const Picker> CreatePicker(const BalancerOptions& options,
                                           Endpoints endpoints,
                                           const Random& random) {
  if (!options.zone.local_zone.empty()) {
    return ZonePicker::Create(options, std::move(endpoints), random);
  }
  switch (options.kind) {
    case BalancerKind::kPeakEwma:
      break;
    case BalancerKind::kRoundRobin:
      return std::make_unique<RoundRobinPicker>(std::move(endpoints), random);
    case BalancerKind::kWeightedRoundRobin:
      return std::make_unique<WeightedPicker>(
          std::move(endpoints), WeightedPicker::Order::kInTurn, random);
    case BalancerKind::kRandom:
      return std::make_unique<WeightedPicker>(
          std::move(endpoints), WeightedPicker::Order::kByChance, random);
    case BalancerKind::kRingHash:
      return std::make_unique<RingHashPicker>(std::move(endpoints),
                                              options.ring_hash, random);
  }
  return std::make_unique<PeakEwmaPicker>(std::move(endpoints), random);
}

}  // namespace internal

namespace {

// Builds a picker for each set of endpoints, and swaps.
class PickerBalancer : public Balancer {
 public:
  PickerBalancer(BalancerOptions options, Random random)
      : options_(std::move(options)),
        random_(std::move(random)),
        picker_(internal::CreatePicker(options_, {}, random_)) {}

  void Update(std::vector<std::shared_ptr<Endpoint>> ready) override {
    picker_.Set(internal::CreatePicker(options_, std::move(ready), random_));
  }

  std::shared_ptr<Endpoint> Pick(const PickContext& context) override {
    return picker_.With([&context](const internal::Picker& picker) {
      const std::shared_ptr<Endpoint>* picked = picker.Pick(context);
      if (picked == nullptr && context.avoid_count != 0) {
        picked =
            picker.Pick({.hash_key = context.hash_key, .now = context.now});
      }
      return picked == nullptr ? nullptr : *picked;
    });
  }

 private:
  const BalancerOptions options_;
  const Random random_;
  internal::Snapshot<internal::Picker> picker_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Balancer>> CreateBalancer(
    const BalancerOptions& options, Random random) {
  constexpr int kMaxRingSize = 8 << 20;
  const RingHashOptions& ring = options.ring_hash;
  const ZoneOptions& zone = options.zone;
  absl::Status valid =
      CheckRange("min_ring_size", ring.min_ring_size, 1, kMaxRingSize);
  valid.Update(CheckRange("max_ring_size", ring.max_ring_size,
                          ring.min_ring_size, kMaxRingSize));
  valid.Update(CheckRange("local_caller_share", zone.local_caller_share, 0, 1));
  valid.Update(
      CheckRange("min_local_endpoints", zone.min_local_endpoints, 1, 1e6));
  if (!valid.ok()) return valid;
  return std::make_unique<PickerBalancer>(options, std::move(random));
}

}  // namespace grpccommon
