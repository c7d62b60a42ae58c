// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/metrics_interceptor.h"

#include <array>
#include <cassert>
#include <string_view>
#include <utility>

#include "grpccommon/call/server_call.h"
#include "metrics/call_metrics.h"

namespace grpccommon {
namespace {

using internal::kGoCodes;
using internal::kMaxMethodChildren;

struct MethodMetrics {
  Counter* started = nullptr;
  UpDownCounter* in_flight = nullptr;
  Counter* received = nullptr;
  Counter* sent = nullptr;
  Histogram* handling = nullptr;
  std::array<Counter*, kGoCodes.size()> handled{};
  // Messages that no hook sees are counted when the call ends.
  bool received_by_hook = false;
  bool sent_by_hook = false;
};

}  // namespace

struct MetricsInterceptor::Impl {
  MetricsInterceptorOptions options;
  CounterFamily* started = nullptr;
  CounterFamily* handled = nullptr;
  CounterFamily* received = nullptr;
  CounterFamily* sent = nullptr;
  HistogramFamily* handling = nullptr;
  UpDownCounterFamily* in_flight = nullptr;
  CounterFamily* refused = nullptr;

  // By Method::index; complete before the first call.
  std::vector<MethodMetrics> methods;
  internal::RefusalCounters refusals;
};

absl::StatusOr<std::unique_ptr<MetricsInterceptor>> MetricsInterceptor::Create(
    MetricsRegistry& registry, MetricsInterceptorOptions options) {
  absl::Status valid = CheckBuckets(options.buckets);
  for (const auto& override : options.method_buckets) {
    valid.Update(CheckBuckets(override.buckets));
  }
  if (!valid.ok()) return valid;

  auto impl = std::make_unique<Impl>();
  const auto keep = [&valid](auto*& place, auto added) {
    if (added.ok()) {
      place = *added;
    } else {
      valid.Update(added.status());
    }
  };
  const std::vector<std::string> labels = {"grpc_type", "grpc_service",
                                           "grpc_method"};
  const MetricOptions of_method = {.labels = labels,
                                   .max_children = kMaxMethodChildren};
  MetricOptions of_code = of_method;
  of_code.labels.push_back("grpc_code");
  keep(impl->started,
       registry.AddCounter("grpc_server_started_total",
                           "Total number of RPCs started on the server.",
                           of_method));
  keep(impl->handled,
       registry.AddCounter("grpc_server_handled_total",
                           "Total number of RPCs completed on the server, "
                           "regardless of success or failure.",
                           of_code));
  keep(impl->received,
       registry.AddCounter(
           "grpc_server_msg_received_total",
           "Total number of RPC messages received on the server.", of_method));
  keep(impl->sent,
       registry.AddCounter("grpc_server_msg_sent_total",
                           "Total number of RPC messages sent by the server.",
                           of_method));
  keep(impl->handling,
       registry.AddHistogram(
           "grpc_server_handling_seconds",
           "Response latency (seconds) of RPCs handled by the server.",
           {.labels = labels,
            .max_children = kMaxMethodChildren,
            .buckets = options.buckets}));
  keep(impl->in_flight,
       registry.AddUpDownCounter("grpccommon_server_in_flight",
                                 "RPCs that run on the server now.",
                                 {.labels = {"grpc_service", "grpc_method"},
                                  .max_children = kMaxMethodChildren}));
  keep(impl->refused,
       registry.AddCounter("grpccommon_server_refused_total",
                           "RPCs that an interceptor refused before their "
                           "handler, by its stage and name.",
                           {.labels = {"stage", "reason"}}));
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
  const std::array<std::string_view, 3> labels = {CallKindName(method.kind),
                                                  method.service, method.name};
  const std::vector<double>* buckets = &impl_->options.buckets;
  for (const auto& override : impl_->options.method_buckets) {
    if (override.methods(method)) {
      buckets = &override.buckets;
      break;
    }
  }
  MethodMetrics& metrics = impl_->methods[method.index];
  metrics.started = &impl_->started->With(labels);
  metrics.in_flight = &impl_->in_flight->With({method.service, method.name});
  metrics.received = &impl_->received->With(labels);
  metrics.sent = &impl_->sent->With(labels);
  metrics.handling = &impl_->handling->WithBuckets(labels, *buckets);
  for (std::size_t code = 0; code < kGoCodes.size(); ++code) {
    metrics.handled[code] = &impl_->handled->With(
        {labels[0], labels[1], labels[2], kGoCodes[code]});
  }
  metrics.received_by_hook = method.client_streams();
  metrics.sent_by_hook = method.server_streams();
  return Hooks{.start = true,
               .finish = true,
               .received = metrics.received_by_hook,
               .sent = metrics.sent_by_hook};
}

absl::Status MetricsInterceptor::OnStart(ServerCall& call) {
  assert(call.method().index < impl_->methods.size());
  const MethodMetrics& metrics = impl_->methods[call.method().index];
  metrics.started->Increment();
  metrics.in_flight->Add(1);
  return absl::OkStatus();
}

absl::Status MetricsInterceptor::OnReceived(
    ServerCall& call, const google::protobuf::Message* /*message*/) {
  impl_->methods[call.method().index].received->Increment();
  return absl::OkStatus();
}

void MetricsInterceptor::OnSent(ServerCall& call,
                                const google::protobuf::Message* /*message*/) {
  impl_->methods[call.method().index].sent->Increment();
}

void MetricsInterceptor::OnFinish(ServerCall& call, grpc::Status& status) {
  const MethodMetrics& metrics = impl_->methods[call.method().index];
  metrics.handled[internal::GoCodeIndex(status.error_code())]->Increment();
  metrics.handling->Observe(call.duration());
  if (!metrics.received_by_hook) {
    metrics.received->Increment(call.messages_received());
  }
  if (!metrics.sent_by_hook) metrics.sent->Increment(call.messages_sent());
  metrics.in_flight->Add(-1);
  const ServerInterceptor* const refused_by = call.refused_by();
  if (refused_by != nullptr) {
    impl_->refusals.Count(*impl_->refused, refused_by->stage(),
                          refused_by->name());
  }
}

}  // namespace grpccommon
