// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/random.h"

namespace grpccommon {
namespace {

absl::Status ErrnoStatus(int error, const std::string& path,
                         absl::string_view action = "read") {
  const std::string message =
      absl::StrCat("cannot ", action, " ", path, ": ", std::strerror(error));
  if (error == EEXIST) return absl::AlreadyExistsError(message);
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) {
    return absl::PermissionDeniedError(message);
  }
  return absl::UnavailableError(message);
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// Returns zero or errno.
int WriteAll(int file, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = write(file, content.data(), content.size());
    if (written >= 0) {
      content.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return fsync(file) == 0 ? 0 : errno;
}

using Fingerprint = std::tuple<dev_t, ino_t, off_t, std::time_t, long>;

std::optional<Fingerprint> TakeFingerprint(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return Fingerprint(info.st_dev, info.st_ino, info.st_size,
                     info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

}  // namespace

absl::Status CreateFile(const std::string& path, std::string_view content,
                        unsigned int permissions) {
  // Under a name of its own until it is complete.
  const std::string unfinished =
      absl::StrCat(path, ".", getpid(), ".", absl::Hex(RandomBits()));
  const FileDescriptor file(open(unfinished.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                                 static_cast<mode_t>(permissions)));
  if (file.get() < 0) return ErrnoStatus(errno, path, "create");
  int error = WriteAll(file.get(), content);
  if (error == 0 && link(unfinished.c_str(), path.c_str()) != 0) error = errno;
  unlink(unfinished.c_str());
  if (error != 0) return ErrnoStatus(error, path, "create");
  // Its name must last, too.
  const std::string folder = path.substr(0, path.find_last_of('/') + 1);
  const FileDescriptor names(open(folder.empty() ? "." : folder.c_str(),
                                  O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (names.get() < 0 || fsync(names.get()) != 0) {
    return ErrnoStatus(errno, path, "sync the folder of");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     std::size_t max_bytes) {
  // Non-blocking, so that a FIFO in the place of a file cannot hang us.
  const FileDescriptor file(
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return ErrnoStatus(errno, path);
  struct stat info;
  if (fstat(file.get(), &info) != 0) return ErrnoStatus(errno, path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a file"));
  }
  std::string content;
  char buffer[16384];
  while (true) {
    const ssize_t count = read(file.get(), buffer, sizeof buffer);
    if (count < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, path);
    }
    if (count == 0) return content;
    if (content.size() + static_cast<std::size_t>(count) > max_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " is larger than ", max_bytes, " bytes"));
    }
    content.append(buffer, static_cast<std::size_t>(count));
  }
}

struct FileWatcher::State {
  std::string path;
  std::function<void()> on_change;
  std::function<void()> on_gone;
  std::optional<Fingerprint> last;
  std::optional<PeriodicTask> task;
};

FileWatcher::FileWatcher(std::string path, Scheduler& scheduler,
                         Clock::Duration interval,
                         std::function<void()> on_change,
                         std::function<void()> on_gone)
    : state_(std::make_unique<State>()) {
  state_->path = std::move(path);
  state_->on_change = std::move(on_change);
  state_->on_gone = std::move(on_gone);
  state_->last = TakeFingerprint(state_->path);
  state_->task.emplace(scheduler, interval, [state = state_.get()] {
    const std::optional<Fingerprint> now = TakeFingerprint(state->path);
    if (now == state->last) return;
    state->last = now;
    if (now.has_value()) {
      state->on_change();
    } else if (state->on_gone) {
      state->on_gone();
    }
  });
}

FileWatcher::~FileWatcher() = default;

}  // namespace grpccommon
