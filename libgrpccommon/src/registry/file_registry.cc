// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/file_registry.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "registry/instance_file.h"
#include "registry/watch_hub.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

class FileRegistry : public Registry {
 public:
  FileRegistry(std::string path, Scheduler& scheduler, Logger logger)
      : path_(std::move(path)),
        scheduler_(scheduler),
        logger_(std::move(logger)),
        hub_(scheduler, logger_, [this](const std::string& service) {
          const MutexLock lock(mutex_);
          Publish(service);
        }) {}

  absl::Status Start(Clock::Duration check_interval) {
    absl::StatusOr<std::unique_ptr<FileWatcher>> watcher = FileWatcher::Create(
        {path_}, scheduler_, check_interval, [this] { return Load(); },
        [this](const absl::Status& loaded) { Report(loaded); });
    if (!watcher.ok()) return watcher.status();
    watcher_ = *std::move(watcher);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string /*service*/, Instance /*instance*/,
      RegistrationOptions /*options*/) override {
    return absl::UnimplementedError(
        "a file registry takes no registrations: what it holds is written "
        "into its file");
  }

  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string service, OnChange on_change) override {
    if (absl::Status valid = CheckServiceName(service); !valid.ok()) {
      return valid;
    }
    return hub_.Watch(std::move(service), std::move(on_change));
  }

 private:
  absl::Status Load() {
    const absl::StatusOr<std::string> text =
        ReadFile(path_, internal::kMaxFileBytes);
    if (!text.ok()) return text.status();
    absl::StatusOr<internal::InstanceLists> lists =
        internal::ParseInstanceFile(*text);
    if (!lists.ok()) {
      return absl::Status(lists.status().code(),
                          absl::StrCat(path_, ": ", lists.status().message()));
    }
    const MutexLock lock(mutex_);
    lists_ = *std::move(lists);
    status_ = absl::OkStatus();
    for (const std::string& service : hub_.Watched()) Publish(service);
    return absl::OkStatus();
  }

  void Report(const absl::Status& loaded) {
    if (loaded.ok()) {
      logger_.Info("registry file reloaded", {{"path", path_}});
      return;
    }
    logger_.Error("registry file not usable: the last instances stay in force",
                  {{"path", path_}, {"error", ToStd(loaded.message())}});
    const MutexLock lock(mutex_);
    status_ = loaded;
    hub_.MarkAllAway(status_);
  }

  void Publish(const std::string& service)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!hub_.IsWatched(service)) return;
    const auto list = lists_.find(service);
    hub_.Publish(service,
                 list == lists_.end() ? std::vector<Instance>() : list->second);
    if (!status_.ok()) hub_.MarkAway(service, status_);
  }

  const std::string path_;
  Scheduler& scheduler_;
  const Logger logger_;

  Mutex mutex_;
  internal::InstanceLists lists_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);

  // Told under the lock above, and never asks for it under its own.
  internal::WatchHub hub_;
  // Last, so that it stops before what it uses goes.
  std::unique_ptr<FileWatcher> watcher_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Registry>> CreateFileRegistry(
    std::string path, Scheduler& scheduler, const FileRegistryOptions& options,
    const Logger& logger) {
  absl::Status valid =
      CheckRange("check_interval", options.check_interval, 10ms, 1h);
  if (!valid.ok()) return valid;
  auto registry =
      std::make_unique<FileRegistry>(std::move(path), scheduler, logger);
  if (absl::Status started = registry->Start(options.check_interval);
      !started.ok()) {
    return started;
  }
  return registry;
}

}  // namespace grpccommon
