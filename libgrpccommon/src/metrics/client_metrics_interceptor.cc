// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/client_metrics_interceptor.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "grpccommon/call/client_call.h"
#include "metrics/call_metrics.h"

namespace grpccommon {

using internal::kGoCodes;
using internal::kMaxMethodChildren;

struct ClientMetricsInterceptor::Impl {
  ClientMetricsInterceptorOptions options;
  CounterFamily* started = nullptr;
  CounterFamily* handled = nullptr;
  CounterFamily* sent = nullptr;
  CounterFamily* received = nullptr;
  HistogramFamily* handling = nullptr;
  UpDownCounterFamily* in_flight = nullptr;
  CounterFamily* attempts = nullptr;
  CounterFamily* retries = nullptr;
  CounterFamily* hedges = nullptr;
  CounterFamily* refused = nullptr;
  internal::RefusalCounters refusals;
};

class ClientMetricsInterceptor::OfMethod : public ClientInterceptor {
 public:
  OfMethod(std::shared_ptr<Impl> impl, const Method& method)
      : impl_(std::move(impl)),
        sent_by_hook_(method.client_streams()),
        received_by_hook_(method.server_streams()) {
    const std::array<std::string_view, 3> labels = {
        CallKindName(method.kind), method.service, method.name};
    const std::vector<double>* buckets = &impl_->options.buckets;
    for (const auto& override : impl_->options.method_buckets) {
      if (override.methods(method)) {
        buckets = &override.buckets;
        break;
      }
    }
    started_ = &impl_->started->With(labels);
    for (std::size_t code = 0; code < kGoCodes.size(); ++code) {
      handled_[code] = &impl_->handled->With(
          {labels[0], labels[1], labels[2], kGoCodes[code]});
    }
    sent_ = &impl_->sent->With(labels);
    received_ = &impl_->received->With(labels);
    handling_ = &impl_->handling->WithBuckets(labels, *buckets);
    const std::array<std::string_view, 2> of_method = {method.service,
                                                       method.name};
    in_flight_ = &impl_->in_flight->With(of_method);
    attempts_ = &impl_->attempts->With(of_method);
    retries_ = &impl_->retries->With(of_method);
    hedges_ = &impl_->hedges->With(of_method);
  }

  std::string_view name() const override { return "metrics"; }
  Stage stage() const override { return Stage::kObserve; }

  absl::Status OnStart(ClientCall& /*call*/) override {
    started_->Increment();
    in_flight_->Add(1);
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
    if (sent_by_hook_) sent_->Increment();
  }

  void OnMessageReceived(ClientCall& /*call*/) override {
    if (received_by_hook_) received_->Increment();
  }

  void OnFinish(ClientCall& call, grpc::Status& status) override {
    handled_[internal::GoCodeIndex(status.error_code())]->Increment();
    handling_->Observe(call.clock().Now() - call.started_at());
    if (!sent_by_hook_) sent_->Increment(call.messages_sent());
    if (!received_by_hook_) received_->Increment(call.messages_received());
    in_flight_->Add(-1);
    if (const ClientInterceptor* const by = call.refused_by(); by != nullptr) {
      impl_->refusals.Count(*impl_->refused, by->stage(), by->name());
    }
  }

 private:
  const std::shared_ptr<Impl> impl_;
  // Messages that no hook sees are counted when the call ends.
  const bool sent_by_hook_;
  const bool received_by_hook_;
  Counter* started_;
  std::array<Counter*, kGoCodes.size()> handled_;
  Counter* sent_;
  Counter* received_;
  Histogram* handling_;
  UpDownCounter* in_flight_;
  Counter* attempts_;
  Counter* retries_;
  Counter* hedges_;
};

absl::StatusOr<std::unique_ptr<ClientMetricsInterceptor>>
ClientMetricsInterceptor::Create(MetricsRegistry& registry,
                                 ClientMetricsInterceptorOptions options) {
  absl::Status valid = CheckBuckets(options.buckets);
  for (const auto& override : options.method_buckets) {
    valid.Update(CheckBuckets(override.buckets));
  }
  if (!valid.ok()) return valid;

  auto impl = std::make_shared<Impl>();
  const auto keep = [&valid](auto*& place, auto added) {
    if (added.ok()) {
      place = *added;
    } else {
      valid.Update(added.status());
    }
  };
  const std::vector<std::string> labels = {"grpc_type", "grpc_service",
                                           "grpc_method"};
  const MetricOptions of_kind = {.labels = labels,
                                 .max_children = kMaxMethodChildren};
  MetricOptions of_code = of_kind;
  of_code.labels.push_back("grpc_code");
  const MetricOptions of_method = {.labels = {"grpc_service", "grpc_method"},
                                   .max_children = kMaxMethodChildren};
  keep(impl->started,
       registry.AddCounter("grpc_client_started_total",
                           "Total number of RPCs started on the client.",
                           of_kind));
  keep(impl->handled,
       registry.AddCounter("grpc_client_handled_total",
                           "Total number of RPCs completed by the client, "
                           "regardless of success or failure.",
                           of_code));
  keep(impl->sent,
       registry.AddCounter("grpc_client_msg_sent_total",
                           "Total number of RPC messages sent by the client.",
                           of_kind));
  keep(impl->received,
       registry.AddCounter(
           "grpc_client_msg_received_total",
           "Total number of RPC messages received by the client.", of_kind));
  keep(impl->handling,
       registry.AddHistogram(
           "grpc_client_handling_seconds",
           "Response latency (seconds) of RPCs until they are finished by the "
           "client.",
           {.labels = labels,
            .max_children = kMaxMethodChildren,
            .buckets = options.buckets}));
  keep(impl->in_flight, registry.AddUpDownCounter(
                            "grpccommon_client_in_flight",
                            "RPCs that the client waits for now.", of_method));
  keep(impl->attempts,
       registry.AddCounter("grpccommon_client_attempts_total",
                           "Attempts that RPCs of the client began.",
                           of_method));
  keep(impl->retries,
       registry.AddCounter("grpccommon_client_retries_total",
                           "Attempts that followed one that had failed.",
                           of_method));
  keep(impl->hedges, registry.AddCounter(
                         "grpccommon_client_hedges_total",
                         "Attempts that began beside another one.", of_method));
  keep(impl->refused,
       registry.AddCounter("grpccommon_client_refused_total",
                           "RPCs that an interceptor of the client refused, by "
                           "its stage and name.",
                           {.labels = {"stage", "reason"}}));
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
