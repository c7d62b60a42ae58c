// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/thread_slot.h"

namespace grpccommon {

namespace internal {

class CellArena;
template <typename T>
class FamilyState;

// A metric's value is spread over shards, one for each group of threads, and
// added up when it is read: an update is an atomic addition to a cache line
// that no other thread writes just then. The cells of one shard lie together,
// whatever metric they belong to, so they need no padding of their own; the
// same cell of the next shard lies a fixed stride further on.
using MetricCell = std::atomic<std::uint64_t>;
inline constexpr std::size_t kMetricShards = 16;
inline constexpr std::size_t kMetricShardCells = 512;
// One cache line more than the cells, so that the shards of one metric do not
// all fall into the same set of the cache.
inline constexpr std::size_t kMetricShardStride =
    kMetricShardCells + kCacheLineBytes / sizeof(MetricCell);

inline MetricCell* MyShard(MetricCell* first) {
  return first + (ThreadSlot() % kMetricShards) * kMetricShardStride;
}

}  // namespace internal

/// Counts what happens; never goes down. Whole numbers: what has a unit with
/// fractions goes into a histogram, whose sum is one.
///
/// Thread-safe; an update takes no lock and disturbs no other thread. Lives as
/// long as the registry that its family belongs to.
class GRPCCOMMON_EXPORT Counter {
 public:
  explicit Counter(internal::CellArena& arena);
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  void Increment(std::uint64_t by = 1) {
    internal::MyShard(cell_)->fetch_add(by, std::memory_order_relaxed);
  }

  /// Adds up the shards. What other threads count meanwhile may be missing.
  std::uint64_t Value() const;

 private:
  internal::MetricCell* const cell_;
};

/// A whole number that goes up and down by steps: calls in flight, open
/// connections, entries held. Exposed as a gauge, and as cheap as a Counter; it
/// cannot be set, for that would have to stop all threads.
class GRPCCOMMON_EXPORT UpDownCounter {
 public:
  explicit UpDownCounter(internal::CellArena& arena);
  UpDownCounter(const UpDownCounter&) = delete;
  UpDownCounter& operator=(const UpDownCounter&) = delete;

  void Add(std::int64_t by) {
    internal::MyShard(cell_)->fetch_add(static_cast<std::uint64_t>(by),
                                        std::memory_order_relaxed);
  }

  std::int64_t Value() const;

 private:
  internal::MetricCell* const cell_;
};

/// A value that is set: a temperature, a configured limit, the time of the last
/// success. Threads that write one gauge often share its cache line; for what
/// they count together take an UpDownCounter, for what is known elsewhere a
/// callback (MetricsRegistry::AddCallbackGauge).
class GRPCCOMMON_EXPORT Gauge {
 public:
  explicit Gauge(internal::CellArena& arena);
  Gauge(const Gauge&) = delete;
  Gauge& operator=(const Gauge&) = delete;

  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
  double Value() const { return value_.load(std::memory_order_relaxed); }

 private:
  alignas(kCacheLineBytes) std::atomic<double> value_{0.0};
};

/// What a histogram has seen.
struct HistogramValue {
  /// Observations at most `bounds[i]` and above the bound before; one more
  /// entry than bounds, for those above all of them.
  std::vector<std::uint64_t> counts;
  double sum = 0.0;
  std::uint64_t count = 0;
};

/// Sorts observations into buckets, so that quantiles can be estimated and
/// added over processes.
///
/// Thread-safe; no lock. A value that is not finite is left out: one NaN would
/// spoil the sum for ever.
class GRPCCOMMON_EXPORT Histogram {
 public:
  /// `bounds` must satisfy CheckBuckets.
  Histogram(internal::CellArena& arena, std::vector<double> bounds);
  Histogram(const Histogram&) = delete;
  Histogram& operator=(const Histogram&) = delete;

  void Observe(double value);
  /// In seconds, the unit of time in Prometheus.
  void Observe(std::chrono::nanoseconds duration) {
    Observe(std::chrono::duration<double>(duration).count());
  }

  /// Adds up the shards; `count` is always the total of `counts`.
  HistogramValue Value() const;
  const std::vector<double>& bounds() const { return bounds_; }

 private:
  const std::vector<double> bounds_;
  // The sum, as the bits of a double, then the counts.
  internal::MetricCell* const cells_;
};

/// Upper bounds in seconds for latencies of calls: 0.5 ms, 1, 2.5, 5, 10, 25,
/// 50, 100, 250, 500 ms, 1 s, 2.5, 5, 10 s.
GRPCCOMMON_EXPORT const std::vector<double>& DefaultLatencyBuckets();

/// Errors: kInvalidArgument unless there are 1 to 200 bounds, finite and
/// ascending.
GRPCCOMMON_EXPORT absl::Status CheckBuckets(std::span<const double> buckets);

/// All metrics of one name, told apart by the values of their labels.
///
/// Thread-safe. Lives as long as its registry.
template <typename T>
class GRPCCOMMON_EXPORT MetricFamily {
 public:
  /// The family takes the state from its registry.
  explicit MetricFamily(std::unique_ptr<internal::FamilyState<T>> state);
  ~MetricFamily();
  MetricFamily(const MetricFamily&) = delete;
  MetricFamily& operator=(const MetricFamily&) = delete;

  /// The metric with these label values, in the order of the family's labels;
  /// made at the first call, the same object ever after. Takes a lock and looks
  /// up: call it once and keep the reference.
  ///
  /// Values come from a closed set, never from a caller: after `max_children`
  /// different ones the rest share a child whose values are all "other", and
  /// `grpccommon_metrics_overflow_total{family}` counts the calls that got it.
  /// Bytes that are not UTF-8 become U+FFFD, and what is longer than 256 bytes
  /// is cut, since one bad value makes Prometheus drop the whole scrape.
  /// Requires as many values as labels; else it returns that same "other".
  T& With(std::initializer_list<std::string_view> label_values = {}) {
    return With(std::span(label_values.begin(), label_values.size()));
  }
  T& With(std::span<const std::string_view> label_values);

 protected:
  const std::unique_ptr<internal::FamilyState<T>> state_;
};

extern template class MetricFamily<Counter>;
extern template class MetricFamily<UpDownCounter>;
extern template class MetricFamily<Gauge>;
extern template class MetricFamily<Histogram>;

using CounterFamily = MetricFamily<Counter>;
using UpDownCounterFamily = MetricFamily<UpDownCounter>;
using GaugeFamily = MetricFamily<Gauge>;

class GRPCCOMMON_EXPORT HistogramFamily : public MetricFamily<Histogram> {
 public:
  using MetricFamily<Histogram>::MetricFamily;

  /// As With; a child made by this call has `buckets`, which must satisfy
  /// CheckBuckets, instead of the family's.
  Histogram& WithBuckets(std::span<const std::string_view> label_values,
                         const std::vector<double>& buckets);
};

}  // namespace grpccommon
