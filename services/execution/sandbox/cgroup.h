// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/execution/sandbox/unique_fd.h"

namespace platform::execution {

/// Where a process's control groups lie, as the system tells it.
struct CgroupSource {
  std::string mountinfo;  // of /proc/self/mountinfo
  std::string own;        // of /proc/self/cgroup
};

/// The cgroup (v2), or the one per controller (v1), of one run.
///
/// Not thread-safe. Goes with its folders, and kills what is left in them.
class RunCgroup {
 public:
  ~RunCgroup();
  RunCgroup(const RunCgroup&) = delete;
  RunCgroup& operator=(const RunCgroup&) = delete;

  /// A process enters by writing "0" to each of these.
  const std::vector<UniqueFd>& entrances() const { return entrances_; }

  /// From here on the run is counted, so that what set it up is not; and held
  /// to `memory_bytes`.
  absl::Status Begin(std::int64_t memory_bytes);

  std::chrono::nanoseconds CpuTime() const;  // since Begin
  /// Processes of the run that the kernel killed to have their memory, whoever
  /// was short of it: the run itself, the service's own cgroup, the machine.
  std::int64_t KilledForMemory() const;
  /// Whether some were since the run came to its own limit.
  bool RanOutOfMemory() const;
  /// Processes and threads that were refused, by whosever limit: the run's own,
  /// or (up to Linux 6.10, and in v1) that of the service's cgroup.
  std::int64_t RefusedProcesses() const;
  /// Whether some were since the run came to its own limit.
  bool RanOutOfProcesses() const;
  /// The most memory in use since Begin, without cached files of the disk.
  std::int64_t PeakMemory() const;

  void Kill() const;

 private:
  friend class CgroupParent;
  RunCgroup() = default;

  absl::Status OpenMemoryFiles();
  // Memory that caches files of the disk.
  std::int64_t CachedFiles() const;

  bool v2_ = false;
  std::vector<std::string> folders_;
  std::vector<UniqueFd> entrances_;
  std::string memory_;  // its folder, empty without the controller
  // All opened at once: what cannot be read later would be taken for zero.
  // Those of a controller that is not there are not open.
  UniqueFd cpu_file_;
  UniqueFd usage_file_;
  UniqueFd peak_file_;  // nor in v2 before Linux 5.19
  UniqueFd stat_file_;
  UniqueFd oom_file_;
  UniqueFd pids_file_;
  UniqueFd pids_peak_file_;  // nor before Linux 6.1
  int processes_ = 0;
  std::int64_t first_cpu_ns_ = 0;
  std::int64_t first_bytes_ = 0;
  std::int64_t limit_bytes_ = 0;
};

/// Makes the cgroups of runs, below the one this process is in, so that what
/// holds for the service holds for its runs too.
///
/// Thread-safe after `Find`.
class CgroupParent {
 public:
  /// Looks for folders that can be written to: those of v1's memory, pids and
  /// cpuacct, each if it is there; else v2's, with the controllers that could
  /// be enabled. v2 wants no processes beside the runs' in a cgroup that is
  /// divided: this process moves into a leaf "service" of its own if it is
  /// alone there. `configured` is a v2 folder to use instead of our own.
  static CgroupParent Find(const CgroupSource& source,
                           const std::string& configured);
  /// As this process sees it now.
  static CgroupSource OwnSource();

  bool memory() const { return !memory_.empty(); }
  bool pids() const { return !pids_.empty(); }
  bool cpu() const { return !cpu_.empty(); }
  /// Which are there, and what became of the others, for people.
  const std::string& detail() const { return detail_; }
  /// The folders that `Create` makes its folders in.
  std::vector<std::string> folders() const;

  /// `name` must be new. `processes` includes those of the sandbox itself.
  /// Errors: kInternal, with the file and the system's reason.
  absl::StatusOr<std::unique_ptr<RunCgroup>> Create(const std::string& name,
                                                    std::int64_t memory_bytes,
                                                    int processes) const;

 private:
  bool v2_ = false;
  std::string memory_;
  std::string pids_;
  std::string cpu_;
  std::string detail_;
};

/// Kills what is in the cgroups below `parent` whose names begin with `prefix`,
/// and removes them. Returns how many are left.
int RemoveCgroups(const std::string& parent, std::string_view prefix);

}  // namespace platform::execution
