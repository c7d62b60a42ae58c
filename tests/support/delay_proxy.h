// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "grpccommon/base/mutex.h"

namespace grpccommon::test {

/// A TCP proxy on loopback that makes a network bad: between a client and a
/// server it delays, swallows, resets and refuses.
///
///   DelayProxy proxy(server_port);
///   channel = grpc::CreateChannel(proxy.address(), …);
///   proxy.SetDelay(200ms);
///
/// What is set holds for bytes and connections from then on. One thread, which
/// sleeps while nothing moves. Thread-safe; ends all connections when
/// destroyed.
class DelayProxy {
 public:
  /// Listens on a free port of 127.0.0.1 and passes on to `target_port` there.
  explicit DelayProxy(int target_port);
  ~DelayProxy();
  DelayProxy(const DelayProxy&) = delete;
  DelayProxy& operator=(const DelayProxy&) = delete;

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// Each byte arrives this much later, in either direction.
  void SetDelay(std::chrono::nanoseconds each_way);
  /// While on, nothing passes and nobody is told, as with a stopped process or
  /// a pulled cable; connections are still accepted. What was held up passes
  /// when it is off again.
  void SetBlackHole(bool on);
  /// While on, each new connection is reset at once.
  void SetRefuse(bool on);
  /// Resets every connection there is.
  void Reset();
  /// New connections go to another port of 127.0.0.1.
  void SetTarget(int target_port);

  /// Connections accepted so far, those that were refused included.
  int accepted() const;
  /// Connections that are open.
  int open() const;

 private:
  struct Connection;
  enum class Side { kClient, kServer };

  void Run();
  void Wake() const;
  void Accept();

  int listener_ = -1;
  int wake_ = -1;
  int port_ = 0;

  mutable Mutex mutex_;
  std::chrono::nanoseconds delay_ ABSL_GUARDED_BY(mutex_){0};
  bool black_hole_ ABSL_GUARDED_BY(mutex_) = false;
  bool refuse_ ABSL_GUARDED_BY(mutex_) = false;
  bool reset_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  int target_port_ ABSL_GUARDED_BY(mutex_);
  int accepted_ ABSL_GUARDED_BY(mutex_) = 0;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;

  // The thread's own.
  std::map<int, std::unique_ptr<Connection>> connections_;
  int next_id_ = 0;
  std::thread thread_;
};

}  // namespace grpccommon::test
