// SPDX-License-Identifier: Apache-2.0
#include "services/contest/judging.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"

namespace platform::contest {

using grpccommon::MutexLock;

namespace {

// What it says about a submission that it was not judged.
enum class Failure {
  kNone,     // the execution service is away, full, or does not let us in
  kRefused,  // it will not execute this one
  kFailed,   // it tried
};

Failure FailureOf(const absl::Status& why, bool begun) {
  switch (why.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return Failure::kRefused;
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
      return Failure::kNone;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      // Perhaps it was this program that ended the service, or took too long.
      return begun ? Failure::kFailed : Failure::kNone;
    case absl::StatusCode::kResourceExhausted:
      // Where it is full, it says when to come back; what is too large for it
      // stays too large.
      return grpccommon::RetryDelayOf(why).has_value() ? Failure::kNone
                                                       : Failure::kFailed;
    default:
      return Failure::kFailed;
  }
}

NotJudged ReasonFor(const absl::Status& why, Failure failure) {
  if (failure == Failure::kFailed) return NotJudged::kExecutionFailed;
  return absl::IsNotFound(why) ? NotJudged::kProblemNotFound
                               : NotJudged::kRefused;
}

}  // namespace

// Everything runs as a callback of the store, the scheduler or the executor;
// whichever is the last may find the judging itself gone.
struct Judging::State : std::enable_shared_from_this<State> {
  State(ContestQueue& s, grpccommon::Scheduler& c, Execute e, Listener l,
        JudgingOptions o, grpccommon::Logger g, const grpccommon::Clock& k,
        grpccommon::Random r)
      : store(s),
        scheduler(c),
        execute(std::move(e)),
        listener(std::move(l)),
        options(std::move(o)),
        logger(std::move(g)),
        clock(k),
        random(std::move(r)),
        judge{.name = options.name, .token = grpccommon::UuidV7(clock)} {}

  ContestQueue& store;
  grpccommon::Scheduler& scheduler;
  const Execute execute;
  const Listener listener;
  const JudgingOptions options;
  const grpccommon::Logger logger;
  const grpccommon::Clock& clock;
  const grpccommon::Random random;
  const Judge judge;

  mutable grpccommon::Mutex mutex;
  grpccommon::CondVar idle;
  bool draining ABSL_GUARDED_BY(mutex) = false;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  bool claiming ABSL_GUARDED_BY(mutex) = false;
  bool wanted ABSL_GUARDED_BY(mutex) = false;
  bool given_back ABSL_GUARDED_BY(mutex) = false;
  std::set<std::string> running ABSL_GUARDED_BY(mutex);
  // Verdicts that wait for another attempt to store them.
  std::set<grpccommon::Scheduler::TaskId> timers ABSL_GUARDED_BY(mutex);

  void TakeBack();
  void Claim();
  void Claimed(const absl::Status& committed, std::vector<JudgeJob>& jobs,
               std::size_t asked);
  void Look();
  void Renew();
  void Begin(const JudgeJob& job);
  void NoVerdict(const std::shared_ptr<const JudgeJob>& job,
                 const absl::Status& why, Failure failure);
  void Record(const std::shared_ptr<const JudgeJob>& job,
              const Judgement& judgement);
  void Postpone(const JudgeJob& job, const absl::Status& why, bool failed);
  void End(const std::string& id);
  Duration DelayAfter(int attempt, const absl::Status& why) const;
};

void Judging::State::TakeBack() {
  // If that fails, the leases run out.
  const auto claim = [self = shared_from_this()](const absl::Status&) {
    self->Claim();
  };
  const absl::Status added =
      store.Write({.run =
                       [self = shared_from_this()](ContestStore& contests) {
                         return contests.TakeBack(self->judge);
                       },
                   .done = claim});
  if (!added.ok()) claim(added);
}

void Judging::State::Claim() {
  std::size_t room;
  {
    const MutexLock lock(mutex);
    if (draining) return;
    if (claiming) {
      wanted = true;
      return;
    }
    if (running.size() >= options.max_running) return;  // the next end claims
    room = options.max_running - running.size();
    claiming = true;
  }
  const auto jobs = std::make_shared<std::vector<JudgeJob>>();
  const absl::Status added = store.Write(
      {.run =
           [self = shared_from_this(), jobs, room](ContestStore& contests) {
             auto claimed = contests.Claim(
                 self->judge, self->clock.WallNow() + self->options.lease,
                 {.more = room,
                  .per_user = self->options.max_running_per_user});
             if (!claimed.ok()) return claimed.status();
             *jobs = *std::move(claimed);
             return absl::OkStatus();
           },
       .done =
           [self = shared_from_this(), jobs,
            room](const absl::Status& committed) {
             self->Claimed(committed, *jobs, room);
           }});
  if (!added.ok()) Claimed(added, *jobs, room);
}

void Judging::State::Claimed(const absl::Status& committed,
                             std::vector<JudgeJob>& jobs, std::size_t asked) {
  bool again;
  {
    const MutexLock lock(mutex);
    claiming = false;
    // What the store refused is claimed at the next poll; what comes too late
    // is given back at the stop.
    if (!committed.ok() || draining) jobs.clear();
    again =
        std::exchange(wanted, false) && committed.ok() && jobs.size() < asked;
    for (const JudgeJob& job : jobs) running.insert(job.submission.id);
  }
  idle.NotifyAll();
  for (const JudgeJob& job : jobs) Begin(job);
  if (again) Claim();
}

void Judging::State::Look() {
  (void)store.Read([self = shared_from_this()](ContestStore& contests) {
    const auto next = contests.NextToJudge();
    if (next.ok() && next->has_value() && **next <= self->clock.WallNow()) {
      self->Claim();
    }
  });
}

void Judging::State::Renew() {
  std::vector<std::string> ids;
  {
    const MutexLock lock(mutex);
    ids.assign(running.begin(), running.end());
  }
  if (ids.empty()) return;
  const absl::Status added = store.Write(
      {.run =
           [self = shared_from_this(), ids](ContestStore& contests) {
             return contests.Renew(self->judge, ids,
                                   self->clock.WallNow() + self->options.lease);
           },
       .done = [](const absl::Status&) {}});
  if (!added.ok())
    logger.Warning("leases were not renewed", {{"error", added.ToString()}});
}

void Judging::State::Begin(const JudgeJob& job) {
  const auto shared = std::make_shared<const JudgeJob>(job);
  const auto begun = std::make_shared<std::atomic<bool>>(false);
  execute(
      shared->submission,
      [self = shared_from_this(), shared,
       begun](const JudgeProgress& progress) {
        if (progress.state > JudgeProgress::kQueued) *begun = true;
        self->listener.progress(shared->submission.id, progress);
      },
      [self = shared_from_this(), shared,
       begun](absl::StatusOr<Judgement> judgement) {
        if (judgement.ok() && judgement->verdict != Verdict::kInternal) {
          self->Record(shared, *judgement);
        } else if (judgement.ok()) {
          self->NoVerdict(shared,
                          absl::InternalError("the execution service failed"),
                          Failure::kFailed);
        } else {
          self->NoVerdict(shared, judgement.status(),
                          FailureOf(judgement.status(), *begun));
        }
      });
}

void Judging::State::NoVerdict(const std::shared_ptr<const JudgeJob>& job,
                               const absl::Status& why, Failure failure) {
  if (failure == Failure::kNone) return Postpone(*job, why, false);
  const int most = failure == Failure::kRefused ? options.max_refusals
                                                : options.max_failures;
  if (job->failures + 1 < most) return Postpone(*job, why, true);
  logger.Error("a submission cannot be judged and ends without a verdict",
               {{"submission", job->submission.id},
                {"problem", job->submission.problem_id},
                {"language", job->submission.language},
                {"attempt", job->attempt},
                {"error", why.ToString()}});
  Record(job, {.verdict = Verdict::kInternal,
               .not_judged = ReasonFor(why, failure)});
}

void Judging::State::Record(const std::shared_ptr<const JudgeJob>& job,
                            const Judgement& judgement) {
  const auto recorded = std::make_shared<std::optional<Submission>>();
  const auto done = [self = shared_from_this(), job, judgement,
                     recorded](const absl::Status& committed) {
    const std::string& id = job->submission.id;
    if (!committed.ok()) {
      // The lease is renewed meanwhile.
      self->logger.Warning(
          "a verdict was not stored and will be tried again",
          {{"submission", id}, {"error", committed.ToString()}});
      const MutexLock lock(self->mutex);
      if (!self->stopped) {
        const auto timer = std::make_shared<grpccommon::Scheduler::TaskId>();
        *timer = self->scheduler.RunAfter(
            self->options.store_retry, [self, job, judgement, timer] {
              {
                const MutexLock retry_lock(self->mutex);
                self->timers.erase(*timer);
              }
              self->Record(job, judgement);
            });
        self->timers.insert(*timer);
        return;
      }
    } else if (recorded->has_value()) {
      self->listener.judged(**recorded);
    } else {
      self->listener.lost(id);
    }
    self->End(id);
  };
  const absl::Status added =
      store.Write({.run =
                       [self = shared_from_this(), job, judgement,
                        recorded](ContestStore& contests) {
                         auto result = contests.Record(
                             self->judge, job->submission.id, judgement);
                         if (!result.ok()) return result.status();
                         *recorded = *std::move(result);
                         return absl::OkStatus();
                       },
                   .done = done});
  if (!added.ok()) done(added);
}

Duration Judging::State::DelayAfter(int attempt,
                                    const absl::Status& why) const {
  grpccommon::Backoff backoff(options.retry);
  Duration delay{0};
  // It stops growing long before.
  for (int i = 0; i < std::min(attempt, 64); ++i) delay = backoff.Next(random);
  return std::max(delay, grpccommon::RetryDelayOf(why).value_or(Duration(0)));
}

void Judging::State::Postpone(const JudgeJob& job, const absl::Status& why,
                              bool failed) {
  const std::string id = job.submission.id;
  const Duration delay = DelayAfter(job.attempt, why);
  logger.Warning("a submission was not executed and will be tried again",
                 {{"submission", id},
                  {"attempt", job.attempt},
                  {"delay_ms", delay / std::chrono::milliseconds(1)},
                  {"error", why.ToString()}});
  // If that fails, the lease runs out, since nobody renews it.
  const auto done = [self = shared_from_this(), id](const absl::Status&) {
    self->End(id);
  };
  const absl::Status added = store.Write(
      {.run =
           [self = shared_from_this(), id, until = clock.WallNow() + delay,
            failed](ContestStore& contests) {
             return contests.Postpone(self->judge, id, until, failed);
           },
       .done = done});
  if (!added.ok()) done(added);
}

void Judging::State::End(const std::string& id) {
  {
    const MutexLock lock(mutex);
    running.erase(id);
  }
  idle.NotifyAll();
  Claim();
}

Judging::Judging(std::shared_ptr<State> state) : state_(std::move(state)) {}

absl::StatusOr<std::unique_ptr<Judging>> Judging::Create(
    ContestQueue& store, grpccommon::Scheduler& scheduler, Execute execute,
    Listener listener, JudgingOptions options, grpccommon::Logger logger,
    const grpccommon::Clock& clock, grpccommon::Random random) {
  using grpccommon::CheckRange;
  using std::chrono::hours;
  using std::chrono::milliseconds;
  using std::chrono::minutes;
  using std::chrono::seconds;
  absl::Status valid = CheckRange(
      "max_running", static_cast<double>(options.max_running), 1, 1000);
  valid.Update(CheckRange("max_running_per_user",
                          static_cast<double>(options.max_running_per_user), 1,
                          1000));
  valid.Update(CheckRange("lease", options.lease, seconds(1), hours(1)));
  valid.Update(CheckRange("poll_interval", options.poll_interval,
                          milliseconds(10), minutes(1)));
  valid.Update(grpccommon::CheckOptions(options.retry, "retry."));
  valid.Update(CheckRange("max_refusals", options.max_refusals, 1, 1e6));
  valid.Update(CheckRange("max_failures", options.max_failures, 1, 1e6));
  if (options.name.empty()) {
    valid.Update(absl::InvalidArgumentError("name must not be empty"));
  }
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new Judging(std::make_shared<State>(
      store, scheduler, std::move(execute), std::move(listener),
      std::move(options), std::move(logger), clock, std::move(random))));
}

Judging::~Judging() { Stop(); }

void Judging::Start() {
  State& state = *state_;
  state.TakeBack();
  poll_.emplace(state.scheduler, state.options.poll_interval,
                [&state] { state.Look(); });
  renewal_.emplace(state.scheduler, state.options.lease / 3,
                   [&state] { state.Renew(); });
}

void Judging::Wake() { state_->Claim(); }

void Judging::Drain() {
  poll_.reset();
  const MutexLock lock(state_->mutex);
  state_->draining = true;
}

void Judging::Stop() {
  Drain();
  State& state = *state_;
  std::set<grpccommon::Scheduler::TaskId> timers;
  {
    const MutexLock lock(state.mutex);
    if (state.stopped) return;
    state.stopped = true;
    timers.swap(state.timers);
  }
  std::size_t dropped = 0;
  for (const grpccommon::Scheduler::TaskId timer : timers) {
    if (state.scheduler.Cancel(timer)) ++dropped;
  }
  {
    // Those whose verdict could not be stored stay, and are judged again.
    const MutexLock lock(state.mutex);
    while (state.claiming || state.running.size() > dropped) {
      state.idle.Wait(state.mutex);
    }
  }
  renewal_.reset();
  const auto done = [&state](const absl::Status&) {
    const MutexLock lock(state.mutex);
    state.given_back = true;
    state.idle.NotifyAll();
  };
  const absl::Status added =
      state.store.Write({.run =
                             [&state](ContestStore& contests) {
                               return contests.GiveBack(state.judge);
                             },
                         .done = done});
  if (!added.ok()) return;  // the leases run out
  const MutexLock lock(state.mutex);
  while (!state.given_back) state.idle.Wait(state.mutex);
}

std::size_t Judging::running() const {
  const MutexLock lock(state_->mutex);
  return state_->running.size();
}

}  // namespace platform::contest
