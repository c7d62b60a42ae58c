// SPDX-License-Identifier: Apache-2.0
#include "balance/peak_ewma.h"

#include <cstddef>
#include <utility>

namespace grpccommon::internal {
namespace {

const std::shared_ptr<Endpoint>* Cheaper(const std::shared_ptr<Endpoint>* one,
                                         const std::shared_ptr<Endpoint>* other,
                                         Clock::TimePoint now) {
  return (*other)->Cost(now) < (*one)->Cost(now) ? other : one;
}

}  // namespace

const std::shared_ptr<Endpoint>* PeakEwmaPicker::Pick(
    const PickContext& context) const {
  const std::size_t count = endpoints_.size();
  if (count == 0) return nullptr;
  const std::size_t one = RandomIndex(random_, count);
  Pointer first = &endpoints_[one];
  Pointer second = first;
  if (count > 1) {
    std::size_t other = RandomIndex(random_, count - 1);
    if (other >= one) ++other;
    second = &endpoints_[other];
  }
  if (context.avoid_count != 0 &&
      (Avoids(context, first->get()) || Avoids(context, second->get()))) {
    return PickAvoiding(context);
  }
  return first == second ? first : Cheaper(first, second, context.now);
}

// Two by chance of those that are not avoided, by reservoir sampling. It looks
// at all of them, but the more there are, the more seldom it is needed.
const std::shared_ptr<Endpoint>* PeakEwmaPicker::PickAvoiding(
    const PickContext& context) const {
  Pointer chosen[2] = {nullptr, nullptr};
  std::size_t seen = 0;
  for (const std::shared_ptr<Endpoint>& endpoint : endpoints_) {
    if (Avoids(context, endpoint.get())) continue;
    const std::size_t place = seen < 2 ? seen : RandomIndex(random_, seen + 1);
    if (place < 2) chosen[place] = &endpoint;
    ++seen;
  }
  if (seen < 2) return chosen[0];
  // The sample is by chance, its order is not, and the first wins a tie.
  if (random_() < 0.5) std::swap(chosen[0], chosen[1]);
  return Cheaper(chosen[0], chosen[1], context.now);
}

}  // namespace grpccommon::internal
