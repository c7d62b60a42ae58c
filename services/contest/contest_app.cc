// SPDX-License-Identifier: Apache-2.0
#include "services/contest/contest_app.h"

#include <utility>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"
#include "services/common/database_settings.h"

namespace platform::contest {

absl::StatusOr<std::unique_ptr<ContestApp>> ContestApp::Create(
    const ContestAppOptions& options, std::shared_ptr<ProblemClient> problems,
    std::shared_ptr<ExecutionClient> executions,
    grpccommon::Scheduler& scheduler, const grpccommon::Logger& logger,
    const grpccommon::Clock& clock) {
  const absl::Status valid = grpccommon::CheckRange(
      "max_watches_per_user", static_cast<double>(options.max_watches_per_user),
      1, 1e6);
  if (!valid.ok()) return valid;
  auto app = absl::WrapUnique(new ContestApp());
  auto store = OpenContestQueue({.database = options.database,
                                 .on_error = common::LogDatabaseErrors(logger)},
                                options.queue, clock);
  if (!store.ok()) return store.status();
  app->store_ = *std::move(store);
  app->backends_ = std::make_unique<Backends>(
      std::move(problems), std::move(executions), options.backends, clock);
  app->live_ = std::make_unique<LiveContests>(*app->store_, scheduler,
                                              options.live, clock);
  app->watches_ = std::make_unique<SubmissionWatches>(*app->store_, scheduler,
                                                      options.watches);
  app->quota_ =
      std::make_unique<common::WatchQuota>(options.max_watches_per_user);
  app->reporting_ = std::make_unique<Reporting>(
      *app->store_, scheduler,
      [backends = app->backends_.get()](const Report& report, auto done) {
        backends->RecordVerdict(report, std::move(done));
      },
      options.reporting, logger, clock);
  auto judging = Judging::Create(
      *app->store_, scheduler,
      [backends = app->backends_.get()](const Submission& submission,
                                        auto progress, auto done) {
        backends->RunTests(submission, std::move(progress), std::move(done));
      },
      {.progress =
           [watches = app->watches_.get()](const std::string& id,
                                           const JudgeProgress& progress) {
             watches->Tell(id, progress);
           },
       .judged =
           [live = app->live_.get(), watches = app->watches_.get(),
            reporting = app->reporting_.get()](const Submission& judged) {
             live->Changed(judged.contest_id);
             watches->Tell(judged);
             reporting->Wake();
           },
       .lost = [watches = app->watches_.get()](
                   const std::string& id) { watches->Look(id); }},
      options.judging, logger, clock);
  if (!judging.ok()) return judging.status();
  app->judging_ = *std::move(judging);
  auto service = ContestService::Create({.store = *app->store_,
                                         .backends = *app->backends_,
                                         .live = *app->live_,
                                         .watches = *app->watches_,
                                         .judging = *app->judging_,
                                         .quota = *app->quota_},
                                        clock);
  if (!service.ok()) return service.status();
  app->service_ = *std::move(service);
  return app;
}

void ContestApp::Start() { judging_->Start(); }

void ContestApp::Drain() {
  const absl::Status stops =
      absl::UnavailableError("the server stops: watch again");
  judging_->Drain();
  live_->Close(stops);
  watches_->Close(stops);
}

ContestApp::~ContestApp() {
  if (service_ == nullptr) return;
  Drain();
  backends_->Cancel();
  judging_->Stop();
  reporting_->Stop();
  // Runs what waits, which may look at the others.
  store_.reset();
}

}  // namespace platform::contest
