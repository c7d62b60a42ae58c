// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"

namespace grpccommon {

struct BulkheadOptions {
  /// In [1, 1e6].
  int max_in_flight = 100;
  /// In [0, 1e6]; with 0 nobody waits.
  int max_waiting = 100;
  /// In [0, 1 h]; with 0 nobody waits.
  Clock::Duration max_wait = std::chrono::milliseconds(100);
  /// What a refused caller is told to wait, times a random 0.5 to 1.5; in
  /// [0, 1 h].
  Clock::Duration retry_delay = std::chrono::milliseconds(100);
};

struct BulkheadStats {
  int in_flight = 0;
  int waiting = 0;
  /// Since the start: found no place, neither to go nor to wait …
  std::uint64_t refused_total = 0;
  /// … or waited in vain.
  std::uint64_t timed_out_total = 0;
};

/// Bounds the calls in flight to one thing, so that a slow one cannot take all
/// threads, memory and connections of its callers. A bounded number may wait
/// for a bounded time, in the order in which they came; nobody overtakes them.
///
/// Refusals, each with ErrorInfo:
/// - RESOURCE_EXHAUSTED, reason BULKHEAD_FULL: no place, and none to wait in;
/// - RESOURCE_EXHAUSTED, reason BULKHEAD_TIMEOUT: none came free in `max_wait`;
/// - DEADLINE_EXCEEDED, reason BULKHEAD_TIMEOUT: nor until the deadline.
/// The first two bring RetryInfo and QuotaFailure. The call was not sent, so
/// it may be tried again, here later or elsewhere at once.
///
/// Thread-safe. While nobody waits, taking and giving back a place is one
/// atomic operation each; waiting takes a lock and allocates.
class GRPCCOMMON_EXPORT Bulkhead {
 public:
  /// A place; given back when destroyed. Must not outlive the bulkhead.
  class [[nodiscard]] Permit {
   public:
    /// No place, as after it was moved from.
    Permit() = default;
    Permit(Permit&& other) noexcept
        : bulkhead_(std::exchange(other.bulkhead_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      if (this != &other) {
        Release();
        bulkhead_ = std::exchange(other.bulkhead_, nullptr);
      }
      return *this;
    }
    ~Permit() { Release(); }

    explicit operator bool() const { return bulkhead_ != nullptr; }

    /// Gives the place back before the end.
    void Release() {
      if (bulkhead_ == nullptr) return;
      std::exchange(bulkhead_, nullptr)->GiveBack();
    }

   private:
    friend class Bulkhead;
    explicit Permit(Bulkhead* bulkhead) : bulkhead_(bulkhead) {}
    Bulkhead* bulkhead_ = nullptr;
  };

  /// Told once: a place, or why there is none. Must neither block nor throw.
  using Done = std::function<void(absl::StatusOr<Permit>)>;
  using WaiterId = std::uint64_t;

  /// `name` says in refusals what is full. `clock` is borrowed and must outlive
  /// the bulkhead.
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<Bulkhead>> Create(
      std::string name, const BulkheadOptions& options = {},
      const Clock& clock = SteadyClock(), Random random = UniformRandom);

  /// No permit may be left, and so nobody who waits.
  ~Bulkhead();
  Bulkhead(const Bulkhead&) = delete;
  Bulkhead& operator=(const Bulkhead&) = delete;

  /// A place, if one is free and nobody waits for it. Never blocks.
  Permit TryAcquire();

  /// Waits for a place until `deadline`, at most `max_wait`. Blocks; the wait
  /// itself is measured by the machine's clock.
  absl::StatusOr<Permit> Acquire(Clock::TimePoint deadline);

  /// The same without blocking: `done` is called when there is a place or no
  /// more hope of one; before this returns where that is clear at once, else by
  /// the thread that gives a place back, or on the scheduler's. A call from
  /// within a `done` is answered after that one has returned, so that chains of
  /// calls do not grow the stack.
  ///
  /// Returns a number for `Cancel`. `scheduler` is borrowed and must outlive
  /// the bulkhead.
  WaiterId AcquireAsync(Clock::TimePoint deadline, Scheduler& scheduler,
                        Done done);

  /// True if the waiter's `done` will not be called any more; false if it was,
  /// or is just being called. Does not wait for that.
  bool Cancel(WaiterId id);

  BulkheadStats stats() const;

 private:
  struct Waiter {
    Done done;
    // Whose timer ends its wait; none if it looks after that by itself, and no
    // task while the timer is not set yet.
    Scheduler* scheduler = nullptr;
    std::optional<Scheduler::TaskId> timer;
    bool until_deadline = false;  // what ends its wait; else max_wait
  };
  enum class Entry { kAdmitted, kWaits, kFull };

  Bulkhead(std::string name, const BulkheadOptions& options, const Clock& clock,
           Random random);

  // Takes a place, or else, if there is time to wait, puts `waiter` into the
  // queue and sets `id`.
  Entry Enter(Waiter& waiter, Clock::Duration wait, WaiterId& id)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveBack() ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes a waiter out of the queue; none if it is not in it any more.
  std::optional<Waiter> Remove(WaiterId id) ABSL_LOCKS_EXCLUDED(mutex_);
  void Expire(WaiterId id) ABSL_LOCKS_EXCLUDED(mutex_);
  static void StopTimer(const Waiter& waiter);
  static void Tell(Done done, absl::StatusOr<Permit> answer) noexcept;

  bool IsFree(std::uint64_t places) const;
  // How long a call may wait, and what ends that.
  Clock::Duration LongestWait(Clock::TimePoint deadline,
                              bool& until_deadline) const;
  absl::Status Refuse(Clock::Duration wait, bool until_deadline);
  absl::Status TimedOut(bool until_deadline);
  absl::Status Exhaust(std::string_view reason,
                       const std::string& message) const;

  const std::string name_;
  const BulkheadOptions options_;
  const Clock& clock_;
  const Random random_;

  // Those in flight in the lower half, those who wait in the upper one. Who
  // waits is counted under the lock only, and only while all places are taken;
  // while somebody is counted, a place that is given back is handed over under
  // the lock. So all places are taken while somebody waits: nobody waits beside
  // a free one, and nobody can overtake.
  std::atomic<std::uint64_t> places_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> timed_out_{0};
  Mutex mutex_;
  WaiterId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<WaiterId, Waiter> waiters_ ABSL_GUARDED_BY(mutex_);  // oldest first
};

}  // namespace grpccommon
