// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "balance/picker.h"

namespace grpccommon::internal {

/// Prefers the caller's zone as long as that leaves each endpoint of all zones
/// with its share of the calls.
///
/// The rule, as in Envoy's zone-aware routing: a zone's capacity c is its share
/// of the weight of all ready endpoints, its demand d the share of the callers
/// that run in it. Of the local calls, min(1, c / d) stay in the zone. The
/// others go to the zones with capacity to spare, in proportion to c - d. What
/// has been tried in the zone is tried elsewhere next.
class ZonePicker : public Picker {
 public:
  /// Another picker, if the options or the endpoints say that zones do not
  /// matter.
  static std::unique_ptr<const Picker> Create(const BalancerOptions& options,
                                              Endpoints endpoints,
                                              const Random& random);

  const std::shared_ptr<Endpoint>* Pick(
      const PickContext& context) const override;

 private:
  struct Part {
    double until;  // sum of the shares up to and with this one
    std::unique_ptr<const Picker> picker;
  };

  ZonePicker(std::vector<Part> parts, std::unique_ptr<const Picker> all,
             const Random& random);

  const std::vector<Part> parts_;  // the local zone first
  const std::unique_ptr<const Picker> all_;
  const Random& random_;
};

}  // namespace grpccommon::internal
