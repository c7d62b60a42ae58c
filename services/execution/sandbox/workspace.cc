// SPDX-License-Identifier: Apache-2.0
#include "services/execution/sandbox/workspace.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/execution/sandbox/state_folder.h"

namespace platform::execution {

absl::Status CheckSandboxPath(std::string_view path) {
  const auto refuse = [path](const char* what) {
    std::string shown(path.substr(0, 64));
    std::replace_if(
        shown.begin(), shown.end(),
        [](unsigned char c) { return !absl::ascii_isprint(c); }, '?');
    return absl::InvalidArgumentError(
        absl::StrCat("a path in the sandbox ", what, ", got \"", shown, "\""));
  };
  if (path.empty() || path.size() > 240) return refuse("has 1 to 240 bytes");
  for (const unsigned char c : path) {
    if (!absl::ascii_isalnum(c) &&
        std::string_view("._+-/").find(static_cast<char>(c)) ==
            std::string_view::npos) {
      return refuse("is of [A-Za-z0-9._+-/]");
    }
  }
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") {
      return refuse("is relative, without \"\", \".\" and \"..\"");
    }
    at = end + 1;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<FolderWorkspace>> FolderWorkspace::Create(
    std::string folder, std::int64_t max_bytes, int max_files, gid_t group) {
  auto workspace = absl::WrapUnique(
      new FolderWorkspace(std::move(folder), max_bytes, max_files, group));
  absl::Status made = workspace->MakeFolder(workspace->folder_);
  if (!made.ok()) return made;
  return std::shared_ptr<FolderWorkspace>(std::move(workspace));
}

FolderWorkspace::FolderWorkspace(std::string folder, std::int64_t max_bytes,
                                 int max_files, gid_t group)
    : folder_(std::move(folder)),
      max_bytes_(max_bytes),
      max_files_(max_files),
      group_(group) {}

FolderWorkspace::~FolderWorkspace() {
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
}

absl::Status FolderWorkspace::MakeFolder(const std::string& path) const {
  if (mkdir(path.c_str(), 0700) != 0) {
    return DiskError("cannot make " + path, errno);
  }
  if (group_ != static_cast<gid_t>(-1)) {
    if (chown(path.c_str(), static_cast<uid_t>(-1), group_) != 0 ||
        chmod(path.c_str(), 0750) != 0) {
      return DiskError("cannot give away " + path, errno);
    }
  }
  return absl::OkStatus();
}

absl::Status FolderWorkspace::Add(const SandboxFile& file) {
  absl::Status valid = CheckSandboxPath(file.path);
  if (!valid.ok()) return valid;
  const grpccommon::MutexLock lock(mutex_);
  for (std::size_t slash = file.path.find('/'); slash != std::string::npos;
       slash = file.path.find('/', slash + 1)) {
    const std::string parent = file.path.substr(0, slash);
    const auto [entry, is_new] = entries_.try_emplace(parent + "/", 0);
    if (!is_new) continue;
    if (entries_.contains(parent) ||
        entries_.size() > static_cast<std::size_t>(max_files_)) {
      entries_.erase(entry);
      return entries_.contains(parent)
                 ? absl::InvalidArgumentError(parent + " is a file")
                 : absl::ResourceExhaustedError("too many files");
    }
    absl::Status made = MakeFolder(folder_ + "/" + parent);
    if (!made.ok()) {
      entries_.erase(entry);
      return made;
    }
  }
  if (entries_.contains(file.path + "/")) {
    return absl::InvalidArgumentError(file.path + " is a folder");
  }
  const auto old = entries_.find(file.path);
  const std::int64_t old_size = old == entries_.end() ? 0 : old->second;
  const auto size = static_cast<std::int64_t>(file.content.size());
  if (size - old_size > max_bytes_ - bytes_) {
    return absl::ResourceExhaustedError("the files are too large");
  }
  if (old == entries_.end() &&
      entries_.size() >= static_cast<std::size_t>(max_files_)) {
    return absl::ResourceExhaustedError("too many files");
  }
  // A run that reads the old file goes on doing so.
  const std::string place = folder_ + "/" + file.path;
  const std::string fresh = place + "~";  // no path of ours has a ~
  const bool shared = group_ != static_cast<gid_t>(-1);
  const mode_t mode = (file.executable ? 0500 : 0400) |
                      (shared ? (file.executable ? 0050 : 0040) : 0);
  absl::Status written = WriteWholeFile(fresh, file.content, mode, group_);
  if (written.ok() && rename(fresh.c_str(), place.c_str()) != 0) {
    written = DiskError("cannot rename to " + place, errno);
  }
  if (!written.ok()) {
    unlink(fresh.c_str());
    return written;
  }
  entries_[file.path] = size;
  bytes_ += size - old_size;
  return absl::OkStatus();
}

}  // namespace platform::execution
