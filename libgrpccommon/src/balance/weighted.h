// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "balance/hash.h"
#include "balance/picker.h"
#include "grpccommon/base/thread_slot.h"

namespace grpccommon::internal {

/// Endpoints in proportion to their weights. Each owns a part of the range of
/// 64-bit numbers; a pick takes the owner of a point.
///
/// By chance, points are random. In turn, they are multiples of the golden
/// ratio, which all threads share: such points fall into each part in
/// proportion to its length, to within a few picks however many there have
/// been, and never far apart, so that picks of one endpoint are spread among
/// those of the others.
///
/// Source: the additive recurrence of lowest discrepancy (Knuth, TAOCP 3, 6.4,
/// theorem S; Niederreiter, 1992); found in constant time by an indexed search
/// (Chen and Asau, 1974).
class WeightedPicker : public Picker {
 public:
  enum class Order { kInTurn, kByChance };

  WeightedPicker(Endpoints endpoints, Order order, const Random& random);

  const std::shared_ptr<Endpoint>* Pick(
      const PickContext& context) const override;

 private:
  std::size_t OwnerOf(std::uint64_t point) const;

  const Endpoints endpoints_;
  const SlowStartGate gate_;
  const Order order_;
  const Random& random_;
  const Buckets buckets_;
  std::vector<std::uint64_t> last_points_;   // of each endpoint's part
  std::vector<std::uint32_t> first_owners_;  // of each bucket
  alignas(kCacheLineBytes) mutable std::atomic<std::uint64_t> next_point_;
};

}  // namespace grpccommon::internal
