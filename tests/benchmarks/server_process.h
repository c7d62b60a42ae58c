// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace grpccommon::bench {

/// A server in a process of its own: this program again, as --role=server (see
/// bench_server.h). Ends it at destruction; ends by itself with this process.
///
/// What fails here is the machine's fault and ends the program.
class ServerProcess {
 public:
  /// `contestant` is one of bench_server.h's; `folder` has the keys and takes
  /// the logs. Returns when the server listens.
  ServerProcess(const std::string& contestant, const std::string& folder);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// What all of its threads have used so far, in user and kernel mode.
  std::chrono::nanoseconds CpuTime() const;
  std::uint64_t ResidentBytes() const;
  /// Calls of operator new; counted from the first time this is asked.
  std::uint64_t Allocations();
  /// No longer counts them.
  void StopCountingAllocations();

 private:
  std::string Ask(const std::string& question);

  pid_t pid_ = 0;
  std::FILE* questions_ = nullptr;
  std::FILE* answers_ = nullptr;
  int port_ = 0;
};

}  // namespace grpccommon::bench
