// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/channel_factory.h"
#include "client/connection_monitor.h"
#include "grpccommon/balance/balancer.h"
#include "grpccommon/balance/endpoint.h"
#include "grpccommon/balance/outlier_detector.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/breaker/breaker_set.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/client/client_options.h"
#include "grpccommon/health/health_client.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/registry.h"
#include "grpcpp/channel.h"

namespace grpccommon::internal {

/// An instance with the connections to it.
///
/// gRPC 1.51 crashes if a channel is destroyed on one of its own threads, on
/// which callback calls end. So the set drops the last reference to an
/// endpoint, and an endpoint that to its channels; see EndpointSet::Retire.
class ClientEndpoint : public Endpoint {
 public:
  ClientEndpoint(EndpointOptions options, Instance instance);
  ~ClientEndpoint() override;

  /// A connection that can be used just now, as gRPC says; null if there is
  /// none.
  std::shared_ptr<grpc::Channel> Connected();

  /// Null unless breakers are kept for each endpoint.
  CircuitBreaker* breaker() const { return breaker_.get(); }

 private:
  friend class EndpointSet;
  struct Connection {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<ConnectionMonitor::Watch> watch;
  };
  // Not changed after the endpoint was made.
  std::vector<Connection> connections_;
  std::shared_ptr<CircuitBreaker> breaker_;
  std::unique_ptr<HealthWatch> health_;
  // Where to begin to look for a connection.
  std::atomic<std::size_t> next_{0};

  // What the set knows of it, under the set's lock.
  Instance instance_;
  std::vector<bool> ready_;
  bool serving_ = true;
  bool usable_ = false;
};

/// What an endpoint set needs of its process. References are borrowed.
struct EndpointSetContext {
  Registry& registry;
  const Clock& clock;
  Scheduler& scheduler;
  ConnectionMonitor& monitor;
  Random random;
  Logger logger;
  /// Chooses the subset of a large set of instances.
  std::string client_id;
  /// Null: none is kept for endpoints.
  std::shared_ptr<BreakerSet> breakers;
};

/// The instances of one service that calls can be sent to just now: follows the
/// registry, connects, watches health, ejects, and picks.
///
/// Thread-safe.
class EndpointSet {
 public:
  /// Errors: kInvalidArgument for a name or options out of range.
  static absl::StatusOr<std::unique_ptr<EndpointSet>> Create(
      std::string service, const DiscoveryOptions& options,
      EndpointSetContext context);
  ~EndpointSet();

  /// Stops following and closes the connections; who waits gets kCancelled.
  void Shutdown();

  /// An endpoint and a connection to it that works.
  struct Pick {
    std::shared_ptr<ClientEndpoint> endpoint;
    std::shared_ptr<grpc::Channel> channel;
    explicit operator bool() const { return endpoint != nullptr; }
  };
  /// Empty if there is none. Never blocks; no lock while all is well.
  Pick TryPick(PickContext context);

  /// Calls `done` once: OK when there is something to pick, or at `deadline` or
  /// after `max_wait` an error. On any thread, perhaps before it returns.
  /// Errors: kUnavailable, saying what is known; kResourceExhausted when too
  /// many wait; kCancelled at shutdown.
  void WaitAsync(Clock::TimePoint deadline,
                 std::function<void(absl::Status)> done);

  /// How an attempt ended; ejects.
  void OnEnd(ClientEndpoint& endpoint, Outcome outcome, Clock::Duration rtt,
             Clock::TimePoint now);
  /// How a stream ended that had a first message.
  void OnStreamEnd(ClientEndpoint& endpoint, Outcome outcome,
                   Clock::TimePoint now);

  /// Whether its connections are encrypted.
  bool secure() const { return secure_; }

  /// Fills in what a set knows.
  void Describe(ServiceStats& stats) const;

 private:
  struct Waiter {
    std::function<void(absl::Status)> done;
    Scheduler::TaskId timer = 0;
  };
  using Endpoints = std::map<std::string, std::shared_ptr<ClientEndpoint>>;

  EndpointSet(std::string service, const DiscoveryOptions& options,
              EndpointSetContext context,
              std::unique_ptr<ChannelFactory> channels);

  void OnInstances(const InstanceSet& set);
  std::vector<Instance> Choose(const std::vector<Instance>& instances) const;
  std::shared_ptr<ClientEndpoint> Connect(const Instance& instance);
  void OnConnection(const std::weak_ptr<ClientEndpoint>& endpoint,
                    std::size_t connection, grpc_connectivity_state state);
  void OnHealth(const std::weak_ptr<ClientEndpoint>& endpoint,
                HealthState state);
  void MarkDisconnected(ClientEndpoint& endpoint);
  // Hands the balancer what may be picked now, and wakes who waits.
  void Publish();
  std::vector<std::shared_ptr<Endpoint>> FindUsable();
  // Keeps endpoints that are out of use until no call has them any more.
  void Retire(Endpoints endpoints);
  void Sweep();
  static bool AnyReady(const ClientEndpoint& endpoint);
  void Unwatch(const Endpoints& endpoints);
  void OnWaitOver(std::uint64_t id);
  absl::Status NothingToPick() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string service_;
  const DiscoveryOptions options_;
  const EndpointSetContext context_;
  const bool secure_;
  // Outlives every channel. Goes with Shutdown, for it uses the scheduler.
  std::unique_ptr<ChannelFactory> channels_;
  std::unique_ptr<Balancer> balancer_;
  std::unique_ptr<OutlierDetector> outliers_;
  std::unique_ptr<InstanceWatch> watch_;

  // One publishes at a time; taken before `mutex_`.
  Mutex publish_mutex_;
  mutable Mutex mutex_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  Endpoints endpoints_ ABSL_GUARDED_BY(mutex_);
  bool known_ ABSL_GUARDED_BY(mutex_) = false;
  std::size_t instances_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status registry_status_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<ClientEndpoint>> retired_ ABSL_GUARDED_BY(mutex_);
  Scheduler::TaskId sweep_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t usable_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t last_waiter_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::uint64_t, Waiter> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon::internal
