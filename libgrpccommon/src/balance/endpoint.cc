// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/balance/endpoint.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

#include "grpccommon/base/check_range.h"

namespace grpccommon {
namespace {

using std::memory_order_relaxed;
using std::chrono::duration;

constexpr std::uint64_t kInFlight = 1;
constexpr std::uint64_t kWaiting = std::uint64_t{1} << 32;

constexpr double kMinWeight = 0.001;
constexpr double kMaxWeight = 1000;

// Above any real cost, and small enough that calls in flight still show in it.
constexpr double kUnknownCost = 1e15;

// Before any time there is, and far enough from the least for differences.
constexpr std::int64_t kLongAgo = std::numeric_limits<std::int64_t>::min() / 4;

constexpr std::int64_t Nanoseconds(Clock::TimePoint time) {
  return time.time_since_epoch().count();
}

std::int64_t InFlight(std::uint64_t calls) {
  return static_cast<std::int64_t>(calls & (kWaiting - 1));
}

bool Waiting(std::uint64_t calls) { return calls >= kWaiting; }

}  // namespace

absl::Status CheckEndpointOptions(const EndpointOptions& options) {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  using std::chrono::nanoseconds;
  absl::Status valid =
      options.address.empty()
          ? absl::InvalidArgumentError("address must not be empty")
          : absl::OkStatus();
  const LoadOptions& load = options.load;
  const SlowStartOptions& slow_start = options.slow_start;
  valid.Update(CheckRange("weight", options.weight, kMinWeight, kMaxWeight));
  valid.Update(CheckRange("decay", load.decay, milliseconds(1), hours(1)));
  valid.Update(
      CheckRange("max_penalty", load.max_penalty, milliseconds(1), hours(1)));
  valid.Update(CheckRange("failure_penalty", load.failure_penalty,
                          nanoseconds(0), load.max_penalty));
  valid.Update(
      CheckRange("window", slow_start.window, nanoseconds(0), hours(1)));
  valid.Update(CheckRange("aggression", slow_start.aggression, 0.1, 10));
  valid.Update(
      CheckRange("min_weight_share", slow_start.min_weight_share, 0.001, 1));
  return valid;
}

Endpoint::Endpoint(EndpointOptions options)
    : weight_(options.weight),
      warm_at_ns_(kLongAgo),
      decay_ns_(duration<double, std::nano>(options.load.decay).count()),
      options_(std::move(options)) {
  assert(CheckEndpointOptions(options_).ok());
}

Endpoint::~Endpoint() = default;

void Endpoint::set_weight(double weight) {
  assert(weight >= kMinWeight && weight <= kMaxWeight);
  weight_.store(weight, memory_order_relaxed);
}

void Endpoint::OnReady(Clock::TimePoint now) {
  latency_ns_.store(0, memory_order_relaxed);
  StartSlowly(now);
}

void Endpoint::StartSlowly(Clock::TimePoint now) {
  warm_at_ns_.store(Nanoseconds(now + options_.slow_start.window),
                    memory_order_relaxed);
}

void Endpoint::OnStart(Clock::TimePoint now) {
  const std::uint64_t before =
      calls_.fetch_add(kInFlight + kWaiting, memory_order_relaxed);
  if (!Waiting(before)) {
    waiting_since_ns_.store(Nanoseconds(now), memory_order_relaxed);
  }
}

int Endpoint::OnEnd(Outcome outcome, Clock::Duration rtt,
                    Clock::TimePoint now) {
  CountDown(kInFlight + kWaiting);
  // Whoever still waits may have started just now.
  waiting_since_ns_.store(Nanoseconds(now), memory_order_relaxed);
  const auto rtt_ns =
      static_cast<double>(std::max<std::int64_t>(rtt.count(), 1));
  switch (outcome) {
    case Outcome::kSuccess:
      Sample(rtt_ns, now);
      break;
    case Outcome::kFailure: {
      const LoadOptions& load = options_.load;
      const double penalty =
          std::max({rtt_ns, static_cast<double>(load.failure_penalty.count()),
                    2 * DecayedLatency(now)});
      Sample(std::min(penalty, static_cast<double>(load.max_penalty.count())),
             now);
      break;
    }
    case Outcome::kIgnored:
      if (rtt_ns > DecayedLatency(now)) Sample(rtt_ns, now);
      break;
  }
  return Count(outcome);
}

void Endpoint::OnFirstMessage(Clock::Duration rtt, Clock::TimePoint now) {
  CountDown(kWaiting);
  waiting_since_ns_.store(Nanoseconds(now), memory_order_relaxed);
  Sample(static_cast<double>(std::max<std::int64_t>(rtt.count(), 1)), now);
}

int Endpoint::OnStreamEnd(Outcome outcome) {
  CountDown(kInFlight);
  return Count(outcome);
}

void Endpoint::CountDown(std::uint64_t calls) {
  [[maybe_unused]] const std::uint64_t before =
      calls_.fetch_sub(calls, memory_order_relaxed);
  assert(InFlight(before) >= InFlight(calls) &&
         before / kWaiting >= calls / kWaiting);
}

int Endpoint::Count(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSuccess:
      successes_.fetch_add(1, memory_order_relaxed);
      if (failures_in_a_row() != 0) ForgetFailuresInARow();
      return 0;
    case Outcome::kFailure:
      failures_.fetch_add(1, memory_order_relaxed);
      return failures_in_a_row_.fetch_add(1, memory_order_relaxed) + 1;
    case Outcome::kIgnored:
      return 0;
  }
  return 0;
}

void Endpoint::Sample(double rtt_ns, Clock::TimePoint now) {
  // A span of time belongs to whoever moves the stamp over it. So it decays the
  // average once, however many calls end together.
  const std::int64_t now_ns = Nanoseconds(now);
  std::int64_t sampled_at = sampled_at_ns_.load(memory_order_relaxed);
  while (sampled_at < now_ns && !sampled_at_ns_.compare_exchange_weak(
                                    sampled_at, now_ns, memory_order_relaxed)) {
  }
  const auto elapsed =
      static_cast<double>(std::max<std::int64_t>(now_ns - sampled_at, 0));
  const double kept = std::exp(-elapsed / decay_ns_);
  double latency = latency_ns_.load(memory_order_relaxed);
  double next;
  do {
    next = rtt_ns > latency ? rtt_ns : latency * kept + rtt_ns * (1 - kept);
  } while (
      !latency_ns_.compare_exchange_weak(latency, next, memory_order_relaxed));
}

double Endpoint::DecayedLatency(Clock::TimePoint now) const {
  const std::int64_t sampled_at = sampled_at_ns_.load(memory_order_relaxed);
  const double latency = latency_ns_.load(memory_order_relaxed);
  const auto elapsed = static_cast<double>(
      std::max<std::int64_t>(Nanoseconds(now) - sampled_at, 0));
  const double decayed = latency * std::exp(-elapsed / decay_ns_);
  return decayed < 1 ? 0 : decayed;
}

std::int64_t Endpoint::in_flight() const {
  return InFlight(calls_.load(memory_order_relaxed));
}

Clock::Duration Endpoint::Latency(Clock::TimePoint now) const {
  return Clock::Duration(static_cast<std::int64_t>(DecayedLatency(now)));
}

double Endpoint::Cost(Clock::TimePoint now) const {
  const std::uint64_t calls = calls_.load(memory_order_relaxed);
  const auto in_flight = static_cast<double>(InFlight(calls));
  double latency = DecayedLatency(now);
  if (latency == 0) return in_flight == 0 ? 0 : kUnknownCost + in_flight;
  if (Waiting(calls)) {
    latency = std::max(
        latency,
        static_cast<double>(Nanoseconds(now) -
                            waiting_since_ns_.load(memory_order_relaxed)));
  }
  return latency * (in_flight + 1) / (weight() * SlowStartShare(now));
}

Clock::TimePoint Endpoint::ReadyAt() const {
  return WarmAt() - options_.slow_start.window;
}

double Endpoint::SlowStartShareSince(Clock::TimePoint ready_at,
                                     Clock::TimePoint now) const {
  using Seconds = duration<double>;
  const SlowStartOptions& options = options_.slow_start;
  if (now - ready_at >= options.window) return 1;
  const double part = std::max(Seconds(now - ready_at).count(), 1.0) /
                      Seconds(options.window).count();
  const double share =
      options.aggression == 1 ? part : std::pow(part, 1 / options.aggression);
  return std::clamp(share, options.min_weight_share, 1.0);
}

}  // namespace grpccommon
