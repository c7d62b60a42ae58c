// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/metrics_interceptor.h"

#include <cassert>
#include <utility>

#include "grpccommon/call/server_call.h"
#include "metrics/call_metrics.h"

namespace grpccommon {

using internal::MethodCallMetrics;

struct MetricsInterceptor::Impl {
  MetricsInterceptorOptions options;
  internal::CallFamilies families;
  // By Method::index; complete before the first call.
  std::vector<MethodCallMetrics> methods;
};

absl::StatusOr<std::unique_ptr<MetricsInterceptor>> MetricsInterceptor::Create(
    MetricsRegistry& registry, MetricsInterceptorOptions options) {
  absl::Status valid = internal::CheckAllBuckets(options);
  if (!valid.ok()) return valid;
  auto impl = std::make_unique<Impl>();
  valid = impl->families.Add(
      registry, "server",
      {.started = "Total number of RPCs started on the server.",
       .handled = "Total number of RPCs completed on the server, "
                  "regardless of success or failure.",
       .sent = "Total number of RPC messages sent by the server.",
       .received = "Total number of RPC messages received on the server.",
       .handling = "Response latency (seconds) of RPCs handled by the server.",
       .in_flight = "RPCs that run on the server now.",
       .refused = "RPCs that an interceptor refused before their handler, by "
                  "its stage and name."},
      options.buckets);
  if (!valid.ok()) return valid;
  impl->options = std::move(options);
  return std::unique_ptr<MetricsInterceptor>(
      new MetricsInterceptor(std::move(impl)));
}

MetricsInterceptor::MetricsInterceptor(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

MetricsInterceptor::~MetricsInterceptor() = default;

absl::StatusOr<Hooks> MetricsInterceptor::Register(const Method& method) {
  if (method.index >= impl_->methods.size()) {
    impl_->methods.resize(method.index + 1);
  }
  MethodCallMetrics& metrics = impl_->methods[method.index];
  metrics = MethodCallMetrics(impl_->families, method,
                              internal::BucketsOf(impl_->options, method),
                              method.server_streams(), method.client_streams());
  return Hooks{.start = true,
               .finish = true,
               .received = metrics.received_by_hook(),
               .sent = metrics.sent_by_hook()};
}

[[gnu::hot]] absl::Status MetricsInterceptor::OnStart(ServerCall& call) {
  assert(call.method().index < impl_->methods.size());
  impl_->methods[call.method().index].Start();
  return absl::OkStatus();
}

absl::Status MetricsInterceptor::OnReceived(
    ServerCall& call, const google::protobuf::Message* /*message*/) {
  impl_->methods[call.method().index].Received();
  return absl::OkStatus();
}

void MetricsInterceptor::OnSent(ServerCall& call,
                                const google::protobuf::Message* /*message*/) {
  impl_->methods[call.method().index].Sent();
}

[[gnu::hot]] void MetricsInterceptor::OnFinish(ServerCall& call,
                                               grpc::Status& status) {
  impl_->methods[call.method().index].Finish(
      status.error_code(), call.duration(), call.messages_sent(),
      call.messages_received());
  const ServerInterceptor* const refused_by = call.refused_by();
  if (refused_by != nullptr) {
    impl_->families.refusals.Count(*impl_->families.refused,
                                   refused_by->stage(), refused_by->name());
  }
}

}  // namespace grpccommon
