// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/metrics/metric.h"
#include "metrics/cell_arena.h"
#include "prometheus/metric_family.h"

namespace grpccommon::internal {

struct FamilyOptions {
  std::string name;
  std::string help;
  std::vector<std::string> labels;
  std::size_t max_children = 1000;
  /// Of histograms only.
  std::vector<double> buckets;
  /// Counts calls that got the child "other"; null: no labels, no such calls.
  Counter* overflow = nullptr;
};

/// A label's value as it can be exposed: UTF-8, and not too long.
std::string CleanLabelValue(std::string_view value);

/// What all families have in common: names and values of labels.
class FamilyStateBase {
 public:
  FamilyStateBase(FamilyOptions options, CellArena& arena, const Logger& logger)
      : options_(std::move(options)), arena_(arena), logger_(logger) {}
  virtual ~FamilyStateBase() = default;

  const FamilyOptions& options() const { return options_; }
  virtual prometheus::MetricFamily Collect() const = 0;

 protected:
  using LabelValues = std::vector<std::string>;
  struct Less {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return std::lexicographical_compare(a.begin(), a.end(), b.begin(),
                                          b.end());
    }
  };

  /// The values as they can be exposed.
  LabelValues Clean(std::span<const std::string_view> values) const;
  LabelValues Other() const;
  /// Counts one call that got "other"; logs the first.
  void ReportOverflow(bool first) const;
  prometheus::MetricFamily Describe(prometheus::MetricType type) const;
  std::vector<prometheus::ClientMetric::Label> Labels(
      const LabelValues& values) const;

  const FamilyOptions options_;
  CellArena& arena_;
  const Logger logger_;
};

template <typename T>
class FamilyState : public FamilyStateBase {
 public:
  using FamilyStateBase::FamilyStateBase;

  T& With(std::span<const std::string_view> values,
          const std::vector<double>& buckets);
  prometheus::MetricFamily Collect() const override;

 private:
  mutable Mutex mutex_;
  std::map<LabelValues, std::unique_ptr<T>, Less> children_
      ABSL_GUARDED_BY(mutex_);
  // The child that takes what is beyond max_children; one of the children.
  T* other_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace grpccommon::internal
