// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon {

struct DnsRegistryOptions {
  /// What to look up for a service: this, with its name in the place of each
  /// "{service}". CreateDnsRegistry tells the two forms.
  std::string pattern = "{service}";
  /// For single services, before `pattern`.
  std::map<std::string, std::string> names;
  /// The longest time between two lookups, however long the answer may be kept,
  /// in [1 s, 1 h]: a record of an hour would hide a dead instance as long.
  Clock::Duration refresh_interval = std::chrono::seconds(30);
  /// The shortest, however short that is, in [100 ms, refresh_interval].
  Clock::Duration min_interval = std::chrono::seconds(5);
  /// After which a lookup without an answer has failed, in [100 ms, 1 min].
  Clock::Duration timeout = std::chrono::seconds(5);
  /// Where to ask: IP addresses, with a port unless it is 53. None: those of
  /// the system (/etc/resolv.conf), with its search domains; else names are
  /// taken as complete.
  std::vector<std::string> name_servers;
};

/// Services by the domain name system. What is looked up is
/// - "host:port": each A and AAAA record of the host is an instance, of weight
///   1. An IP address in the place of the host is looked up nowhere.
/// - "_service._proto.name", "_grpc._tcp.example.com": SRV records (RFC 2782),
///   and the addresses of their targets, which share the record's weight. The
///   records with the lowest priority number for which there are addresses
///   count; the others' instances are known and not `healthy`.
///
/// A watched service is looked up again when the answer is too old (its TTL,
/// within the options' bounds, give or take a tenth). When there is no answer,
/// or a negative one (no such name, no such records), the watch keeps its last
/// instances with the status that says so, kNotFound for a negative one, and
/// asks again after a jittered backoff from one second to `refresh_interval`.
/// So a service never shrinks to nothing by a mistake in a zone, except by the
/// SRV target ".", which says that the service is not offered.
///
/// Nobody can register with it: kUnimplemented. Watch refuses a service for
/// which there is nothing to look up. One thread for all lookups, asleep while
/// none is under way.
///
/// `scheduler` is borrowed and must outlive it.
/// Errors: kInvalidArgument, naming the option and what is wrong with it.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<Registry>> CreateDnsRegistry(
    Scheduler& scheduler, const DnsRegistryOptions& options = {},
    const Logger& logger = {}, Random random = UniformRandom);

}  // namespace grpccommon
