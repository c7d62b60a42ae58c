// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/metrics/metrics_registry.h"

namespace platform::execution {

/// What the service counts beside its calls; docs/execution_service.md has the
/// names. Thread-safe; the registry outlives it.
struct ExecutionMetrics {
  static absl::StatusOr<std::unique_ptr<ExecutionMetrics>> Create(
      grpccommon::MetricsRegistry& registry);

  /// By language and verdict.
  grpccommon::CounterFamily* judged = nullptr;
  grpccommon::Counter* cancelled = nullptr;
  /// From admission to the turn.
  grpccommon::Histogram* wait = nullptr;
  /// Of the sandbox, for each run.
  grpccommon::Histogram* setup = nullptr;

  struct Lookups {
    grpccommon::Counter* hit = nullptr;
    /// Somebody else was at it already.
    grpccommon::Counter* shared = nullptr;
    grpccommon::Counter* miss = nullptr;
  };
  Lookups programs;
  Lookups tests;
};

}  // namespace platform::execution
