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

/// A process of fault_instance; killed at destruction if it still runs.
class InstanceProcess {
 public:
  InstanceProcess(const std::string& registry,
                  std::chrono::microseconds service_time,
                  const std::string& journal);
  ~InstanceProcess();
  InstanceProcess(const InstanceProcess&) = delete;
  InstanceProcess& operator=(const InstanceProcess&) = delete;

  const std::string& address() const { return address_; }
  void Signal(int signal);
  /// Waits for its end and returns its exit code; -1 if a signal ended it.
  int Wait();

 private:
  pid_t pid_ = 0;
  std::string address_;
};

/// A registry service in this process and instances in processes of their own.
class Cluster {
 public:
  Cluster();
  ~Cluster();

  /// Starts an instance and waits until the registry knows it.
  std::unique_ptr<InstanceProcess> StartInstance(
      std::chrono::microseconds service_time = std::chrono::microseconds(0));

  /// A client's view of the same registry.
  std::shared_ptr<Registry> registry();
  /// What handlers of all instances, dead ones included, were given.
  std::map<std::string, int> ReadJournal() const;

  /// Ends the registry service, and begins it again with an empty store.
  void StopRegistry();
  void StartRegistry();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon::test
