// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace platform::execution {

/// What a run may use. Each has a bound, whatever the program does.
struct SandboxLimits {
  /// User and system time of the program and all its descendants, in
  /// (0, 1 h]. Looked at as often as the rest requires: overrun by at most some
  /// milliseconds per core.
  std::chrono::nanoseconds cpu_time = std::chrono::seconds(2);
  /// From the program's start, in (0, 1 h].
  std::chrono::nanoseconds wall_time = std::chrono::seconds(10);
  /// Of all processes together, with the files they write (which lie in
  /// memory), in [1 MiB, 1 TiB].
  std::int64_t memory_bytes = std::int64_t{256} << 20;
  /// Processes and threads together, in [1, 4096]. The try to have more ends
  /// the run; without cgroups only if it is seen, else it just fails.
  int processes = 64;
  /// Of stdout and of stderr, each, in [0, 1 GiB]. More ends the run.
  std::int64_t output_bytes = std::int64_t{1} << 20;
  /// One file, in [0, 1 TiB]. More ends the run.
  std::int64_t file_bytes = std::int64_t{64} << 20;
  /// All files written (work folder, /tmp and /dev/shm together), in
  /// [4 KiB, 1 TiB]; more is "no space left on device" to the program.
  std::int64_t disk_bytes = std::int64_t{64} << 20;
  /// Files and folders written, in [16, 1e7]; more is "no space" too.
  int files = 10'000;
  /// Open files of one process, in [8, 65536].
  int open_files = 256;
  /// Stack of the main thread, in [64 KiB, 1 TiB].
  std::int64_t stack_bytes = std::int64_t{64} << 20;
};

/// A file put before the program, or taken from it.
struct SandboxFile {
  /// Relative, of [A-Za-z0-9._+-] and slashes, no part "." or "..", at most
  /// 240 bytes.
  std::string path;
  std::string content;
  bool executable = false;
};

/// What outlives a run: its files lie in /program of each run that names it,
/// readable and never writable there.
///
/// Thread-safe. Runs hold it, so it may be dropped while they go on; its
/// folder goes with the last of them, or with the sandbox.
class SandboxWorkspace {
 public:
  virtual ~SandboxWorkspace() = default;

  /// Adds or replaces a file; the folders above it are made.
  /// Errors: kInvalidArgument (path), kResourceExhausted (over
  /// SandboxOptions::workspace_bytes or workspace_files), kInternal (disk).
  virtual absl::Status Add(const SandboxFile& file) = 0;

  /// The folder's path on this machine, for logs and tests.
  virtual const std::string& folder() const = 0;
};

struct SandboxRequest {
  /// The program, with its path in the sandbox ("/usr/bin/g++",
  /// "/program/main"), and its arguments. No shell, no search in PATH.
  std::vector<std::string> argv;
  /// Names and values; nothing else is in the environment. Empty means PATH,
  /// HOME=/work, TMPDIR=/tmp and LANG=C.UTF-8.
  std::vector<std::pair<std::string, std::string>> environment;
  /// What the program reads from stdin.
  std::string input;
  /// Files put into /work, the program's own folder and current directory,
  /// which is empty otherwise and gone after the run.
  std::vector<SandboxFile> files;
  /// If set, /program.
  std::shared_ptr<SandboxWorkspace> workspace;
  /// After an exit with code 0, these files or folders of /work (paths as in
  /// SandboxFile, "." for all) are added to the workspace, regular files only.
  /// One that is not there is left out.
  std::vector<std::string> keep;
  SandboxLimits limits;
};

enum class SandboxOutcome {
  /// The program ended by itself: see exit_code.
  kExited,
  /// A signal ended the program: see signal.
  kSignalled,
  kCpuTimeLimit,
  kWallTimeLimit,
  kMemoryLimit,
  /// Too much on stdout, on stderr or in one file.
  kOutputLimit,
  kProcessLimit,
  kCancelled,
  /// The sandbox could not be set up, or was lost: nothing is said about the
  /// program. See message.
  kSandboxFailure,
};

/// "exited", "memory_limit", ...: for logs and metrics.
std::string_view SandboxOutcomeName(SandboxOutcome outcome);

struct SandboxResult {
  SandboxOutcome outcome = SandboxOutcome::kSandboxFailure;
  /// With kExited. 126 with a message if the system would not run the file.
  int exit_code = 0;
  /// With kSignalled.
  int signal = 0;
  /// With kSandboxFailure, and with exit code 126: why.
  std::string message;
  /// The first output_bytes of each, as the program wrote them.
  std::string output;
  std::string error;
  /// Of the program and its descendants, not of what set them up.
  std::chrono::nanoseconds cpu_time{0};
  std::chrono::nanoseconds wall_time{0};
  std::int64_t peak_memory_bytes = 0;
  /// From Start() to the program's first instruction.
  std::chrono::nanoseconds setup_time{0};
};

/// One thing that keeps a program in. See docs/sandbox.md.
struct SandboxProtection {
  /// "file_system", "pid_namespace", "no_network", "process_limit",
  /// "memory_limit", "seccomp": the essential ones; and others.
  std::string name;
  bool essential = false;
  /// Tried and seen to work, or seen to fail.
  bool in_force = false;
  /// By what, or why not.
  std::string detail;
};

struct SandboxOptions {
  /// Required: the absolute path of a folder for what runs need, made if it is
  /// not there. Instances may share it; each cleans up after those that died.
  /// Everyone must be able to pass through the folders above it.
  std::string state_folder;
  /// Runs at one time, in [1, 256], each with a thread that waits for its
  /// events. The caller queues.
  int max_runs = 8;
  /// Of one workspace.
  std::int64_t workspace_bytes = std::int64_t{256} << 20;
  int workspace_files = 1000;
  /// Files and folders of the system that programs see besides /usr, /lib*,
  /// /bin and what the loader needs of /etc. Those missing are left out.
  std::vector<std::string> read_only_paths = {"/etc/java-17-openjdk",
                                              "/etc/ssl/certs"};
  /// Protections by name that may be missing.
  std::vector<std::string> allow_missing;
  /// Without them (they are missing anyway to most ordinary users), rlimits and
  /// looking at the processes every poll_interval hold the limits.
  bool use_cgroups = true;
  /// In [1 ms, 1 s]. Programs use more than their limits for so long at most.
  std::chrono::nanoseconds poll_interval = std::chrono::milliseconds(5);
  /// A cgroup v2 folder that is ours to divide; empty: this process's own.
  std::string cgroup_folder;
  /// As root, a program runs as one of the max_runs user ids from here on,
  /// which nobody else uses, in [1000, 2^31).
  std::uint32_t first_uid = 1'900'000'000;
  /// A set-up that takes longer has failed, in [100 ms, 10 min].
  std::chrono::nanoseconds setup_timeout = std::chrono::seconds(10);
  std::string bwrap_path = "/usr/bin/bwrap";
};

/// Runs programs that may be hostile, each alone in a bubblewrap sandbox: no
/// network, no other processes, no files but the system's (read-only), its own
/// work folder in memory and the workspace (read-only).
///
/// Thread-safe. SandboxOptions::max_runs threads, made at the start, start
/// runs, take their output and watch their limits. Programs end with the
/// process that started them, even if that is killed.
class Sandbox {
 public:
  using Done = std::function<void(SandboxResult)>;
  /// Of one run; never used twice.
  using RunId = std::uint64_t;

  /// Cleans up after former instances, then tries each protection with
  /// programs that attack it; takes some tenths of a second.
  /// Errors: kInvalidArgument (an option), kFailedPrecondition naming the
  /// essential protections that are missing and not in allow_missing, or why no
  /// sandbox works at all (bubblewrap missing, say); kInternal (state folder).
  static absl::StatusOr<std::unique_ptr<Sandbox>> Create(
      const SandboxOptions& options);

  /// Cancels what runs and waits for its end, and for the callbacks.
  virtual ~Sandbox() = default;

  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  /// What was tried at the start, and what came of it.
  virtual const std::vector<SandboxProtection>& protections() const = 0;

  /// Errors: kInternal (disk).
  virtual absl::StatusOr<std::shared_ptr<SandboxWorkspace>>
  CreateWorkspace() = 0;

  /// Starts a run. `done` is called exactly once with its result, on a thread
  /// of the sandbox, which it should not hold up, when nothing of the run is
  /// left; it may call Start and Cancel, and must not throw.
  /// Errors, after which `done` is not called: kInvalidArgument (the request),
  /// kResourceExhausted (max_runs are running).
  virtual absl::StatusOr<RunId> Start(SandboxRequest request, Done done) = 0;

  /// Ends the run with all its processes; the result says kCancelled unless it
  /// was over before. Returns at once; does nothing if there is no such run.
  virtual void Cancel(RunId id) = 0;

  /// Starts and waits. Must not be called on a thread of the sandbox.
  absl::StatusOr<SandboxResult> Run(SandboxRequest request);

 protected:
  Sandbox() = default;
};

}  // namespace platform::execution
