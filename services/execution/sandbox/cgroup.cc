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
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/memory/memory.h"

namespace platform::execution {
namespace {

using namespace std::chrono_literals;

// While a run is set up, before Begin.
constexpr std::int64_t kSetupBytes = std::int64_t{64} << 20;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
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
  char buffer[4096];
  const ssize_t size =
      file ? pread(file.get(), buffer, sizeof(buffer), 0) : ssize_t{0};
  return size <= 0 ? 0 : ValueOf({buffer, static_cast<std::size_t>(size)}, key);
}

UniqueFd OpenFile(const std::string& path) {
  return UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
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

// Makes the controllers of a v2 folder available to the folders in it.
// Returns those that are.
std::string EnableControllers(const std::string& folder) {
  const std::string has = ReadAll(folder + "/cgroup.controllers");
  const auto enable = [&] {
    for (const char* const name : {"memory", "pids", "cpu"}) {
      if (Contains(has, name, ' ')) {
        Write(folder + "/cgroup.subtree_control", std::string("+") + name);
      }
    }
    return ReadAll(folder + "/cgroup.subtree_control");
  };
  std::string enabled = ReadAll(folder + "/cgroup.subtree_control");
  if (Contains(enabled, "memory", ' ') || Contains(enabled, "pids", ' ')) {
    return enabled;  // by who made the folder
  }
  enabled = enable();
  if (Contains(enabled, "memory", ' ')) return enabled;
  // Processes in the folder itself are in the way; we can only move our own.
  if (ReadAll(folder + "/cgroup.procs") != std::to_string(getpid()) + "\n") {
    return enabled;
  }
  const std::string leaf = folder + "/service";
  if (mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) return enabled;
  if (!Write(leaf + "/cgroup.procs", "0")) return enabled;
  return enable();
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

absl::Status RunCgroup::Begin(std::int64_t memory_bytes) {
  if (!memory_.empty()) {
    const std::int64_t used = Number(ReadAll(
        memory_ + (v2_ ? "/memory.current" : "/memory.usage_in_bytes")));
    first_bytes_ = std::max<std::int64_t>(0, used - CachedFiles());
    const std::int64_t limit = memory_bytes + first_bytes_;
    if (v2_) {
      if (!Write(memory_ + "/memory.max", limit)) {
        return absl::InternalError("cannot set memory.max");
      }
      Write(memory_ + "/memory.swap.max", 0);
      // Newer kernels start anew with it; older ones keep the set-up's peak,
      // which is smaller than any program's.
      Write(memory_ + "/memory.peak", "0");
    } else {
      // What a set-up takes for a moment is not the program's.
      Write(memory_ + "/memory.max_usage_in_bytes", 0);
      if (!Write(memory_ + "/memory.limit_in_bytes", limit)) {
        return absl::InternalError("cannot set memory.limit_in_bytes");
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

std::int64_t RunCgroup::OutOfMemory() const {
  return ReadValue(oom_file_, "oom_kill");
}

std::int64_t RunCgroup::RefusedProcesses() const {
  return ReadValue(pids_file_, "max");
}

std::int64_t RunCgroup::CachedFiles() const {
  const std::string stat = ReadAll(memory_ + "/memory.stat");
  // Files in memory (tmpfs) are counted as cached, but they are the program's.
  return v2_ ? ValueOf(stat, "file") - ValueOf(stat, "shmem")
             : ValueOf(stat, "cache") - ValueOf(stat, "shmem");
}

std::int64_t RunCgroup::PeakMemory() const {
  if (memory_.empty()) return 0;
  const std::int64_t peak = Number(
      ReadAll(memory_ + (v2_ ? "/memory.peak" : "/memory.max_usage_in_bytes")));
  return std::max<std::int64_t>(0, peak - CachedFiles() - first_bytes_);
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
    const std::string folder = configured.empty() ? own_folder("") : configured;
    if (folder.empty() || !CanDivide(folder)) {
      parent.detail_ = configured.empty() ? "no cgroup that we may divide"
                                          : "cannot divide " + configured;
      return parent;
    }
    parent.v2_ = true;
    const std::string enabled = EnableControllers(folder);
    if (Contains(enabled, "memory", ' ')) parent.memory_ = folder;
    if (Contains(enabled, "pids", ' ')) parent.pids_ = folder;
    // Counted in every folder; the controller would only be for shares of it.
    if (parent.memory() || parent.pids()) parent.cpu_ = folder;
    parent.detail_ = "cgroup v2:";
  }
  parent.detail_ += parent.memory() ? " memory" : " no memory";
  parent.detail_ += parent.pids() ? ", pids" : ", no pids";
  parent.detail_ += parent.cpu() ? ", cpu" : ", no cpu";
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
    const std::string folder = parent + "/" + name;
    if (mkdir(folder.c_str(), 0755) != 0) {
      return absl::InternalError("cannot make " + folder + ": " +
                                 std::strerror(errno));
    }
    cgroup->folders_.push_back(folder);
    // A lone thread that enters by itself needs no lock over all processes in
    // v1, which would take many milliseconds at times: hence tasks.
    UniqueFd entrance(
        open((folder + (v2_ ? "/cgroup.procs" : "/tasks")).c_str(),
             O_WRONLY | O_CLOEXEC));
    if (!entrance) {
      return absl::InternalError("cannot enter " + folder + ": " +
                                 std::strerror(errno));
    }
    cgroup->entrances_.push_back(std::move(entrance));
  }
  if (memory()) {
    cgroup->memory_ = memory_ + "/" + name;
    if (!Write(
            cgroup->memory_ + (v2_ ? "/memory.max" : "/memory.limit_in_bytes"),
            memory_bytes + kSetupBytes)) {
      return absl::InternalError("cannot limit the memory of " +
                                 cgroup->memory_);
    }
    cgroup->oom_file_ = OpenFile(
        cgroup->memory_ + (v2_ ? "/memory.events" : "/memory.oom_control"));
  }
  if (pids()) {
    cgroup->pids_ = pids_ + "/" + name;
    if (!Write(cgroup->pids_ + "/pids.max", processes)) {
      return absl::InternalError("cannot limit the processes of " +
                                 cgroup->pids_);
    }
    cgroup->pids_file_ = OpenFile(cgroup->pids_ + "/pids.events");
  }
  if (cpu()) {
    cgroup->cpu_ = cpu_ + "/" + name;
    cgroup->cpu_file_ =
        OpenFile(cgroup->cpu_ + (v2_ ? "/cpu.stat" : "/cpuacct.usage"));
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
