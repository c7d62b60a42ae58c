// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "grpccommon/base/clock.h"
#include "grpccommon/call/client_call.h"
#include "grpccommon/retry/attempt_plan.h"

namespace grpccommon {

class Cancellation;
class ServerCall;

/// How one call went, beside its status.
struct CallInfo {
  /// Sent, hedges included; 0 if the call was refused or answered before.
  int attempts = 0;
  /// Why a failed call was not tried once more.
  StopReason stop_reason = StopReason::kNone;
  /// The address of the attempt that decided.
  std::string endpoint;
  /// Goes into the logs of both sides.
  std::string request_id;
  Clock::Duration duration{0};
  /// What the server sent with the status, of the attempt that decided.
  MetadataList trailing_metadata;
};

/// What one call may have of its own. All pointers are borrowed and must
/// outlive the call.
struct CallOptions {
  /// The call that this one is made for: gives request id and trace, bounds the
  /// time, and takes this call with it when it is cancelled.
  const ServerCall* parent = nullptr;
  /// For all attempts together, in (0, 24 h]; none: the contract's, and without
  /// one the client's default. Never beyond the parent's deadline.
  std::optional<Clock::Duration> timeout;
  /// For streams only: no bound but the parent's deadline, whatever contract
  /// and defaults say. The stream lasts until one side ends it.
  bool unbounded = false;
  /// Passes the parent's own credentials on.
  bool forward_credentials = false;
  MetadataList metadata;
  /// Calls with the same key go to the same endpoint, with a ring hash
  /// balancer.
  std::string hash_key;
  /// False: one attempt, whatever the policy.
  bool retry = true;
  Cancellation* cancellation = nullptr;
  /// Filled in before the call returns or calls back; of a stream, before
  /// Finish returns or OnDone is called.
  CallInfo* info = nullptr;
};

/// Of Client::CallAll.
struct BulkOptions {
  /// Calls under way at the same time, in [1, 10000].
  std::size_t max_parallel = 16;
};

}  // namespace grpccommon
