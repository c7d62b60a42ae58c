// SPDX-License-Identifier: Apache-2.0
#include "services/execution/sandbox/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/random.h"
#include "services/execution/sandbox/cgroup.h"
#include "services/execution/sandbox/protocol.h"

namespace fs = std::filesystem;

// The program that runs first in each sandbox (see init_binary.cc).
extern "C" const char kSandboxInit[];
extern "C" const char kSandboxInitEnd[];

namespace platform::execution {
namespace {

constexpr char kPrefix[] = "instance-";

absl::Status MakeFolder(const std::string& path, mode_t mode, gid_t group) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return DiskError("cannot make " + path, errno);
  }
  if (group != static_cast<gid_t>(-1) &&
      chown(path.c_str(), static_cast<uid_t>(-1), group) != 0) {
    return DiskError("cannot give " + path + " to the sandbox's group", errno);
  }
  // Not by mkdir, since the umask has a say there.
  if (chmod(path.c_str(), mode) != 0) return DiskError(path, errno);
  return absl::OkStatus();
}

// Locks a file; an empty UniqueFd if another holds it.
UniqueFd Lock(const std::string& path, bool wait) {
  UniqueFd fd(
      open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fd;
  int result;
  do {
    result = flock(fd.get(), LOCK_EX | (wait ? 0 : LOCK_NB));
  } while (result != 0 && errno == EINTR);
  return result == 0 ? std::move(fd) : UniqueFd();
}

// What is left of instances whose process is gone. The caller holds the lock
// of the state folder, so none is coming or going.
void RemoveDead(const std::string& state_folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state_folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(kPrefix, 0) != 0) continue;
    const UniqueFd lock = Lock(entry.path() / "lock", false);
    if (!lock && errno == EWOULDBLOCK) continue;
    std::ifstream cgroups(entry.path() / "cgroups");
    for (std::string folder; std::getline(cgroups, folder);) {
      RemoveCgroups(folder, name);
    }
    fs::remove_all(entry.path(), error);
  }
}

}  // namespace

absl::Status DiskError(const std::string& what, int error) {
  return absl::InternalError(what + ": " + std::strerror(error));
}

absl::Status WriteWholeFile(const std::string& path, std::string_view content,
                            mode_t mode, gid_t group) {
  UniqueFd fd(open(path.c_str(),
                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                   0600));
  if (!fd) return DiskError("cannot make " + path, errno);
  while (!content.empty()) {
    const ssize_t size = write(fd.get(), content.data(), content.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return DiskError("cannot write " + path, errno);
    content.remove_prefix(static_cast<std::size_t>(size));
  }
  if (group != static_cast<gid_t>(-1) &&
      fchown(fd.get(), static_cast<uid_t>(-1), group) != 0) {
    return DiskError("cannot give away " + path, errno);
  }
  if (fchmod(fd.get(), mode) != 0) return DiskError(path, errno);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<StateFolder>> StateFolder::Create(
    const std::string& state_folder,
    const std::vector<std::string>& cgroup_folders,
    const std::vector<std::string>& read_only_paths, gid_t group) {
  std::error_code error;
  if (!fs::exists(state_folder, error)) {
    fs::create_directories(state_folder, error);
    if (error) return DiskError("cannot make " + state_folder, error.value());
    if (chmod(state_folder.c_str(), 0711) != 0) {
      return DiskError(state_folder, errno);
    }
  }
  struct stat info;
  if (lstat(state_folder.c_str(), &info) != 0) {
    return DiskError(state_folder, errno);
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() ||
      (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::InvalidArgumentError(
        "state_folder must be a folder of our own that nobody else can write "
        "to, got " +
        state_folder);
  }

  const UniqueFd all = Lock(state_folder + "/lock", true);
  if (!all) return DiskError("cannot lock " + state_folder, errno);
  RemoveDead(state_folder);

  auto state = absl::WrapUnique(new StateFolder());
  state->name_ = absl::StrCat(
      kPrefix, absl::Hex(grpccommon::RandomBits(), absl::kZeroPad16));
  state->folder_ = state_folder + "/" + state->name_;
  absl::Status made = MakeFolder(
      state->folder_, group == static_cast<gid_t>(-1) ? 0700 : 0710, group);
  if (!made.ok()) return made;
  state->lock_ = Lock(state->folder_ + "/lock", false);
  if (!state->lock_) return DiskError("cannot lock " + state->folder_, errno);
  std::string folders;
  for (const std::string& folder : cgroup_folders) folders += folder + "\n";
  made = WriteWholeFile(state->folder_ + "/cgroups", folders, 0600,
                        static_cast<gid_t>(-1));
  if (made.ok()) made = state->MakeRoot(read_only_paths);
  if (!made.ok()) return made;
  return state;
}

StateFolder::~StateFolder() {
  std::error_code error;
  fs::remove_all(folder_, error);
}

absl::Status StateFolder::MakeRoot(
    const std::vector<std::string>& read_only_paths) {
  const gid_t nobody = static_cast<gid_t>(-1);
  const std::string top = root();
  for (const char* const path : {"", "/etc", "/dev", "/dev/shm", "/proc",
                                 "/box", "/work", "/tmp", "/program"}) {
    absl::Status made = MakeFolder(top + path, 0755, nobody);
    if (!made.ok()) return made;
  }
  const struct {
    const char* path;
    std::string_view content;
    mode_t mode;
  } files[] = {
      {"/etc/passwd",
       "root:x:0:0::/:/usr/sbin/nologin\n"
       "runner:x:1000:1000::/work:/bin/sh\n",
       0444},
      {"/etc/group", "root:x:0:\nrunner:x:1000:\n", 0444},
      {"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n",
       0444},
      {"/etc/hosts", "127.0.0.1 localhost\n", 0444},
      {kInitPath,
       {kSandboxInit, static_cast<std::size_t>(kSandboxInitEnd - kSandboxInit)},
       0555},
      // Places for devices to be mounted.
      {"/dev/null", "", 0444},
      {"/dev/zero", "", 0444},
      {"/dev/full", "", 0444},
      {"/dev/random", "", 0444},
      {"/dev/urandom", "", 0444},
  };
  for (const auto& [path, content, mode] : files) {
    absl::Status made = WriteWholeFile(top + path, content, mode, nobody);
    if (!made.ok()) return made;
  }
  std::error_code error;
  for (const auto& [target, link] :
       {std::pair{"/proc/self/fd", "/dev/fd"},
        std::pair{"/proc/self/fd/0", "/dev/stdin"},
        std::pair{"/proc/self/fd/1", "/dev/stdout"},
        std::pair{"/proc/self/fd/2", "/dev/stderr"}}) {
    fs::create_symlink(target, top + link, error);
    if (error) return DiskError(top + link, error.value());
  }

  std::vector<std::string> paths = {"/usr",
                                    "/bin",
                                    "/sbin",
                                    "/lib",
                                    "/lib32",
                                    "/lib64",
                                    "/libx32",
                                    "/etc/alternatives",
                                    "/etc/ld.so.cache"};
  paths.insert(paths.end(), read_only_paths.begin(), read_only_paths.end());
  for (const std::string& path : paths) {
    const fs::file_status status = fs::symlink_status(path, error);
    if (error || !fs::exists(status)) continue;
    fs::create_directories(fs::path(top + path).parent_path(), error);
    if (error) return DiskError(top + path, error.value());
    if (fs::is_symlink(status)) {
      fs::create_symlink(fs::read_symlink(path, error), top + path, error);
    } else if (fs::is_directory(status)) {
      fs::create_directories(top + path, error);
      mounts_.push_back(path);
    } else {
      absl::Status made = WriteWholeFile(top + path, "", 0444, nobody);
      if (!made.ok()) return made;
      mounts_.push_back(path);
    }
    if (error) return DiskError(top + path, error.value());
  }
  return absl::OkStatus();
}

}  // namespace platform::execution
