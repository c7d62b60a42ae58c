// SPDX-License-Identifier: Apache-2.0
#include "services/execution/sandbox/run.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "services/execution/sandbox/protocol.h"
#include "services/execution/sandbox/spawn.h"
#include "services/execution/sandbox/unique_fd.h"

namespace platform::execution {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

// bwrap, which waits outside the namespaces, and init.
constexpr int kOwnProcesses = 2;
// For init to kill the program and say what it used, before init is killed.
constexpr std::int64_t kStopGraceNs = 500'000'000;
// Between looks at the cgroup, at most and at least.
constexpr std::int64_t kMaxLookNs = 50'000'000;
constexpr std::int64_t kMinLookNs = 2'000'000;
// Without a cgroup, a process may have this beside what it touches, and a stack
// for each thread: runtimes reserve much. It bounds what happens between two
// looks.
constexpr std::int64_t kReserveBytes = std::int64_t{256} << 20;
constexpr std::int64_t kMaxThreadStack = std::int64_t{64} << 20;

absl::Status SystemError(const char* what) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(errno)));
}

bool WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t size = write(fd, data.data(), data.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    data.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

// A file in memory that nobody can change any more, at its beginning.
absl::StatusOr<UniqueFd> SealedFile(
    const char* name, std::initializer_list<std::string_view> parts) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return SystemError("memfd_create");
  for (const std::string_view part : parts) {
    if (!WriteAll(fd.get(), part)) return SystemError("writing a memfd");
  }
  if (fcntl(fd.get(), F_ADD_SEALS,
            F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return SystemError("sealing a memfd");
  }
  // Its own open file, so that the position is nobody else's.
  UniqueFd read_only(open(absl::StrCat("/proc/self/fd/", fd.get()).c_str(),
                          O_RDONLY | O_CLOEXEC));
  if (!read_only) return SystemError("opening a memfd");
  return read_only;
}

template <typename T>
std::string_view BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

pid_t ParentOf(pid_t pid) {
  char path[32];
  char text[512];
  std::snprintf(path, sizeof(path), "/proc/%d/stat", static_cast<int>(pid));
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t size = fd ? read(fd.get(), text, sizeof(text) - 1) : ssize_t{0};
  text[size > 0 ? size : 0] = '\0';
  // "<pid> (<name>) <state> <parent> …": the name may have anything in it.
  const char* const after_name = std::strrchr(text, ')');
  if (after_name == nullptr || std::strlen(after_name) < 4) return -1;
  return static_cast<pid_t>(std::strtol(after_name + 4, nullptr, 10));
}

// A child that its parent has not waited for yet, or none.
UniqueFd ChildOf(pid_t parent) {
  const std::string path =
      absl::StrCat("/proc/", parent, "/task/", parent, "/children");
  char text[64] = {};
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || read(file.get(), text, sizeof(text) - 1) <= 0) return {};
  const auto child = static_cast<pid_t>(std::strtol(text, nullptr, 10));
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  // The number may have become another's in between.
  return ParentOf(child) == parent ? std::move(pidfd) : UniqueFd();
}

bool Send(int signal, const UniqueFd& pidfd) {
  return syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0;
}

// Returns once a child of ours runs no more, dead or not.
void Halt(const UniqueFd& pidfd) {
  if (!Send(SIGSTOP, pidfd)) return;
  siginfo_t info;
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info,
                WSTOPPED | WEXITED | WNOWAIT | __WALL) != 0 &&
         errno == EINTR) {
  }
}

// How far a run has come: what a failure names.
enum class Stage {
  kSetUp,      // bwrap is at work, or init before its hello
  kLaunch,     // init was told to start the program
  kProgram,    // the program runs
  kProgramEnd  // init has said how it ended
};

std::string_view StageName(Stage stage) {
  switch (stage) {
    case Stage::kSetUp:
      return "set-up";
    case Stage::kLaunch:
      return "launch";
    case Stage::kProgram:
      return "program";
    case Stage::kProgramEnd:
      return "end";
  }
  return "unknown";
}

// "exit code 1", "signal 9": of a process that was waited for.
std::string DescribeEnd(const siginfo_t& info) {
  return absl::StrCat(info.si_code == CLD_EXITED ? "exit code " : "signal ",
                      info.si_status);
}

class Run {
 public:
  Run(const RunContext& context, const RunJob& job)
      : context_(context), job_(job), limits_(job.request.limits) {}

  SandboxResult Execute() {
    const absl::Status set_up = SetUp();
    if (!set_up.ok()) {
      failure_ = grpccommon::ToStd(set_up.message());
      result_.message = DescribeFailure();
      return std::move(result_);
    }
    while (!IsOver()) {
      Wait();
      CheckLimits();
    }
    Finish();
    return std::move(result_);
  }

 private:
  struct Stream {
    UniqueFd fd;
    std::string* text;
  };

  absl::Status SetUp();
  absl::StatusOr<UniqueFd> MakeSpec() const;
  void Wait();
  // Returns false if there is none.
  bool ReadPacket();
  void Greet(pid_t pid);
  // Returns false at the end.
  bool ReadStream(Stream& stream);
  void CheckLimits();
  // Ends the program, if there is no other outcome yet with this one.
  void Stop(SandboxOutcome outcome);
  void Fail(std::string_view why);
  void Kill();
  void Finish();
  SandboxOutcome Judge();
  // The reason for a failure, with all that is known of its circumstances.
  std::string DescribeFailure() const;
  void Keep();

  bool is_started() const { return started_ns_ != 0; }
  Stage stage() const {
    if (end_.has_value()) return Stage::kProgramEnd;
    if (is_started()) return Stage::kProgram;
    return launched_ ? Stage::kLaunch : Stage::kSetUp;
  }
  // All processes of the run are dead and reaped: bwrap ends after init, and
  // init after all that are in its namespace.
  bool IsOver() const {
    return bwrap_gone_ && (init_ ? init_gone_ : !control_);
  }

  const RunContext& context_;
  const RunJob& job_;
  const SandboxLimits& limits_;
  SandboxResult result_;

  std::unique_ptr<RunCgroup> cgroup_;
  SpawnedProcess bwrap_;
  UniqueFd init_;  // pidfd
  UniqueFd control_;
  UniqueFd complaints_;
  std::array<Stream, 2> streams_{Stream{{}, &result_.output},
                                 Stream{{}, &result_.error}};
  std::vector<char> packet_ = std::vector<char>(kMaxPacketBytes);
  std::vector<char> chunk_ = std::vector<char>(64 << 10);

  bool bwrap_gone_ = false;
  bool init_gone_ = false;
  bool launched_ = false;  // the program was, and its limits are in force
  bool cancelled_ = false;
  bool killed_ = false;
  std::int64_t spawned_ns_ = 0;
  std::int64_t started_ns_ = 0;  // 0: not yet
  std::int64_t kill_at_ns_ = 0;  // 0: not being stopped
  std::int64_t look_at_ns_ = 0;  // at the cgroup, next
  std::optional<SandboxOutcome> outcome_;
  std::optional<InitEnd> end_;
  std::string refused_;
  std::string failure_;         // why, the first time
  std::string bwrap_end_;       // what became of it
  int conversation_error_ = 0;  // of control_, when it ended
  std::chrono::nanoseconds cpu_time_{0};
  std::vector<SandboxFile> kept_;
  std::int64_t kept_bytes_ = 0;
  bool kept_too_much_ = false;
};

absl::StatusOr<UniqueFd> Run::MakeSpec() const {
  const SandboxRequest& request = job_.request;
  InitSpec spec{};
  spec.cpu_seconds = static_cast<std::uint64_t>(
      std::chrono::ceil<std::chrono::seconds>(limits_.cpu_time).count() + 1);
  spec.file_bytes = static_cast<std::uint64_t>(limits_.file_bytes);
  spec.open_files = static_cast<std::uint64_t>(limits_.open_files);
  spec.stack_bytes = static_cast<std::uint64_t>(limits_.stack_bytes);
  spec.disk_bytes = static_cast<std::uint64_t>(limits_.disk_bytes);
  spec.disk_files = static_cast<std::uint64_t>(limits_.files);
  const CgroupParent& cgroups = context_.cgroups;
  if (!cgroups.memory()) {
    spec.data_bytes = static_cast<std::uint64_t>(
        2 * limits_.memory_bytes + kReserveBytes +
        limits_.processes * std::min(limits_.stack_bytes, kMaxThreadStack));
    spec.polled_memory_bytes = static_cast<std::uint64_t>(limits_.memory_bytes);
  }
  if (!cgroups.pids()) {
    // The kernel refuses some more than are allowed, so that the try is seen.
    spec.processes = static_cast<std::uint64_t>(limits_.processes) + 8;
    spec.polled_processes = static_cast<std::uint64_t>(limits_.processes);
  }
  if (!cgroups.cpu()) {
    spec.polled_cpu_ns = static_cast<std::uint64_t>(limits_.cpu_time.count());
  }
  if (!cgroups.memory() || !cgroups.pids() || !cgroups.cpu()) {
    spec.poll_interval_ns =
        static_cast<std::uint64_t>(context_.options.poll_interval.count());
  }
  spec.argv = static_cast<std::uint32_t>(request.argv.size());
  spec.keep = static_cast<std::uint32_t>(request.keep.size());
  spec.files = static_cast<std::uint32_t>(request.files.size());
  spec.filter = static_cast<std::uint32_t>(context_.filter.size());

  std::string strings;
  const auto add = [&strings](std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) strings += part;
    strings += '\0';
  };
  for (const std::string& argument : request.argv) add({argument});
  if (request.environment.empty()) {
    for (const char* const variable :
         {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/work", "TMPDIR=/tmp",
          "LANG=C.UTF-8"}) {
      add({variable});
      ++spec.environment;
    }
  }
  for (const auto& [name, value] : request.environment) {
    add({name, "=", value});
    ++spec.environment;
  }
  for (const std::string& path : request.keep) add({path});
  for (const SandboxFile& file : request.files) {
    const InitFile entry{
        .size = file.content.size(),
        .executable = file.executable ? 1U : 0U,
        .path_size = static_cast<std::uint32_t>(file.path.size() + 1)};
    strings += BytesOf(entry);
    add({file.path});
    strings += file.content;
  }
  const std::string_view filter(
      reinterpret_cast<const char*>(context_.filter.data()),
      context_.filter.size() * sizeof(sock_filter));
  spec.size = sizeof(spec) + strings.size() + filter.size();
  return SealedFile("sandbox-spec", {BytesOf(spec), strings, filter});
}

absl::Status Run::SetUp() {
  absl::StatusOr<UniqueFd> spec = MakeSpec();
  if (!spec.ok()) return spec.status();
  absl::StatusOr<UniqueFd> input =
      SealedFile("sandbox-input", {job_.request.input});
  if (!input.ok()) return input.status();

  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return SystemError("socketpair");
  }
  control_ = UniqueFd(ends[0]);
  const UniqueFd control_end(ends[1]);
  // The kernel says who sends, which is init's pid as it is out here.
  const int yes = 1;
  if (setsockopt(control_.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) !=
      0) {
    return SystemError("SO_PASSCRED");
  }
  std::array<UniqueFd, 3> write_ends;
  std::array<UniqueFd*, 3> read_ends{&complaints_, &streams_[0].fd,
                                     &streams_[1].fd};
  for (std::size_t i = 0; i < write_ends.size(); ++i) {
    if (pipe2(ends, O_CLOEXEC) != 0) return SystemError("pipe");
    *read_ends[i] = UniqueFd(ends[0]);
    write_ends[i] = UniqueFd(ends[1]);
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return SystemError("fcntl");
  }
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return SystemError("/dev/null");

  SpawnRequest request{.argv = context_.bwrap,
                       .changes_user = job_.changes_user,
                       .user = job_.user,
                       .group = job_.group};
  if (job_.request.workspace != nullptr) {
    request.argv.insert(
        request.argv.end(),
        {"--ro-bind", job_.request.workspace->folder(), "/program"});
  }
  request.argv.insert(request.argv.end(), {"--", kInitPath});
  static_assert(kControlFd == 3 && kSpecFd == 4 && kInputFd == 5 &&
                kOutputFd == 6 && kErrorFd == 7);
  request.files = {null.get(),          null.get(),         write_ends[0].get(),
                   control_end.get(),   spec->get(),        input->get(),
                   write_ends[1].get(), write_ends[2].get()};
  if (!context_.cgroups.folders().empty()) {
    // The files that init puts there are in memory, and not the program's.
    std::int64_t placed = 0;
    for (const SandboxFile& file : job_.request.files) {
      placed += static_cast<std::int64_t>(file.content.size());
    }
    absl::StatusOr<std::unique_ptr<RunCgroup>> cgroup = context_.cgroups.Create(
        absl::StrCat(context_.name, "-", job_.id),
        limits_.memory_bytes + placed, limits_.processes + kOwnProcesses);
    if (!cgroup.ok()) return cgroup.status();
    cgroup_ = *std::move(cgroup);
    for (const UniqueFd& entrance : cgroup_->entrances()) {
      request.entrances.push_back(entrance.get());
    }
  }
  spawned_ns_ = MonotonicNow();
  absl::StatusOr<SpawnedProcess> bwrap = Spawn(request);
  if (!bwrap.ok()) {
    return absl::InternalError(absl::StrCat(
        "cannot start bubblewrap: ",
        grpccommon::ToAbsl(grpccommon::ToStd(bwrap.status().message()))));
  }
  bwrap_ = *std::move(bwrap);
  return absl::OkStatus();
}

void Run::Wait() {
  std::int64_t wake = spawned_ns_ + context_.options.setup_timeout.count();
  if (kill_at_ns_ != 0) {
    wake = kill_at_ns_;
  } else if (is_started()) {
    wake = started_ns_ + limits_.wall_time.count();
    if (cgroup_ != nullptr) wake = std::min(wake, look_at_ns_);
  }
  const std::int64_t left = std::max<std::int64_t>(0, wake - MonotonicNow());
  const timespec timeout{.tv_sec = left / 1'000'000'000,
                         .tv_nsec = left % 1'000'000'000};
  // poll() leaves out what is negative.
  pollfd events[] = {
      {control_.get(), POLLIN, 0},
      {streams_[0].fd.get(), POLLIN, 0},
      {streams_[1].fd.get(), POLLIN, 0},
      {bwrap_gone_ ? -1 : bwrap_.pidfd.get(), POLLIN, 0},
      {init_gone_ ? -1 : init_.get(), POLLIN, 0},
      {cancelled_ ? -1 : job_.cancel_fd, POLLIN, 0},
  };
  if (ppoll(events, std::size(events), &timeout, nullptr) < 0) return;
  if (events[5].revents != 0) {
    cancelled_ = true;
    Stop(SandboxOutcome::kCancelled);
    Kill();
  }
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (events[1 + i].revents != 0 && !ReadStream(streams_[i])) {
      streams_[i].fd.Reset();
    }
  }
  if (events[0].revents != 0) ReadPacket();
  if (events[3].revents != 0) {
    siginfo_t info{};
    bwrap_end_ = waitid(P_PIDFD, static_cast<id_t>(bwrap_.pidfd.get()), &info,
                        WEXITED | __WALL) == 0
                     ? DescribeEnd(info)
                     : std::strerror(errno);
    bwrap_gone_ = true;
  }
  if (events[4].revents != 0) init_gone_ = true;
}

bool Run::ReadPacket() {
  iovec part{packet_.data(), packet_.size()};
  alignas(cmsghdr) char extra[CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = extra;
  message.msg_controllen = sizeof(extra);
  ssize_t size;
  do {
    size = recvmsg(control_.get(), &message, MSG_DONTWAIT);
    // That init went without reading our last word is said once, and before
    // what it had sent itself.
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0 && errno == EAGAIN) return false;
  if (size < static_cast<ssize_t>(sizeof(InitHeader))) {
    if (size < 0) conversation_error_ = errno;
    control_.Reset();
    return false;
  }
  InitHeader header;
  std::memcpy(&header, packet_.data(), sizeof(header));
  const std::string_view body(packet_.data() + sizeof(header),
                              static_cast<std::size_t>(size) - sizeof(header));
  switch (header.type) {
    case InitPacket::kHello: {
      ucred sender{};
      if (const cmsghdr* const first = CMSG_FIRSTHDR(&message);
          first != nullptr && first->cmsg_type == SCM_CREDENTIALS) {
        std::memcpy(&sender, CMSG_DATA(first), sizeof(sender));
      }
      Greet(sender.pid);
      break;
    }
    case InitPacket::kFailed:
      Fail(body);
      break;
    case InitPacket::kStarted:
      if (body.size() == sizeof(started_ns_)) {
        std::memcpy(&started_ns_, body.data(), sizeof(started_ns_));
      }
      break;
    case InitPacket::kRefused:
      refused_ = body;
      break;
    case InitPacket::kFile:
      // The program is over, and its time no longer counts.
      if (kill_at_ns_ == 0) {
        kill_at_ns_ = MonotonicNow() + context_.options.setup_timeout.count();
      }
      if (kept_.size() < static_cast<std::size_t>(limits_.files)) {
        kept_.push_back({.path = std::string(body),
                         .content = {},
                         .executable = header.value != 0});
      }
      break;
    case InitPacket::kData:
      kept_bytes_ += static_cast<std::int64_t>(body.size());
      // A file may be sparse: larger than the file system it lies on.
      kept_too_much_ = kept_too_much_ || kept_bytes_ > limits_.disk_bytes;
      if (kept_too_much_) {
        kept_.clear();
        Stop(SandboxOutcome::kOutputLimit);
        Kill();
      } else if (!kept_.empty()) {
        kept_.back().content += body;
      }
      break;
    case InitPacket::kEnd:
      if (body.size() == sizeof(InitEnd)) {
        InitEnd end;
        std::memcpy(&end, body.data(), sizeof(end));
        end_ = end;
        // Before init and bwrap add what their own end takes.
        cpu_time_ = nanoseconds(end.cpu_ns);
        if (kill_at_ns_ == 0) kill_at_ns_ = MonotonicNow() + kStopGraceNs;
        if (context_.cgroups.cpu()) {
          cpu_time_ = std::max(
              cpu_time_, cgroup_->CpuTime() - nanoseconds(end.init_cpu_ns));
        }
      }
      break;
    case InitPacket::kGo:
    case InitPacket::kStop:
      break;
  }
  return true;
}

// Init is ready. From now on it can be killed by itself, and is counted.
void Run::Greet(pid_t pid) {
  init_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!init_) {
    Fail(absl::StrCat("cannot open the sandbox's first process, ", pid, ": ",
                      std::strerror(errno)));
    return;
  }
  // Its number may have become another's only if it is not bwrap's child.
  if (const pid_t parent = ParentOf(pid); parent != bwrap_.pid) {
    init_.Reset();
    Fail(absl::StrCat("the sandbox's first process, ", pid, ", is a child of ",
                      parent, ", not of ", bwrap_.pid));
    return;
  }
  if (killed_) {
    Kill();  // it was under way before the end of the conversation
    return;
  }
  if (cgroup_ != nullptr) {
    const absl::Status begun = cgroup_->Begin(limits_.memory_bytes);
    if (!begun.ok()) {
      Fail(grpccommon::ToStd(begun.message()));
      Kill();
      return;
    }
  }
  launched_ = true;
  // If this fails, init has gone, which is noticed anyway.
  const InitHeader go{InitPacket::kGo, 0};
  send(control_.get(), &go, sizeof(go), MSG_NOSIGNAL);
}

bool Run::ReadStream(Stream& stream) {
  const ssize_t size = read(stream.fd.get(), chunk_.data(), chunk_.size());
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return false;
  const std::size_t room =
      static_cast<std::size_t>(limits_.output_bytes) - stream.text->size();
  const std::size_t taken = std::min(room, static_cast<std::size_t>(size));
  stream.text->append(chunk_.data(), taken);
  if (taken < static_cast<std::size_t>(size))
    Stop(SandboxOutcome::kOutputLimit);
  return true;
}

void Run::CheckLimits() {
  const std::int64_t now = MonotonicNow();
  if (kill_at_ns_ != 0) {
    if (now >= kill_at_ns_) Kill();
    return;
  }
  if (!is_started()) {
    if (now >= spawned_ns_ + context_.options.setup_timeout.count()) {
      Fail(absl::StrCat("no end of it within ",
                        context_.options.setup_timeout / 1ms, " ms"));
      Kill();
    }
    return;
  }
  if (end_.has_value()) return;
  if (now >= started_ns_ + limits_.wall_time.count()) {
    Stop(SandboxOutcome::kWallTimeLimit);
    return;
  }
  if (cgroup_ == nullptr || now < look_at_ns_) return;
  if (cgroup_->RanOutOfMemory()) return Stop(SandboxOutcome::kMemoryLimit);
  if (cgroup_->RanOutOfProcesses()) return Stop(SandboxOutcome::kProcessLimit);
  std::int64_t pause = kMaxLookNs;
  if (context_.cgroups.cpu()) {
    const std::int64_t left = (limits_.cpu_time - cgroup_->CpuTime()).count();
    if (left <= 0) return Stop(SandboxOutcome::kCpuTimeLimit);
    // No sooner can it be used up.
    static const auto kCores = static_cast<std::int64_t>(
        std::max(1U, std::thread::hardware_concurrency()));
    pause = std::min(pause, left / kCores);
  }
  look_at_ns_ = now + std::max(pause, kMinLookNs);
}

void Run::Stop(SandboxOutcome outcome) {
  if (end_.has_value()) return;  // it was over before
  if (!outcome_.has_value()) outcome_ = outcome;
  if (kill_at_ns_ != 0) return;
  kill_at_ns_ = MonotonicNow() + kStopGraceNs;
  const InitHeader stop{InitPacket::kStop, 0};
  if (!init_ || !control_ ||
      send(control_.get(), &stop, sizeof(stop), MSG_NOSIGNAL | MSG_DONTWAIT) <
          0) {
    Kill();
  }
}

void Run::Fail(std::string_view why) {
  if (failure_.empty()) failure_ = why;
  Stop(SandboxOutcome::kSandboxFailure);
}

void Run::Kill() {
  // Again after a while: one who was not yet to be killed, say.
  kill_at_ns_ = MonotonicNow() + kStopGraceNs;
  killed_ = true;
  // Not bwrap if there is another way: it waits for init, so that its end tells
  // that all is over.
  if (init_) {
    Send(SIGKILL, init_);
    return;
  }
  if (bwrap_gone_) {
    shutdown(control_.get(), SHUT_RDWR);  // at which init ends
    return;
  }
  // A child that bwrap made after we looked would wait for a word from it.
  Halt(bwrap_.pidfd);
  if (const UniqueFd child = ChildOf(bwrap_.pid)) {
    Send(SIGKILL, child);
    Send(SIGCONT, bwrap_.pidfd);
  } else {
    Send(SIGKILL, bwrap_.pidfd);
  }
}

void Run::Finish() {
  // What was said last, by those who are dead now.
  while (control_ && ReadPacket()) {
  }
  for (Stream& stream : streams_) {
    while (stream.fd) {
      const std::size_t before = stream.text->size();
      if (!ReadStream(stream) || stream.text->size() == before) break;
    }
  }
  if (cgroup_ != nullptr) {
    if (context_.cgroups.cpu() && !end_.has_value()) {
      cpu_time_ = cgroup_->CpuTime();
    }
    result_.peak_memory_bytes = cgroup_->PeakMemory();
  }
  if (!context_.cgroups.memory() && end_.has_value()) {
    result_.peak_memory_bytes = end_->peak_bytes;
  }
  if (is_started()) {
    result_.setup_time = nanoseconds(started_ns_ - job_.requested_ns);
    result_.wall_time = nanoseconds(
        (end_.has_value() ? end_->ended_ns : MonotonicNow()) - started_ns_);
    result_.cpu_time = cpu_time_;
  }
  result_.outcome = Judge();
  if (result_.outcome == SandboxOutcome::kSandboxFailure) {
    result_.message = DescribeFailure();
  }
  if (result_.outcome == SandboxOutcome::kExited && result_.exit_code == 0 &&
      job_.request.workspace != nullptr) {
    Keep();
  }
}

std::string Run::DescribeFailure() const {
  std::string text = absl::StrCat(
      failure_.empty() ? "the sandbox was killed" : failure_,
      " (stage: ", grpccommon::ToAbsl(StageName(stage())),
      "; bubblewrap: ", bwrap_end_.empty() ? "not started" : bwrap_end_);
  if (conversation_error_ != 0) {
    absl::StrAppend(&text,
                    "; its socket: ", std::strerror(conversation_error_));
  }
  if (cgroup_ != nullptr) {
    absl::StrAppend(
        &text, "; killed for want of memory: ", cgroup_->KilledForMemory());
  }
  char complaint[1024];
  ssize_t size = complaints_
                     ? read(complaints_.get(), complaint, sizeof(complaint))
                     : ssize_t{0};
  while (size > 0 && complaint[size - 1] == '\n') --size;
  if (size > 0) {
    absl::StrAppend(
        &text, "; it said: ",
        absl::string_view(complaint, static_cast<std::size_t>(size)));
  }
  return text + ")";
}

SandboxOutcome Run::Judge() {
  if (outcome_ == SandboxOutcome::kCancelled) return *outcome_;
  // Even if it comes before the program's first instruction: then it was given
  // too little to be started with.
  if (launched_ && cgroup_ != nullptr && cgroup_->RanOutOfMemory()) {
    return SandboxOutcome::kMemoryLimit;
  }
  if (outcome_ == SandboxOutcome::kSandboxFailure || !is_started()) {
    return SandboxOutcome::kSandboxFailure;
  }
  if (outcome_.has_value()) return *outcome_;
  if (cgroup_ != nullptr && cgroup_->RanOutOfProcesses()) {
    return SandboxOutcome::kProcessLimit;
  }
  if (cgroup_ != nullptr && cgroup_->RefusedProcesses() > 0) {
    failure_ = "refused a process within its limit: the service has too few";
    return SandboxOutcome::kSandboxFailure;
  }
  if (cgroup_ != nullptr && cgroup_->KilledForMemory() > 0) {
    failure_ = "killed for its memory within its limit: others are short of it";
    return SandboxOutcome::kSandboxFailure;
  }
  // Init went without a word, and not because of the program's memory.
  if (!end_.has_value()) return SandboxOutcome::kSandboxFailure;
  switch (end_->limit) {
    case InitLimit::kCpu:
      return SandboxOutcome::kCpuTimeLimit;
    case InitLimit::kMemory:
      return SandboxOutcome::kMemoryLimit;
    case InitLimit::kProcesses:
      return SandboxOutcome::kProcessLimit;
    case InitLimit::kNone:
      break;
  }
  if (!context_.cgroups.memory() && end_->peak_bytes > limits_.memory_bytes) {
    return SandboxOutcome::kMemoryLimit;
  }
  if (cpu_time_ > limits_.cpu_time) return SandboxOutcome::kCpuTimeLimit;
  if (result_.wall_time > limits_.wall_time) {
    return SandboxOutcome::kWallTimeLimit;
  }
  if (WIFSIGNALED(end_->status)) {
    const int signal = WTERMSIG(end_->status);
    if (signal == SIGXFSZ) return SandboxOutcome::kOutputLimit;
    result_.signal = signal;
    return SandboxOutcome::kSignalled;
  }
  result_.exit_code = WEXITSTATUS(end_->status);
  if (!refused_.empty()) {
    result_.message =
        absl::StrCat("the system would not run the file: ", refused_);
  }
  return SandboxOutcome::kExited;
}

void Run::Keep() {
  for (const SandboxFile& file : kept_) {
    const absl::Status added = job_.request.workspace->Add(file);
    if (added.ok()) continue;
    // The program chose names that no caller can have asked for.
    if (absl::IsInvalidArgument(added)) continue;
    result_.outcome = absl::IsResourceExhausted(added)
                          ? SandboxOutcome::kOutputLimit
                          : SandboxOutcome::kSandboxFailure;
    result_.message = absl::StrCat("keeping files: ", added.message());
    return;
  }
}

}  // namespace

std::int64_t MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

SandboxResult ExecuteRun(const RunContext& context, const RunJob& job) {
  return Run(context, job).Execute();
}

}  // namespace platform::execution
