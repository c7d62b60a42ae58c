// SPDX-License-Identifier: Apache-2.0
#include "services/contest/reporting.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "grpccommon/base/mutex.h"

namespace platform::contest {

using grpccommon::MutexLock;

struct Reporting::State : std::enable_shared_from_this<State> {
  State(ContestQueue& s, Tell t, ReportingOptions o, grpccommon::Logger l,
        const grpccommon::Clock& c, grpccommon::Random r)
      : store(s),
        tell(std::move(t)),
        options(o),
        logger(std::move(l)),
        clock(c),
        random(std::move(r)),
        backoff(options.retry) {}

  ContestQueue& store;
  const Tell tell;
  const ReportingOptions options;
  const grpccommon::Logger logger;
  const grpccommon::Clock& clock;
  const grpccommon::Random random;

  grpccommon::Mutex mutex;
  grpccommon::CondVar idle;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  bool looking ABSL_GUARDED_BY(mutex) = false;
  bool wanted ABSL_GUARDED_BY(mutex) = false;
  // There may be some of ours that wait, so the next poll leaves none out.
  bool hurry ABSL_GUARDED_BY(mutex) = true;
  std::set<std::string> running ABSL_GUARDED_BY(mutex);
  // What was reported while a look was under way, which may have read the store
  // before that was noted.
  std::set<std::string> reported ABSL_GUARDED_BY(mutex);
  grpccommon::Backoff backoff ABSL_GUARDED_BY(mutex);
  grpccommon::Clock::TimePoint not_before ABSL_GUARDED_BY(mutex);

  void Poll();
  // For verdicts that are at least `age` old.
  void Look(Duration age);
  void Looked(const absl::StatusOr<std::vector<Report>>& reports);
  void Send(const Report& report);
  void End(const std::string& id, bool is_reported = false);
};

void Reporting::State::Poll() {
  bool all;
  {
    const MutexLock lock(mutex);
    if (clock.Now() < not_before) return;
    all = std::exchange(hurry, false);
  }
  Look(all ? Duration(0) : options.grace);
}

void Reporting::State::Look(Duration age) {
  {
    const MutexLock lock(mutex);
    if (stopped || clock.Now() < not_before) return;
    if (looking) {
      wanted = true;
      return;
    }
    looking = true;
  }
  const absl::Status added =
      store.Read([self = shared_from_this(), age](ContestStore& contests) {
        // Those under way are among them.
        self->Looked(contests.Unreported(self->clock.WallNow() - age,
                                         2 * self->options.max_running));
      });
  if (!added.ok()) Looked(added);
}

void Reporting::State::Looked(
    const absl::StatusOr<std::vector<Report>>& reports) {
  std::vector<Report> fresh;
  bool again;
  {
    const MutexLock lock(mutex);
    looking = false;
    again = std::exchange(wanted, false) && reports.ok();
    if (reports.ok() && !stopped) {
      for (const Report& report : *reports) {
        if (running.size() >= options.max_running) break;
        if (reported.count(report.submission_id) == 0 &&
            running.insert(report.submission_id).second) {
          fresh.push_back(report);
        }
      }
    }
    reported.clear();
  }
  idle.NotifyAll();
  for (const Report& report : fresh) Send(report);
  if (again) Look(Duration(0));
}

void Reporting::State::Send(const Report& report) {
  tell(report, [self = shared_from_this(),
                id = report.submission_id](const absl::Status& status) {
    if (!status.ok() && !absl::IsNotFound(status)) {
      self->logger.Warning("a verdict was not reported and will be tried again",
                           {{"submission", id}, {"error", status.ToString()}});
      {
        const MutexLock lock(self->mutex);
        self->not_before = self->clock.Now() + self->backoff.Next(self->random);
        self->hurry = true;
      }
      return self->End(id);
    }
    {
      const MutexLock lock(self->mutex);
      self->backoff.Restart();
    }
    // If that fails, it is reported once more.
    const auto done = [self, id](const absl::Status& marked) {
      self->End(id, marked.ok());
      self->Look(Duration(0));
    };
    const absl::Status added = self->store.Write(
        {.run =
             [id](ContestStore& contests) { return contests.MarkReported(id); },
         .done = done});
    if (!added.ok()) self->End(id);
  });
}

void Reporting::State::End(const std::string& id, bool is_reported) {
  {
    const MutexLock lock(mutex);
    running.erase(id);
    if (is_reported && looking) reported.insert(id);
  }
  idle.NotifyAll();
}

Reporting::Reporting(ContestQueue& store, grpccommon::Scheduler& scheduler,
                     Tell tell, ReportingOptions options,
                     grpccommon::Logger logger, const grpccommon::Clock& clock,
                     grpccommon::Random random)
    : state_(std::make_shared<State>(store, std::move(tell), options,
                                     std::move(logger), clock,
                                     std::move(random))) {
  poll_.emplace(scheduler, options.poll_interval,
                [state = state_.get()] { state->Poll(); });
}

Reporting::~Reporting() { Stop(); }

void Reporting::Wake() { state_->Look(Duration(0)); }

void Reporting::Stop() {
  poll_.reset();
  State& state = *state_;
  const MutexLock lock(state.mutex);
  state.stopped = true;
  while (state.looking || !state.running.empty()) {
    state.idle.Wait(state.mutex);
  }
}

}  // namespace platform::contest
