// SPDX-License-Identifier: Apache-2.0
#include "balance/zone.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "absl/memory/memory.h"
#include "balance/hash.h"

namespace grpccommon::internal {
namespace {

struct Zone {
  Endpoints endpoints;
  double weight = 0;
};

}  // namespace

std::unique_ptr<const Picker> ZonePicker::Create(const BalancerOptions& options,
                                                 Endpoints endpoints,
                                                 const Random& random) {
  BalancerOptions plain = options;
  plain.zone.local_zone.clear();

  std::map<std::string_view, Zone> zones;
  double total = 0;
  for (const auto& endpoint : endpoints) {
    Zone& zone = zones[endpoint->zone()];
    zone.endpoints.push_back(endpoint);
    const double weight = endpoint->weight();
    zone.weight += weight;
    total += weight;
  }
  const auto local = zones.find(options.zone.local_zone);
  if (zones.size() < 2 || local == zones.end() ||
      local->second.endpoints.size() <
          static_cast<std::size_t>(options.zone.min_local_endpoints)) {
    return CreatePicker(plain, std::move(endpoints), random);
  }

  const double local_demand = options.zone.local_caller_share > 0
                                  ? options.zone.local_caller_share
                                  : 1.0 / static_cast<double>(zones.size());
  const double other_demand =
      (1 - local_demand) / static_cast<double>(zones.size() - 1);
  double spare = 0;
  for (const auto& [name, zone] : zones) {
    if (&zone == &local->second) continue;
    spare += std::max(zone.weight / total - other_demand, 0.0);
  }
  double until = std::min(local->second.weight / total / local_demand, 1.0);
  // What is missing here is to spare elsewhere, but for rounding.
  if (spare <= 0) until = 1;

  std::vector<Part> parts;
  const double spilled = 1 - until;
  parts.push_back({.until = until,
                   .picker = CreatePicker(
                       plain, std::move(local->second.endpoints), random)});
  for (auto& [name, zone] : zones) {
    const double zone_spare = zone.weight / total - other_demand;
    if (&zone == &local->second || zone_spare <= 0 || spilled <= 0) continue;
    until += spilled * zone_spare / spare;
    parts.push_back(
        {.until = until,
         .picker = CreatePicker(plain, std::move(zone.endpoints), random)});
  }
  return absl::WrapUnique(new ZonePicker(
      std::move(parts), CreatePicker(plain, std::move(endpoints), random),
      random));
}

ZonePicker::ZonePicker(std::vector<Part> parts,
                       std::unique_ptr<const Picker> all, const Random& random)
    : parts_(std::move(parts)), all_(std::move(all)), random_(random) {}

const std::shared_ptr<Endpoint>* ZonePicker::Pick(
    const PickContext& context) const {
  const Part* part = &parts_.front();
  if (parts_.size() > 1) {
    // Calls with the same key go to the same zone.
    const double chance = context.hash_key.empty()
                              ? random_()
                              : UnitInterval(Mix64(XxHash64(context.hash_key)));
    while (chance >= part->until && part != &parts_.back()) ++part;
  }
  const std::shared_ptr<Endpoint>* const picked = part->picker->Pick(context);
  return picked != nullptr ? picked : all_->Pick(context);
}

}  // namespace grpccommon::internal
