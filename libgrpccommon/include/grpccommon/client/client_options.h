// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "grpccommon/balance/balancer.h"
#include "grpccommon/balance/outlier_detector.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/breaker/breaker_set.h"
#include "grpccommon/breaker/bulkhead.h"
#include "grpccommon/call/client_interceptor.h"
#include "grpccommon/call/selector.h"
#include "grpccommon/client/channel.h"
#include "grpccommon/client/deadline_budget.h"
#include "grpccommon/health/health_client.h"
#include "grpccommon/retry/budget.h"
#include "grpccommon/retry/retry_policy.h"
#include "grpccommon/retry/throttle.h"
#include "grpccommon/status/outcome.h"

namespace grpccommon {

/// Which endpoints a client may pick, and how it keeps them usable.
struct DiscoveryOptions {
  /// Of each connection.
  ChannelOptions channel;
  /// To each endpoint, in [1, 64]: more than one where a single connection's
  /// throughput or its limit of streams is too little.
  int connections_per_endpoint = 1;
  /// Largest number of instances that this client connects to, in [1, 10000];
  /// of more, it takes a subset of its own.
  std::size_t max_endpoints = 100;
  BalancerOptions balancer;
  /// None: nobody is ejected.
  std::optional<OutlierOptions> ejection = OutlierOptions();
  /// Follow `grpc.health.v1` of each endpoint, for this service name of theirs
  /// ("": the whole process). None: what the registry and the connection say is
  /// enough.
  std::optional<std::string> health_service;
  HealthWatchOptions health_watch;
  /// How long a call waits for an endpoint when none can be picked, at most
  /// until its deadline; in [0, 1 h].
  Clock::Duration max_wait = std::chrono::seconds(1);
  /// Calls that may wait so at the same time, in [0, 1e6].
  std::size_t max_waiting = 1000;
};

/// What a breaker is kept for.
enum class BreakerScope { kMethod, kService, kEndpoint };

struct BreakerPolicy {
  BreakerScope scope = BreakerScope::kMethod;
  std::variant<SlidingWindowBreakerOptions, AdaptiveBreakerOptions> breaker;
};

/// What holds for some methods in place of their contract and the client's
/// defaults.
struct MethodOverride {
  Selector methods;
  std::optional<Clock::Duration> timeout;
  std::optional<RetryPolicy> retry;
  /// Only for idempotent methods; plays no part for streams.
  std::optional<HedgingPolicy> hedging;
  std::optional<Idempotency> idempotency;
};

/// How one service is called. The defaults are meant for production; docs/
/// client.md has them in a table, with reasons.
struct ClientOptions {
  DiscoveryOptions discovery;

  DeadlineBudgetOptions deadline;
  /// For methods whose contract says nothing; what it leaves open is as here.
  RetryPolicy retry;
  /// What retries and hedges of all methods may add to the load.
  std::variant<RetryBudgetOptions, RetryThrottleOptions> retry_limit =
      RetryBudgetOptions();
  /// None: no breaker.
  std::optional<BreakerPolicy> breaker = BreakerPolicy();
  /// None: calls in flight are not limited.
  std::optional<BulkheadOptions> bulkhead;
  /// The first that selects a method counts, and only what it sets.
  std::vector<MethodOverride> methods;
  /// Null: OutcomeOf.
  Classifier classifier;
  /// Beside the manager's.
  std::vector<std::shared_ptr<ClientInterceptor>> interceptors;
};

}  // namespace grpccommon
