// SPDX-License-Identifier: Apache-2.0
#include "services/execution/execution_metrics.h"

#include <chrono>

namespace platform::execution {

absl::StatusOr<std::unique_ptr<ExecutionMetrics>> ExecutionMetrics::Create(
    grpccommon::MetricsRegistry& registry) {
  auto metrics = std::make_unique<ExecutionMetrics>();
  const auto judged = registry.AddCounter("grpccommon_execution_judged_total",
                                          "Executions that have a verdict.",
                                          {.labels = {"language", "verdict"}});
  if (!judged.ok()) return judged.status();
  metrics->judged = *judged;

  const auto cancelled =
      registry.AddCounter("grpccommon_execution_cancelled_total",
                          "Executions that ended without a verdict.");
  if (!cancelled.ok()) return cancelled.status();
  metrics->cancelled = &(*cancelled)->With();

  const auto wait = registry.AddHistogram("grpccommon_execution_wait_seconds",
                                          "How long executions were queued.");
  if (!wait.ok()) return wait.status();
  metrics->wait = &(*wait)->With();

  const auto setup = registry.AddHistogram(
      "grpccommon_execution_setup_seconds",
      "From the start of a sandbox to the first instruction in it.");
  if (!setup.ok()) return setup.status();
  metrics->setup = &(*setup)->With();

  const auto failures = registry.AddCounter(
      "grpccommon_execution_sandbox_failures_total",
      "Runs and builds that failed for no fault of the program.");
  if (!failures.ok()) return failures.status();
  metrics->sandbox_failures = &(*failures)->With();

  const auto lookups = registry.AddCounter(
      "grpccommon_execution_cache_lookups_total",
      "Built programs and tests of problems that were asked for.",
      {.labels = {"cache", "result"}});
  if (!lookups.ok()) return lookups.status();
  for (auto [cache, of] : {std::pair{"programs", &metrics->programs},
                           std::pair{"tests", &metrics->tests}}) {
    *of = {.hit = &(*lookups)->With({cache, "hit"}),
           .shared = &(*lookups)->With({cache, "shared"}),
           .miss = &(*lookups)->With({cache, "miss"})};
  }
  return metrics;
}

void NoteRun(const SandboxResult& result, std::string_view what,
             const ExecutionMetrics& metrics,
             const grpccommon::Logger& logger) {
  if (result.setup_time > std::chrono::nanoseconds::zero()) {
    metrics.setup->Observe(result.setup_time);
  }
  if (result.outcome != SandboxOutcome::kSandboxFailure) return;
  metrics.sandbox_failures->Increment();
  logger.Error("a sandbox failed", {{"of", what}, {"error", result.message}});
}

}  // namespace platform::execution
