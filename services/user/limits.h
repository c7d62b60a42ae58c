// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpccommon/ratelimit/rate_limit_interceptor.h"

namespace platform::user {

/// What is bounded besides the calls of each address, which the contract
/// bounds: somebody may have thousands of addresses.
struct LimitOptions {
  /// By everybody together, at least 1; so many may come at once.
  int registrations_per_minute = 300;
  /// Under one name or address, whether or not anybody has it, and however they
  /// end; at least 1, and so many may come at once.
  int logins_per_minute = 30;
};

/// Adds them to those of the server that serves UserService.
void AddLimits(const LimitOptions& limits,
               grpccommon::RateLimitOptions& options);

}  // namespace platform::user
