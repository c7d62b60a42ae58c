// SPDX-License-Identifier: Apache-2.0
#include "services/execution/sandbox/sandbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <future>
#include <limits>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/string_view.h"
#include "services/execution/sandbox/cgroup.h"
#include "services/execution/sandbox/probe.h"
#include "services/execution/sandbox/run.h"
#include "services/execution/sandbox/seccomp_filter.h"
#include "services/execution/sandbox/state_folder.h"
#include "services/execution/sandbox/workspace.h"

namespace platform::execution {
namespace {

using grpccommon::CheckRange;
using grpccommon::MutexLock;
using namespace std::chrono_literals;

constexpr gid_t kNoGroup = static_cast<gid_t>(-1);
// Who owns nothing, where no user ids of our own can be had.
constexpr uid_t kNobody = 65534;
constexpr double kTebibyte = 1024.0 * 1024 * 1024 * 1024;
// Arguments and environment together; the kernel's own bound is far above.
constexpr std::size_t kMaxStrings = 128 << 10;

double Double(std::int64_t value) { return static_cast<double>(value); }

absl::Status CheckOptions(const SandboxOptions& options) {
  absl::Status valid = CheckRange("max_runs", options.max_runs, 1, 256);
  valid.Update(CheckRange("workspace_bytes", Double(options.workspace_bytes), 1,
                          kTebibyte));
  valid.Update(CheckRange("workspace_files", options.workspace_files, 1, 1e6));
  valid.Update(CheckRange("poll_interval", options.poll_interval, 1ms, 1s));
  valid.Update(
      CheckRange("setup_timeout", options.setup_timeout, 100ms, 10min));
  valid.Update(CheckRange("first_uid", options.first_uid, 1000,
                          std::numeric_limits<std::int32_t>::max() - 256));
  if (!valid.ok()) return valid;
  std::vector<std::string> paths = options.read_only_paths;
  paths.push_back(options.state_folder);
  paths.push_back(options.bwrap_path);
  if (!options.cgroup_folder.empty()) paths.push_back(options.cgroup_folder);
  for (const std::string& path : paths) {
    if (path.empty() || path[0] != '/' ||
        path.find("/../") != std::string::npos ||
        path.find_first_of(std::string_view("\n\0", 2)) != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("paths must be absolute, got \"", path, "\""));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLimits(const SandboxLimits& limits) {
  absl::Status valid = CheckRange("cpu_time", limits.cpu_time, 1ns, 1h);
  valid.Update(CheckRange("wall_time", limits.wall_time, 1ns, 1h));
  valid.Update(CheckRange("memory_bytes", Double(limits.memory_bytes), 1 << 20,
                          kTebibyte));
  valid.Update(CheckRange("processes", limits.processes, 1, 4096));
  valid.Update(
      CheckRange("output_bytes", Double(limits.output_bytes), 0, 1 << 30));
  valid.Update(
      CheckRange("file_bytes", Double(limits.file_bytes), 0, kTebibyte));
  valid.Update(
      CheckRange("disk_bytes", Double(limits.disk_bytes), 4096, kTebibyte));
  valid.Update(CheckRange("files", limits.files, 16, 1e7));
  valid.Update(CheckRange("open_files", limits.open_files, 8, 65536));
  valid.Update(CheckRange("stack_bytes", Double(limits.stack_bytes), 64 << 10,
                          kTebibyte));
  return valid;
}

absl::Status CheckRequest(const SandboxRequest& request) {
  absl::Status valid = CheckLimits(request.limits);
  if (!valid.ok()) return valid;
  if (request.argv.empty() || request.argv[0].empty() ||
      request.argv[0][0] != '/') {
    return absl::InvalidArgumentError("argv must begin with an absolute path");
  }
  std::size_t strings = 0;
  const auto check_string = [&strings](const std::string& string) {
    strings += string.size() + 1;
    return strings <= kMaxStrings && string.find('\0') == std::string::npos;
  };
  bool good = true;
  for (const std::string& argument : request.argv) {
    good = good && check_string(argument);
  }
  for (const auto& [name, value] : request.environment) {
    good = good && check_string(name) && check_string(value);
    if (name.empty() || name.find('=') != std::string::npos) {
      return absl::InvalidArgumentError(
          "a variable's name must be neither empty nor contain \"=\"");
    }
  }
  if (!good) {
    return absl::InvalidArgumentError(
        "arguments and environment must have at most 128 KiB and no NUL");
  }
  for (const SandboxFile& file : request.files) {
    valid.Update(CheckSandboxPath(file.path));
  }
  for (const std::string& path : request.keep) {
    if (path != ".") valid.Update(CheckSandboxPath(path));
  }
  if (!request.keep.empty() && request.workspace == nullptr) {
    valid.Update(absl::InvalidArgumentError("keep needs a workspace"));
  }
  return valid;
}

// Whether this process's user namespace has these ids at all.
bool HasIds(const char* map, std::uint64_t first, std::uint64_t count) {
  std::ifstream file(map);
  for (std::uint64_t inside, outside, size;
       file >> inside >> outside >> size;) {
    if (first >= inside && first + count <= inside + size) return true;
  }
  return false;
}

std::vector<std::string> BwrapArguments(const SandboxOptions& options,
                                        const StateFolder& state) {
  // Without --die-with-parent: if bwrap is killed while it sets up, its child
  // waits for it for ever. So it is left alone, and it is init that ends when
  // the service does, whose end of their socket the kernel then closes.
  std::vector<std::string> arguments = {
      options.bwrap_path, "--unshare-user", "--unshare-ipc", "--unshare-pid",
      "--unshare-net", "--unshare-uts", "--unshare-cgroup-try", "--uid", "1000",
      "--gid", "1000", "--hostname", "sandbox", "--new-session", "--as-pid-1",
      // For init, which gives them up before the program starts: to mount,
      // to give up the last, and to forbid user namespaces.
      "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN", "--cap-add",
      "CAP_SETPCAP", "--cap-add", "CAP_SYS_RESOURCE", "--chdir", "/",
      "--ro-bind", state.root(), "/"};
  for (const std::string& path : state.mounts()) {
    arguments.insert(arguments.end(), {"--ro-bind", path, path});
  }
  for (const char* const device :
       {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) {
    arguments.insert(arguments.end(), {"--dev-bind", device, device});
  }
  arguments.insert(arguments.end(), {"--proc", "/proc"});
  return arguments;
}

// Who programs are outside.
struct Identity {
  bool changes_user = false;  // else who we are
  uid_t first_user = 0;
  bool one_each = false;  // a user id per run at a time
  gid_t group = kNoGroup;
};

Identity FindIdentity(const SandboxOptions& options) {
  if (geteuid() != 0) return {};
  if (HasIds("/proc/self/uid_map", options.first_uid,
             static_cast<std::uint64_t>(options.max_runs)) &&
      HasIds("/proc/self/gid_map", options.first_uid, 1)) {
    return {.changes_user = true,
            .first_user = options.first_uid,
            .one_each = true,
            .group = options.first_uid};
  }
  return {.changes_user = true, .first_user = kNobody, .group = kNobody};
}

class SandboxImpl final : public Sandbox {
 public:
  SandboxImpl(RunContext context, Identity identity,
              std::unique_ptr<StateFolder> state)
      : context_(std::move(context)),
        identity_(identity),
        state_(std::move(state)) {}
  ~SandboxImpl() override;

  // After construction, since they can fail.
  absl::Status StartThreads();
  absl::Status Probe();

  const std::vector<SandboxProtection>& protections() const override {
    return protections_;
  }
  absl::StatusOr<std::shared_ptr<SandboxWorkspace>> CreateWorkspace() override;
  absl::StatusOr<RunId> Start(SandboxRequest request, Done done) override;
  void Cancel(RunId id) override;

 private:
  // One run at a time, on a thread of its own.
  struct Slot {
    std::thread thread;
    UniqueFd cancel;  // an eventfd
    bool is_free = true;
    RunJob job;  // to be started next, if there is a `done`
    Done done;
  };

  void Serve(Slot& slot);

  const RunContext context_;
  const Identity identity_;
  const std::unique_ptr<StateFolder> state_;
  std::vector<SandboxProtection> protections_;

  grpccommon::Mutex mutex_;
  grpccommon::CondVar changed_;
  // The vector itself stays as it is once the threads are there.
  std::vector<std::unique_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);
  RunId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  int last_workspace_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

absl::Status SandboxImpl::StartThreads() {
  const MutexLock lock(mutex_);
  for (int i = 0; i < context_.options.max_runs; ++i) {
    auto slot = std::make_unique<Slot>();
    slot->cancel = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!slot->cancel) return DiskError("eventfd", errno);
    slot->job.cancel_fd = slot->cancel.get();
    slot->job.changes_user = identity_.changes_user;
    slot->job.user =
        identity_.first_user + (identity_.one_each ? static_cast<uid_t>(i) : 0);
    slot->job.group = identity_.group;
    slots_.push_back(std::move(slot));
  }
  for (const std::unique_ptr<Slot>& slot : slots_) {
    slot->thread = std::thread([this, &slot = *slot] { Serve(slot); });
  }
  return absl::OkStatus();
}

absl::Status SandboxImpl::Probe() {
  absl::StatusOr<std::vector<SandboxProtection>> seen =
      ProbeSandbox(*this, state_->folder() + "/lock");
  if (!seen.ok()) return seen.status();
  protections_ = *std::move(seen);
  const CgroupParent& cgroups = context_.cgroups;
  // Between two looks a program may use some more than its limits, and what a
  // process shares is attributed roughly.
  protections_.push_back(
      {.name = "exact_accounting",
       .in_force = cgroups.memory() && cgroups.pids() && cgroups.cpu(),
       .detail = cgroups.detail()});
  protections_.push_back(
      {.name = "user_of_its_own",
       .in_force = identity_.one_each,
       .detail = identity_.one_each       ? "a user id for each run at a time"
                 : identity_.changes_user ? "all runs are user 65534"
                                          : "runs are the service's user"});
  return CheckEssential(protections_, context_.options.allow_missing);
}

SandboxImpl::~SandboxImpl() {
  std::vector<std::thread*> threads;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    for (const std::unique_ptr<Slot>& slot : slots_) {
      eventfd_write(slot->cancel.get(), 1);
      if (slot->thread.joinable()) threads.push_back(&slot->thread);
    }
    changed_.NotifyAll();
  }
  for (std::thread* const thread : threads) thread->join();
}

absl::StatusOr<std::shared_ptr<SandboxWorkspace>>
SandboxImpl::CreateWorkspace() {
  int number;
  {
    const MutexLock lock(mutex_);
    number = ++last_workspace_;
  }
  absl::StatusOr<std::shared_ptr<FolderWorkspace>> workspace =
      FolderWorkspace::Create(
          absl::StrCat(state_->folder(), "/workspace-", number, "-",
                       absl::Hex(grpccommon::RandomBits())),
          context_.options.workspace_bytes, context_.options.workspace_files,
          identity_.group);
  if (!workspace.ok()) return workspace.status();
  return *std::move(workspace);
}

absl::StatusOr<Sandbox::RunId> SandboxImpl::Start(SandboxRequest request,
                                                  Done done) {
  const std::int64_t now = MonotonicNow();
  const absl::Status valid = CheckRequest(request);
  if (!valid.ok()) return valid;
  const MutexLock lock(mutex_);
  for (const std::unique_ptr<Slot>& slot : slots_) {
    if (!slot->is_free || stopping_) continue;
    slot->is_free = false;
    slot->job.request = std::move(request);
    slot->job.id = ++last_id_;
    slot->job.requested_ns = now;
    slot->done = std::move(done);
    eventfd_t old;
    eventfd_read(slot->cancel.get(), &old);
    changed_.NotifyAll();
    return slot->job.id;
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("max_runs (", context_.options.max_runs, ") are running"));
}

void SandboxImpl::Cancel(RunId id) {
  const MutexLock lock(mutex_);
  for (const std::unique_ptr<Slot>& slot : slots_) {
    if (!slot->is_free && slot->job.id == id) {
      eventfd_write(slot->cancel.get(), 1);
    }
  }
}

void SandboxImpl::Serve(Slot& slot) {
  for (;;) {
    RunJob job;
    Done done;
    {
      const MutexLock lock(mutex_);
      while (slot.done == nullptr && !stopping_) changed_.Wait(mutex_);
      if (slot.done == nullptr) return;
      job = std::move(slot.job);
      slot.job = {.id = job.id,
                  .changes_user = job.changes_user,
                  .user = job.user,
                  .group = job.group,
                  .cancel_fd = job.cancel_fd};
      done = std::exchange(slot.done, nullptr);
    }
    SandboxResult result = ExecuteRun(context_, job);
    job.request = {};  // and so perhaps the workspace
    {
      // Before `done`, which may well start the next run.
      const MutexLock lock(mutex_);
      slot.is_free = true;
    }
    done(std::move(result));
  }
}

}  // namespace

std::string_view SandboxOutcomeName(SandboxOutcome outcome) {
  switch (outcome) {
    case SandboxOutcome::kExited:
      return "exited";
    case SandboxOutcome::kSignalled:
      return "signalled";
    case SandboxOutcome::kCpuTimeLimit:
      return "cpu_time_limit";
    case SandboxOutcome::kWallTimeLimit:
      return "wall_time_limit";
    case SandboxOutcome::kMemoryLimit:
      return "memory_limit";
    case SandboxOutcome::kOutputLimit:
      return "output_limit";
    case SandboxOutcome::kProcessLimit:
      return "process_limit";
    case SandboxOutcome::kCancelled:
      return "cancelled";
    case SandboxOutcome::kSandboxFailure:
      return "sandbox_failure";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<Sandbox>> Sandbox::Create(
    const SandboxOptions& options) {
  const absl::Status valid = CheckOptions(options);
  if (!valid.ok()) return valid;
  if (access(options.bwrap_path.c_str(), X_OK) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("no sandbox works here: cannot run bubblewrap (",
                     options.bwrap_path, "): ", std::strerror(errno)));
  }
  RunContext context{.options = options};
  if (options.use_cgroups) {
    context.cgroups =
        CgroupParent::Find(CgroupParent::OwnSource(), options.cgroup_folder);
  }
  const Identity identity = FindIdentity(options);
  absl::StatusOr<std::unique_ptr<StateFolder>> state =
      StateFolder::Create(options.state_folder, context.cgroups.folders(),
                          options.read_only_paths, identity.group);
  if (!state.ok()) return state.status();
  context.name = (*state)->name();
  context.bwrap = BwrapArguments(options, **state);
  context.filter =
      MakeSeccompFilter({.allow_shared_memory = context.cgroups.memory()});

  auto sandbox = std::make_unique<SandboxImpl>(std::move(context), identity,
                                               *std::move(state));
  absl::Status ready = sandbox->StartThreads();
  if (ready.ok()) ready = sandbox->Probe();
  if (!ready.ok()) return ready;
  return sandbox;
}

absl::StatusOr<SandboxResult> Sandbox::Run(SandboxRequest request) {
  std::promise<SandboxResult> promise;
  const absl::StatusOr<RunId> id =
      Start(std::move(request), [&promise](SandboxResult result) {
        promise.set_value(std::move(result));
      });
  if (!id.ok()) return id.status();
  return promise.get_future().get();
}

}  // namespace platform::execution
