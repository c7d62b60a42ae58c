// SPDX-License-Identifier: Apache-2.0
#include "metrics/call_metrics.h"

#include <utility>

namespace grpccommon::internal {

[[gnu::hot]] void RefusalCounters::Count(CounterFamily& refused, Stage stage,
                                         std::string_view interceptor) {
  Entry* const newest = newest_.load(std::memory_order_acquire);
  for (const Entry* entry = newest; entry != nullptr;
       entry = entry->next.get()) {
    if (entry->stage == stage && entry->interceptor == interceptor) {
      return entry->calls->Increment();
    }
  }
  Counter& calls = refused.With({StageName(stage), interceptor});
  calls.Increment();
  auto entry = std::make_unique<Entry>(
      Entry{stage, std::string(interceptor), &calls, nullptr});
  Entry* expected = newest;
  entry->next.reset(newest);
  if (newest_.compare_exchange_strong(expected, entry.get(),
                                      std::memory_order_acq_rel)) {
    static_cast<void>(entry.release());  // it is the list's now
  } else {
    // Another thread was first; the next refusal tries again.
    static_cast<void>(entry->next.release());
  }
}

absl::Status CallFamilies::Add(MetricsRegistry& registry,
                               const std::string& side, CallMetricHelp help,
                               const std::vector<double>& buckets) {
  absl::Status status;
  const std::vector<std::string> labels = {"grpc_type", "grpc_service",
                                           "grpc_method"};
  const MetricOptions of_kind = {.labels = labels,
                                 .max_children = kMaxMethodChildren};
  MetricOptions of_code = of_kind;
  of_code.labels.emplace_back("grpc_code");
  KeepFamily(started,
             registry.AddCounter("grpc_" + side + "_started_total",
                                 std::move(help.started), of_kind),
             status);
  KeepFamily(handled,
             registry.AddCounter("grpc_" + side + "_handled_total",
                                 std::move(help.handled), of_code),
             status);
  KeepFamily(sent,
             registry.AddCounter("grpc_" + side + "_msg_sent_total",
                                 std::move(help.sent), of_kind),
             status);
  KeepFamily(received,
             registry.AddCounter("grpc_" + side + "_msg_received_total",
                                 std::move(help.received), of_kind),
             status);
  KeepFamily(handling,
             registry.AddHistogram("grpc_" + side + "_handling_seconds",
                                   std::move(help.handling),
                                   {.labels = labels,
                                    .max_children = kMaxMethodChildren,
                                    .buckets = buckets}),
             status);
  KeepFamily(in_flight,
             registry.AddUpDownCounter(
                 "grpccommon_" + side + "_in_flight", std::move(help.in_flight),
                 {.labels = {"grpc_service", "grpc_method"},
                  .max_children = kMaxMethodChildren}),
             status);
  KeepFamily(refused,
             registry.AddCounter("grpccommon_" + side + "_refused_total",
                                 std::move(help.refused),
                                 {.labels = {"stage", "reason"}}),
             status);
  return status;
}

MethodCallMetrics::MethodCallMetrics(CallFamilies& families,
                                     const Method& method,
                                     const std::vector<double>& buckets,
                                     bool sent_by_hook, bool received_by_hook)
    : sent_by_hook_(sent_by_hook), received_by_hook_(received_by_hook) {
  const std::array<std::string_view, 3> labels = {CallKindName(method.kind),
                                                  method.service, method.name};
  started_ = &families.started->With(labels);
  in_flight_ = &families.in_flight->With({method.service, method.name});
  sent_ = &families.sent->With(labels);
  received_ = &families.received->With(labels);
  handling_ = &families.handling->WithBuckets(labels, buckets);
  for (std::size_t code = 0; code < kGoCodes.size(); ++code) {
    handled_[code] = &families.handled->With(
        {labels[0], labels[1], labels[2], kGoCodes[code]});
  }
}

[[gnu::hot]] void MethodCallMetrics::Finish(grpc::StatusCode code,
                                            std::chrono::nanoseconds duration,
                                            std::uint64_t sent,
                                            std::uint64_t received) const {
  handled_[GoCodeIndex(code)]->Increment();
  handling_->Observe(duration);
  if (!received_by_hook_) received_->Increment(received);
  if (!sent_by_hook_) sent_->Increment(sent);
  in_flight_->Add(-1);
}

}  // namespace grpccommon::internal
