// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "grpccommon/balance/balancer.h"
#include "grpccommon/balance/endpoint.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/random.h"

namespace grpccommon::internal {

using Endpoints = std::vector<std::shared_ptr<Endpoint>>;

/// A policy over one set of endpoints, which never changes. Thread-safe.
class Picker {
 public:
  virtual ~Picker() = default;

  /// Null if the context avoids all that there are.
  virtual const std::shared_ptr<Endpoint>* Pick(
      const PickContext& context) const = 0;
};

inline bool Avoids(const PickContext& context, const Endpoint* endpoint) {
  const Endpoint* const* const end = context.avoid + context.avoid_count;
  return std::find(context.avoid, end, endpoint) != end;
}

/// A whole number in [0, count), each as likely.
inline std::size_t RandomIndex(const Random& random, std::size_t count) {
  const auto index =
      static_cast<std::size_t>(random() * static_cast<double>(count));
  // Rounding may lead to the end.
  return std::min(index, count - 1);
}

/// Holds back calls from endpoints in slow start, for the policies that know
/// nothing of cost: one that is due is taken with a probability of its slow
/// start share, relative to the endpoint that has been ready for longest. So
/// nothing is held back while all of them start together.
class SlowStartGate {
 public:
  explicit SlowStartGate(const Endpoints& endpoints) {
    for (const auto& endpoint : endpoints) {
      oldest_ = std::min(oldest_, endpoint->ReadyAt());
    }
  }

  /// `chance` is asked only in slow start, for a number in [0, 1).
  template <typename Chance>
  bool Admits(const Endpoint& endpoint, Clock::TimePoint now,
              Chance chance) const {
    if (now >= endpoint.WarmAt()) [[likely]]
      return true;
    return chance() * endpoint.SlowStartShareSince(oldest_, now) <
           endpoint.SlowStartShare(now);
  }

 private:
  Clock::TimePoint oldest_ = Clock::TimePoint::max();
};

/// What the policies that know nothing of cost have in common: `due` says whose
/// turn it is. If that one is avoided or held back, `by_chance` proposes
/// others, so that its calls spread over all of them rather than fall to its
/// neighbour; in the end, all are looked through from a place by chance.
template <typename Due, typename ByChance>
const std::shared_ptr<Endpoint>* DrawAdmitted(const Endpoints& endpoints,
                                              const SlowStartGate& gate,
                                              const PickContext& context,
                                              const Random& random, Due due,
                                              ByChance by_chance) {
  if (endpoints.empty()) return nullptr;
  constexpr int kProposals = 16;
  std::size_t index = due();
  for (int i = 0; i < kProposals; ++i) {
    const std::shared_ptr<Endpoint>& endpoint = endpoints[index];
    if (!Avoids(context, endpoint.get()) &&
        gate.Admits(*endpoint, context.now, random)) {
      return &endpoint;
    }
    index = by_chance();
  }
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    if (!Avoids(context, endpoints[index].get())) return &endpoints[index];
    if (++index == endpoints.size()) index = 0;
  }
  return nullptr;
}

/// `random` is borrowed and must outlive the picker.
std::unique_ptr<const Picker> CreatePicker(const BalancerOptions& options,
                                           Endpoints endpoints,
                                           const Random& random);

}  // namespace grpccommon::internal
