// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bench/v1/bench_service.grpc.pb.h"
#include "benchmarks/latency_histogram.h"

namespace grpccommon::bench {

enum class LoadKind {
  /// A unary call of 100 bytes each way, which must be OK.
  kEcho,
  /// The same, which must be RESOURCE_EXHAUSTED.
  kRefuse,
  /// The same of a server stream.
  kRefuseList,
  /// A server stream of 100 messages of 100 bytes, all of which must come.
  kList,
};

struct LoadTarget {
  /// "127.0.0.1:4711"
  std::string address;
  /// Sent as `authorization` with each call.
  std::string authorization;
  /// With gRPC's retries and optional filters: the client, which shares the
  /// servers' cores, then takes half as much again of them.
  bool stock = false;
};

struct Load {
  LoadKind kind = LoadKind::kEcho;
  /// Closed loop: so many calls are always running.
  int concurrency = 64;
  /// Open loop, if above zero: a call starts whenever its time has come,
  /// however many are running, and its latency counts from that time. A server
  /// that stalls thus pays for every call that it kept from starting.
  double calls_per_second = 0;
  std::chrono::nanoseconds duration = std::chrono::seconds(1);
  /// Ends a closed loop before `duration` does.
  std::uint64_t max_calls = std::numeric_limits<std::uint64_t>::max();
};

struct LoadResult {
  std::uint64_t calls = 0;
  std::uint64_t messages = 0;
  /// Calls that did not end as they must, and how the first of them ended.
  std::uint64_t failures = 0;
  std::string first_failure;
  /// From the first start to the last end.
  std::chrono::nanoseconds elapsed{0};
  LatencyHistogram latency;
};

/// Calls one server by gRPC's callback API. One load at a time.
class LoadClient {
 public:
  /// Calls are spread over `connections` connections.
  LoadClient(const LoadTarget& target, int connections);

  LoadResult Run(const Load& load);

 private:
  const LoadTarget target_;
  std::vector<std::unique_ptr<::bench::v1::BenchService::Stub>> stubs_;
};

}  // namespace grpccommon::bench
