// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo/v1/echo_service.grpc.pb.h"
#include "grpccommon/client/client.h"

namespace grpccommon::test {

using SteadyTime = std::chrono::steady_clock::time_point;

/// How one call went.
struct Ended {
  SteadyTime begun;
  SteadyTime at;
  absl::Status status;
  int attempts = 0;
  std::string endpoint;  // of the attempt that decided
  std::string text;      // what was sent
  bool ok() const { return status.ok(); }
  std::chrono::nanoseconds took() const { return at - begun; }
};

/// Zero if there are none.
std::chrono::nanoseconds Percentile(const std::vector<Ended>& calls,
                                    double share);
/// Attempts for each call.
double AttemptsPerCall(const std::vector<Ended>& calls);
/// Share of the calls that `endpoint` answered.
double ShareOf(const std::vector<Ended>& calls, const std::string& endpoint);

struct LoadOptions {
  /// Each calls as soon as its last call has ended.
  int threads = 4;
  /// Instead of threads that wait: calls begin at this rate, however many hang.
  /// Only so does a call that hangs take no other's place in the percentiles.
  double calls_per_second = 0;
  CallOptions call;
  /// After each call of a thread.
  std::chrono::nanoseconds pause{0};
};

/// Calls until it is told to stop, each call with a text of its own.
class Load {
 public:
  explicit Load(Client<echo::v1::EchoService>& client,
                LoadOptions options = {});
  ~Load() { Stop(); }

  /// Waits for all calls.
  void Stop();

  /// Of the calls that have ended.
  std::int64_t calls() const { return calls_; }
  std::int64_t failures() const { return failures_; }
  void WaitFor(std::int64_t calls) const;

  std::vector<Ended> All() const;
  /// Those that ended in the time from `from` until `to`.
  std::vector<Ended> EndedBetween(SteadyTime from, SteadyTime to) const;
  /// Those that were under way at some moment of that time, with all that they
  /// took: also the calls that hung for the whole of it. After Stop only, since
  /// none may still hang.
  std::vector<Ended> UnderWayBetween(SteadyTime from, SteadyTime to) const;
  /// The median of the p99 of so many seconds, of the calls under way in each:
  /// the machine is not ours alone, and what disturbs one second is not what a
  /// test is about. After Stop only.
  std::chrono::nanoseconds UsualP99(SteadyTime from, int seconds) const;
  /// Likewise the median of how long, at worst, a thread of ours that sleeps
  /// was woken too late: what of the latencies is the machine's own doing.
  std::chrono::nanoseconds UsualStall(SteadyTime from, int seconds) const;
  std::string FirstError() const;

 private:
  struct Pending;
  void WatchMachine();
  void CallInTurn(int thread);
  void CallAtRate();
  void OnEnd(Ended ended);

  Client<echo::v1::EchoService>& client_;
  const LoadOptions options_;
  std::atomic<bool> stop_{false};
  std::atomic<std::int64_t> calls_{0};
  std::atomic<std::int64_t> failures_{0};
  mutable std::mutex mutex_;
  std::vector<Ended> ended_;
  // When it woke, and how late.
  std::vector<std::pair<SteadyTime, std::chrono::nanoseconds>> stalls_;
  std::vector<std::thread> threads_;
};

}  // namespace grpccommon::test
