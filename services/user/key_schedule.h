// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"

namespace platform::user {

struct KeyScheduleOptions {
  /// How long a key signs, in [1 min, 1 y].
  grpccommon::Clock::Duration rotation_interval = std::chrono::hours(7 * 24);
  /// How long it is published before: longer than verifiers keep what they
  /// have fetched, and longer than instances take to see it; in [2 s,
  /// rotation_interval].
  grpccommon::Clock::Duration publish_ahead = std::chrono::hours(1);
  /// How long a token may be accepted after its key has signed it: its lifetime
  /// and what the clocks of issuers and verifiers may be apart; in [1 s, 30 d].
  grpccommon::Clock::Duration publish_after = std::chrono::minutes(25);
};

/// A signing key as it is stored. It signs from `signs_from` until the next
/// one's.
struct StoredKey {
  std::string id;
  std::string sealed;
  grpccommon::Clock::WallTime signs_from;
};

struct KeyPlan {
  /// When a key signs that must be made now.
  std::optional<grpccommon::Clock::WallTime> next_signs_from;
  /// Keys whose last token has expired.
  std::vector<std::string> expired;

  bool empty() const { return !next_signs_from.has_value() && expired.empty(); }
};

/// Errors: kInvalidArgument, naming the option.
absl::Status CheckKeySchedule(const KeyScheduleOptions& options);

/// What has to be done about the keys, in the order of `signs_from`.
KeyPlan PlanKeys(std::span<const StoredKey> keys,
                 grpccommon::Clock::WallTime now,
                 const KeyScheduleOptions& options);

}  // namespace platform::user
