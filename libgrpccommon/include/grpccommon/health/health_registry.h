// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// The numbers are those of grpc.health.v1.
enum class ServingStatus {
  kUnknown = 0,
  kServing = 1,
  kNotServing = 2,
  /// Only in answers to a watcher: nobody has registered the service.
  kServiceUnknown = 3,
};

/// "SERVING" and so on, as the protocol names them.
GRPCCOMMON_EXPORT std::string_view ServingStatusName(ServingStatus status);

/// A look at one service that lasts; see `HealthRegistry::Watch`. Ends with its
/// destruction. Thread-safe; may outlive the registry.
class GRPCCOMMON_EXPORT HealthRegistryWatch {
 public:
  virtual ~HealthRegistryWatch() = default;
  /// kServiceUnknown while the service is not registered.
  virtual ServingStatus Current() const = 0;
};

/// What each service of the process says of itself; the service "" is the
/// process as a whole.
///
/// Others than the owner of a service can hold its status down as well
/// (`Hold`): a service serves if it was set to serve and nobody holds it.
///
/// Thread-safe; one lock, and no callback runs under it.
class GRPCCOMMON_EXPORT HealthRegistry {
 public:
  /// `on_change` says that a watched status may have changed. It carries no
  /// status: the watcher reads the current one, so that of many changes the
  /// latest wins and none has to wait in a queue.
  using OnChange = std::function<void()>;

  /// The overall service "" is registered as kNotServing.
  HealthRegistry();
  ~HealthRegistry();

  HealthRegistry(const HealthRegistry&) = delete;
  HealthRegistry& operator=(const HealthRegistry&) = delete;

  /// Registers `service` or changes its status. kServiceUnknown takes it out.
  /// After `Shutdown` a new status is kept out, and a new service not serving.
  void SetServing(std::string_view service, ServingStatus status);

  /// All services are kNotServing from now on, for good.
  void Shutdown();

  /// Holds `services` at kNotServing, registered or not; none named: all.
  /// Counted, so each Hold needs its Release, in any order.
  void Hold(const std::vector<std::string>& services);
  void Release(const std::vector<std::string>& services);

  /// None if the service is not registered.
  std::optional<ServingStatus> Get(std::string_view service) const;
  std::map<std::string, ServingStatus> List() const;

  /// `on_change` runs on the thread that changes a status, with no lock held,
  /// and may still be running when the watch has been destroyed on another
  /// thread: it must own what it uses. Never null.
  std::unique_ptr<HealthRegistryWatch> Watch(std::string_view service,
                                             OnChange on_change);

  /// Watches that are open.
  std::size_t watches() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace grpccommon
