// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/client/client.h"
#include "grpccommon/client/client_options.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon {

class MetricsRegistry;
class Scheduler;
class Tracer;

struct ClientManagerOptions {
  /// Where services are found; several managers may share one.
  std::shared_ptr<Registry> registry;
  /// For every service that is not in `services`.
  ClientOptions defaults;
  /// By the name under which a service is looked up.
  std::map<std::string, ClientOptions> services;
  /// For every client, outside its own.
  std::vector<std::shared_ptr<ClientInterceptor>> interceptors;

  /// Exposes the metrics of calls, attempts, endpoints and breakers, see
  /// docs/client.md. Borrowed; null: none.
  MetricsRegistry* metrics = nullptr;
  /// Gives each call and attempt a span. Borrowed; null: traces are passed on.
  Tracer* tracer = nullptr;
  Logger logger;
  /// Borrowed; null: one of its own.
  Scheduler* scheduler = nullptr;
  /// Tells this process from the others of its kind where many share many
  /// instances; empty: chosen at random.
  std::string client_id;
  Random random = UniformRandom;
};

/// One endpoint as a client sees it.
struct EndpointStats {
  std::string address;
  std::string zone;
  double weight = 1;
  bool connected = false;
  bool healthy = true;
  bool ejected = false;
  std::int64_t in_flight = 0;
};

/// One service as its clients see it.
struct ServiceStats {
  std::string service;
  /// OK, or why the registry does not answer.
  absl::Status registry;
  /// All known instances, of which `endpoints` may be a subset.
  std::size_t instances = 0;
  std::vector<EndpointStats> endpoints;
  std::vector<std::pair<std::string, BreakerStats>> breakers;
  std::uint64_t calls = 0;
  std::uint64_t failures = 0;
  std::uint64_t attempts = 0;
  std::int64_t in_flight = 0;
};

/// All that a process needs to call other services; one for each process.
/// Clients of one service share its connections.
///
/// Thread-safe.
class GRPCCOMMON_EXPORT ClientManager {
 public:
  /// `clock` is borrowed and must outlive the manager.
  /// Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<std::unique_ptr<ClientManager>> Create(
      ClientManagerOptions options, const Clock& clock = SteadyClock());
  /// Shuts down, and waits for calls as `Shutdown` does.
  ~ClientManager();

  /// The client for a service that is registered as `service`, by default the
  /// full name of the gRPC service. Connects in the background. Keep the
  /// client: this takes a lock and looks up. Errors: kInvalidArgument for the
  /// name or the service's options or contract, kFailedPrecondition after
  /// Shutdown.
  template <typename Service>
  absl::StatusOr<std::shared_ptr<Client<Service>>> Get(
      std::string service = Service::service_full_name()) {
    absl::StatusOr<std::shared_ptr<internal::ClientCore>> core =
        GetCore(Service::service_full_name(), std::move(service));
    if (!core.ok()) return core.status();
    return std::make_shared<Client<Service>>(*std::move(core));
  }

  /// Refuses new calls, waits for those under way until `grace` is over, then
  /// cancels them, and closes all connections. Later calls find it done.
  void Shutdown(Clock::Duration grace = std::chrono::seconds(5));

  std::vector<ServiceStats> Stats() const;

  /// For the operator: the breaker of a key as `Stats` names it, in any
  /// service; null if there is none.
  std::shared_ptr<CircuitBreaker> FindBreaker(std::string_view service,
                                              std::string_view key) const;

 private:
  struct Impl;
  explicit ClientManager(std::unique_ptr<Impl> impl);
  absl::Status Expose();
  absl::StatusOr<std::shared_ptr<internal::ClientCore>> GetCore(
      const char* grpc_service, std::string service);
  std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
