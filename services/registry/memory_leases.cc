// SPDX-License-Identifier: Apache-2.0
#include "services/registry/memory_leases.h"

#include <string>
#include <utility>

#include "grpccommon/base/string_view.h"
#include "grpccommon/status/details.h"

namespace platform::registry {

using grpccommon::Clock;
using grpccommon::Instance;
using grpccommon::LeaseStore;

void MemoryLeases::Register(std::string_view service, const Instance& instance,
                            Clock::Duration ttl,
                            Done<absl::StatusOr<Granted>> done) {
  absl::StatusOr<grpccommon::Lease> lease =
      store_.Register(service, instance, ttl);
  if (lease.ok()) {
    return done(Granted{.lease_id = std::move(lease->id), .ttl = lease->ttl});
  }
  if (lease.status().code() == absl::StatusCode::kResourceExhausted) {
    return done(grpccommon::Exhausted(
        "TOO_MANY_INSTANCES", "instances",
        grpccommon::ToStd(lease.status().message()), std::chrono::seconds(10)));
  }
  done(lease.status());
}

void MemoryLeases::Renew(std::string_view /*service*/,
                         std::string_view lease_id, Done<absl::Status> done) {
  done(store_.Renew(lease_id));
}

void MemoryLeases::Deregister(std::string_view /*service*/,
                              std::string_view lease_id,
                              Done<absl::Status> done) {
  absl::Status status = store_.Deregister(lease_id);
  if (status.code() == absl::StatusCode::kNotFound) status = absl::OkStatus();
  done(std::move(status));
}

void MemoryLeases::Lookup(std::string_view service,
                          Done<absl::StatusOr<std::vector<Instance>>> done) {
  done(store_.Lookup(service).instances);
}

void MemoryLeases::List(std::string_view prefix, std::string_view after,
                        std::size_t limit,
                        Done<absl::StatusOr<std::vector<Summary>>> done) {
  std::vector<Summary> found;
  std::string from(after);
  if (prefix > after) {
    // The store lists what comes after a name; the prefix itself may be one.
    if (LeaseStore::View view = store_.Lookup(prefix);
        !view.instances.empty()) {
      found.push_back(
          {.service = std::string(prefix), .instances = view.instances.size()});
    }
    from = prefix;
  }
  while (found.size() < limit) {
    const std::size_t missing = limit - found.size();
    const std::vector<LeaseStore::Summary> page = store_.List(from, missing);
    for (const LeaseStore::Summary& summary : page) {
      // In order of name, so what begins otherwise is beyond all that does not.
      if (!summary.service.starts_with(prefix)) return done(std::move(found));
      found.push_back(
          {.service = summary.service, .instances = summary.instances});
    }
    if (page.size() < missing) break;
    from = page.back().service;
  }
  done(std::move(found));
}

}  // namespace platform::registry
