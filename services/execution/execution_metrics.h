// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "services/execution/sandbox/sandbox.h"

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
  /// Of the sandbox, for each run whose program was started.
  grpccommon::Histogram* setup = nullptr;
  /// Runs and builds that it failed, also if all went well the second time.
  grpccommon::Counter* sandbox_failures = nullptr;

  struct Lookups {
    grpccommon::Counter* hit = nullptr;
    /// Somebody else was at it already.
    grpccommon::Counter* shared = nullptr;
    grpccommon::Counter* miss = nullptr;
  };
  Lookups programs;
  Lookups tests;
};

/// What a run or a build (`what`) says of the sandbox: its set-up's time, and a
/// failure, which is counted and logged with its reason.
void NoteRun(const SandboxResult& result, std::string_view what,
             const ExecutionMetrics& metrics, const grpccommon::Logger& logger);

}  // namespace platform::execution
