// SPDX-License-Identifier: Apache-2.0
#pragma once

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

struct EtcdRegistryOptions {
  /// Of members of one cluster, "host:2379".
  RegistryConnectionOptions connection;
  /// What all keys begin with; 1 to 255 printable characters. An instance is
  /// the key "<prefix><service>/<address>", with the JSON of a
  /// grpccommon.registry.v1.Instance as its value.
  std::string prefix = "/grpccommon/registry/";
  /// For clusters with authentication; empty: without.
  std::string user;
  std::string password;
  /// Send the password without TLS too: on loopback, or where the network
  /// encrypts.
  bool password_in_plaintext = false;
};

/// A registry in etcd 3 (v3 gRPC API, etcd 3.4 or newer): for several machines,
/// since etcd replicates what it is told.
///
/// Each registration is a lease and a key that goes with it; taking it out
/// revokes the lease, which leaves alone a key that somebody else has written
/// meanwhile. etcd counts in whole seconds, and grants 2 s at least. A watch
/// reads all keys of a service at one revision, then follows their changes; it
/// resumes after its last one, and reads anew where etcd has compacted the
/// changes since, or was set up anew. Keys that make no sense are left out and
/// logged. A member without a leader is left for another one.
///
/// Otherwise as RemoteRegistry: absences, restarts, threads.
class GRPCCOMMON_EXPORT EtcdRegistry final : public Registry {
 public:
  /// `scheduler`, which renews leases and calls watchers, and `clock` are
  /// borrowed and must outlive it.
  /// Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<std::unique_ptr<EtcdRegistry>> Create(
      EtcdRegistryOptions options, Scheduler& scheduler,
      const Logger& logger = {}, const Clock& clock = SteadyClock(),
      Random random = UniformRandom);
  ~EtcdRegistry() override;

  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string service, Instance instance,
      RegistrationOptions options = {}) override;
  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string service, OnChange on_change) override;

  /// The steps one by one, for a registry service in front of etcd. Lease ids
  /// are random. List reads all keys that begin with its prefix.
  LeaseBackend& leases();

 private:
  struct Impl;
  explicit EtcdRegistry(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
