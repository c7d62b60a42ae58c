// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "grpccommon/registry/dns_registry.h"
#include "registry/dns_resolver.h"

namespace grpccommon::internal {

/// CreateDnsRegistry over another resolver, which has its own time-out and
/// name servers.
absl::StatusOr<std::unique_ptr<Registry>> CreateDnsRegistryOver(
    std::unique_ptr<DnsResolver> resolver, Scheduler& scheduler,
    const DnsRegistryOptions& options, const Logger& logger, Random random);

}  // namespace grpccommon::internal
