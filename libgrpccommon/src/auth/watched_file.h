// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/log/logger.h"

namespace grpccommon::internal {

/// A file of a kind ("keys", "API keys", "access policy") that is parsed into a
/// `T` and handed to `apply`: once by `Start`, then as FileWatcher says. A
/// broken later version, or none, is logged and changes nothing.
template <typename T>
class WatchedFile {
 public:
  using Parse = std::function<absl::StatusOr<T>(const std::string& content)>;
  using Apply = std::function<void(T)>;

  WatchedFile(std::string path, std::string kind, Parse parse, Apply apply,
              Logger logger)
      : path_(std::move(path)),
        kind_(std::move(kind)),
        parse_(std::move(parse)),
        apply_(std::move(apply)),
        logger_(std::move(logger)) {}

  /// Errors: of reading or parsing, naming the path.
  absl::Status Start(Scheduler& scheduler, Clock::Duration interval) {
    absl::StatusOr<std::unique_ptr<FileWatcher>> watcher = FileWatcher::Create(
        {path_}, scheduler, interval, [this] { return Load(); },
        [this](const absl::Status& loaded) { Report(loaded); });
    if (!watcher.ok()) return watcher.status();
    watcher_ = *std::move(watcher);
    return absl::OkStatus();
  }

  absl::Status status() const {
    const MutexLock lock(mutex_);
    return status_;
  }

 private:
  absl::Status Load() {
    const absl::StatusOr<std::string> content = ReadFile(path_);
    if (!content.ok()) return content.status();
    absl::StatusOr<T> value = parse_(*content);
    if (value.ok()) {
      apply_(*std::move(value));
      return absl::OkStatus();
    }
    const std::string message =
        path_ + ": " + std::string(value.status().message());
    return absl::Status(value.status().code(), ToAbsl(message));
  }

  void Report(const absl::Status& loaded) {
    if (loaded.ok()) {
      logger_.Info(kind_ + " reloaded", {{"path", path_}});
    } else {
      logger_.Error(kind_ + " not usable: the old stay in force",
                    {{"path", path_}, {"error", ToStd(loaded.message())}});
    }
    const MutexLock lock(mutex_);
    status_ = loaded;
  }

  const std::string path_;
  const std::string kind_;
  const Parse parse_;
  const Apply apply_;
  const Logger logger_;
  mutable Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  // Last, so that it stops before what it uses goes.
  std::unique_ptr<FileWatcher> watcher_;
};

}  // namespace grpccommon::internal
