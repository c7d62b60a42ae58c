// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "grpccommon/base/mutex.h"
#include "grpcpp/alarm.h"
#include "grpcpp/channel.h"
#include "grpcpp/completion_queue.h"

namespace grpccommon::internal {

/// Connects channels, keeps them connected, and tells when that changes.
///
/// Its one thread waits in gRPC only while some channel is not connected. For a
/// thread that polls takes part in every other thread's waiting: a blocking
/// call, which otherwise polls for itself, would be served by way of it, at two
/// switches of threads for each. While all is well the thread sleeps, and who
/// finds a channel broken (a pick asks gRPC each time) calls `Refresh`.
///
/// Thread-safe.
class ConnectionMonitor {
 public:
  /// Called on the monitor's thread, one at a time, without a lock held.
  using OnChange = std::function<void(grpc_connectivity_state state)>;

  /// Keeps a channel watched; destroying it waits for a running callback,
  /// unless it is destroyed by that.
  class Watch;

  ConnectionMonitor();
  /// All watches must be gone. Waits for gRPC to give back what it holds, which
  /// it does when the channels are destroyed, at most five seconds.
  ~ConnectionMonitor();
  ConnectionMonitor(const ConnectionMonitor&) = delete;
  ConnectionMonitor& operator=(const ConnectionMonitor&) = delete;

  /// Calls `on_change` with the state as it is first, then with each change,
  /// and after each `Watch::Refresh`.
  std::unique_ptr<Watch> Add(std::shared_ptr<grpc::Channel> channel,
                             OnChange on_change);

 private:
  struct Entry {
    std::shared_ptr<grpc::Channel> channel;
    OnChange on_change;
    grpc_connectivity_state state = GRPC_CHANNEL_IDLE;
    // Whether gRPC will tell when the state is another than `state`.
    bool armed = false;
    bool refresh = false;
  };

  void Run();
  bool Sleep();
  void Poll();
  void RefreshMarked();
  void Look(std::uint64_t id, bool told);
  void Remove(std::uint64_t id);
  void Refresh(std::uint64_t id);
  void WakePoll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  CondVar wake_;
  CondVar called_;
  std::uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::uint64_t, std::shared_ptr<Entry>> entries_
      ABSL_GUARDED_BY(mutex_);
  std::size_t unconnected_ ABSL_GUARDED_BY(mutex_) = 0;
  bool refresh_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  // Whose callback runs; 0: none.
  std::uint64_t calling_ ABSL_GUARDED_BY(mutex_) = 0;
  bool polling_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);

  std::unique_ptr<grpc::CompletionQueue> queue_;
  std::thread thread_;
};

class ConnectionMonitor::Watch {
 public:
  Watch(ConnectionMonitor& monitor, std::uint64_t id)
      : monitor_(monitor), id_(id) {}
  ~Watch() { monitor_.Remove(id_); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Says that the channel was found in another state than told.
  void Refresh() { monitor_.Refresh(id_); }

 private:
  ConnectionMonitor& monitor_;
  const std::uint64_t id_;
};

}  // namespace grpccommon::internal
