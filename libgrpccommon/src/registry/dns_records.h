// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/registry/registry.h"
#include "registry/address.h"

namespace grpccommon::internal {

/// What is looked up.
struct DnsTarget {
  /// For SRV records, else for the addresses of a host.
  bool srv = false;
  /// As it was given.
  std::string text;
  /// Of a host.
  HostPort host_port;
};

/// Errors: kInvalidArgument, also for an address that no instance may have.
absl::StatusOr<DnsTarget> ParseDnsTarget(std::string_view text);

struct SrvRecord {
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  /// Empty for ".".
  std::string target;
};

struct SrvAnswer {
  std::vector<SrvRecord> records;
  /// The shortest of them.
  Clock::Duration ttl{};
};

/// The most SRV records that are followed.
inline constexpr std::size_t kMaxSrvRecords = 256;

/// Reads the SRV records of a DNS message (RFC 1035, RFC 2782).
/// Errors: kInvalidArgument for a message that is malformed, that has a record
/// whose target is no host or whose port is 0, or more than kMaxSrvRecords;
/// kNotFound for one without SRV records.
absl::StatusOr<SrvAnswer> ParseSrvAnswer(std::span<const std::uint8_t> message);

/// A record and where its target is found, without ports.
struct ResolvedSrv {
  SrvRecord record;
  std::vector<HostPort> hosts;
};

/// The instances that records stand for, sorted, each address once.
std::vector<Instance> InstancesOf(std::vector<ResolvedSrv> resolved);

/// The TTL field of a record as time.
Clock::Duration TtlOf(std::int64_t seconds);

}  // namespace grpccommon::internal
