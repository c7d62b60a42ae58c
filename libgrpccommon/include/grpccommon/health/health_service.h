// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/health/health_registry.h"
#include "grpcpp/impl/service_type.h"

namespace grpccommon {

/// How many services `List` answers with, by the protocol.
inline constexpr std::size_t kMaxListedServices = 100;

struct HealthServiceOptions {
  /// How many watches clients may have open at the same time, in [1, 1e6].
  std::size_t max_watches = 1000;
};

/// grpc.health.v1.Health over a registry, as a callback service.
///
/// Check: the current status; NOT_FOUND for a service that is not registered.
/// Watch: the current status at once, then each change, the latest one if the
/// client is slow; SERVICE_UNKNOWN while the service is not registered;
/// RESOURCE_EXHAUSTED at `max_watches`. List: all services;
/// RESOURCE_EXHAUSTED for more than `kMaxListedServices`.
///
/// gRPC's own health service must be off
/// (`grpc::EnableDefaultHealthCheckService(false)`, which is the default).
///
/// Thread-safe. Source: gRPC Health Checking Protocol.
class GRPCCOMMON_EXPORT HealthService {
 public:
  /// `registry` is borrowed and must outlive this.
  /// Errors: kInvalidArgument naming the option.
  static absl::StatusOr<std::unique_ptr<HealthService>> Create(
      HealthRegistry& registry, const HealthServiceOptions& options = {});
  /// The server must have ended.
  ~HealthService();

  HealthService(const HealthService&) = delete;
  HealthService& operator=(const HealthService&) = delete;

  /// For the server to register, without guards: health is public.
  grpc::Service& service();

  /// Ends the open watches with UNAVAILABLE, and new ones at once. A watch has
  /// no end of its own, so a server that waits for its calls to end would wait
  /// for all of its grace period. To be called when the server begins to refuse
  /// calls, well after `HealthRegistry::Shutdown`, so that watchers have seen
  /// NOT_SERVING first.
  void EndWatches();

 private:
  class Impl;
  explicit HealthService(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
