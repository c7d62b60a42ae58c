// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// Of `zone` and `version`.
inline constexpr std::size_t kMaxInstanceTextBytes = 128;

/// One process that serves a service. All texts are UTF-8 without control
/// characters.
struct Instance {
  /// "host:port" or "unix:/path"; unique within its service. The host is a name
  /// of RFC 1123, an IPv4 address, or an IPv6 address in brackets, and never
  /// the "any" address (0.0.0.0, [::]) that servers listen on; the port is in
  /// [1, 65535].
  std::string address;
  /// Share of the calls, relative to the other instances', in [0.001, 1000].
  double weight = 1.0;
  /// Where it runs; callers may prefer their own zone. May be empty.
  std::string zone;
  /// Of the program; may be empty.
  std::string version;
  /// What else callers may select by: at most 32 entries, keys of 1 to 64 and
  /// values of at most 256 bytes.
  std::map<std::string, std::string> metadata;
  /// False: known, and not to be called just now.
  bool healthy = true;

  friend bool operator==(const Instance&, const Instance&) = default;
};

/// Errors: kInvalidArgument, naming the field and what is wrong with it.
GRPCCOMMON_EXPORT absl::Status CheckInstance(const Instance& instance);

/// A service's name in a registry: 1 to 255 letters, digits and "._-", usually
/// the full name of the gRPC service.
/// Errors: kInvalidArgument.
GRPCCOMMON_EXPORT absl::Status CheckServiceName(std::string_view service);

/// The instances of one service as a watcher sees them.
struct InstanceSet {
  /// Sorted by address, each address once.
  std::vector<Instance> instances;
  /// OK while the registry answers. Otherwise why it does not, and `instances`
  /// are the last that it told.
  absl::Status status;
};

/// A place in a registry, renewed in the background until it is destroyed, also
/// over a restart or an absence of the registry; then taken out, for which the
/// destructor waits a bounded time, since the lease ends by itself anyway.
/// Thread-safe but for destruction.
class GRPCCOMMON_EXPORT Registration {
 public:
  virtual ~Registration() = default;

  /// Replaces all but the address.
  /// Errors: those of CheckInstance; kInvalidArgument for another address.
  virtual absl::Status Update(Instance instance) = 0;

  /// OK while the registry holds the lease; else why not. Blocks until the
  /// first answer, but not beyond `timeout`.
  virtual absl::Status WaitRegistered(Clock::Duration timeout) = 0;
};

/// Keeps a watch; destroying it ends the watch and waits for a callback that is
/// running on another thread.
class GRPCCOMMON_EXPORT InstanceWatch {
 public:
  virtual ~InstanceWatch() = default;
};

struct RegistrationOptions {
  /// How long the registry keeps the instance after the last renewal, in
  /// [1 s, 1 h]; renewed after a third of it.
  Clock::Duration ttl = std::chrono::seconds(10);
};

/// Who serves what. Back ends: memory_registry.h, file_registry.h,
/// dns_registry.h, remote_registry.h (the platform's registry service) and
/// etcd_registry.h.
///
/// Thread-safe. Must outlive its registrations and watches.
class GRPCCOMMON_EXPORT Registry {
 public:
  using OnChange = std::function<void(const InstanceSet&)>;

  virtual ~Registry() = default;

  /// Returns at once; an absent registry is tried again with jittered backoff.
  /// Errors: kInvalidArgument for a bad name, instance or option,
  /// kAlreadyExists if this object already registers the same address for the
  /// service, kUnimplemented for a back end that nobody can register with.
  virtual absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string service, Instance instance,
      RegistrationOptions options = {}) = 0;

  /// Calls `on_change` with the whole set, once it is known and then after each
  /// change; never two at a time, on a thread of the registry. Changes that
  /// come faster than the callback returns arrive as one. An unknown service is
  /// an empty set; so is what an absent registry never told, with the status
  /// that says so. The callback must not block, nor destroy its own watch.
  /// Errors: kInvalidArgument for a bad name.
  virtual absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string service, OnChange on_change) = 0;
};

}  // namespace grpccommon
