// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/retry/backoff.h"
#include "services/contest/contest_store.h"

namespace platform::contest {

/// Tells the problem service of a verdict, which may hear of it twice, and does
/// not block. `done` is called once, on any thread, perhaps within the call:
/// with OK, kNotFound (there is no such problem any more), or an error after
/// which it is to be told again.
using Tell = std::function<void(const Report& report,
                                std::function<void(const absl::Status&)> done)>;

struct ReportingOptions {
  /// Reports that are under way at the same time, at least 1.
  std::size_t max_running = 8;
  /// How often it is looked for what was not reported, in [10 ms, 1 min].
  Duration poll_interval = std::chrono::seconds(2);
  /// Verdicts that are younger are left to the process that recorded them,
  /// unless this one has just started or failed.
  Duration grace = std::chrono::seconds(10);
  /// After a failure.
  grpccommon::BackoffOptions retry = {
      .kind = grpccommon::BackoffKind::kEqualJitter,
      .initial = std::chrono::milliseconds(250),
      .max = std::chrono::seconds(30)};
};

/// Reports every recorded verdict to the problem service: at least once, as a
/// column of the submissions remembers what was (the outbox pattern).
///
/// Thread-safe.
class Reporting {
 public:
  /// Store, scheduler and clock are borrowed and must outlive this.
  Reporting(ContestQueue& store, grpccommon::Scheduler& scheduler, Tell tell,
            ReportingOptions options = {}, grpccommon::Logger logger = {},
            const grpccommon::Clock& clock = grpccommon::SteadyClock(),
            grpccommon::Random random = grpccommon::UniformRandom);
  /// Stops.
  ~Reporting();

  Reporting(const Reporting&) = delete;
  Reporting& operator=(const Reporting&) = delete;

  /// Verdicts were recorded by this process.
  void Wake();
  /// Begins no more, and waits for what is under way.
  void Stop();

 private:
  struct State;

  const std::shared_ptr<State> state_;
  std::optional<grpccommon::PeriodicTask> poll_;
};

}  // namespace platform::contest
