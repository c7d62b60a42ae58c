// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "client/client_chain.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/breaker/circuit_breaker.h"
#include "grpccommon/call/method.h"
#include "grpccommon/retry/attempt_plan.h"
#include "grpccommon/retry/budget.h"
#include "grpccommon/retry/latency_percentile.h"
#include "grpcpp/impl/rpc_method.h"

namespace grpccommon::internal {

/// All that calls of one method share, worked out before the first of them.
struct ClientMethod {
  explicit ClientMethod(Method m)
      : method(std::move(m)),
        rpc(method.path.c_str(), RpcTypeOf(method.kind)) {}

  static grpc::internal::RpcMethod::RpcType RpcTypeOf(CallKind kind) {
    switch (kind) {
      case CallKind::kUnary:
        return grpc::internal::RpcMethod::NORMAL_RPC;
      case CallKind::kClientStream:
        return grpc::internal::RpcMethod::CLIENT_STREAMING;
      case CallKind::kServerStream:
        return grpc::internal::RpcMethod::SERVER_STREAMING;
      case CallKind::kBidiStream:
        return grpc::internal::RpcMethod::BIDI_STREAMING;
    }
    return grpc::internal::RpcMethod::NORMAL_RPC;
  }

  const Method method;
  const grpc::internal::RpcMethod rpc;
  /// What kept the method from being prepared; its calls fail with it.
  absl::Status status;
  std::unique_ptr<const MethodChain> chain;
  AttemptPolicy attempts;
  /// The same without retries and hedges.
  AttemptPolicy single_attempt;
  std::unique_ptr<LatencyPercentile> latency;
  std::unique_ptr<RetryBudget> hedge_budget;
  std::optional<Clock::Duration> timeout;
  /// Null: none, or one for each endpoint.
  std::shared_ptr<CircuitBreaker> breaker;
  std::string breaker_key;
};

}  // namespace grpccommon::internal
