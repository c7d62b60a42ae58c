// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/lease_backend.h"
#include "grpccommon/registry/registry.h"
#include "grpccommon/registry/registry_connection.h"
#include "registry/registration_table.h"
#include "registry/watch_hub.h"

namespace grpccommon::internal {

/// What a back end tells a watcher.
struct WatchUpdate {
  /// `changed` is everything; else only what is new or otherwise than before.
  bool snapshot = false;
  std::vector<Instance> changed;
  /// Addresses.
  std::vector<std::string> removed;
  /// OK: nothing is missing. Otherwise what is not mentioned may exist too.
  absl::Status complete;
  /// Where to resume after this; empty where nothing can be resumed.
  std::string position;
};

/// Takes what one watch brings; never called twice at a time.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  virtual void OnUpdate(WatchUpdate update) = 0;
  /// Nothing comes after this. OK: nothing is wrong with the back end, and the
  /// watch is to be begun again. `resumable`: the last position is still good.
  virtual void OnEnd(absl::Status status, bool resumable) = 0;
};

class WatchCall {
 public:
  virtual ~WatchCall() = default;
  /// Ends the watch soon, with `why`, which is not OK; it is resumable unless
  /// that is kDataLoss.
  /// Thread-safe, at any time, also after its end.
  virtual void Cancel(absl::Status why) = 0;
};

/// A back end over the network, as NetworkRegistry needs it.
class NetworkBackend : public LeaseBackend {
 public:
  /// Begins a watch; it holds `sink` until its end. Returns null, and never
  /// calls the sink, once the back end is closed.
  virtual std::shared_ptr<WatchCall> OpenWatch(
      const std::string& service, const std::string& resume_after,
      std::shared_ptr<WatchSink> sink) = 0;

  /// Cancels every call, waits until their callbacks have returned, and refuses
  /// further ones.
  virtual void Close() = 0;
};

/// Makes of what a back end tells what a set can hold: sorted, each address
/// once (the last one counts), without malformed instances. Returns how many
/// of those there were.
std::size_t CleanInstances(std::vector<Instance>& instances);

/// A registry over a back end that may be slow, away, or started anew: keeps
/// registrations and watches going through all of that.
///
/// Waits for nothing: gRPC's callbacks and the scheduler's timers drive it, so
/// it has no thread of its own, and while nothing changes it wakes up for
/// renewals only.
class NetworkRegistry {
 public:
  struct Options {
    Clock::Duration call_timeout{};
    Clock::Duration reconnect_initial{};
    Clock::Duration reconnect_maximum{};
    Clock::Duration deregister_timeout{};
  };

  NetworkRegistry(std::unique_ptr<NetworkBackend> backend,
                  const RegistryConnectionOptions& options,
                  Scheduler& scheduler, const Logger& logger,
                  const Clock& clock, Random random);
  /// All registrations and watches have ended.
  ~NetworkRegistry();

  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string service, Instance instance, RegistrationOptions options);
  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string service, Registry::OnChange on_change);

  NetworkBackend& backend() { return *backend_; }

 private:
  struct Context;
  class Keeper;
  class LeasedRegistration;
  class Watcher;

  void SyncWatch(const std::string& service);

  const std::unique_ptr<NetworkBackend> backend_;
  const std::unique_ptr<Context> context_;
  RegistrationTable table_;
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<Watcher>> watchers_
      ABSL_GUARDED_BY(mutex_);
  WatchHub hub_;
};

}  // namespace grpccommon::internal
