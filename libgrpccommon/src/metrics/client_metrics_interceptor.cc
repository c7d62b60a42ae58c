// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/client_metrics_interceptor.h"

#include <array>
#include <string_view>
#include <utility>

#include "grpccommon/call/client_call.h"
#include "metrics/call_metrics.h"

namespace grpccommon {

struct ClientMetricsInterceptor::Impl {
  ClientMetricsInterceptorOptions options;
  internal::CallFamilies families;
  CounterFamily* attempts = nullptr;
  CounterFamily* retries = nullptr;
  CounterFamily* hedges = nullptr;
};

class ClientMetricsInterceptor::OfMethod : public ClientInterceptor {
 public:
  OfMethod(std::shared_ptr<Impl> impl, const Method& method)
      : impl_(std::move(impl)),
        metrics_(impl_->families, method,
                 internal::BucketsOf(impl_->options, method),
                 method.client_streams(), method.server_streams()) {
    const std::array<std::string_view, 2> of_method = {method.service,
                                                       method.name};
    attempts_ = &impl_->attempts->With(of_method);
    retries_ = &impl_->retries->With(of_method);
    hedges_ = &impl_->hedges->With(of_method);
  }

  std::string_view name() const override { return "metrics"; }
  Stage stage() const override { return Stage::kObserve; }

  absl::Status OnStart(ClientCall& /*call*/) override {
    metrics_.Start();
    return absl::OkStatus();
  }

  absl::Status OnAttemptStart(ClientCall& /*call*/,
                              ClientAttempt& attempt) override {
    attempts_->Increment();
    if (attempt.hedged()) {
      hedges_->Increment();
    } else if (attempt.number() > 1) {
      retries_->Increment();
    }
    return absl::OkStatus();
  }

  void OnMessageSent(ClientCall& /*call*/) override {
    if (metrics_.sent_by_hook()) metrics_.Sent();
  }

  void OnMessageReceived(ClientCall& /*call*/) override {
    if (metrics_.received_by_hook()) metrics_.Received();
  }

  void OnFinish(ClientCall& call, grpc::Status& status) override {
    metrics_.Finish(status.error_code(), call.clock().Now() - call.started_at(),
                    call.messages_sent(), call.messages_received());
    if (const ClientInterceptor* const by = call.refused_by(); by != nullptr) {
      impl_->families.refusals.Count(*impl_->families.refused, by->stage(),
                                     by->name());
    }
  }

 private:
  const std::shared_ptr<Impl> impl_;
  const internal::MethodCallMetrics metrics_;
  Counter* attempts_;
  Counter* retries_;
  Counter* hedges_;
};

absl::StatusOr<std::unique_ptr<ClientMetricsInterceptor>>
ClientMetricsInterceptor::Create(MetricsRegistry& registry,
                                 ClientMetricsInterceptorOptions options) {
  absl::Status valid = internal::CheckAllBuckets(options);
  if (!valid.ok()) return valid;
  auto impl = std::make_shared<Impl>();
  valid = impl->families.Add(
      registry, "client",
      {.started = "Total number of RPCs started on the client.",
       .handled = "Total number of RPCs completed by the client, "
                  "regardless of success or failure.",
       .sent = "Total number of RPC messages sent by the client.",
       .received = "Total number of RPC messages received by the client.",
       .handling = "Response latency (seconds) of RPCs until they are finished "
                   "by the client.",
       .in_flight = "RPCs that the client waits for now.",
       .refused = "RPCs that an interceptor of the client refused, by its "
                  "stage and name."},
      options.buckets);
  const MetricOptions of_method = {
      .labels = {"grpc_service", "grpc_method"},
      .max_children = internal::kMaxMethodChildren};
  internal::KeepFamily(
      impl->attempts,
      registry.AddCounter("grpccommon_client_attempts_total",
                          "Attempts that RPCs of the client began.", of_method),
      valid);
  internal::KeepFamily(
      impl->retries,
      registry.AddCounter("grpccommon_client_retries_total",
                          "Attempts that followed one that had failed.",
                          of_method),
      valid);
  internal::KeepFamily(
      impl->hedges,
      registry.AddCounter("grpccommon_client_hedges_total",
                          "Attempts that began beside another one.", of_method),
      valid);
  if (!valid.ok()) return valid;
  impl->options = std::move(options);
  return std::unique_ptr<ClientMetricsInterceptor>(
      new ClientMetricsInterceptor(std::move(impl)));
}

ClientMetricsInterceptor::ClientMetricsInterceptor(std::shared_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

ClientMetricsInterceptor::~ClientMetricsInterceptor() = default;

absl::StatusOr<ClientHooks> ClientMetricsInterceptor::Register(
    const Method& method) {
  return ClientHooks{.attempts = true,
                     .messages = method.kind != CallKind::kUnary,
                     .for_method = std::make_shared<OfMethod>(impl_, method)};
}

}  // namespace grpccommon
