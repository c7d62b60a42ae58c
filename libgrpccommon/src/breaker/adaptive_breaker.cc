// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/adaptive_breaker.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "breaker/breaker_base.h"
#include "breaker/sharded_window.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"

namespace grpccommon {
namespace {

using internal::BreakerBase;
using std::chrono::milliseconds;
using std::chrono::minutes;

// From here on it is worth telling; around zero the probability comes and goes.
constexpr double kTold = 0.1;

class AdaptiveBreaker final : public BreakerBase {
 public:
  AdaptiveBreaker(const AdaptiveBreakerOptions& options, const Clock& clock,
                  Random random)
      : BreakerBase(options.on_change, clock),
        options_(options),
        random_(std::move(random)),
        window_(options.window, options.buckets) {}

  Permit TryAcquire() override;
  Clock::Duration RetryAfter() const override;
  BreakerStats stats() const override;

 private:
  enum Counter : std::size_t {
    kGranted,
    kRefused,
    kAccepted,
    kFailed,
    kIgnored,
    kCounters
  };
  using Window = internal::ShardedWindow<kCounters>;

  void Record(std::uint64_t ticket, Outcome outcome,
              Clock::Duration latency) override;
  double Judge(Phase phase, Window::Tag tag) ABSL_LOCKS_EXCLUDED(mutex_);
  void Tell(Phase phase, double probability) ABSL_LOCKS_EXCLUDED(mutex_);
  void Prepare(BreakerState to) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  static double RequestsOf(const Window::Counts& counts) {
    // What was ignored may have started in a bucket that is gone.
    const std::uint64_t asked = counts[kGranted] + counts[kRefused];
    return static_cast<double>(asked - std::min(asked, counts[kIgnored]));
  }
  double ProbabilityOf(const Window::Counts& counts) const {
    if (counts[kFailed] == 0 ||
        counts[kAccepted] + counts[kFailed] + counts[kRefused] <
            static_cast<std::uint64_t>(options_.min_calls)) {
      return 0;
    }
    const double requests = RequestsOf(counts);
    const double sent = options_.k * static_cast<double>(counts[kAccepted]);
    return std::clamp((requests - sent) / (requests + 1), 0.0,
                      options_.max_rejection);
  }
  // Whether calls may start until the end of the bucket without a look: no call
  // failed, or so many succeeded that half as many again may start.
  bool IsCalm(const Window::Counts& counts) const {
    return counts[kFailed] == 0 ||
           1.5 * RequestsOf(counts) <=
               options_.k * static_cast<double>(counts[kAccepted]);
  }
  Window::Tag TagNow(Phase phase) const {
    return window_.TagAt(ShortGenerationOf(phase), clock().Coarse());
  }

  const AdaptiveBreakerOptions options_;
  const Random random_;
  // The tag of the bucket in which calls may start without a look, or kNever.
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  std::atomic<std::uint64_t> calm_{kNever};
  Window window_;
};

CircuitBreaker::Permit AdaptiveBreaker::TryAcquire() {
  const Phase phase = this->phase();
  switch (StateOf(phase)) {
    case BreakerState::kForcedOpen:
      return Refuse();
    case BreakerState::kDisabled:
      return Grant(phase);
    default:
      break;
  }
  const Window::Tag tag = TagNow(phase);
  if (calm_.load() != tag && StateOf(phase) != BreakerState::kMetricsOnly) {
    const double probability = Judge(phase, tag);
    if (probability > 0 && random_() < probability) {
      window_.Add(tag, kRefused);
      return Refuse();
    }
  }
  window_.Add(tag, kGranted);
  return Grant(phase);
}

// A failure that is counted meanwhile takes `calm_` back: either after it was
// stored here, or before the next look.
double AdaptiveBreaker::Judge(Phase phase, Window::Tag tag) {
  while (true) {
    const std::uint64_t seen = calm_.load();
    const Window::Counts counts = window_.SumAll(tag);
    const std::uint64_t calm = IsCalm(counts) ? tag : kNever;
    if (calm != seen) {
      calm_.store(calm);
      if (calm != kNever) continue;
    }
    const double probability = ProbabilityOf(counts);
    Tell(phase, probability);
    return probability;
  }
}

void AdaptiveBreaker::Tell(Phase phase, double probability) {
  const auto wanted = [probability](BreakerState state) {
    if (state == BreakerState::kClosed && probability >= kTold) {
      return BreakerState::kHalfOpen;
    }
    if (state == BreakerState::kHalfOpen && probability == 0) {
      return BreakerState::kClosed;
    }
    return state;
  };
  if (wanted(StateOf(phase)) == StateOf(phase)) return;
  {
    const MutexLock lock(mutex_);
    if (GenerationOf(this->phase()) != GenerationOf(phase)) return;
    const BreakerState now = state();
    if (wanted(now) == now) return;
    Mark(wanted(now));
  }
  Notify();
}

void AdaptiveBreaker::Record(std::uint64_t ticket, Outcome outcome,
                             Clock::Duration /*latency*/) {
  const Phase phase = this->phase();
  if (GenerationOf(ticket) != GenerationOf(phase) ||
      StateOf(phase) == BreakerState::kDisabled) {
    return;
  }
  const Window::Tag tag = TagNow(phase);
  switch (outcome) {
    case Outcome::kSuccess:
      window_.Add(tag, kAccepted);
      break;
    case Outcome::kFailure:
      window_.Add(tag, kFailed);
      if (calm_.load() != kNever) calm_.store(kNever);
      break;
    case Outcome::kIgnored:
      window_.Add(tag, kIgnored);
      break;
  }
}

void AdaptiveBreaker::Prepare(BreakerState to) {
  if (to == BreakerState::kClosed || to == BreakerState::kMetricsOnly) {
    window_.Clear();
  }
}

Clock::Duration AdaptiveBreaker::RetryAfter() const {
  const Phase phase = this->phase();
  switch (StateOf(phase)) {
    case BreakerState::kForcedOpen:
      return options_.window;
    case BreakerState::kDisabled:
    case BreakerState::kMetricsOnly:
      return Clock::Duration::zero();
    default:
      break;
  }
  if (ProbabilityOf(window_.SumAll(TagNow(phase))) == 0) {
    return Clock::Duration::zero();
  }
  // Any call may pass; after a bucket the odds have changed.
  return options_.window / options_.buckets;
}

BreakerStats AdaptiveBreaker::stats() const {
  BreakerStats stats = CommonStats();
  const Phase phase = this->phase();
  switch (StateOf(phase)) {
    case BreakerState::kForcedOpen:
      stats.rejection_probability = 1;
      return stats;
    case BreakerState::kDisabled:
      return stats;
    default:
      break;
  }
  const Window::Counts counts = window_.SumAll(TagNow(phase));
  stats.calls = counts[kAccepted] + counts[kFailed];
  stats.failures = counts[kFailed];
  if (StateOf(phase) != BreakerState::kMetricsOnly) {
    stats.rejection_probability = ProbabilityOf(counts);
  }
  return stats;
}

absl::Status Validate(const AdaptiveBreakerOptions& options) {
  absl::Status valid = CheckRange("k", options.k, 1, 100);
  valid.Update(
      CheckRange("window", options.window, milliseconds(100), minutes(10)));
  valid.Update(CheckRange("buckets", options.buckets, 1, 60));
  if (valid.ok()) {
    valid.Update(CheckRange("window / buckets",
                            options.window / options.buckets, milliseconds(10),
                            minutes(10)));
  }
  valid.Update(CheckRange("min_calls", options.min_calls, 1, 1e6));
  valid.Update(CheckRange("max_rejection", options.max_rejection,
                          std::numeric_limits<double>::denorm_min(), 1));
  return valid;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CircuitBreaker>> CreateAdaptiveBreaker(
    const AdaptiveBreakerOptions& options, const Clock& clock, Random random) {
  if (absl::Status valid = Validate(options); !valid.ok()) return valid;
  return std::make_unique<AdaptiveBreaker>(options, clock, std::move(random));
}

}  // namespace grpccommon
