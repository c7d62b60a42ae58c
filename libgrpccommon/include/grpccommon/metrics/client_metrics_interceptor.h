// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/client_interceptor.h"
#include "grpccommon/call/selector.h"
#include "grpccommon/metrics/metrics_registry.h"

namespace grpccommon {

struct ClientMetricsInterceptorOptions {
  /// Upper bounds of `grpc_client_handling_seconds`, in seconds.
  std::vector<double> buckets = DefaultLatencyBuckets();
  struct MethodBuckets {
    Selector methods;
    std::vector<double> buckets;
  };
  /// Other bounds for some methods; the first that selects a method counts.
  std::vector<MethodBuckets> method_buckets;
};

/// Measures outgoing calls, refused ones included, under the names that the
/// dashboards of the Go ecosystem read (go-grpc-prometheus):
/// `grpc_client_started_total`, `grpc_client_handled_total`,
/// `grpc_client_msg_sent_total`, `grpc_client_msg_received_total` and
/// `grpc_client_handling_seconds`, with `grpc_type`, `grpc_service`,
/// `grpc_method` and `grpc_code`. A call counts once, however many attempts it
/// took; those are in `grpccommon_client_attempts_total`, and of them
/// `grpccommon_client_retries_total` and `grpccommon_client_hedges_total`, with
/// `grpc_service` and `grpc_method`. Beside them `grpccommon_client_in_flight`
/// and `grpccommon_client_refused_total{stage,reason}`, whose reason is the
/// name of the interceptor that refused.
///
/// Every series of a method exists from its first call, at zero.
class GRPCCOMMON_EXPORT ClientMetricsInterceptor : public ClientInterceptor {
 public:
  /// `registry` is borrowed and must outlive the interceptor and all calls.
  /// Errors: kInvalidArgument for buckets, kAlreadyExists if the application
  /// has given one of the names to something else.
  static absl::StatusOr<std::unique_ptr<ClientMetricsInterceptor>> Create(
      MetricsRegistry& registry, ClientMetricsInterceptorOptions options = {});
  ~ClientMetricsInterceptor() override;

  std::string_view name() const override { return "metrics"; }
  Stage stage() const override { return Stage::kObserve; }
  /// Each method has an object of its own, which holds its series.
  absl::StatusOr<ClientHooks> Register(const Method& method) override;

 private:
  struct Impl;
  class OfMethod;
  explicit ClientMetricsInterceptor(std::shared_ptr<Impl> impl);
  const std::shared_ptr<Impl> impl_;
};

}  // namespace grpccommon
