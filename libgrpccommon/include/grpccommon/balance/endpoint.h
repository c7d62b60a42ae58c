// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/status/outcome.h"

namespace grpccommon {

/// How an endpoint's answers become the estimate of its latency.
struct LoadOptions {
  /// Time constant of the average, in [1 ms, 1 h]: so long after an endpoint
  /// was slow, 37 % of it is still held against it.
  Clock::Duration decay = std::chrono::seconds(10);
  /// What a failed call is taken to have lasted at least, in [0, max_penalty],
  /// so that an endpoint that fails at once is not the fastest of all.
  Clock::Duration failure_penalty = std::chrono::seconds(1);
  /// What a failed call is taken to have lasted at most, in [1 ms, 1 h].
  Clock::Duration max_penalty = std::chrono::seconds(30);
};

/// How an endpoint that has just become ready gets its share bit by bit.
struct SlowStartOptions {
  /// Until it has all of it, in [0, 1 h]; zero turns slow start off.
  Clock::Duration window = std::chrono::seconds(10);
  /// 1 raises the share evenly over the window; above, faster at first; below,
  /// later. In [0.1, 10].
  double aggression = 1;
  /// Share of its weight to begin with, in [0.001, 1].
  double min_weight_share = 0.1;
};

struct EndpointOptions {
  /// What to connect to; names the endpoint in hash rings, logs and metrics.
  std::string address;
  /// Share of the calls relative to the other endpoints', in [0.001, 1000].
  double weight = 1;
  /// Where it runs; may be empty.
  std::string zone;
  /// What its registry says about it beyond that.
  std::map<std::string, std::string> metadata;
  LoadOptions load;
  SlowStartOptions slow_start;
};

/// Errors: kInvalidArgument, naming the option that is out of range.
GRPCCOMMON_EXPORT absl::Status CheckEndpointOptions(
    const EndpointOptions& options);

/// One place to send calls to, and how it has done: calls in flight, a peak-
/// sensitive average of their latency, successes and failures. The client
/// derives from it and adds the channel.
///
/// Thread-safe and without locks. Each `OnStart` is followed by either one
/// `OnEnd`, or, for a stream that delivers, one `OnFirstMessage` and then one
/// `OnStreamEnd`.
///
/// Source: peak EWMA as in Finagle (PeakEwma.scala), with brpc's charge for
/// failures (p2c_ewma_load_balancer.cpp). One addition: calls that wait for
/// their answer count as well, so that an endpoint that stops answering is out
/// at once rather than when its calls time out.
class GRPCCOMMON_EXPORT Endpoint {
 public:
  /// Requires options that pass CheckEndpointOptions.
  explicit Endpoint(EndpointOptions options);
  virtual ~Endpoint();

  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  const std::string& address() const { return options_.address; }
  const std::string& zone() const { return options_.zone; }
  const std::map<std::string, std::string>& metadata() const {
    return options_.metadata;
  }

  double weight() const { return weight_.load(std::memory_order_relaxed); }
  /// Requires [0.001, 1000]. Weighted round robin and ring hash take it in at
  /// the next Balancer::Update, peak EWMA at once.
  void set_weight(double weight);

  /// To be called when the endpoint becomes ready that was not: forgets its
  /// latency, which was perhaps another process's, and begins slow start. An
  /// endpoint for which it is never called has its whole share.
  void OnReady(Clock::TimePoint now);

  void OnStart(Clock::TimePoint now);

  /// `rtt` is the time since the call's OnStart.
  /// - kSuccess: a sample of `rtt`.
  /// - kFailure: a sample of the longest of `rtt`, `failure_penalty` and twice
  ///   the average, at most `max_penalty`.
  /// - kIgnored: what was given up would have lasted longer than `rtt`. If that
  ///   is more than the average it is a sample, else it says nothing.
  /// Returns how many failures in a row there have been, this one included;
  /// zero unless this was one. OutlierDetector::OnEnd wants to know.
  int OnEnd(Outcome outcome, Clock::Duration rtt, Clock::TimePoint now);

  /// The first message of a stream: a success as in OnEnd, except that the call
  /// goes on. From here on it counts as in flight but not as waiting.
  void OnFirstMessage(Clock::Duration rtt, Clock::TimePoint now);
  /// The end of a stream that has had its first message. A failure counts as in
  /// OnEnd, also in what is returned, but how long a stream lasts says nothing
  /// about latency.
  int OnStreamEnd(Outcome outcome);

  std::int64_t in_flight() const;

  /// The average latency, decayed up to now. Zero if there is none: nothing has
  /// ended yet, or so long ago that less than a nanosecond is left.
  Clock::Duration Latency(Clock::TimePoint now) const;

  /// What the next call is expected to cost, in nanoseconds divided by weight:
  /// L x (in flight + 1) / (weight x slow start), where L is the average or how
  /// long nothing has been answered while calls wait, whichever is longer.
  /// Without an average: zero, so that somebody tries, and very much (1e15 +
  /// in flight) while somebody does.
  double Cost(Clock::TimePoint now) const;

  /// Share of the weight that slow start leaves at `now`, in (0, 1]:
  /// max(min_weight_share, (max(time since ready, 1 s) / window) ^
  /// (1 / aggression)), as in Envoy.
  double SlowStartShare(Clock::TimePoint now) const {
    if (now >= WarmAt()) return 1;
    return SlowStartShareSince(ReadyAt(), now);
  }
  /// The same for an endpoint that became ready at `ready_at`.
  double SlowStartShareSince(Clock::TimePoint ready_at,
                             Clock::TimePoint now) const;
  /// When it last became ready; long ago if OnReady has not been called.
  Clock::TimePoint ReadyAt() const;
  /// When slow start ends.
  Clock::TimePoint WarmAt() const {
    return Clock::TimePoint(
        Clock::Duration(warm_at_ns_.load(std::memory_order_relaxed)));
  }

  /// Calls that ended so, ever; for statistics and ejection.
  std::uint64_t successes() const {
    return successes_.load(std::memory_order_relaxed);
  }
  std::uint64_t failures() const {
    return failures_.load(std::memory_order_relaxed);
  }
  int failures_in_a_row() const {
    return failures_in_a_row_.load(std::memory_order_relaxed);
  }
  /// Whether the OutlierDetector that watches it has put it out of use.
  bool ejected() const { return ejected_.load(std::memory_order_relaxed); }

 private:
  friend class OutlierDetector;

  double DecayedLatency(Clock::TimePoint now) const;
  void Sample(double rtt_ns, Clock::TimePoint now);
  void CountDown(std::uint64_t calls);
  int Count(Outcome outcome);
  void StartSlowly(Clock::TimePoint now);
  void SetEjected(bool ejected) {
    ejected_.store(ejected, std::memory_order_relaxed);
  }
  void ForgetFailuresInARow() {
    failures_in_a_row_.store(0, std::memory_order_relaxed);
  }

  // What picks read and calls write comes first: beside the reference count of
  // std::make_shared, which they write too.

  // Calls in flight in the lower half, those of them that wait for an answer in
  // the upper.
  std::atomic<std::uint64_t> calls_{0};
  // Since when nothing has been answered while calls wait.
  std::atomic<std::int64_t> waiting_since_ns_{0};
  std::atomic<std::int64_t> sampled_at_ns_{0};
  std::atomic<double> latency_ns_{0};  // as of then; zero: none
  std::atomic<double> weight_;
  std::atomic<std::int64_t> warm_at_ns_;
  std::atomic<std::uint64_t> successes_{0};
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<int> failures_in_a_row_{0};
  std::atomic<bool> ejected_{false};
  const double decay_ns_;
  const EndpointOptions options_;
};

}  // namespace grpccommon
