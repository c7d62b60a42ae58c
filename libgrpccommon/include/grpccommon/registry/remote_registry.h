// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/lease_backend.h"
#include "grpccommon/registry/registry.h"
#include "grpccommon/registry/registry_connection.h"

namespace grpccommon {

struct RemoteRegistryOptions {
  /// Of registry services that stand on the same store. Two with a memory of
  /// their own are two registries, and using both as one loses instances.
  RegistryConnectionOptions connection;
  /// Returns the `authorization` header of the next call, "Bearer …"; empty:
  /// none. Called on gRPC's and the scheduler's threads; must not block.
  std::function<std::string()> authorization;
  /// Send it without TLS too: on loopback, or where the network encrypts.
  bool authorization_in_plaintext = false;
};

/// The client of grpccommon.registry.v1.RegistryService.
///
/// Registrations and watches survive the service's restart and absence. While
/// it is away, watchers keep their last known instances, with the status that
/// says so; when it is back they get what has changed, spread over time
/// (`reconnect_initial`, `reconnect_maximum`). A service that was just started
/// says that it does not know all instances yet: then those that it does not
/// mention are kept as well, with the status kUnavailable. Instances that make
/// no sense are left out and logged.
///
/// Waits for nothing but as Registration says; no thread of its own. To be
/// destroyed on a thread of the application, never in a callback of gRPC.
class GRPCCOMMON_EXPORT RemoteRegistry final : public Registry {
 public:
  /// `scheduler`, which renews leases and calls watchers, and `clock` are
  /// borrowed and must outlive it.
  /// Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<std::unique_ptr<RemoteRegistry>> Create(
      RemoteRegistryOptions options, Scheduler& scheduler,
      const Logger& logger = {}, const Clock& clock = SteadyClock(),
      Random random = UniformRandom);
  ~RemoteRegistry() override;

  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string service, Instance instance,
      RegistrationOptions options = {}) override;
  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string service, OnChange on_change) override;

  /// The service's methods one by one.
  LeaseBackend& leases();

 private:
  struct Impl;
  explicit RemoteRegistry(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
