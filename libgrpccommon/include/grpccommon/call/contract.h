// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"

namespace google::protobuf {
class MethodDescriptor;
}

namespace grpccommon {

/// Who may call a method.
struct AccessRule {
  enum class Kind {
    /// The contract says nothing: the server's default decides.
    kDefault,
    kPublic,
    kAuthenticated,
    /// At least one of `roles` or `scopes`.
    kAnyOf,
  };
  Kind kind = Kind::kDefault;
  std::vector<std::string> roles;
  std::vector<std::string> scopes;
};

enum class RateLimitKey { kPrincipal, kPeer, kMethod };

struct RateLimitRule {
  /// Sustained calls a second, in [0.001, 1e6].
  double rate = 0;
  /// Largest burst, in calls, in [1, 1e6].
  std::int64_t burst = 1;
  RateLimitKey key = RateLimitKey::kPrincipal;
};

struct RetryRule {
  int max_attempts = 1;
  std::chrono::nanoseconds initial_backoff{0};
  std::chrono::nanoseconds max_backoff{0};
  /// gRPC codes by number, in [2, 16]: OK and CANCELLED end a call.
  std::vector<int> codes;
  std::chrono::nanoseconds attempt_timeout{0};
};

/// Which calls are shed last.
enum class CallPriority : std::uint8_t { kCritical, kNormal, kSheddable };

/// protobuf's `idempotency_level`.
enum class Idempotency : std::uint8_t { kUnknown, kNoSideEffects, kIdempotent };

/// A method's contract (proto/grpccommon/v1/options.proto), read from its
/// descriptor once and for all.
struct MethodPolicy {
  AccessRule access;
  std::optional<RateLimitRule> rate_limit;
  /// None: unbounded on the server unless the client has a deadline.
  std::optional<std::chrono::nanoseconds> timeout;
  std::optional<RetryRule> retry;
  std::optional<std::size_t> max_request_bytes;
  CallPriority priority = CallPriority::kNormal;
  Idempotency idempotency = Idempotency::kUnknown;
  /// The handler checks the messages of its client stream itself.
  bool handler_checks_messages = false;
};

/// Reads `method`'s contract: its own options over its service's `defaults`.
/// Errors: kInvalidArgument, naming the method and the option out of range.
GRPCCOMMON_EXPORT absl::StatusOr<MethodPolicy> CompilePolicy(
    const google::protobuf::MethodDescriptor& method);

}  // namespace grpccommon
