// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/selector.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/metrics/metrics_registry.h"

namespace grpccommon {

struct MetricsInterceptorOptions {
  /// Upper bounds of `grpc_server_handling_seconds`, in seconds.
  std::vector<double> buckets = DefaultLatencyBuckets();
  struct MethodBuckets {
    Selector methods;
    std::vector<double> buckets;
  };
  /// Other bounds for some methods; the first that selects a method counts.
  std::vector<MethodBuckets> method_buckets;
};

/// Measures every call of a server, refused ones included, under the names that
/// the dashboards of the Go ecosystem read (go-grpc-prometheus):
/// `grpc_server_started_total`, `grpc_server_handled_total`,
/// `grpc_server_msg_received_total`, `grpc_server_msg_sent_total` and
/// `grpc_server_handling_seconds`, with `grpc_type`, `grpc_service`,
/// `grpc_method` and `grpc_code`; beside them `grpccommon_server_in_flight` and
/// `grpccommon_server_refused_total{stage,reason}`, whose reason is the name of
/// the interceptor that refused.
///
/// Every series of a method exists from its registration, at zero, so that a
/// first error shows as an increase. The messages of a stream are counted as
/// they pass; a unary call's when it ends.
class GRPCCOMMON_EXPORT MetricsInterceptor : public ServerInterceptor {
 public:
  /// `registry` is borrowed and must outlive the interceptor. Several servers
  /// of a process may share it, each with an interceptor of its own.
  /// Errors: kInvalidArgument for buckets, kAlreadyExists if the application
  /// has given one of the names to something else.
  static absl::StatusOr<std::unique_ptr<MetricsInterceptor>> Create(
      MetricsRegistry& registry, MetricsInterceptorOptions options = {});
  ~MetricsInterceptor() override;

  std::string_view name() const override { return "metrics"; }
  Stage stage() const override { return Stage::kObserve; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;
  absl::Status OnReceived(ServerCall& call,
                          const google::protobuf::Message* message) override;
  void OnSent(ServerCall& call,
              const google::protobuf::Message* message) override;
  void OnFinish(ServerCall& call, grpc::Status& status) override;

 private:
  struct Impl;
  explicit MetricsInterceptor(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
