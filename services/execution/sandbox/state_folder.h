// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/execution/sandbox/unique_fd.h"

namespace platform::execution {

/// What one instance of the sandbox keeps on disk, below a folder that several
/// may share:
///
///     <state_folder>/lock             held while instances come and go
///     <state_folder>/instance-<name>/lock        held while it lives
///                                   /cgroups     folders its cgroups are in
///                                   /root/       what programs see as /
///                                   /workspace-<n>-<random>/
///
/// Goes with its folder. If the process is killed, the kernel lets go of the
/// lock, and the next instance removes what is left.
class StateFolder {
 public:
  /// `cgroup_folders` hold the cgroups of this instance, whose names begin with
  /// name(); `group` may pass through what others may not, -1: nobody may.
  /// Errors: kInvalidArgument (the folder is not ours alone to write to),
  /// kInternal (disk).
  static absl::StatusOr<std::unique_ptr<StateFolder>> Create(
      const std::string& state_folder,
      const std::vector<std::string>& cgroup_folders,
      const std::vector<std::string>& read_only_paths, gid_t group);
  ~StateFolder();

  StateFolder(const StateFolder&) = delete;
  StateFolder& operator=(const StateFolder&) = delete;

  const std::string& name() const { return name_; }
  const std::string& folder() const { return folder_; }
  std::string root() const { return folder_ + "/root"; }
  /// Mounts that `root` has places for.
  const std::vector<std::string>& mounts() const { return mounts_; }

 private:
  StateFolder() = default;

  absl::Status MakeRoot(const std::vector<std::string>& read_only_paths);

  std::string name_;
  std::string folder_;
  std::vector<std::string> mounts_;
  UniqueFd lock_;
};

/// A file with this content and mode, whatever the umask is.
absl::Status WriteWholeFile(const std::string& path, std::string_view content,
                            mode_t mode, gid_t group);

/// kInternal: "<what>: <the error>".
absl::Status DiskError(const std::string& what, int error);

}  // namespace platform::execution
