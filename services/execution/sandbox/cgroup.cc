// SPDX-License-Identifier: Apache-2.0
#include "services/execution/sandbox/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

namespace platform::execution {
namespace {

using namespace std::chrono_literals;

// While a run is set up, before Begin.
constexpr std::int64_t kSetupBytes = std::int64_t{64} << 20;
// Of a v2 folder that is divided: where its own process is.
constexpr char kLeaf[] = "/service";

// A cgroup is full when it may not have so much more: each processor asks for
// some pages in advance.
constexpr std::int64_t kRefusedBytes = std::int64_t{1} << 20;

// Empty if it cannot be read: not by a stream, which throws when a folder goes
// while its file is open.
std::string ReadAll(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  for (ssize_t size;
       file && (size = read(file.get(), buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

bool Write(const std::string& path, std::string_view text) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && write(fd.get(), text.data(), text.size()) ==
                   static_cast<ssize_t>(text.size());
}

bool Write(const std::string& path, std::int64_t value) {
  return Write(path, std::to_string(value));
}

std::int64_t Number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Of a file of "key value" lines; the whole file if `key` is empty.
std::int64_t ValueOf(std::string_view text, std::string_view key) {
  if (key.empty()) return Number(text);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.size() > key.size() && line.substr(0, key.size()) == key &&
        line[key.size()] == ' ') {
      return Number(line.substr(key.size() + 1));
    }
    at = end + 1;
  }
  return 0;
}

std::int64_t ReadValue(const UniqueFd& file, std::string_view key) {
  char buffer[8192];
  const ssize_t size =
      file ? pread(file.get(), buffer, sizeof(buffer), 0) : ssize_t{0};
  return size <= 0 ? 0 : ValueOf({buffer, static_cast<std::size_t>(size)}, key);
}

absl::Status FileError(const char* what, const std::string& path) {
  return absl::InternalError(std::string(what) + ' ' + path + ": " +
                             std::strerror(errno));
}

absl::Status OpenFile(const std::string& path, UniqueFd& file) {
  file = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file ? absl::OkStatus() : FileError("cannot open", path);
}

bool CanDivide(const std::string& folder) {
  return access(folder.c_str(), W_OK) == 0;
}

bool Contains(const std::string& list, std::string_view word, char separator) {
  std::istringstream words(list);
  for (std::string each; std::getline(words, each, separator);) {
    if (!each.empty() && each.back() == '\n') each.pop_back();
    if (each == word) return true;
  }
  return false;
}

// Where a hierarchy is mounted, and which of its folders that shows.
struct Mount {
  std::string place;
  std::string root;
};

// By controller; v2's has none and is under "".
std::map<std::string, Mount> ParseMounts(const std::string& mountinfo) {
  std::map<std::string, Mount> mounts;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    // id parent device root place options [more…] - type source superoptions
    std::istringstream words(line);
    std::string id, parent, device, root, place, word;
    words >> id >> parent >> device >> root >> place;
    while (words >> word && word != "-") {
    }
    std::string type, source, options;
    words >> type >> source >> options;
    if (type == "cgroup2") mounts.try_emplace("", Mount{place, root});
    if (type != "cgroup") continue;
    for (const char* const controller : {"memory", "pids", "cpuacct"}) {
      if (Contains(options, controller, ',')) {
        mounts.try_emplace(controller, Mount{place, root});
      }
    }
  }
  return mounts;
}

// The same for this process's place in each hierarchy.
std::map<std::string, std::string> ParseOwn(const std::string& own) {
  std::map<std::string, std::string> places;
  std::istringstream lines(own);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string path = line.substr(second + 1);
    std::istringstream names(line.substr(first + 1, second - first - 1));
    if (second == first + 1) places.try_emplace("", path);
    for (std::string name; std::getline(names, name, ',');) {
      places.try_emplace(name, path);
    }
  }
  return places;
}

std::string FolderOf(const Mount& mount, std::string path) {
  // In a container the mount shows a part of the hierarchy only.
  if (mount.root != "/" && path.rfind(mount.root, 0) == 0) {
    path.erase(0, mount.root.size());
  }
  if (path == "/") path.clear();
  return mount.place + path;
}

// Makes the controllers of a v2 folder available to the folders in it. Returns
// those that are, and why not if they are not.
std::string EnableControllers(const std::string& folder, std::string& why_not) {
  const std::string control = folder + "/cgroup.subtree_control";
  std::string enabled = ReadAll(control);
  if (Contains(enabled, "memory", ' ') || Contains(enabled, "pids", ' ')) {
    return enabled;  // by who made the folder
  }
  const std::string has = ReadAll(folder + "/cgroup.controllers");
  std::string wanted;
  for (const char* const name : {"memory", "pids", "cpu"}) {
    if (Contains(has, name, ' ')) wanted += std::string(" +") + name;
  }
  if (wanted.empty()) return enabled;
  // But at the root, processes in the folder itself are in the way. Pids can be
  // had nevertheless, but then no process may enter a folder in it.
  const std::string leaf = folder + kLeaf;
  const bool is_root = access((folder + "/cgroup.type").c_str(), F_OK) != 0;
  const std::string inside = is_root ? "" : ReadAll(folder + "/cgroup.procs");
  if (!inside.empty()) {
    // We can only move our own.
    if (inside != std::to_string(getpid()) + "\n") {
      why_not = ": other processes are in " + folder;
      return enabled;
    }
    if ((mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) ||
        !Write(leaf + "/cgroup.procs", "0")) {
      why_not = ": cannot move into " + leaf + ": " + std::strerror(errno);
      return enabled;
    }
  }
  if (!Write(control, wanted)) {
    why_not = ": cannot write " + control + ": " + std::strerror(errno);
    if (!inside.empty() && Write(folder + "/cgroup.procs", "0")) {
      rmdir(leaf.c_str());
    }
  }
  return ReadAll(control);
}

// The folder to divide, if ours is the leaf that we moved into before.
std::string WithoutLeaf(const std::string& folder) {
  if (!folder.ends_with(kLeaf)) return folder;
  std::string parent = folder.substr(0, folder.size() + 1 - sizeof(kLeaf));
  const std::string enabled = ReadAll(parent + "/cgroup.subtree_control");
  const bool divided =
      Contains(enabled, "memory", ' ') || Contains(enabled, "pids", ' ');
  return divided && CanDivide(parent) ? parent : folder;
}

void KillAll(const std::string& folder) {
  if (Write(folder + "/cgroup.kill", "1")) return;
  std::istringstream pids(ReadAll(folder + "/cgroup.procs"));
  for (pid_t pid; pids >> pid;) {
    if (pid > 1 && pid != getpid()) kill(pid, SIGKILL);
  }
}

bool RemoveFolder(const std::string& folder) {
  // A process that was killed is in it until it is gone for good.
  for (int attempt = 0; attempt < 2000; ++attempt) {
    if (rmdir(folder.c_str()) == 0 || errno == ENOENT) return true;
    if (errno != EBUSY) return false;
    if (attempt % 100 == 1) KillAll(folder);
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

}  // namespace

// ---------------------------------------------------------------- RunCgroup

RunCgroup::~RunCgroup() {
  for (const std::string& folder : folders_) RemoveFolder(folder);
}

absl::Status RunCgroup::OpenMemoryFiles() {
  absl::Status opened = OpenFile(memory_ + "/memory.stat", stat_file_);
  if (v2_) {
    opened.Update(OpenFile(memory_ + "/memory.current", usage_file_));
    opened.Update(OpenFile(memory_ + "/memory.events", oom_file_));
    const std::string peak = memory_ + "/memory.peak";
    peak_file_ = UniqueFd(open(peak.c_str(), O_RDWR | O_CLOEXEC));
    if (!peak_file_ && errno != ENOENT) {
      opened.Update(OpenFile(peak, peak_file_));
    }
    return opened;
  }
  opened.Update(OpenFile(memory_ + "/memory.usage_in_bytes", usage_file_));
  opened.Update(OpenFile(memory_ + "/memory.oom_control", oom_file_));
  opened.Update(OpenFile(memory_ + "/memory.max_usage_in_bytes", peak_file_));
  return opened;
}

absl::Status RunCgroup::Begin(std::int64_t memory_bytes) {
  if (!memory_.empty()) {
    first_bytes_ =
        std::max<std::int64_t>(0, ReadValue(usage_file_, "") - CachedFiles());
    const std::int64_t limit = limit_bytes_ = memory_bytes + first_bytes_;
    if (v2_) {
      if (!Write(memory_ + "/memory.max", limit)) {
        return FileError("cannot write", memory_ + "/memory.max");
      }
      Write(memory_ + "/memory.swap.max", 0);
      // Linux 6.12 counts anew for this open file; older ones keep the set-up's
      // peak, which is smaller than any program's.
      [[maybe_unused]] const ssize_t written = write(peak_file_.get(), "0", 1);
    } else {
      // What a set-up takes for a moment is not the program's.
      Write(memory_ + "/memory.max_usage_in_bytes", 0);
      if (!Write(memory_ + "/memory.limit_in_bytes", limit)) {
        return FileError("cannot write", memory_ + "/memory.limit_in_bytes");
      }
      Write(memory_ + "/memory.memsw.limit_in_bytes", limit);
    }
  }
  first_cpu_ns_ = CpuTime().count();
  return absl::OkStatus();
}

std::chrono::nanoseconds RunCgroup::CpuTime() const {
  const std::int64_t now = v2_ ? ReadValue(cpu_file_, "usage_usec") * 1000
                               : ReadValue(cpu_file_, "");
  return std::chrono::nanoseconds(now - first_cpu_ns_);
}

std::int64_t RunCgroup::KilledForMemory() const {
  return ReadValue(oom_file_, "oom_kill");
}

bool RunCgroup::RanOutOfMemory() const {
  if (KilledForMemory() == 0) return false;
  if (v2_) return ReadValue(oom_file_, "oom") > 0;
  // Linux 6.18 leaves v1's own counter of refusals at zero.
  return ReadValue(peak_file_, "") + kRefusedBytes >= limit_bytes_;
}

std::int64_t RunCgroup::RefusedProcesses() const {
  return ReadValue(pids_file_, "max");
}

bool RunCgroup::RanOutOfProcesses() const {
  if (RefusedProcesses() == 0) return false;
  return !pids_peak_file_ || ReadValue(pids_peak_file_, "") >= processes_;
}

std::int64_t RunCgroup::CachedFiles() const {
  // Files in memory (tmpfs) are counted as cached, but they are the program's.
  return ReadValue(stat_file_, v2_ ? "file" : "cache") -
         ReadValue(stat_file_, "shmem");
}

std::int64_t RunCgroup::PeakMemory() const {
  if (!peak_file_) return 0;
  return std::max<std::int64_t>(
      0, ReadValue(peak_file_, "") - CachedFiles() - first_bytes_);
}

void RunCgroup::Kill() const {
  for (const std::string& folder : folders_) KillAll(folder);
}

// -------------------------------------------------------------- CgroupParent

CgroupSource CgroupParent::OwnSource() {
  return {.mountinfo = ReadAll("/proc/self/mountinfo"),
          .own = ReadAll("/proc/self/cgroup")};
}

CgroupParent CgroupParent::Find(const CgroupSource& source,
                                const std::string& configured) {
  CgroupParent parent;
  std::string why_not;
  const std::map<std::string, Mount> mounts = ParseMounts(source.mountinfo);
  const std::map<std::string, std::string> own = ParseOwn(source.own);
  const auto own_folder = [&](const std::string& controller) -> std::string {
    const auto mount = mounts.find(controller);
    const auto path = own.find(controller);
    if (mount == mounts.end() || path == own.end()) return "";
    const std::string folder = FolderOf(mount->second, path->second);
    return CanDivide(folder) ? folder : "";
  };
  if (configured.empty()) {
    parent.memory_ = own_folder("memory");
    parent.pids_ = own_folder("pids");
    parent.cpu_ = own_folder("cpuacct");
  }
  if (parent.memory() || parent.pids() || parent.cpu()) {
    parent.detail_ = "cgroup v1:";
  } else {
    const std::string folder =
        configured.empty() ? WithoutLeaf(own_folder("")) : configured;
    if (folder.empty() || !CanDivide(folder)) {
      parent.detail_ = configured.empty() ? "no cgroup that we may divide"
                                          : "cannot divide " + configured;
      return parent;
    }
    parent.v2_ = true;
    const std::string enabled = EnableControllers(folder, why_not);
    if (Contains(enabled, "memory", ' ')) parent.memory_ = folder;
    if (Contains(enabled, "pids", ' ')) parent.pids_ = folder;
    // Counted in every folder; the controller would only be for shares of it.
    if (parent.memory() || parent.pids()) parent.cpu_ = folder;
    parent.detail_ = "cgroup v2:";
  }
  parent.detail_ += parent.memory() ? " memory" : " no memory";
  parent.detail_ += parent.pids() ? ", pids" : ", no pids";
  parent.detail_ += parent.cpu() ? ", cpu" : ", no cpu";
  parent.detail_ += why_not;
  return parent;
}

std::vector<std::string> CgroupParent::folders() const {
  std::vector<std::string> all;
  for (const std::string& folder : {memory_, pids_, cpu_}) {
    if (!folder.empty() &&
        std::find(all.begin(), all.end(), folder) == all.end()) {
      all.push_back(folder);
    }
  }
  return all;
}

absl::StatusOr<std::unique_ptr<RunCgroup>> CgroupParent::Create(
    const std::string& name, std::int64_t memory_bytes, int processes) const {
  auto cgroup = absl::WrapUnique(new RunCgroup());
  cgroup->v2_ = v2_;
  for (const std::string& parent : folders()) {
    const std::string folder = absl::StrCat(parent, "/", name);
    if (mkdir(folder.c_str(), 0755) != 0) {
      return FileError("cannot make", folder);
    }
    cgroup->folders_.push_back(folder);
    // A lone thread that enters by itself needs no lock over all processes in
    // v1, which would take many milliseconds at times: hence tasks.
    UniqueFd entrance(
        open((folder + (v2_ ? "/cgroup.procs" : "/tasks")).c_str(),
             O_WRONLY | O_CLOEXEC));
    if (!entrance) {
      return FileError("cannot enter", folder);
    }
    cgroup->entrances_.push_back(std::move(entrance));
  }
  if (memory()) {
    const std::string folder = memory_ + "/" + name;
    cgroup->memory_ = folder;
    const std::string limit =
        folder + (v2_ ? "/memory.max" : "/memory.limit_in_bytes");
    if (!Write(limit, memory_bytes + kSetupBytes)) {
      return FileError("cannot write", limit);
    }
    absl::Status opened = cgroup->OpenMemoryFiles();
    if (!opened.ok()) return opened;
  }
  if (pids()) {
    const std::string folder = pids_ + "/" + name;
    if (!Write(folder + "/pids.max", processes)) {
      return FileError("cannot write", folder + "/pids.max");
    }
    absl::Status opened = OpenFile(folder + "/pids.events", cgroup->pids_file_);
    if (!opened.ok()) return opened;
    cgroup->processes_ = processes;
    const std::string peak = folder + "/pids.peak";
    opened = OpenFile(peak, cgroup->pids_peak_file_);
    if (!opened.ok() && access(peak.c_str(), F_OK) == 0) return opened;
  }
  if (cpu()) {
    absl::Status opened =
        OpenFile(cpu_ + "/" + name + (v2_ ? "/cpu.stat" : "/cpuacct.usage"),
                 cgroup->cpu_file_);
    if (!opened.ok()) return opened;
  }
  return cgroup;
}

int RemoveCgroups(const std::string& parent, std::string_view prefix) {
  int left = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    if (entry.path().filename().string().rfind(prefix, 0) != 0) continue;
    KillAll(entry.path());
    if (!RemoveFolder(entry.path())) ++left;
  }
  return left;
}

}  // namespace platform::execution
