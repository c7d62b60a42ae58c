// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "services/contest/backends.h"
#include "services/contest/contest_service.h"
#include "services/contest/contest_store.h"
#include "services/contest/judging.h"
#include "services/contest/live_contest.h"
#include "services/contest/reporting.h"
#include "services/contest/submission_watches.h"

namespace platform::contest {

struct ContestAppOptions {
  std::string database = "contest.db";
  common::StoreQueueOptions queue;
  BackendsOptions backends;
  JudgingOptions judging;
  ReportingOptions reporting;
  LiveContestsOptions live;
  SubmissionWatchesOptions watches;
  /// Streams of one user, of all kinds together, in [1, 1e6].
  std::size_t max_watches_per_user = 1000;
};

/// The contest service without its server: the store, those who judge, report
/// and watch, and how they tell each other.
class ContestApp {
 public:
  /// The clients are shared; scheduler and clock are borrowed and must outlive
  /// it. Errors: those of the parts.
  static absl::StatusOr<std::unique_ptr<ContestApp>> Create(
      const ContestAppOptions& options, std::shared_ptr<ProblemClient> problems,
      std::shared_ptr<ExecutionClient> executions,
      grpccommon::Scheduler& scheduler, const grpccommon::Logger& logger,
      const grpccommon::Clock& clock = grpccommon::SteadyClock());
  /// After the server has stopped. Ends what is being judged and gives it back.
  ~ContestApp();

  ContestApp(const ContestApp&) = delete;
  ContestApp& operator=(const ContestApp&) = delete;

  ContestService& service() { return *service_; }
  ContestQueue& store() { return *store_; }
  Judging& judging() { return *judging_; }
  LiveContests& live() { return *live_; }

  /// Judges from here on.
  void Start();
  /// The server is going to stop: ends all watches with UNAVAILABLE, and judges
  /// nothing new.
  void Drain();

 private:
  ContestApp() = default;

  // In the order in which they need each other.
  std::unique_ptr<ContestQueue> store_;
  std::unique_ptr<Backends> backends_;
  std::unique_ptr<LiveContests> live_;
  std::unique_ptr<SubmissionWatches> watches_;
  std::unique_ptr<common::WatchQuota> quota_;
  std::unique_ptr<Reporting> reporting_;
  std::unique_ptr<Judging> judging_;
  std::unique_ptr<ContestService> service_;
};

}  // namespace platform::contest
