// SPDX-License-Identifier: Apache-2.0
#include "metrics/family.h"

#include <cassert>
#include <limits>
#include <type_traits>

#include "grpccommon/base/utf8.h"

namespace grpccommon {
namespace internal {
namespace {

constexpr std::size_t kMaxLabelValueBytes = 256;
constexpr std::string_view kOther = "other";

template <typename T>
constexpr prometheus::MetricType kTypeOf = prometheus::MetricType::Gauge;
template <>
constexpr prometheus::MetricType kTypeOf<Counter> =
    prometheus::MetricType::Counter;
template <>
constexpr prometheus::MetricType kTypeOf<Histogram> =
    prometheus::MetricType::Histogram;

template <typename T>
std::unique_ptr<T> MakeChild(CellArena& arena,
                             const std::vector<double>& buckets) {
  if constexpr (std::is_same_v<T, Histogram>) {
    return std::make_unique<T>(arena, buckets);
  } else {
    return std::make_unique<T>(arena);
  }
}

void Read(const Counter& counter, prometheus::ClientMetric& out) {
  out.counter.value = static_cast<double>(counter.Value());
}
void Read(const UpDownCounter& counter, prometheus::ClientMetric& out) {
  out.gauge.value = static_cast<double>(counter.Value());
}
void Read(const Gauge& gauge, prometheus::ClientMetric& out) {
  out.gauge.value = gauge.Value();
}
void Read(const Histogram& histogram, prometheus::ClientMetric& out) {
  const HistogramValue value = histogram.Value();
  out.histogram.sample_count = value.count;
  out.histogram.sample_sum = value.sum;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < value.counts.size(); ++i) {
    cumulative += value.counts[i];
    out.histogram.bucket.push_back(
        {.cumulative_count = cumulative,
         .upper_bound = i < histogram.bounds().size()
                            ? histogram.bounds()[i]
                            : std::numeric_limits<double>::infinity()});
  }
}

}  // namespace

std::string CleanLabelValue(std::string_view value) {
  const std::string repaired =
      RepairUtf8(TruncateUtf8(value, kMaxLabelValueBytes));
  return std::string(TruncateUtf8(repaired, kMaxLabelValueBytes));
}

FamilyStateBase::LabelValues FamilyStateBase::Clean(
    std::span<const std::string_view> values) const {
  LabelValues clean;
  clean.reserve(values.size());
  for (const std::string_view value : values) {
    clean.push_back(CleanLabelValue(value));
  }
  return clean;
}

FamilyStateBase::LabelValues FamilyStateBase::Other() const {
  return LabelValues(options_.labels.size(), std::string(kOther));
}

void FamilyStateBase::ReportOverflow(bool first) const {
  if (options_.overflow != nullptr) options_.overflow->Increment();
  if (!first) return;
  logger_.Warning(
      "metric has too many label values; further ones are counted as \"other\"",
      {{"metric", options_.name}, {"max_children", options_.max_children}});
}

prometheus::MetricFamily FamilyStateBase::Describe(
    prometheus::MetricType type) const {
  prometheus::MetricFamily family;
  family.name = options_.name;
  family.help = options_.help;
  family.type = type;
  return family;
}

std::vector<prometheus::ClientMetric::Label> FamilyStateBase::Labels(
    const LabelValues& values) const {
  std::vector<prometheus::ClientMetric::Label> labels;
  labels.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    labels.push_back({options_.labels[i], values[i]});
  }
  return labels;
}

template <typename T>
T& FamilyState<T>::With(std::span<const std::string_view> values,
                        const std::vector<double>& buckets) {
  assert(values.size() == options_.labels.size());
  bool first = false;
  T* child = nullptr;
  {
    const MutexLock lock(mutex_);
    // Few values need cleaning, so look them up as they are first.
    auto place = children_.find(values);
    if (place != children_.end()) return *place->second;
    if (values.size() == options_.labels.size()) {
      LabelValues clean = Clean(values);
      place = children_.find(clean);
      if (place != children_.end()) return *place->second;
      if (children_.size() < options_.max_children) {
        return *children_
                    .emplace(std::move(clean), MakeChild<T>(arena_, buckets))
                    .first->second;
      }
    }
    if (other_ == nullptr) {
      std::unique_ptr<T>& other = children_[Other()];
      if (other == nullptr) other = MakeChild<T>(arena_, options_.buckets);
      other_ = other.get();
      first = true;
    }
    child = other_;
  }
  ReportOverflow(first);
  return *child;
}

template <typename T>
prometheus::MetricFamily FamilyState<T>::Collect() const {
  prometheus::MetricFamily family = Describe(kTypeOf<T>);
  const MutexLock lock(mutex_);
  family.metric.reserve(children_.size());
  for (const auto& [values, child] : children_) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = Labels(values);
    Read(*child, metric);
  }
  return family;
}

template class FamilyState<Counter>;
template class FamilyState<UpDownCounter>;
template class FamilyState<Gauge>;
template class FamilyState<Histogram>;

}  // namespace internal

template <typename T>
MetricFamily<T>::MetricFamily(std::unique_ptr<internal::FamilyState<T>> state)
    : state_(std::move(state)) {}

template <typename T>
MetricFamily<T>::~MetricFamily() = default;

template <typename T>
T& MetricFamily<T>::With(std::span<const std::string_view> label_values) {
  return state_->With(label_values, state_->options().buckets);
}

template class MetricFamily<Counter>;
template class MetricFamily<UpDownCounter>;
template class MetricFamily<Gauge>;
template class MetricFamily<Histogram>;

Histogram& HistogramFamily::WithBuckets(
    std::span<const std::string_view> label_values,
    const std::vector<double>& buckets) {
  assert(CheckBuckets(buckets).ok());
  return state_->With(label_values, buckets);
}

}  // namespace grpccommon
