// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/health/health_registry.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace grpccommon {

/// Asks another process how it is, by grpc.health.v1.
///
/// Thread-safe.
class GRPCCOMMON_EXPORT HealthClient {
 public:
  explicit HealthClient(std::shared_ptr<grpc::Channel> channel);

  /// What `service` says of itself, "" being the process as a whole; blocks for
  /// at most `timeout`, and for a day at most. kServiceUnknown if the server
  /// does not know it, and kUnknown for a status that this library does not
  /// know. Errors: kUnimplemented (there is no health service), kUnavailable
  /// (no connection), kDeadlineExceeded, kDataLoss (an answer that is no
  /// HealthCheckResponse), and what else the server answers.
  absl::StatusOr<ServingStatus> Check(const std::string& service,
                                      std::chrono::nanoseconds timeout) const;

 private:
  const std::shared_ptr<grpc::Channel> channel_;
};

/// What a watch knows.
enum class HealthState {
  /// Nothing yet, or the server itself does not know.
  kUnknown,
  kServing,
  kNotServing,
  /// The server does not know the service.
  kServiceUnknown,
  /// There is no connection, or no answer that makes sense.
  kUnreachable,
  /// The server has no watches: it is to be taken for serving (gRFC A17).
  kNotWatchable,
};

/// "serving", "not_serving" and so on, for logs and metrics.
GRPCCOMMON_EXPORT std::string_view HealthStateName(HealthState state);

/// Whether calls may be sent there: kServing or kNotWatchable.
inline bool MayServe(HealthState state) {
  return state == HealthState::kServing || state == HealthState::kNotWatchable;
}

struct HealthWatchOptions {
  /// The pause before a watch that broke is opened again is uniform in
  /// [0, pause), with `pause` beginning here and doubling with every attempt
  /// that brings no answer; in [10 ms, 1 h].
  std::chrono::nanoseconds initial_backoff = std::chrono::seconds(1);
  /// And ending here, in [initial_backoff, 1 h].
  std::chrono::nanoseconds max_backoff = std::chrono::seconds(30);
  /// A server that says nothing at first counts as unreachable after this, and
  /// may still answer later; in [1 ms, 1 h].
  std::chrono::nanoseconds first_answer_timeout = std::chrono::seconds(10);
};

/// Errors: kInvalidArgument naming the option.
GRPCCOMMON_EXPORT absl::Status CheckOptions(const HealthWatchOptions& options);

/// Follows the health of a service of another process for as long as it lives:
/// one stream on the channel, which costs nothing while nothing changes.
///
/// A stream that breaks makes the state kUnreachable at once and is opened
/// again after a pause; it then waits for the connection, so that recovery is
/// seen as soon as gRPC has connected again. A peer that vanishes without a
/// word is only noticed by the channel's keepalive.
///
/// Thread-safe.
/// Source: gRPC Health Checking Protocol, gRFC A17.
class GRPCCOMMON_EXPORT HealthWatch {
 public:
  /// Gets each new state, on a thread of gRPC or of the scheduler: must neither
  /// block nor throw. Never runs twice at the same time; of changes that come
  /// meanwhile, it gets the latest.
  using OnChange = std::function<void(HealthState)>;

  /// Begins at once. The scheduler is borrowed and must outlive this. Requires
  /// options that CheckOptions accepts.
  HealthWatch(std::shared_ptr<grpc::Channel> channel, std::string service,
              Scheduler& scheduler, OnChange on_change,
              const HealthWatchOptions& options = {},
              Random random = UniformRandom);
  /// Any thread. Waits until `on_change`, if it runs, has returned; it does not
  /// run again. Then waits for gRPC's end of the stream, which takes
  /// microseconds, and a second at most where all of gRPC's threads are busy;
  /// nothing of the watch uses the channel any more.
  ///
  /// `on_change` itself may destroy the watch, which then waits for neither. In
  /// that case somebody else must hold the channel, for gRPC 1.51 may crash if
  /// the last reference goes on one of its own threads.
  ~HealthWatch();

  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  HealthState state() const;
  /// Why the latest stream ended; OK while there was none that did.
  absl::Status last_error() const;

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace grpccommon
