// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "balance/hash.h"
#include "balance/picker.h"

namespace grpccommon::internal {

/// Consistent hashing: endpoints have points on a ring, in proportion to their
/// weights, and a key goes to the owner of the first point from its own hash
/// on; to the next owner, where that one is avoided.
///
/// How many points an endpoint has depends on the others only through the
/// largest weight and the power of two by which the ring is too large. So when
/// one comes or goes, only its own keys move, but for these two cases; in gRFC
/// A42, where points are shares of a fixed ring, all others' points change too.
///
/// An endpoint in slow start takes a share of its keys that grows, each key
/// once; the others' stay where they are.
///
/// Source: Karger et al., "Consistent Hashing and Random Trees", 1997; sizes
/// and the random key as in gRFC A42.
class RingHashPicker : public Picker {
 public:
  RingHashPicker(Endpoints endpoints, const RingHashOptions& options,
                 const Random& random);

  const std::shared_ptr<Endpoint>* Pick(
      const PickContext& context) const override;

 private:
  struct Point {
    std::uint64_t hash;
    std::uint32_t owner;
  };

  void BuildRing(const RingHashOptions& options);

  const Endpoints endpoints_;
  const SlowStartGate gate_;
  const Random& random_;
  std::vector<Point> ring_;  // by hash
  Buckets buckets_{1};
  std::vector<std::uint32_t> first_points_;  // of each bucket
};

}  // namespace grpccommon::internal
