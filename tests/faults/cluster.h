// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon::test {

/// How fast an instance answers.
struct Behaviour {
  std::chrono::microseconds service_time{0};
  /// Each so many-th request takes longer by `pause`; 0: none.
  int pause_every = 0;
  std::chrono::microseconds pause{0};
};

/// A process of fault_instance; killed at destruction if it still runs.
class InstanceProcess {
 public:
  InstanceProcess(const std::string& registry, const Behaviour& behaviour,
                  const std::string& journal);
  ~InstanceProcess();
  InstanceProcess(const InstanceProcess&) = delete;
  InstanceProcess& operator=(const InstanceProcess&) = delete;

  const std::string& address() const { return address_; }
  int port() const;
  void Signal(int signal) const;
  /// Waits for its end and returns its exit code; -1 if a signal ended it.
  int Wait();

 private:
  pid_t pid_ = 0;
  std::string address_;
};

/// A registry, and instances in processes of their own.
class Cluster {
 public:
  /// The registry service in this process, or an etcd.
  enum class Backend { kService, kEtcd };

  explicit Cluster(Backend backend = Backend::kService);
  ~Cluster();

  /// Starts an instance and waits until the registry knows it.
  std::unique_ptr<InstanceProcess> StartInstance(
      const Behaviour& behaviour = {});

  /// A client's view of the same registry.
  std::shared_ptr<Registry> registry();
  /// What handlers of all instances, dead ones included, were given.
  std::map<std::string, int> ReadJournal() const;

  /// Ends the registry, and begins it again: the service with an empty store,
  /// etcd, which was killed, with what it had written.
  void StopRegistry();
  void StartRegistry();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon::test
