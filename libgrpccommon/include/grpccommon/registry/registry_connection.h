// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpcpp/security/credentials.h"

namespace grpccommon {

/// How a registry that lives elsewhere is reached. Durations are checked by the
/// registry's `Create`.
struct RegistryConnectionOptions {
  /// gRPC targets of one registry, "host:port" mostly, 1 to 16 of them. One is
  /// used at a time, chosen at random at first, and the next one when it fails.
  std::vector<std::string> addresses;
  /// None: plaintext.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  /// For each request, in [100 ms, 60 s].
  Clock::Duration call_timeout = std::chrono::seconds(3);
  /// How long to wait before the n-th try in a row: uniform between 0 and
  /// initial * 2^(n-1), at most `maximum` (full jitter). So the clients of a
  /// registry that comes back are spread over a second at least, and over the
  /// maximum after a long absence. In [10 ms, 1 min] and [initial, 10 min].
  Clock::Duration reconnect_initial = std::chrono::seconds(1);
  Clock::Duration reconnect_maximum = std::chrono::seconds(15);
  /// A silent connection is asked for a sign of life after `time`, and given up
  /// `timeout` later: the bound on how long a watch takes to notice that its
  /// registry is not there any more. In [10 s, 1 h] and [1 s, 1 min].
  Clock::Duration keepalive_time = std::chrono::seconds(20);
  Clock::Duration keepalive_timeout = std::chrono::seconds(5);
  /// How long a Registration waits, when it is destroyed, until the registry
  /// has taken it out, in [0, 1 min].
  Clock::Duration deregister_timeout = std::chrono::seconds(2);
};

/// Errors: kInvalidArgument, naming the option.
GRPCCOMMON_EXPORT absl::Status CheckConnection(
    const RegistryConnectionOptions& options);

}  // namespace grpccommon
