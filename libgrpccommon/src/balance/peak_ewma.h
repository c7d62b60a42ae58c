// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include "balance/picker.h"

namespace grpccommon::internal {

/// Of two endpoints by chance, the one of lower cost; the first on a tie.
///
/// Source: Mitzenmacher, "The Power of Two Choices in Randomized Load
/// Balancing", 2001; with peak EWMA as the cost, Finagle's P2CPeakEwma.scala.
class PeakEwmaPicker : public Picker {
 public:
  PeakEwmaPicker(Endpoints endpoints, const Random& random)
      : endpoints_(std::move(endpoints)), random_(random) {}

  const std::shared_ptr<Endpoint>* Pick(
      const PickContext& context) const override;

 private:
  using Pointer = const std::shared_ptr<Endpoint>*;

  Pointer PickAvoiding(const PickContext& context) const;

  const Endpoints endpoints_;
  const Random& random_;
};

}  // namespace grpccommon::internal
