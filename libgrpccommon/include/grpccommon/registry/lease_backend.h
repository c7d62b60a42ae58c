// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon {

/// The single steps behind a Registry: what a registry service does for clients
/// that keep their leases themselves, and what a Registration repeats.
///
/// Thread-safe. Nothing blocks; each step calls `done` exactly once, at once or
/// later and on any thread, where it must not block.
class GRPCCOMMON_EXPORT LeaseBackend {
 public:
  struct Granted {
    std::string lease_id;
    /// May be longer than what was asked for.
    Clock::Duration ttl{};
  };
  struct Summary {
    std::string service;
    std::size_t instances = 0;
  };
  template <typename Result>
  using Done = std::function<void(Result)>;

  virtual ~LeaseBackend() = default;

  /// Adds the instance, or replaces the one with its address, whose lease ends.
  /// Errors: kInvalidArgument, and what the back end answers.
  virtual void Register(std::string_view service, const Instance& instance,
                        Clock::Duration ttl,
                        Done<absl::StatusOr<Granted>> done) = 0;

  /// Errors: kNotFound for a lease that ended or never was.
  virtual void Renew(std::string_view service, std::string_view lease_id,
                     Done<absl::Status> done) = 0;

  /// Takes out what the lease holds. A lease that has ended is no error.
  virtual void Deregister(std::string_view service, std::string_view lease_id,
                          Done<absl::Status> done) = 0;

  /// Sorted by address; malformed instances are left out.
  virtual void Lookup(std::string_view service,
                      Done<absl::StatusOr<std::vector<Instance>>> done) = 0;

  /// The services that have instances, whose names begin with `prefix` and come
  /// after `after`, in order of name; at most `limit`.
  virtual void List(std::string_view prefix, std::string_view after,
                    std::size_t limit,
                    Done<absl::StatusOr<std::vector<Summary>>> done) = 0;
};

}  // namespace grpccommon
