// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "services/execution/sandbox/cgroup.h"
#include "services/execution/sandbox/sandbox.h"

namespace platform::execution {

/// What all runs of a sandbox have in common; borrowed by each.
struct RunContext {
  SandboxOptions options;
  CgroupParent cgroups;
  std::string name;                // of the instance
  std::vector<std::string> bwrap;  // its arguments but for the workspace
  std::vector<sock_filter> filter;
};

struct RunJob {
  SandboxRequest request;
  std::uint64_t id = 0;
  /// When Start() was called, in nanoseconds of CLOCK_MONOTONIC.
  std::int64_t requested_ns = 0;
  bool changes_user = false;
  uid_t user = 0;
  gid_t group = 0;
  /// Readable once the run is cancelled.
  int cancel_fd = -1;
};

/// Nanoseconds of CLOCK_MONOTONIC.
std::int64_t MonotonicNow();

/// Starts the job's program and returns when nothing of it is left. The calling
/// thread waits in poll() meanwhile.
SandboxResult ExecuteRun(const RunContext& context, const RunJob& job);

}  // namespace platform::execution
