// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/metrics/metric.h"

namespace prometheus {
class Collectable;
}

namespace grpccommon {

/// The Content-Type of `MetricsRegistry::Expose()`.
inline constexpr std::string_view kMetricsContentType =
    "text/plain; version=0.0.4; charset=utf-8";

struct MetricsRegistryOptions {
  /// Expose `process_…`: CPU, memory, file descriptors, threads, start time.
  bool process_metrics = true;
  /// What runs here, as labels of `grpccommon_build_info`; left out if empty.
  std::string service;
  std::string service_version;
  /// Is told, once for each cause, of values that had to be left out.
  Logger logger;
};

struct MetricOptions {
  /// Names, told apart by their values in `With`.
  std::vector<std::string> labels;
  /// Most children of the family, in [1, 1e6]; see MetricFamily::With.
  std::size_t max_children = 1000;
};

struct HistogramOptions {
  std::vector<std::string> labels;
  std::size_t max_children = 1000;
  /// Upper bounds, ascending; without +Inf, which is always there.
  std::vector<double> buckets = DefaultLatencyBuckets();
};

/// One value that a callback reports.
struct MetricSample {
  /// As many as the metric has labels.
  std::vector<std::string> label_values;
  double value = 0.0;
};

/// Keeps a callback registered; destroying it takes the callback out and waits
/// for one that is running on another thread, so that what it refers to may go.
/// May outlive the registry.
class GRPCCOMMON_EXPORT MetricRegistration {
 public:
  struct Entry;

  MetricRegistration();
  explicit MetricRegistration(std::shared_ptr<Entry> entry);
  MetricRegistration(MetricRegistration&& other) noexcept;
  MetricRegistration& operator=(MetricRegistration&& other) noexcept;
  ~MetricRegistration();

 private:
  void Remove();
  std::shared_ptr<Entry> entry_;
};

/// The metrics of a process, and their text form.
///
///   auto orders = registry->AddCounter("orders_total", "Orders placed.",
///                                      {.labels = {"kind"}});
///   Counter& books = (*orders)->With({"book"});  // once
///   books.Increment();                           // 5 ns
///
/// Names: letters, digits and `_`, not beginning with a digit. A counter's ends
/// in `_total`, no other's does; a label's does not begin with `__`. Adding a
/// metric again with the same kind and labels returns the first one.
///
/// Every Add… refuses with kInvalidArgument what breaks these rules, naming it,
/// and with kAlreadyExists a name that something else bears, the names that a
/// histogram adds to its own included (`_bucket`, `_count`, `_sum`).
///
/// Thread-safe.
class GRPCCOMMON_EXPORT MetricsRegistry {
 public:
  explicit MetricsRegistry(MetricsRegistryOptions options = {});
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  absl::StatusOr<CounterFamily*> AddCounter(std::string name, std::string help,
                                            MetricOptions options = {});
  absl::StatusOr<UpDownCounterFamily*> AddUpDownCounter(
      std::string name, std::string help, MetricOptions options = {});
  absl::StatusOr<GaugeFamily*> AddGauge(std::string name, std::string help,
                                        MetricOptions options = {});
  absl::StatusOr<HistogramFamily*> AddHistogram(std::string name,
                                                std::string help,
                                                HistogramOptions options = {});

  /// A value that is computed when it is scraped, such as a queue's depth. Runs
  /// on the scraping thread, without a lock held; may run on several at once.
  /// Several callbacks may share a name; values with equal labels are added up.
  /// What throws, or reports a wrong number of label values, is left out.
  absl::StatusOr<MetricRegistration> AddCallbackGauge(
      std::string name, std::string help, std::function<double()> read);
  absl::StatusOr<MetricRegistration> AddCallbackGauge(
      std::string name, std::string help, std::vector<std::string> labels,
      std::function<std::vector<MetricSample>()> read);
  /// The same for what only ever grows.
  absl::StatusOr<MetricRegistration> AddCallbackCounter(
      std::string name, std::string help, std::function<double()> read);
  absl::StatusOr<MetricRegistration> AddCallbackCounter(
      std::string name, std::string help, std::vector<std::string> labels,
      std::function<std::vector<MetricSample>()> read);

  /// Exposes an application's own prometheus-cpp metrics too, until they are
  /// destroyed. A family whose name was already exposed is left out.
  void AddCollectable(std::weak_ptr<const prometheus::Collectable> collectable);

  /// Everything, sorted by name, in Prometheus' text format 0.0.4.
  std::string Expose() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
