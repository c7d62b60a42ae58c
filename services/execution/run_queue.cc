// SPDX-License-Identifier: Apache-2.0
#include "services/execution/run_queue.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/status/details.h"

namespace platform::execution {
namespace {

using grpccommon::CheckRange;
using grpccommon::Clock;
using grpccommon::MutexLock;

// How much the latest run counts in the mean.
constexpr double kRunWeight = 0.1;

constexpr double kMinRetrySeconds = 1.0;
constexpr double kMaxRetrySeconds = 60.0;

}  // namespace

absl::StatusOr<std::unique_ptr<RunQueue>> RunQueue::Create(
    const RunQueueOptions& options, const Clock& clock) {
  absl::Status valid = CheckRange("parallel", options.parallel, 1, 256);
  valid.Update(CheckRange("max_running_per_caller",
                          options.max_running_per_caller, 1, 256));
  valid.Update(CheckRange("max_waiting",
                          static_cast<double>(options.max_waiting), 1, 1e6));
  valid.Update(CheckRange("max_waiting_per_caller",
                          static_cast<double>(options.max_waiting_per_caller),
                          1, static_cast<double>(options.max_waiting)));
  valid.Update(CheckRange("max_waiting_bytes",
                          static_cast<double>(options.max_waiting_bytes), 1,
                          1e15));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new RunQueue(options, clock));
}

RunQueue::RunQueue(const RunQueueOptions& options, const Clock& clock)
    : options_(options), clock_(clock) {}

absl::StatusOr<RunQueue::JobId> RunQueue::Admit(const std::string& name,
                                                std::size_t bytes,
                                                Share share) {
  const MutexLock lock(mutex_);
  if (closed_) return absl::UnavailableError("the service stops");
  Caller& caller = callers_[name];
  if (absl::Status full = FullLocked(caller, bytes); !full.ok()) {
    if (caller.waiting == 0) callers_.erase(name);
    return full;
  }
  ++caller.waiting;
  caller.bytes += bytes;
  ++waiting_;
  waiting_bytes_ += bytes;
  const JobId id = ++last_id_;
  jobs_[id] = {.caller = name, .bytes = bytes, .share = share};
  return id;
}

absl::Status RunQueue::FullLocked(const Caller& caller,
                                  std::size_t bytes) const {
  // One that is alone is admitted, however large: its message was bounded.
  if (waiting_ >= options_.max_waiting ||
      (waiting_ > 0 && waiting_bytes_ + bytes > options_.max_waiting_bytes)) {
    return grpccommon::Exhausted(
        "QUEUE_FULL", "executions",
        absl::StrCat("the queue is full: ", waiting_, " executions wait"),
        RetryDelayLocked(waiting_));
  }
  if (caller.waiting >= options_.max_waiting_per_caller ||
      (caller.waiting > 0 &&
       caller.bytes + bytes > options_.max_waiting_bytes / 2)) {
    return grpccommon::Exhausted(
        "CALLER_QUEUE_FULL", "executions",
        absl::StrCat(caller.waiting, " of your executions wait already"),
        RetryDelayLocked(caller.waiting));
  }
  return absl::OkStatus();
}

std::chrono::nanoseconds RunQueue::RetryDelayLocked(std::size_t jobs) const {
  // When a tenth of them will have gone: the queue need not be empty.
  const double seconds = mean_run_ *
                         std::ceil(static_cast<double>(jobs) / 10.0) /
                         options_.parallel;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(
          std::clamp(seconds, kMinRetrySeconds, kMaxRetrySeconds)));
}

void RunQueue::Enqueue(JobId id, std::function<void()> start) {
  {
    const MutexLock lock(mutex_);
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) return;
    Job& job = found->second;
    assert(!job.enqueued);
    job.enqueued = true;
    job.start = std::move(start);
    Caller& caller = callers_[job.caller];
    if (caller.jobs.empty()) {
      caller.turn = turns_.insert(turns_.end(), job.caller);
    }
    caller.jobs.push_back(id);
  }
  Pump();
}

bool RunQueue::Withdraw(JobId id) {
  std::function<void()> start;  // destroyed without the lock
  const MutexLock lock(mutex_);
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.started) return false;
  Job& job = found->second;
  if (job.enqueued) {
    Caller& caller = callers_[job.caller];
    std::erase(caller.jobs, id);
    if (caller.jobs.empty()) turns_.erase(caller.turn);
  }
  ForgetLocked(job);
  start = std::move(job.start);
  jobs_.erase(found);
  return true;
}

void RunQueue::ForgetLocked(const Job& job) {
  const auto caller = callers_.find(job.caller);
  --caller->second.waiting;
  caller->second.bytes -= job.bytes;
  --waiting_;
  waiting_bytes_ -= job.bytes;
  if (caller->second.waiting == 0) callers_.erase(caller);
}

void RunQueue::Release(JobId id) {
  {
    const MutexLock lock(mutex_);
    const auto found = jobs_.find(id);
    if (found == jobs_.end() || !found->second.started) return;
    const std::chrono::duration<double> ran =
        clock_.Now() - found->second.started_at;
    mean_run_ += kRunWeight * (ran.count() - mean_run_);
    --running_;
    const auto running = running_of_.find(found->second.caller);
    if (--running->second == 0) running_of_.erase(running);
    jobs_.erase(found);
  }
  Pump();
}

void RunQueue::Pump() {
  {
    const MutexLock lock(mutex_);
    // Whoever pumps goes on: starts that end at once do not nest.
    if (pumping_) return;
    pumping_ = true;
  }
  for (;;) {
    std::function<void()> start;
    {
      const MutexLock lock(mutex_);
      start = TakeNextLocked();
      if (start == nullptr) {
        pumping_ = false;
        return;
      }
    }
    start();
  }
}

bool RunQueue::MayRunLocked(const std::string& name) const {
  const JobId next = callers_.at(name).jobs.front();
  if (jobs_.at(next).share == Share::kWhole) return true;
  const auto running = running_of_.find(name);
  return running == running_of_.end() ||
         running->second < options_.max_running_per_caller;
}

std::function<void()> RunQueue::TakeNextLocked() {
  if (running_ >= static_cast<std::size_t>(options_.parallel)) return nullptr;
  // One who may not run now keeps his turn.
  auto turn = turns_.begin();
  while (turn != turns_.end() && !MayRunLocked(*turn)) ++turn;
  if (turn == turns_.end()) return nullptr;
  Caller& caller = callers_[*turn];
  const JobId id = caller.jobs.front();
  caller.jobs.pop_front();
  if (caller.jobs.empty()) {
    turns_.erase(turn);
  } else {
    turns_.splice(turns_.end(), turns_, turn);
  }
  Job& job = jobs_[id];
  ForgetLocked(job);
  ++running_;
  ++running_of_[job.caller];
  job.started = true;
  job.started_at = clock_.Now();
  return std::exchange(job.start, nullptr);
}

void RunQueue::Close() {
  const MutexLock lock(mutex_);
  closed_ = true;
}

std::size_t RunQueue::Position(JobId id) const {
  const MutexLock lock(mutex_);
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.started) return 0;
  const Caller& caller = callers_.at(found->second.caller);
  const auto place = static_cast<std::size_t>(
      std::find(caller.jobs.begin(), caller.jobs.end(), id) -
      caller.jobs.begin());
  std::size_t position = place;
  // Those whose turn comes before the caller's have one turn more each.
  bool before = true;
  for (const std::string& name : turns_) {
    const Caller& other = callers_.at(name);
    if (&other == &caller) {
      before = false;
    } else {
      position += std::min(other.jobs.size(), place + (before ? 1 : 0));
    }
  }
  return position;
}

std::vector<RunQueue::JobId> RunQueue::Order() const {
  std::vector<JobId> order;
  const MutexLock lock(mutex_);
  std::vector<const Caller*> callers;
  callers.reserve(turns_.size());
  for (const std::string& name : turns_) callers.push_back(&callers_.at(name));
  for (std::size_t round = 0; !callers.empty(); ++round) {
    std::erase_if(callers, [round](const Caller* caller) {
      return caller->jobs.size() <= round;
    });
    for (const Caller* const caller : callers) {
      order.push_back(caller->jobs[round]);
    }
  }
  return order;
}

std::size_t RunQueue::waiting() const {
  const MutexLock lock(mutex_);
  return waiting_;
}

std::size_t RunQueue::running() const {
  const MutexLock lock(mutex_);
  return running_;
}

}  // namespace platform::execution
