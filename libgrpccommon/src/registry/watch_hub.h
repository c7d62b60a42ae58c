// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon::internal {

/// The watches of a registry and the last known set of each watched service:
/// what all back ends have in common. A back end publishes what it learns; the
/// hub leaves out what changes nothing and calls the watchers on the
/// scheduler's thread, one after the other, with no lock held. Changes that
/// come faster than callbacks return arrive as one.
///
/// Keeps nothing about a service that nobody watches, and costs no wake-up
/// while nothing changes. Thread-safe.
class WatchHub {
 public:
  /// With a number of the back end's own for this state; 0 if it has none.
  using OnChange =
      std::function<void(const InstanceSet& set, std::uint64_t revision)>;
  /// Called without a lock, on the thread that begins or ends a watch, when
  /// `service` has gained its first watch or lost its last. Two such calls may
  /// overtake each other: ask IsWatched, under a lock of the back end's own,
  /// for how things stand.
  using OnDemand = std::function<void(const std::string& service)>;

  /// `scheduler` is borrowed and must outlive this.
  WatchHub(Scheduler& scheduler, Logger logger, OnDemand on_demand);
  /// All watches have ended.
  ~WatchHub();

  /// The name is the back end's to check. If the service's set is known, the
  /// callback is planned at once.
  std::unique_ptr<InstanceWatch> Watch(std::string service, OnChange on_change);
  std::unique_ptr<InstanceWatch> Watch(std::string service,
                                       Registry::OnChange on_change);

  bool IsWatched(const std::string& service) const;
  /// In order of name.
  std::vector<std::string> Watched() const;

  /// `instances` passed CheckInstances. Nothing happens if the service is not
  /// watched, or if its set and its status were the same. A status that is not
  /// OK says why there may be more instances than these.
  void Publish(const std::string& service, std::vector<Instance> instances,
               std::uint64_t revision = 0,
               absl::Status status = absl::OkStatus());

  /// The back end does not answer for this service, or for all that are
  /// watched: `status`, which is not OK, over the last known instances.
  void MarkAway(const std::string& service, const absl::Status& status);
  void MarkAllAway(const absl::Status& status);

 private:
  struct State;
  class Handle;

  const std::shared_ptr<State> state_;
};

}  // namespace grpccommon::internal
