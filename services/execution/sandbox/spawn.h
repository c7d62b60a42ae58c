// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/execution/sandbox/unique_fd.h"

namespace platform::execution {

struct SpawnRequest {
  /// With the path of the program first.
  std::vector<std::string> argv;
  /// files[i] becomes file i of the process, at most 16; nothing else is handed
  /// down.
  std::vector<int> files;
  /// The process writes "0" to each of these before anything else.
  std::vector<int> entrances;
  /// If set, what the process becomes, without groups.
  bool changes_user = false;
  uid_t user = 0;
  gid_t group = 0;
};

struct SpawnedProcess {
  pid_t pid = -1;
  UniqueFd pidfd;
};

/// Starts a program with an empty environment, no signal ignored and all of
/// them blocked. The caller waits for it.
///
/// Costs no copy of this process's memory map: the child runs on it until it
/// executes the program (CLONE_VFORK).
/// Errors: kInternal, naming the step that failed.
absl::StatusOr<SpawnedProcess> Spawn(const SpawnRequest& request);

}  // namespace platform::execution
