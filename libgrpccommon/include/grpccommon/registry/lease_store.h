// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon {

struct LeaseStoreOptions {
  /// Services with at least one instance at a time, in [1, 1e6].
  std::size_t max_services = 10'000;
  /// Instances of all services together, in [1, 1e6].
  std::size_t max_instances = 100'000;
};

/// A place in a LeaseStore.
struct Lease {
  /// 128 random bits as text: who knows it may renew, change and end the lease.
  std::string id;
  Clock::Duration ttl{};
  /// Of the store, with this change in it.
  std::uint64_t revision = 0;
};

/// Instances and their leases, in this process's memory: what a registry
/// service keeps, and what the in-memory registry is a view of.
///
/// Each change gives the store a new, higher revision. An instance whose lease
/// is not renewed in time is taken out; but when the process itself stood still
/// for more than a second (stopped, suspended), so that nobody could renew, all
/// leases begin anew. Changes that come at once reach a watcher as one. No
/// wake-up while nobody has a lease.
///
/// Thread-safe. Must outlive its watches.
class GRPCCOMMON_EXPORT LeaseStore {
 public:
  /// For a lease that does not end by itself.
  static constexpr Clock::Duration kForever = Clock::Duration::max();

  using OnChange =
      std::function<void(const InstanceSet& set, std::uint64_t revision)>;

  struct View {
    /// Sorted by address.
    std::vector<Instance> instances;
    /// Of the last change to the service; the store's own if it has no instance
    /// of it.
    std::uint64_t revision = 0;
  };

  struct Summary {
    std::string service;
    std::size_t instances = 0;
    std::uint64_t revision = 0;
  };

  /// `scheduler` and `clock` are borrowed and must outlive the store.
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<LeaseStore>> Create(
      Scheduler& scheduler, const LeaseStoreOptions& options = {},
      const Logger& logger = {}, const Clock& clock = SteadyClock());
  ~LeaseStore();

  /// Adds an instance for `ttl`, in [1 s, 1 h] or kForever. An instance with
  /// the same address is replaced and its lease ends: it is the same process,
  /// started anew or come back from where its answer got lost.
  /// Errors: kInvalidArgument for a bad name, instance or ttl,
  /// kResourceExhausted when the store is full.
  absl::StatusOr<Lease> Register(std::string_view service, Instance instance,
                                 Clock::Duration ttl);

  /// Begins the lease's time anew.
  /// Errors: kNotFound for a lease that ended or never was.
  absl::Status Renew(std::string_view lease_id);

  /// Replaces all but the address; does not renew. Returns the revision.
  /// Errors: kNotFound as above; those of CheckInstance; kInvalidArgument for
  /// another address.
  absl::StatusOr<std::uint64_t> Update(std::string_view lease_id,
                                       Instance instance);

  /// Takes the instance out.
  /// Errors: kNotFound as above.
  absl::Status Deregister(std::string_view lease_id);

  /// An unknown service is an empty view.
  View Lookup(std::string_view service) const;

  /// The services that have instances, in order of name, beginning after
  /// `after`; at most `limit`.
  std::vector<Summary> List(std::string_view after = {},
                            std::size_t limit = 1000) const;

  std::uint64_t revision() const;

  /// As Registry::Watch, with the revision as in View. The set's status is
  /// always OK.
  /// Errors: kInvalidArgument for a bad name.
  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(std::string service,
                                                       OnChange on_change);

 private:
  class Impl;
  explicit LeaseStore(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
