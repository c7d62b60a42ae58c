// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace grpccommon::test {

/// The memory of a process that lies in RAM, in bytes; 0 if there is no such
/// process.
inline std::int64_t ResidentBytes(pid_t process = getpid()) {
  std::ifstream file("/proc/" + std::to_string(process) + "/statm");
  std::int64_t all = 0;
  std::int64_t resident = 0;
  file >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace grpccommon::test
