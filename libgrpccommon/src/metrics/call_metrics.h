// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/call/method.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/metrics/metric.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpcpp/support/status.h"

/// What the metrics of the server's and of the client's calls have in common.
namespace grpccommon::internal {

/// Go's codes.Code.String(), by number: what go-grpc-prometheus exposes and
/// dashboards match on.
inline constexpr std::array<std::string_view, 17> kGoCodes = {
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
};

inline std::size_t GoCodeIndex(grpc::StatusCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kGoCodes.size() ? index : 2;  // as Unknown
}

/// The number of methods is bounded by the program's code, not by its callers.
inline constexpr std::size_t kMaxMethodChildren = 1'000'000;

/// Counts refusals in a family with the labels `stage` and `reason`. The
/// counters form a list that only grows, as long as there are interceptors, so
/// that a refusal is counted without a lock. Thread-safe.
class RefusalCounters {
 public:
  RefusalCounters() = default;
  ~RefusalCounters() { delete newest_.load(std::memory_order_acquire); }
  RefusalCounters(const RefusalCounters&) = delete;
  RefusalCounters& operator=(const RefusalCounters&) = delete;

  void Count(CounterFamily& refused, Stage stage, std::string_view interceptor);

 private:
  struct Entry {
    Stage stage;
    std::string interceptor;
    Counter* calls;
    std::unique_ptr<Entry> next;
  };
  std::atomic<Entry*> newest_{nullptr};
};

/// The help texts, which say on which side the calls are.
struct CallMetricHelp {
  std::string started;
  std::string handled;
  std::string sent;
  std::string received;
  std::string handling;
  std::string in_flight;
  std::string refused;
};

/// Puts a family that was added into its place; otherwise `status` says why it
/// could not be, unless it says something already.
template <typename Family>
void KeepFamily(Family*& place, absl::StatusOr<Family*> added,
                absl::Status& status) {
  if (added.ok()) {
    place = *added;
  } else {
    status.Update(added.status());
  }
}

/// The families that both sides have, and refusals by interceptor.
struct CallFamilies {
  /// `side` is "server" or "client".
  absl::Status Add(MetricsRegistry& registry, const std::string& side,
                   CallMetricHelp help, const std::vector<double>& buckets);

  CounterFamily* started = nullptr;
  CounterFamily* handled = nullptr;
  CounterFamily* sent = nullptr;
  CounterFamily* received = nullptr;
  HistogramFamily* handling = nullptr;
  UpDownCounterFamily* in_flight = nullptr;
  CounterFamily* refused = nullptr;
  RefusalCounters refusals;
};

/// One method's metrics.
class MethodCallMetrics {
 public:
  MethodCallMetrics() = default;
  /// Messages that no hook sees are counted when the call ends.
  MethodCallMetrics(CallFamilies& families, const Method& method,
                    const std::vector<double>& buckets, bool sent_by_hook,
                    bool received_by_hook);

  void Start() const {
    started_->Increment();
    in_flight_->Add(1);
  }
  void Sent() const { sent_->Increment(); }
  void Received() const { received_->Increment(); }
  /// The messages are those of the whole call.
  void Finish(grpc::StatusCode code, std::chrono::nanoseconds duration,
              std::uint64_t sent, std::uint64_t received) const;

  bool sent_by_hook() const { return sent_by_hook_; }
  bool received_by_hook() const { return received_by_hook_; }

 private:
  Counter* started_ = nullptr;
  UpDownCounter* in_flight_ = nullptr;
  Counter* sent_ = nullptr;
  Counter* received_ = nullptr;
  Histogram* handling_ = nullptr;
  std::array<Counter*, kGoCodes.size()> handled_{};
  bool sent_by_hook_ = false;
  bool received_by_hook_ = false;
};

/// The interceptors' options have the same fields on both sides.
template <typename Options>
absl::Status CheckAllBuckets(const Options& options) {
  absl::Status valid = CheckBuckets(options.buckets);
  for (const auto& override : options.method_buckets) {
    valid.Update(CheckBuckets(override.buckets));
  }
  return valid;
}

template <typename Options>
const std::vector<double>& BucketsOf(const Options& options,
                                     const Method& method) {
  for (const auto& override : options.method_buckets) {
    if (override.methods(method)) return override.buckets;
  }
  return options.buckets;
}

}  // namespace grpccommon::internal
