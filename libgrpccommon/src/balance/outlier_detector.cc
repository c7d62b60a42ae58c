// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/balance/outlier_detector.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"

namespace grpccommon {
namespace {

absl::Status CheckOptions(const OutlierOptions& options) {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  using std::chrono::nanoseconds;
  absl::Status valid =
      CheckRange("interval", options.interval, milliseconds(100), hours(1));
  valid.Update(CheckRange("base_ejection_time", options.base_ejection_time,
                          nanoseconds(0), hours(24)));
  valid.Update(CheckRange("max_ejection_time", options.max_ejection_time,
                          nanoseconds(0), hours(24)));
  valid.Update(
      CheckRange("max_ejection_percent", options.max_ejection_percent, 0, 100));
  valid.Update(CheckRange("panic_percent", options.panic_percent, 0, 100));
  if (const auto& rule = options.consecutive_failures) {
    valid.Update(CheckRange("failures", rule->failures, 1, 1e6));
    valid.Update(
        CheckRange("enforcement_percent", rule->enforcement_percent, 0, 100));
  }
  if (const auto& rule = options.success_rate) {
    valid.Update(CheckRange("stdev_factor", rule->stdev_factor, 0, 100));
    valid.Update(
        CheckRange("enforcement_percent", rule->enforcement_percent, 0, 100));
    valid.Update(CheckRange("min_hosts", rule->min_hosts, 1, 1e6));
    valid.Update(CheckRange("min_requests", rule->min_requests, 1, 1e9));
  }
  if (const auto& rule = options.failure_percentage) {
    valid.Update(
        CheckRange("threshold_percent", rule->threshold_percent, 0, 100));
    valid.Update(
        CheckRange("enforcement_percent", rule->enforcement_percent, 0, 100));
    valid.Update(CheckRange("min_hosts", rule->min_hosts, 1, 1e6));
    valid.Update(CheckRange("min_requests", rule->min_requests, 1, 1e9));
  }
  return valid;
}

}  // namespace

absl::StatusOr<std::unique_ptr<OutlierDetector>> OutlierDetector::Create(
    const OutlierOptions& options, Random random, Observer observer) {
  if (absl::Status valid = CheckOptions(options); !valid.ok()) return valid;
  return absl::WrapUnique(
      new OutlierDetector(options, std::move(random), std::move(observer)));
}

OutlierDetector::OutlierDetector(const OutlierOptions& options, Random random,
                                 Observer observer)
    : options_(options),
      failures_to_eject_(options.consecutive_failures
                             ? options.consecutive_failures->failures
                             : std::numeric_limits<int>::max()),
      random_(std::move(random)),
      observer_(std::move(observer)),
      next_tick_ns_(std::numeric_limits<std::int64_t>::max()) {}

void OutlierDetector::Update(
    const std::vector<std::shared_ptr<Endpoint>>& endpoints,
    Clock::TimePoint now) {
  // The first interval begins with the first endpoints.
  std::int64_t never = std::numeric_limits<std::int64_t>::max();
  next_tick_ns_.compare_exchange_strong(
      never, (now + options_.interval).time_since_epoch().count());

  absl::flat_hash_map<const Endpoint*, State> next;
  next.reserve(endpoints.size());
  const MutexLock lock(mutex_);
  for (const auto& endpoint : endpoints) {
    const auto known = states_.find(endpoint.get());
    if (known != states_.end()) {
      next.emplace(endpoint.get(), std::move(known->second));
      states_.erase(known);
    } else {
      next.emplace(endpoint.get(), State{.endpoint = endpoint,
                                         .successes = endpoint->successes(),
                                         .failures = endpoint->failures()});
    }
  }
  for (const auto& [key, gone] : states_) {
    if (gone.endpoint->ejected()) --ejected_;
    gone.endpoint->SetEjected(false);
  }
  states_ = std::move(next);
}

bool OutlierDetector::EjectForFailures(const Endpoint& endpoint,
                                       Clock::TimePoint now) {
  std::vector<Event> events;
  {
    const MutexLock lock(mutex_);
    const auto found = states_.find(&endpoint);
    if (found == states_.end()) return false;
    State& state = found->second;
    if (TryEject(state, options_.consecutive_failures->enforcement_percent,
                 now)) {
      events.push_back({state.endpoint, EjectionEvent::kConsecutiveFailures});
    }
  }
  return Report(events);
}

bool OutlierDetector::Tick(Clock::TimePoint now) {
  // Whoever moves the time on does the work.
  const std::int64_t now_ns = now.time_since_epoch().count();
  std::int64_t due = next_tick_ns_.load(std::memory_order_relaxed);
  if (now_ns < due || !next_tick_ns_.compare_exchange_strong(
                          due, now_ns + options_.interval.count())) {
    return false;
  }
  std::vector<Event> events;
  {
    const MutexLock lock(mutex_);
    const std::vector<Interval> intervals = SwapCounters();
    if (options_.success_rate) EjectBySuccessRate(intervals, now, events);
    if (options_.failure_percentage) {
      EjectByFailurePercentage(intervals, now, events);
    }
    LetReturn(now, events);
  }
  return Report(events);
}

// Worst first, so that these are ejected if not all can be.
std::vector<OutlierDetector::Interval> OutlierDetector::SwapCounters() {
  std::vector<Interval> intervals;
  intervals.reserve(states_.size());
  for (auto& [key, state] : states_) {
    const std::uint64_t successes = state.endpoint->successes();
    const std::uint64_t failures = state.endpoint->failures();
    const std::uint64_t succeeded = successes - state.successes;
    const std::uint64_t calls = succeeded + (failures - state.failures);
    state.successes = successes;
    state.failures = failures;
    if (calls == 0) continue;
    intervals.push_back({.state = &state,
                         .calls = calls,
                         .success_rate = static_cast<double>(succeeded) /
                                         static_cast<double>(calls)});
  }
  std::sort(intervals.begin(), intervals.end(),
            [](const Interval& one, const Interval& other) {
              return one.success_rate < other.success_rate;
            });
  return intervals;
}

void OutlierDetector::EjectBySuccessRate(const std::vector<Interval>& intervals,
                                         Clock::TimePoint now,
                                         std::vector<Event>& events) {
  const SuccessRateEjection& rule = *options_.success_rate;
  const auto enough = [&rule](const Interval& interval) {
    return interval.calls >= static_cast<std::uint64_t>(rule.min_requests);
  };
  int hosts = 0;
  double sum = 0;
  for (const Interval& interval : intervals) {
    if (!enough(interval)) continue;
    ++hosts;
    sum += interval.success_rate;
  }
  if (hosts < rule.min_hosts) return;
  const double mean = sum / hosts;
  double squares = 0;
  for (const Interval& interval : intervals) {
    if (!enough(interval)) continue;
    squares += std::pow(interval.success_rate - mean, 2);
  }
  const double least = mean - rule.stdev_factor * std::sqrt(squares / hosts);
  for (const Interval& interval : intervals) {
    if (interval.success_rate >= least) break;
    if (enough(interval) &&
        TryEject(*interval.state, rule.enforcement_percent, now)) {
      events.push_back({interval.state->endpoint, EjectionEvent::kSuccessRate});
    }
  }
}

void OutlierDetector::EjectByFailurePercentage(
    const std::vector<Interval>& intervals, Clock::TimePoint now,
    std::vector<Event>& events) {
  const FailurePercentageEjection& rule = *options_.failure_percentage;
  const auto enough = [&rule](const Interval& interval) {
    return interval.calls >= static_cast<std::uint64_t>(rule.min_requests);
  };
  if (std::count_if(intervals.begin(), intervals.end(), enough) <
      rule.min_hosts) {
    return;
  }
  for (const Interval& interval : intervals) {
    if (100 * (1 - interval.success_rate) < rule.threshold_percent) break;
    if (enough(interval) &&
        TryEject(*interval.state, rule.enforcement_percent, now)) {
      events.push_back(
          {interval.state->endpoint, EjectionEvent::kFailurePercentage});
    }
  }
}

void OutlierDetector::LetReturn(Clock::TimePoint now,
                                std::vector<Event>& events) {
  const Clock::Duration longest =
      std::max(options_.base_ejection_time, options_.max_ejection_time);
  for (auto& [key, state] : states_) {
    if (!state.endpoint->ejected()) {
      if (state.multiplier > 0) --state.multiplier;
      continue;
    }
    if (now - state.ejected_at <
        std::min(options_.base_ejection_time * state.multiplier, longest)) {
      continue;
    }
    state.endpoint->SetEjected(false);
    state.endpoint->ForgetFailuresInARow();
    state.endpoint->OnReady(now);
    --ejected_;
    events.push_back({state.endpoint, EjectionEvent::kReturned});
  }
}

bool OutlierDetector::TryEject(State& state, double enforcement_percent,
                               Clock::TimePoint now) {
  if (state.endpoint->ejected() || !MayEject()) return false;
  if (random_() * 100 >= enforcement_percent) return false;
  state.endpoint->SetEjected(true);
  state.ejected_at = now;
  ++state.multiplier;
  ++ejected_;
  return true;
}

bool OutlierDetector::MayEject() const {
  if (ejected_ + 1 >= states_.size()) return false;
  return ejected_ == 0 || 100 * static_cast<double>(ejected_) <
                              options_.max_ejection_percent *
                                  static_cast<double>(states_.size());
}

bool OutlierDetector::Report(const std::vector<Event>& events) const {
  if (observer_) {
    for (const Event& event : events) observer_(*event.endpoint, event.event);
  }
  return !events.empty();
}

std::vector<std::shared_ptr<Endpoint>> OutlierDetector::Admit(
    std::vector<std::shared_ptr<Endpoint>> ready) const {
  const auto ejected = [](const auto& endpoint) { return endpoint->ejected(); };
  const auto all = static_cast<double>(ready.size());
  const auto left = all - static_cast<double>(std::count_if(
                              ready.begin(), ready.end(), ejected));
  if (left == 0 || 100 * left < options_.panic_percent * all) return ready;
  std::erase_if(ready, ejected);
  return ready;
}

std::size_t OutlierDetector::ejected() const {
  const MutexLock lock(mutex_);
  return ejected_;
}

}  // namespace grpccommon
