// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/metrics/metric.h"
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

}  // namespace grpccommon::internal
