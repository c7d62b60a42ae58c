// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/dns_registry.h"
#include "grpccommon/registry/etcd_registry.h"
#include "grpccommon/registry/file_registry.h"
#include "grpccommon/registry/registry.h"
#include "grpccommon/registry/remote_registry.h"

namespace grpccommon {

/// What a URI does not say, for each kind of registry; what it does say is put
/// in the place of what is here.
struct RegistryUriOptions {
  FileRegistryOptions file;
  DnsRegistryOptions dns;
  RemoteRegistryOptions remote;
  EtcdRegistryOptions etcd;
};

/// Makes a registry of one configuration value:
///
///   memory:                     within this process
///   file:/etc/registry.json     an absolute path, taken as it stands
///   dns:                        each service is the name to look up
///   dns:{service}.prod:50051    a pattern, see dns_registry.h
///   dns://10.0.0.2,10.0.0.3:5353/_grpc._tcp.{service}.example
///                               the same, from these name servers
///   registry://10.0.0.2:50060,10.0.0.3:50060
///                               the registry service, at any of these
///   etcd://10.0.0.2:2379,10.0.0.3:2379/prefix/
///                               etcd; what keys begin with may follow
///
/// Nothing in it is escaped, and credentials are options, never part of it.
/// `scheduler` and `clock` are borrowed and must outlive the registry.
/// Errors: kInvalidArgument, naming the part of the URI that is wrong; those of
/// the registry.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<Registry>> CreateRegistry(
    std::string_view uri, Scheduler& scheduler,
    const RegistryUriOptions& options = {}, const Logger& logger = {},
    const Clock& clock = SteadyClock(), const Random& random = UniformRandom);

}  // namespace grpccommon
