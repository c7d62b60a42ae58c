// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/sliding_window_breaker.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "breaker/breaker_base.h"
#include "breaker/sharded_window.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"

namespace grpccommon {
namespace {

using internal::BreakerBase;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

// What to tell callers while every trial is on its way: about as long as a call
// takes, after which the breaker has decided.
constexpr Clock::Duration kTrialRetry = milliseconds(100);

struct Tally {
  std::uint64_t calls = 0;
  std::uint64_t failures = 0;
  std::uint64_t slow_calls = 0;
};

// The last calls, each replacing the oldest.
class CallRing {
 public:
  explicit CallRing(int size) : outcomes_(static_cast<std::size_t>(size)) {}

  void Add(bool failed, bool slow) {
    std::uint8_t& outcome = outcomes_[next_];
    if (tally_.calls == outcomes_.size()) {
      tally_.failures -= outcome & kFailed;
      tally_.slow_calls -= outcome >> 1;
    } else {
      ++tally_.calls;
    }
    outcome =
        static_cast<std::uint8_t>((failed ? kFailed : 0) | (slow ? kSlow : 0));
    tally_.failures += failed;
    tally_.slow_calls += slow;
    next_ = next_ + 1 == outcomes_.size() ? 0 : next_ + 1;
  }

  void Clear() {
    tally_ = {};
    next_ = 0;
  }

  const Tally& tally() const { return tally_; }

 private:
  static constexpr std::uint8_t kFailed = 1;
  static constexpr std::uint8_t kSlow = 2;

  std::vector<std::uint8_t> outcomes_;
  std::size_t next_ = 0;
  Tally tally_;
};

class SlidingWindowBreaker final : public BreakerBase {
 public:
  SlidingWindowBreaker(const SlidingWindowBreakerOptions& options,
                       const Clock& clock, Random random)
      : BreakerBase(options.on_change, clock),
        options_(options),
        random_(std::move(random)),
        min_calls_(static_cast<std::uint64_t>(options.min_calls)) {
    if (const auto* const window = std::get_if<TimeWindow>(&options.window)) {
      time_.emplace(window->length, window->buckets);
    } else {
      const int calls = std::get<CountWindow>(options.window).calls;
      ring_.emplace(calls);
      min_calls_ = std::min(min_calls_, static_cast<std::uint64_t>(calls));
    }
  }

  Permit TryAcquire() override;
  Clock::Duration RetryAfter() const override;
  BreakerStats stats() const override;

 private:
  // In this order: a call is counted before what was wrong with it.
  enum Counter : std::size_t { kCalls, kFailures, kSlowCalls, kCounters };
  using Window = internal::ShardedWindow<kCounters>;

  void Record(std::uint64_t ticket, Outcome outcome,
              Clock::Duration latency) override;
  void RecordInTime(Phase phase, bool failed, bool slow);
  void RecordInRing(Phase phase, bool failed, bool slow)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void RecordTrial(Phase phase, Outcome outcome, bool slow)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Judge(Phase phase, Window::Tag tag) ABSL_LOCKS_EXCLUDED(mutex_);
  Permit TryTrial() ABSL_LOCKS_EXCLUDED(mutex_);

  void Open(const Tally& cause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    cause_ = cause;
    Enter(BreakerState::kOpen);
  }
  void Prepare(BreakerState to) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::int64_t NowNs() const {
    return clock().Now().time_since_epoch().count();
  }
  Window::Tag TagNow(Phase phase) const {
    return time_->TagAt(ShortGenerationOf(phase), clock().Coarse());
  }
  Tally TallyAt(Window::Tag tag) const {
    const Window::Counts counts = time_->SumAll(tag);
    return {counts[kCalls], counts[kFailures], counts[kSlowCalls]};
  }
  bool AboveThreshold(const Tally& tally) const {
    // A quotient of whole numbers is the double nearest to it, as the literal
    // of an option is: 3 of 10 are 0.3.
    const auto share = [&tally](std::uint64_t part) {
      return static_cast<double>(part) / static_cast<double>(tally.calls);
    };
    return tally.calls > 0 &&
           (share(tally.failures) >= options_.failure_rate ||
            share(tally.slow_calls) >= options_.slow_call_rate);
  }

  const SlidingWindowBreakerOptions options_;
  const Random random_;
  std::uint64_t min_calls_;

  // The window: one of the two.
  std::optional<Window> time_;
  std::optional<CallRing> ring_ ABSL_GUARDED_BY(mutex_);

  // What the last look at the window of time has found: the tag of the bucket
  // it was in, and kWatch if a rate is above its threshold and only calls are
  // missing. A good call may pass by while it says "this bucket, below": good
  // calls only lower the rates.
  static constexpr std::uint64_t kWatch = std::uint64_t{1} << 63;
  std::atomic<std::uint64_t> verdict_{kWatch};

  // Written under the lock, read without it by calls that are refused.
  std::atomic<std::int64_t> open_until_ns_{0};
  std::atomic<std::int64_t> trials_until_ns_{0};
  std::atomic<int> trials_free_{0};
  Tally trials_ ABSL_GUARDED_BY(mutex_);
  // What it opened for.
  Tally cause_ ABSL_GUARDED_BY(mutex_);
};

CircuitBreaker::Permit SlidingWindowBreaker::TryAcquire() {
  const Phase phase = this->phase();
  switch (StateOf(phase)) {
    case BreakerState::kClosed:
    case BreakerState::kDisabled:
    case BreakerState::kMetricsOnly:
      return Grant(phase);
    case BreakerState::kForcedOpen:
      break;
    case BreakerState::kOpen:
      if (NowNs() >= open_until_ns_.load()) return TryTrial();
      break;
    case BreakerState::kHalfOpen:
      if (trials_free_.load() > 0 || NowNs() >= trials_until_ns_.load()) {
        return TryTrial();
      }
      break;
  }
  return Refuse();
}

CircuitBreaker::Permit SlidingWindowBreaker::TryTrial() {
  bool granted = false;
  Phase phase;
  {
    const MutexLock lock(mutex_);
    const std::int64_t now_ns = NowNs();
    const BreakerState before = state();
    if (before == BreakerState::kOpen && now_ns >= open_until_ns_.load()) {
      Enter(BreakerState::kHalfOpen);
    } else if (before == BreakerState::kHalfOpen && trials_free_.load() == 0 &&
               now_ns >= trials_until_ns_.load()) {
      Open(trials_);
    }
    phase = this->phase();
    switch (StateOf(phase)) {
      case BreakerState::kHalfOpen:
        granted = trials_free_.load() > 0;
        if (granted) {
          trials_free_.fetch_sub(1);
          trials_until_ns_.store(now_ns + options_.trial_timeout.count());
        }
        break;
      case BreakerState::kOpen:
      case BreakerState::kForcedOpen:
        break;
      default:
        granted = true;
    }
  }
  Notify();
  return granted ? Grant(phase) : Refuse();
}

void SlidingWindowBreaker::Record(std::uint64_t ticket, Outcome outcome,
                                  Clock::Duration latency) {
  const Phase phase = this->phase();
  if (ticket != phase) return;  // granted in another generation
  const bool failed = outcome == Outcome::kFailure;
  const bool slow = options_.slow_call > Clock::Duration::zero() &&
                    latency > options_.slow_call;
  switch (StateOf(phase)) {
    case BreakerState::kClosed:
    case BreakerState::kMetricsOnly:
      if (outcome == Outcome::kIgnored) return;
      if (time_.has_value()) {
        RecordInTime(phase, failed, slow);
      } else {
        RecordInRing(phase, failed, slow);
      }
      break;
    case BreakerState::kHalfOpen:
      RecordTrial(phase, outcome, slow);
      break;
    default:
      break;
  }
}

void SlidingWindowBreaker::RecordInTime(Phase phase, bool failed, bool slow) {
  const Window::Tag tag = TagNow(phase);
  time_->Add(tag, kCalls);
  if (failed) time_->Add(tag, kFailures);
  if (slow) time_->Add(tag, kSlowCalls);
  if (StateOf(phase) == BreakerState::kMetricsOnly) return;
  if (!failed && !slow && verdict_.load() == tag) return;
  Judge(phase, tag);
}

// Every bad call judges after it was counted, so the last of several at a time
// sees them all. A good one that is counted while others judge either finds
// kWatch, or was counted before it was stored, and so before the next look.
void SlidingWindowBreaker::Judge(Phase phase, Window::Tag tag) {
  while (this->phase() == phase) {
    const std::uint64_t seen = verdict_.load();
    const Window::Tag seen_tag = seen & ~kWatch;
    if (Window::GenerationOf(seen_tag) == Window::GenerationOf(tag)) {
      tag = Window::Later(tag, seen_tag);
    }
    const Tally tally = TallyAt(tag);
    const bool above = AboveThreshold(tally);
    if (above && tally.calls >= min_calls_) {
      {
        const MutexLock lock(mutex_);
        if (this->phase() != phase) return;
        Open(tally);
      }
      Notify();
      return;
    }
    const std::uint64_t verdict = above ? tag | kWatch : tag;
    if (verdict == seen) return;
    verdict_.store(verdict);
  }
}

void SlidingWindowBreaker::RecordInRing(Phase phase, bool failed, bool slow) {
  {
    const MutexLock lock(mutex_);
    if (this->phase() != phase) return;
    ring_->Add(failed, slow);
    const Tally& tally = ring_->tally();
    if (StateOf(phase) != BreakerState::kClosed || tally.calls < min_calls_ ||
        !AboveThreshold(tally)) {
      return;
    }
    Open(tally);
  }
  Notify();
}

void SlidingWindowBreaker::RecordTrial(Phase phase, Outcome outcome,
                                       bool slow) {
  {
    const MutexLock lock(mutex_);
    if (this->phase() != phase) return;
    if (outcome == Outcome::kIgnored) {
      trials_free_.fetch_add(1);
      return;
    }
    ++trials_.calls;
    trials_.failures += outcome == Outcome::kFailure;
    trials_.slow_calls += slow;
    if (trials_.calls < static_cast<std::uint64_t>(options_.half_open_calls)) {
      return;
    }
    if (AboveThreshold(trials_)) {
      Open(trials_);
    } else {
      Enter(BreakerState::kClosed);
    }
  }
  Notify();
}

void SlidingWindowBreaker::Prepare(BreakerState to) {
  switch (to) {
    case BreakerState::kClosed:
    case BreakerState::kMetricsOnly:
      if (time_.has_value()) time_->Clear();
      if (ring_.has_value()) ring_->Clear();
      break;
    case BreakerState::kOpen: {
      const double factor = 1 + options_.open_jitter * (2 * random_() - 1);
      const auto length = static_cast<std::int64_t>(
          factor * static_cast<double>(options_.open_duration.count()));
      open_until_ns_.store(NowNs() + length);
      break;
    }
    case BreakerState::kHalfOpen:
      trials_ = {};
      trials_free_.store(options_.half_open_calls);
      break;
    default:
      break;
  }
}

Clock::Duration SlidingWindowBreaker::RetryAfter() const {
  switch (state()) {
    case BreakerState::kForcedOpen:
      return options_.open_duration;
    case BreakerState::kOpen:
      return Clock::Duration(
          std::max<std::int64_t>(0, open_until_ns_.load() - NowNs()));
    case BreakerState::kHalfOpen:
      return trials_free_.load() > 0 ? Clock::Duration::zero() : kTrialRetry;
    default:
      return Clock::Duration::zero();
  }
}

BreakerStats SlidingWindowBreaker::stats() const {
  const MutexLock lock(mutex_);
  BreakerStats stats = CommonStats();
  Tally tally;
  switch (stats.state) {
    case BreakerState::kClosed:
    case BreakerState::kMetricsOnly:
      tally = time_.has_value() ? TallyAt(TagNow(phase())) : ring_->tally();
      break;
    case BreakerState::kOpen:
      tally = cause_;
      break;
    case BreakerState::kHalfOpen:
      tally = trials_;
      break;
    default:
      break;
  }
  stats.calls = tally.calls;
  stats.failures = tally.failures;
  stats.slow_calls = tally.slow_calls;
  stats.rejection_probability =
      RetryAfter() > Clock::Duration::zero() ? 1.0 : 0.0;
  return stats;
}

absl::Status Validate(const SlidingWindowBreakerOptions& options) {
  absl::Status valid;
  if (const auto* const window = std::get_if<TimeWindow>(&options.window)) {
    valid.Update(CheckRange("window.length", window->length, milliseconds(100),
                            minutes(10)));
    valid.Update(CheckRange("window.buckets", window->buckets, 1, 60));
    if (valid.ok()) {
      valid.Update(CheckRange("window.length / buckets",
                              window->length / window->buckets,
                              milliseconds(10), minutes(10)));
    }
  } else {
    valid.Update(CheckRange(
        "window.calls", std::get<CountWindow>(options.window).calls, 1, 1e6));
  }
  // The least share above none that a double can hold.
  constexpr double kLeast = std::numeric_limits<double>::denorm_min();
  valid.Update(CheckRange("failure_rate", options.failure_rate, kLeast, 1));
  valid.Update(CheckRange("slow_call", options.slow_call,
                          Clock::Duration::zero(), hours(1)));
  valid.Update(CheckRange("slow_call_rate", options.slow_call_rate, kLeast, 1));
  valid.Update(CheckRange("min_calls", options.min_calls, 1, 1e6));
  valid.Update(CheckRange("open_duration", options.open_duration,
                          milliseconds(1), hours(1)));
  valid.Update(CheckRange("open_jitter", options.open_jitter, 0, 1));
  valid.Update(CheckRange("half_open_calls", options.half_open_calls, 1, 1e6));
  valid.Update(CheckRange("trial_timeout", options.trial_timeout,
                          milliseconds(1), hours(1)));
  return valid;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CircuitBreaker>> CreateSlidingWindowBreaker(
    const SlidingWindowBreakerOptions& options, const Clock& clock,
    Random random) {
  if (absl::Status valid = Validate(options); !valid.ok()) return valid;
  return std::make_unique<SlidingWindowBreaker>(options, clock,
                                                std::move(random));
}

}  // namespace grpccommon
