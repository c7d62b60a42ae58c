// SPDX-License-Identifier: Apache-2.0
#include "balance/round_robin.h"

#include <utility>

namespace grpccommon::internal {

RoundRobinPicker::RoundRobinPicker(Endpoints endpoints, const Random& random)
    : endpoints_(std::move(endpoints)),
      gate_(endpoints_),
      random_(random),
      next_(endpoints_.empty() ? 0 : RandomIndex(random, endpoints_.size())) {}

const std::shared_ptr<Endpoint>* RoundRobinPicker::Pick(
    const PickContext& context) const {
  return DrawAdmitted(
      endpoints_, gate_, context, random_,
      [this] {
        return next_.fetch_add(1, std::memory_order_relaxed) %
               endpoints_.size();
      },
      [this] { return RandomIndex(random_, endpoints_.size()); });
}

}  // namespace grpccommon::internal
