// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "grpccommon/balance/endpoint.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/random.h"

namespace grpccommon {

/// Ejects at once an endpoint that fails so many calls in a row.
struct ConsecutiveFailureEjection {
  /// In [1, 1e6]. Each further so many are another reason, where the first one
  /// was not followed.
  int failures = 5;
  /// Chance, in percent, that an endpoint found to be an outlier is ejected, in
  /// [0, 100].
  double enforcement_percent = 100;
};

/// Ejects endpoints that succeed much less often than the others do.
struct SuccessRateEjection {
  /// Below the mean by so many standard deviations, in [0, 100].
  double stdev_factor = 1.9;
  double enforcement_percent = 100;
  /// Endpoints with enough calls that it takes, in [1, 1e6].
  int min_hosts = 5;
  /// Calls in an interval that are enough, in [1, 1e9].
  int min_requests = 100;
};

/// Ejects endpoints that fail a given share of their calls, whatever the others
/// do.
struct FailurePercentageEjection {
  /// So much or more, in [0, 100].
  double threshold_percent = 85;
  double enforcement_percent = 100;
  /// Endpoints with enough calls that it takes, in [1, 1e6].
  int min_hosts = 5;
  /// Calls in an interval that are enough, in [1, 1e9].
  int min_requests = 50;
};

struct OutlierOptions {
  /// Between two looks at the success rates, and at who may return, in
  /// [100 ms, 1 h].
  Clock::Duration interval = std::chrono::seconds(10);
  /// How long the first ejection lasts, in [0, 24 h]. The n-th in succession
  /// lasts n times as long …
  Clock::Duration base_ejection_time = std::chrono::seconds(30);
  /// … but no longer than this, or the base if that is longer; in [0, 24 h].
  Clock::Duration max_ejection_time = std::chrono::seconds(300);
  /// No more are ejected once so many are, in [0, 100]; but one always may be.
  double max_ejection_percent = 10;
  /// While ejection leaves less than this of the ready endpoints, it is
  /// ignored, in [0, 100]: then it is not they that are ill, or there is nobody
  /// else.
  double panic_percent = 50;
  /// Which rules there are; nullopt turns one off.
  std::optional<ConsecutiveFailureEjection> consecutive_failures =
      ConsecutiveFailureEjection{};
  std::optional<SuccessRateEjection> success_rate = SuccessRateEjection{};
  std::optional<FailurePercentageEjection> failure_percentage =
      FailurePercentageEjection{};
};

enum class EjectionEvent : std::uint8_t {
  kConsecutiveFailures,
  kSuccessRate,
  kFailurePercentage,
  /// The ejection has ended; the endpoint starts slowly.
  kReturned,
};

/// Puts endpoints out of use that do unlike the others, and back after a time.
/// The last endpoint that is left is never ejected.
///
/// Thread-safe. Calls share no lock; only one that ejects, or that finds the
/// interval to be over, takes one.
///
/// Source: gRFC A50 for success rate, failure percentage and times; Envoy's
/// consecutive_5xx. Where A50 contradicts itself, this follows Envoy and gRPC
/// core: a failure percentage equal to the threshold ejects, no more is ejected
/// once max_ejection_percent is reached, and min_hosts counts endpoints with
/// enough calls. Where the limit leaves a choice, the worst are ejected first.
class GRPCCOMMON_EXPORT OutlierDetector {
 public:
  /// For logs and metrics. Called without a lock by the thread that did it; two
  /// may be at once. Must not destroy the detector.
  using Observer = std::function<void(const Endpoint&, EjectionEvent)>;

  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<OutlierDetector>> Create(
      const OutlierOptions& options, Random random = UniformRandom,
      Observer observer = nullptr);

  OutlierDetector(const OutlierDetector&) = delete;
  OutlierDetector& operator=(const OutlierDetector&) = delete;

  /// Replaces the endpoints that are watched: all that there are, ready or not.
  /// Those that stay keep their history. An endpoint has one detector at most.
  void Update(const std::vector<std::shared_ptr<Endpoint>>& endpoints,
              Clock::TimePoint now);

  /// To be called after each Endpoint::OnEnd and OnStreamEnd, with what it
  /// returned. Runs `Tick` when that is due, so no timer is needed. Returns
  /// true if the set of ejected endpoints has changed: then update the balancer
  /// with what `Admit` says.
  bool OnEnd(const Endpoint& endpoint, int failures_in_a_row,
             Clock::TimePoint now) {
    bool changed = false;
    if (failures_in_a_row > 0 && failures_in_a_row % failures_to_eject_ == 0) {
      changed = EjectForFailures(endpoint, now);
    }
    if (now.time_since_epoch().count() >=
        next_tick_ns_.load(std::memory_order_relaxed)) {
      changed |= Tick(now);
    }
    return changed;
  }

  /// Ejects by the calls of the interval that is over, and lets return whose
  /// time is up. Does nothing before the interval is over. Returns as OnEnd.
  bool Tick(Clock::TimePoint now);

  /// Those of `ready` that are not ejected; all of them, if those are less than
  /// `panic_percent` of `ready`.
  std::vector<std::shared_ptr<Endpoint>> Admit(
      std::vector<std::shared_ptr<Endpoint>> ready) const;

  std::size_t ejected() const;

 private:
  struct State {
    std::shared_ptr<Endpoint> endpoint;
    std::uint64_t successes = 0;  // up to the last interval
    std::uint64_t failures = 0;
    std::int64_t multiplier = 0;
    Clock::TimePoint ejected_at;
  };
  // An endpoint's calls in the interval that is over.
  struct Interval {
    State* state;
    std::uint64_t calls;
    double success_rate;
  };
  struct Event {
    std::shared_ptr<Endpoint> endpoint;
    EjectionEvent event;
  };

  OutlierDetector(const OutlierOptions& options, Random random,
                  Observer observer);

  bool EjectForFailures(const Endpoint& endpoint, Clock::TimePoint now);
  std::vector<Interval> SwapCounters() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EjectBySuccessRate(const std::vector<Interval>& intervals,
                          Clock::TimePoint now, std::vector<Event>& events)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EjectByFailurePercentage(const std::vector<Interval>& intervals,
                                Clock::TimePoint now,
                                std::vector<Event>& events)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LetReturn(Clock::TimePoint now, std::vector<Event>& events)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False if there are too many already, or by chance.
  bool TryEject(State& state, double enforcement_percent, Clock::TimePoint now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayEject() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Report(const std::vector<Event>& events) const;

  const OutlierOptions options_;
  const int failures_to_eject_;
  const Random random_;
  const Observer observer_;
  std::atomic<std::int64_t> next_tick_ns_;
  mutable Mutex mutex_;
  absl::flat_hash_map<const Endpoint*, State> states_ ABSL_GUARDED_BY(mutex_);
  std::size_t ejected_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace grpccommon
