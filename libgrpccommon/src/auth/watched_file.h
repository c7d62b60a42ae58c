// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
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
/// `T` and handed to `apply`: once by `Start`, then whenever it changes. A
/// broken later version, or none, is logged and changes nothing.
template <typename T>
class WatchedFile {
 public:
  using Parse = std::function<absl::StatusOr<T>(const std::string& content)>;
  using Apply = std::function<void(T)>;

  WatchedFile(std::string path, std::string kind, Parse parse, Apply apply,
              Scheduler& scheduler, Clock::Duration interval, Logger logger)
      : path_(std::move(path)),
        kind_(std::move(kind)),
        parse_(std::move(parse)),
        apply_(std::move(apply)),
        logger_(std::move(logger)) {
    // Watched before it is read, so that no change falls in between.
    watcher_.emplace(
        path_, scheduler, interval, [this] { Reload(); },
        /*on_gone=*/[this] { Reload(); });
  }

  /// Errors: of reading or parsing, naming the path.
  absl::Status Start() { return Load(); }

  absl::Status status() const {
    const MutexLock lock(mutex_);
    return status_;
  }

 private:
  absl::Status Load() {
    // The first load and a reload may meet; the later one has the last word.
    const MutexLock lock(load_mutex_);
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

  void Reload() {
    const absl::Status status = Load();
    if (status.ok()) {
      logger_.Info(kind_ + " reloaded", {{"path", path_}});
    } else {
      logger_.Error(kind_ + " not usable: the old stay in force",
                    {{"path", path_}, {"error", ToStd(status.message())}});
    }
    const MutexLock lock(mutex_);
    status_ = status;
  }

  const std::string path_;
  const std::string kind_;
  const Parse parse_;
  const Apply apply_;
  const Logger logger_;
  Mutex load_mutex_;
  mutable Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  // Last, so that it stops before what it uses goes.
  std::optional<FileWatcher> watcher_;
};

}  // namespace grpccommon::internal
