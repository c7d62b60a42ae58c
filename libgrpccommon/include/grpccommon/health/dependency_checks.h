// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/health/health_registry.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {

struct DependencyOptions {
  /// Unique, for the report and the log: "database".
  std::string name;
  /// Whether `services` cannot serve without it. One that is not critical is
  /// only reported.
  bool critical = true;
  /// Empty: all services, the overall one included.
  std::vector<std::string> services;
  /// From the start of a run to the start of the next, in [10 ms, 24 h].
  std::chrono::nanoseconds interval = std::chrono::seconds(10);
  /// A run that takes longer counts as failed; in [1 ms, interval].
  std::chrono::nanoseconds timeout = std::chrono::seconds(2);
  /// Failures in a row before it counts as down, and successes in a row before
  /// it counts as up again; in [1, 1000]. The very first run decides at once.
  int failures_before_down = 3;
  int successes_before_up = 1;
};

enum class DependencyStatus {
  /// Not looked at yet; a critical one holds its services as if it were down.
  kPending,
  kUp,
  kDown,
};

/// "pending", "up" or "down".
GRPCCOMMON_EXPORT std::string_view DependencyStatusName(
    DependencyStatus status);

struct DependencyReport {
  std::string name;
  bool critical = true;
  DependencyStatus status = DependencyStatus::kPending;
  /// Of the latest run; OK if it went well or there was none.
  absl::Status error;
  /// Of the latest run that ended.
  std::chrono::nanoseconds duration{0};
  /// When `status` became what it is.
  Clock::WallTime since;
};

/// Looks again and again whether what the process depends on works, and holds
/// down the health of the services that cannot do without.
///
/// Runs of one check never overlap: one that hangs is failed at its timeout and
/// at every interval after, and not started again before it has ended. The
/// first run is after a random part of a second (at most an interval), so that
/// a fleet that starts together does not ask together.
///
/// Thread-safe. Logs each change of status.
class GRPCCOMMON_EXPORT DependencyChecks {
 public:
  /// Ends a run; any thread, once (later calls do nothing), also when the
  /// checks have been destroyed. The message of an error is shown in the report
  /// without authentication, so it must not have secrets.
  using Done = std::function<void(absl::Status)>;
  /// Begins a run, on the scheduler's thread: must not block. An exception
  /// counts as a failure.
  using AsyncCheck = std::function<void(Done)>;
  using BlockingCheck = std::function<absl::Status()>;

  /// `registry`, `scheduler` and `clock` are borrowed and must outlive this.
  DependencyChecks(HealthRegistry& registry, Scheduler& scheduler,
                   Logger logger = {}, const Clock& clock = SteadyClock(),
                   Random random = UniformRandom);
  /// Waits for blocking checks that run. Services stay held as they are.
  ~DependencyChecks();

  DependencyChecks(const DependencyChecks&) = delete;
  DependencyChecks& operator=(const DependencyChecks&) = delete;

  /// Errors: kInvalidArgument naming the option, kAlreadyExists for a name.
  absl::Status Add(const DependencyOptions& options, AsyncCheck check);

  /// The same for a check that blocks: it gets a thread of its own, started
  /// with its first run.
  absl::Status AddBlocking(const DependencyOptions& options,
                           BlockingCheck check);

  /// In the order of adding.
  std::vector<DependencyReport> Report() const;

  /// The report as a JSON array, for `/healthz/ready`: objects of `name`,
  /// `status`, `critical`, `error`, `duration_ms`, `since` (RFC 3339).
  std::string ReportJson() const;

  /// Whether no critical dependency is pending or down.
  bool ready() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
