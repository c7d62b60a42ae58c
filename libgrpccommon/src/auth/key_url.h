// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "grpccommon/auth/key_source.h"

namespace grpccommon::internal {

struct FetchedKeys {
  std::string body;
  /// What is left of `max-age`, if the answer had one.
  std::optional<Clock::Duration> lifetime;
};

/// Fetches once; returns early once `stop` is true.
using FetchKeys =
    std::function<absl::StatusOr<FetchedKeys>(const std::atomic<bool>& stop)>;

/// CreateKeyUrl without the URL. Requires valid options.
std::unique_ptr<KeySource> CreateFetchedKeySource(
    FetchKeys fetch, std::string name, Scheduler& scheduler,
    const KeyUrlOptions& options, const Logger& logger, const Clock& clock,
    Random random);

}  // namespace grpccommon::internal
