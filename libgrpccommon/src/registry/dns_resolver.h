// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/registry/registry.h"
#include "registry/dns_records.h"

namespace grpccommon::internal {

struct DnsAnswer {
  /// Sorted, each address once. Empty if the service says that it is not
  /// offered.
  std::vector<Instance> instances;
  /// How long the answer may be kept; zero if it was not told.
  Clock::Duration ttl{};
};

/// Asks the domain name system. Thread-safe.
class DnsResolver {
 public:
  /// kNotFound for a negative answer, kUnavailable for none or a broken one.
  using Done = std::function<void(absl::StatusOr<DnsAnswer>)>;

  /// Calls back no more once it returns.
  virtual ~DnsResolver() = default;

  /// Returns at once. Calls `done` once, on a thread of the resolver.
  virtual void LookUp(const DnsTarget& target, Done done) = 0;
};

struct DnsResolverOptions {
  Clock::Duration timeout = std::chrono::seconds(5);
  std::vector<std::string> name_servers;
};

/// Errors: kInvalidArgument for a name server that is no IP address;
/// kUnavailable for lack of file descriptors.
absl::StatusOr<std::unique_ptr<DnsResolver>> CreateDnsResolver(
    const DnsResolverOptions& options);

}  // namespace grpccommon::internal
