// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/health/health_registry.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/registry.h"
#include "grpccommon/server/server_options.h"

namespace grpccommon::internal {

/// The address to announce for a server that listens on `grpc_address` at
/// `port`.
/// Errors: kInvalidArgument, saying what to set, where nobody else could
/// connect to it.
absl::StatusOr<std::string> AnnouncedAddress(const std::string& announced,
                                             const std::string& grpc_address,
                                             int port);

/// The registry that `options` name or hold; null if they do neither.
/// `scheduler` is borrowed and must outlive it.
/// Errors: kInvalidArgument; those of CreateRegistry and CreateTokenFile.
absl::StatusOr<std::shared_ptr<Registry>> RegistryToAnnounceIn(
    const AnnounceOptions& options, Scheduler& scheduler, const Logger& logger);

/// What is wrong with `options` of a server at `grpc_address`, as far as that
/// can be said before it serves. Errors: kInvalidArgument.
absl::Status CheckAnnouncement(const AnnounceOptions& options,
                               const std::string& grpc_address);

/// Keeps a server's services in its registry, with their health, until it is
/// destroyed.
class Announcement {
 public:
  /// `services` are the names if the options have none. `health` is borrowed.
  /// Errors: as Registry::Register.
  static absl::StatusOr<std::unique_ptr<Announcement>> Create(
      std::shared_ptr<Registry> registry, const AnnounceOptions& options,
      std::string address, std::vector<std::string> services,
      HealthRegistry& health, const Logger& logger);

  Announcement() = default;
  ~Announcement();
  Announcement(const Announcement&) = delete;
  Announcement& operator=(const Announcement&) = delete;

 private:
  class Service;
  // Outlives the registrations.
  std::shared_ptr<Registry> registry_;
  std::vector<std::shared_ptr<Service>> services_;
};

}  // namespace grpccommon::internal
