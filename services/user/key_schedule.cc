// SPDX-License-Identifier: Apache-2.0
#include "services/user/key_schedule.h"

#include <algorithm>
#include <cstddef>

#include "grpccommon/base/check_range.h"

namespace platform::user {

using grpccommon::CheckRange;
using grpccommon::Clock;
using namespace std::chrono_literals;

absl::Status CheckKeySchedule(const KeyScheduleOptions& options) {
  absl::Status valid = CheckRange("rotation_interval",
                                  options.rotation_interval, 1min, 365 * 24h);
  valid.Update(CheckRange("publish_ahead", options.publish_ahead, 2s,
                          options.rotation_interval));
  valid.Update(
      CheckRange("publish_after", options.publish_after, 1s, 30 * 24h));
  return valid;
}

KeyPlan PlanKeys(std::span<const StoredKey> keys, Clock::WallTime now,
                 const KeyScheduleOptions& options) {
  KeyPlan plan;
  if (keys.empty()) {
    // Nobody can have fetched others.
    plan.next_signs_from = now;
    return plan;
  }
  const Clock::WallTime due =
      keys.back().signs_from + options.rotation_interval;
  if (now >= due - options.publish_ahead) {
    // Later than due if nobody was there to make it in time.
    plan.next_signs_from = std::max(due, now + options.publish_ahead);
  }
  for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
    if (now >= keys[i + 1].signs_from + options.publish_after) {
      plan.expired.push_back(keys[i].id);
    }
  }
  return plan;
}

}  // namespace platform::user
