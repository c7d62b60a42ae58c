// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

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

/// Calls `on_change` on the scheduler's thread when the content of a file has
/// changed, looked at every `interval`. Compares inode, size and modification
/// time, so it sees a renamed-over file and the swapped symbolic links of a
/// Kubernetes volume. A file that is away counts as a change when it returns;
/// `on_gone`, if given, is called once when it goes.
class GRPCCOMMON_EXPORT FileWatcher {
 public:
  /// `scheduler` is borrowed and must outlive this.
  FileWatcher(std::string path, Scheduler& scheduler, Clock::Duration interval,
              std::function<void()> on_change,
              std::function<void()> on_gone = nullptr);
  ~FileWatcher();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpccommon
