// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/bulkhead.h"

#include <algorithm>
#include <cassert>
#include <deque>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

using std::chrono::hours;

constexpr std::uint64_t kOneInFlight = 1;
constexpr std::uint64_t kOneWaiting = std::uint64_t{1} << 32;

int InFlightOf(std::uint64_t places) {
  return static_cast<int>(places & (kOneWaiting - 1));
}
int WaitingOf(std::uint64_t places) { return static_cast<int>(places >> 32); }

}  // namespace

absl::StatusOr<std::unique_ptr<Bulkhead>> Bulkhead::Create(
    std::string name, const BulkheadOptions& options, const Clock& clock,
    Random random) {
  absl::Status valid =
      CheckRange("max_in_flight", options.max_in_flight, 1, 1e6);
  valid.Update(CheckRange("max_waiting", options.max_waiting, 0, 1e6));
  valid.Update(CheckRange("max_wait", options.max_wait, Clock::Duration::zero(),
                          hours(1)));
  valid.Update(CheckRange("retry_delay", options.retry_delay,
                          Clock::Duration::zero(), hours(1)));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(
      new Bulkhead(std::move(name), options, clock, std::move(random)));
}

Bulkhead::Bulkhead(std::string name, const BulkheadOptions& options,
                   const Clock& clock, Random random)
    : name_(std::move(name)),
      options_(options),
      clock_(clock),
      random_(std::move(random)) {}

Bulkhead::~Bulkhead() { assert(places_.load() == 0); }

bool Bulkhead::IsFree(std::uint64_t places) const {
  return InFlightOf(places) < options_.max_in_flight;
}

Bulkhead::Permit Bulkhead::TryAcquire() {
  std::uint64_t places = places_.load();
  while (IsFree(places)) {
    if (places_.compare_exchange_weak(places, places + kOneInFlight)) {
      return Permit(this);
    }
  }
  refused_.fetch_add(1, std::memory_order_relaxed);
  return Permit();
}

Bulkhead::Entry Bulkhead::Enter(Waiter& waiter, Clock::Duration wait,
                                WaiterId& id) {
  std::uint64_t places = places_.load();
  while (IsFree(places)) {
    if (places_.compare_exchange_weak(places, places + kOneInFlight)) {
      return Entry::kAdmitted;
    }
  }
  const int most_waiting =
      wait > Clock::Duration::zero() ? options_.max_waiting : 0;
  const MutexLock lock(mutex_);
  places = places_.load();
  while (true) {
    const bool free = IsFree(places);
    if (!free && WaitingOf(places) >= most_waiting) return Entry::kFull;
    if (!places_.compare_exchange_weak(
            places, places + (free ? kOneInFlight : kOneWaiting))) {
      continue;
    }
    if (free) return Entry::kAdmitted;
    id = ++last_id_;
    waiters_.emplace(id, std::move(waiter));
    return Entry::kWaits;
  }
}

void Bulkhead::GiveBack() {
  std::uint64_t places = places_.load();
  while (WaitingOf(places) == 0) {
    if (places_.compare_exchange_weak(places, places - kOneInFlight)) return;
  }
  Waiter next;
  {
    const MutexLock lock(mutex_);
    const auto oldest = waiters_.begin();
    if (oldest == waiters_.end()) {
      // The last who waited went away, and others cannot come under the lock.
      places_.fetch_sub(kOneInFlight);
      return;
    }
    next = std::move(oldest->second);
    waiters_.erase(oldest);
    places_.fetch_sub(kOneWaiting);
  }
  StopTimer(next);
  Tell(std::move(next.done), Permit(this));
}

std::optional<Bulkhead::Waiter> Bulkhead::Remove(WaiterId id) {
  const MutexLock lock(mutex_);
  const auto place = waiters_.find(id);
  if (place == waiters_.end()) return std::nullopt;
  std::optional<Waiter> waiter = std::move(place->second);
  waiters_.erase(place);
  places_.fetch_sub(kOneWaiting);
  return waiter;
}

absl::StatusOr<Bulkhead::Permit> Bulkhead::Acquire(Clock::TimePoint deadline) {
  struct Mailbox {
    Mutex mutex;
    CondVar filled;
    std::optional<absl::StatusOr<Permit>> answer ABSL_GUARDED_BY(mutex);
  } mailbox;
  Waiter waiter{.done = [&mailbox](absl::StatusOr<Permit> answer) {
    const MutexLock lock(mailbox.mutex);
    mailbox.answer = std::move(answer);
    mailbox.filled.NotifyOne();
  }};
  bool until_deadline = false;
  const Clock::Duration wait = LongestWait(deadline, until_deadline);
  const auto end = std::chrono::steady_clock::now() + wait;
  WaiterId id = 0;
  switch (Enter(waiter, wait, id)) {
    case Entry::kAdmitted:
      return Permit(this);
    case Entry::kFull:
      return Refuse(wait, until_deadline);
    case Entry::kWaits:
      break;
  }
  {
    const MutexLock lock(mailbox.mutex);
    while (!mailbox.answer.has_value() &&
           mailbox.filled.WaitUntil(mailbox.mutex, end)) {
    }
  }
  if (Remove(id).has_value()) return TimedOut(until_deadline);
  // Somebody has taken it out to hand a place over.
  const MutexLock lock(mailbox.mutex);
  while (!mailbox.answer.has_value()) mailbox.filled.Wait(mailbox.mutex);
  return *std::move(mailbox.answer);
}

Bulkhead::WaiterId Bulkhead::AcquireAsync(Clock::TimePoint deadline,
                                          Scheduler& scheduler, Done done) {
  Waiter waiter{.done = std::move(done), .scheduler = &scheduler};
  const Clock::Duration wait = LongestWait(deadline, waiter.until_deadline);
  WaiterId id = 0;
  switch (Enter(waiter, wait, id)) {
    case Entry::kAdmitted:
      Tell(std::move(waiter.done), Permit(this));
      return id;
    case Entry::kFull:
      Tell(std::move(waiter.done), Refuse(wait, waiter.until_deadline));
      return id;
    case Entry::kWaits:
      break;
  }
  const Scheduler::TaskId timer =
      scheduler.RunAfter(wait, [this, id] { Expire(id); });
  {
    const MutexLock lock(mutex_);
    const auto place = waiters_.find(id);
    if (place != waiters_.end()) {
      place->second.timer = timer;
      return id;
    }
  }
  // It was answered before anybody knew of the timer.
  scheduler.Cancel(timer);
  return id;
}

bool Bulkhead::Cancel(WaiterId id) {
  const std::optional<Waiter> waiter = Remove(id);
  if (!waiter.has_value()) return false;
  StopTimer(*waiter);
  return true;
}

void Bulkhead::Expire(WaiterId id) {
  std::optional<Waiter> waiter = Remove(id);
  if (!waiter.has_value()) return;
  Tell(std::move(waiter->done), TimedOut(waiter->until_deadline));
}

void Bulkhead::StopTimer(const Waiter& waiter) {
  if (waiter.timer.has_value()) waiter.scheduler->Cancel(*waiter.timer);
}

void Bulkhead::Tell(Done done, absl::StatusOr<Permit> answer) noexcept {
  struct Told {
    Done done;
    absl::StatusOr<Permit> answer;
  };
  // What one `done` sets off on this thread waits until that one has returned.
  static thread_local std::deque<Told>* telling = nullptr;
  if (telling != nullptr) {
    telling->push_back({std::move(done), std::move(answer)});
    return;
  }
  std::deque<Told> queue;
  telling = &queue;
  queue.push_back({std::move(done), std::move(answer)});
  while (!queue.empty()) {
    Told next = std::move(queue.front());
    queue.pop_front();
    next.done(std::move(next.answer));
  }
  telling = nullptr;
}

Clock::Duration Bulkhead::LongestWait(Clock::TimePoint deadline,
                                      bool& until_deadline) const {
  const Clock::TimePoint now = clock_.Now();
  until_deadline = deadline < now + options_.max_wait;
  if (!until_deadline) return options_.max_wait;
  return std::max(deadline, now) - now;
}

absl::Status Bulkhead::Refuse(Clock::Duration wait, bool until_deadline) {
  const bool may_wait = wait > Clock::Duration::zero();
  if (!may_wait && until_deadline) return TimedOut(true);
  refused_.fetch_add(1, std::memory_order_relaxed);
  return Exhaust(
      "BULKHEAD_FULL",
      absl::StrCat(name_, " has ", options_.max_in_flight,
                   " calls in flight and ", may_wait ? options_.max_waiting : 0,
                   " waiting, its limits; try again later, or "
                   "elsewhere"));
}

absl::Status Bulkhead::TimedOut(bool until_deadline) {
  timed_out_.fetch_add(1, std::memory_order_relaxed);
  if (until_deadline) {
    return WithReason(
        absl::DeadlineExceededError(absl::StrCat(
            "the deadline passed while the call waited for a place in ",
            name_)),
        "BULKHEAD_TIMEOUT", kErrorDomain, {{"bulkhead", name_}});
  }
  return Exhaust("BULKHEAD_TIMEOUT",
                 absl::StrCat("no place came free in ", name_, ", which bears ",
                              options_.max_in_flight,
                              " calls in flight; try again later, or "
                              "elsewhere"));
}

absl::Status Bulkhead::Exhaust(std::string_view reason,
                               const std::string& message) const {
  const auto delay = static_cast<std::int64_t>(
      (0.5 + random_()) * static_cast<double>(options_.retry_delay.count()));
  return WithReason(Exhausted(reason, name_, message, Clock::Duration(delay)),
                    reason, kErrorDomain, {{"bulkhead", name_}});
}

BulkheadStats Bulkhead::stats() const {
  const std::uint64_t places = places_.load();
  return {.in_flight = InFlightOf(places),
          .waiting = WaitingOf(places),
          .refused_total = refused_.load(std::memory_order_relaxed),
          .timed_out_total = timed_out_.load(std::memory_order_relaxed)};
}

}  // namespace grpccommon
