// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/mutex.h"
#include "services/execution/sandbox/sandbox.h"

namespace platform::execution {

/// Whether a path is one that SandboxFile::path allows.
/// Errors: kInvalidArgument, with the path's beginning.
absl::Status CheckSandboxPath(std::string_view path);

/// A workspace in a folder of its own. Only this process writes there, to paths
/// that were checked, so nothing in it can lead elsewhere.
///
/// Thread-safe.
class FolderWorkspace : public SandboxWorkspace {
 public:
  /// Makes `folder`, which `group` may read (-1: nobody but us).
  /// Errors: kInternal (disk).
  static absl::StatusOr<std::shared_ptr<FolderWorkspace>> Create(
      std::string folder, std::int64_t max_bytes, int max_files, gid_t group);
  /// Removes the folder.
  ~FolderWorkspace() override;

  absl::Status Add(const SandboxFile& file) override;
  const std::string& folder() const override { return folder_; }

 private:
  FolderWorkspace(std::string folder, std::int64_t max_bytes, int max_files,
                  gid_t group);

  absl::Status MakeFolder(const std::string& path) const;

  const std::string folder_;
  const std::int64_t max_bytes_;
  const int max_files_;
  const gid_t group_;
  grpccommon::Mutex mutex_;
  // Sizes by path, 0 for folders.
  std::map<std::string, std::int64_t, std::less<>> entries_
      ABSL_GUARDED_BY(mutex_);
  std::int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace platform::execution
