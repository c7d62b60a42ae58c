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
#include <vector>

#include "absl/memory/memory.h"
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

using Fingerprint =
    std::tuple<dev_t, ino_t, off_t, std::time_t, long, std::time_t, long>;

// Files that change each time are being written, which may take long.
constexpr int kMaxFirstLoads = 5;

// One for each file; nothing for one that is away.
using Fingerprints = std::vector<std::optional<Fingerprint>>;

Fingerprints TakeFingerprints(const std::vector<std::string>& paths) {
  Fingerprints all;
  for (const std::string& path : paths) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) {
      all.emplace_back();
      continue;
    }
    // The second time sees what the first does not: new permissions, and an
    // edit of the same size that sets the modification time back.
    all.emplace_back(std::in_place, info.st_dev, info.st_ino, info.st_size,
                     info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                     info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
  }
  return all;
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
  void Look() {
    Fingerprints now = TakeFingerprints(paths);
    const bool changed = now != last;
    if (!changed && loaded.ok()) return;
    last = std::move(now);
    absl::Status status = load();
    const bool news = changed || status != loaded;
    loaded = std::move(status);
    if (news) report(loaded);
  }

  std::vector<std::string> paths;
  Load load;
  Report report;
  // Taken before the load, so that no change falls in between.
  Fingerprints last;
  absl::Status loaded;
  // Last, so that it stops before what it uses goes.
  std::optional<PeriodicTask> task;
};

absl::StatusOr<std::unique_ptr<FileWatcher>> FileWatcher::Create(
    std::vector<std::string> paths, Scheduler& scheduler,
    Clock::Duration interval, Load load, Report report) {
  auto state = std::make_unique<State>();
  state->paths = std::move(paths);
  state->load = std::move(load);
  state->report = std::move(report);
  state->last = TakeFingerprints(state->paths);
  for (int loads = 1;; ++loads) {
    absl::Status loaded = state->load();
    if (loaded.ok()) break;
    // It may have had one file of before a change and one of after it.
    Fingerprints now = TakeFingerprints(state->paths);
    if (now == state->last || loads == kMaxFirstLoads) return loaded;
    state->last = std::move(now);
  }
  state->task.emplace(scheduler, interval,
                      [looking = state.get()] { looking->Look(); });
  return absl::WrapUnique(new FileWatcher(std::move(state)));
}

FileWatcher::FileWatcher(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
FileWatcher::~FileWatcher() = default;

}  // namespace grpccommon
