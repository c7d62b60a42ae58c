// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/scheduler.h"

namespace grpccommon {

/// Reads a whole file of at most `max_bytes`.
/// Errors: kNotFound, kPermissionDenied, kInvalidArgument (a folder, or
/// larger), each naming the path.
GRPCCOMMON_EXPORT absl::StatusOr<std::string> ReadFile(
    const std::string& path, std::size_t max_bytes = 16 << 20);

/// Makes a file that was not there, with these permissions (as in chmod; the
/// umask is applied). Whoever sees the file sees all of it, and it survives the
/// loss of power. Of several who try at once, one succeeds.
/// Errors: kAlreadyExists, kNotFound (the folder), kPermissionDenied,
/// kUnavailable (a full disk …), each naming the path.
GRPCCOMMON_EXPORT absl::Status CreateFile(const std::string& path,
                                          std::string_view content,
                                          unsigned int permissions);

/// Keeps up to date what is loaded from files that belong together.
///
/// `load` runs once in `Create`, and then on the scheduler's thread when one of
/// the files has changed, gone or come back since the load before, looked at
/// every `interval`; also at each look as long as it fails, since what kept it
/// from reading (a mode, too many open files) need not show in the file. Never
/// twice at a time.
///
/// Compares inode, size and the times of the last modification and status
/// change, so it sees a renamed-over file and the swapped symbolic links of a
/// Kubernetes volume.
class GRPCCOMMON_EXPORT FileWatcher {
 public:
  /// Takes over what the files hold, or says why it cannot.
  using Load = std::function<absl::Status()>;
  /// Hears after `Create` how a load has ended, but of a failure that lasts
  /// only once, until a file or the failure changes.
  using Report = std::function<void(const absl::Status&)>;

  /// `scheduler` is borrowed and must outlive the watcher.
  /// Errors: those of `load`. If the files have changed meanwhile it runs again
  /// first, a few times at most: a certificate and its key may have been
  /// replaced between reading the one and the other.
  static absl::StatusOr<std::unique_ptr<FileWatcher>> Create(
      std::vector<std::string> paths, Scheduler& scheduler,
      Clock::Duration interval, Load load, Report report);
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

 private:
  struct State;
  explicit FileWatcher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace grpccommon
