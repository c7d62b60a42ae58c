// SPDX-License-Identifier: Apache-2.0
// The first process inside a sandbox. Bubblewrap has made the namespaces and
// the read-only system; this mounts what can be written to, gives up its
// privileges, starts the program under its limits, reaps all that comes of it,
// and says what it used. A static program without exceptions or allocation on
// the way, since it starts with each run.
//
// What the program can do to it: nothing. It is process 1 of its namespace, so
// no signal from inside reaches it; it is not dumpable, so its memory and files
// are closed; the filter keeps prlimit and its like away.

#include "services/execution/sandbox/init/init.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include "services/execution/sandbox/protocol.h"

namespace platform::execution {
namespace {

constexpr char kWork[] = "/work";
constexpr int kMaxDepth = 32;
// Of the kept files, so that no path outgrows a packet.
constexpr std::size_t kMaxPath = 256;
// A millisecond each.
constexpr int kSendAttempts = 1000;

std::int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

std::int64_t Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return Nanoseconds(time);
}

std::int64_t CpuOf(int who, std::int64_t* largest = nullptr) {
  rusage usage;
  getrusage(who, &usage);
  if (largest != nullptr) *largest = usage.ru_maxrss * 1024;
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
             std::int64_t{1'000'000'000} +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * std::int64_t{1000};
}

void Send(InitPacket type, std::uint32_t value, const void* body,
          std::size_t size) {
  InitHeader header{type, value};
  iovec parts[] = {{&header, sizeof(header)}, {const_cast<void*>(body), size}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  // A packet takes memory of the run's, which may have none left until the
  // program is dead.
  for (int attempt = 0; sendmsg(kControlFd, &message, MSG_NOSIGNAL) < 0;) {
    if (errno == EINTR) continue;
    if ((errno == ENOMEM || errno == ENOBUFS) && ++attempt < kSendAttempts) {
      const timespec moment{0, 1'000'000};
      nanosleep(&moment, nullptr);
      continue;
    }
    // Mostly nobody listens any more: everything ends with us. If somebody
    // does, it is for them.
    dprintf(STDERR_FILENO, "cannot send packet %u: %s\n",
            static_cast<unsigned>(type), strerror(errno));
    _exit(1);
  }
}

[[noreturn]] void Fail(const char* what) {
  char text[512];
  const int size =
      snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
  Send(InitPacket::kFailed, 0, text, static_cast<std::size_t>(size));
  _exit(1);
}

// Walks over what follows the InitSpec.
class SpecReader {
 public:
  explicit SpecReader(const char* at) : at_(at) {}
  char* String() {
    // execve wants its strings writable, and leaves them alone.
    char* const string = const_cast<char*>(at_);
    at_ += strlen(at_) + 1;
    return string;
  }
  // A list that ends in a null pointer; lives as long as the process.
  char** Strings(std::uint32_t count) {
    char** const strings =
        static_cast<char**>(calloc(std::size_t{count} + 1, sizeof(char*)));
    if (strings == nullptr) Fail("cannot allocate");
    for (std::uint32_t i = 0; i < count; ++i) strings[i] = String();
    return strings;
  }
  const char* Bytes(std::size_t size) {
    const char* const bytes = at_;
    at_ += size;
    return bytes;
  }

 private:
  const char* at_;
};

// -------------------------------------------------------------- preparation

// One file system in memory holds all that is written to, and so bounds it.
void MountWritable(const InitSpec& spec) {
  char options[128];
  // Four folders of it are ours.
  snprintf(options, sizeof(options), "size=%llu,nr_inodes=%llu,mode=0755",
           static_cast<unsigned long long>(spec.disk_bytes),
           static_cast<unsigned long long>(spec.disk_files) + 4);
  if (mount("sandbox", "/box", "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) {
    Fail("cannot mount the writable file system");
  }
  umask(0);
  const struct {
    const char* folder;
    const char* place;
    mode_t mode;
  } folders[] = {{"/box/work", kWork, 0755},
                 {"/box/tmp", "/tmp", 01777},
                 {"/box/shm", "/dev/shm", 01777}};
  for (const auto& [folder, place, mode] : folders) {
    if (mkdir(folder, mode) != 0 ||
        mount(folder, place, nullptr, MS_BIND, nullptr) != 0) {
      Fail(place);
    }
  }
  umask(022);
  if (umount2("/box", MNT_DETACH) != 0) Fail("cannot unmount /box");
}

// A second lock beside the filter, where the kernel lets us turn it.
void ForbidUserNamespaces() {
  const int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t written = write(fd, "0", 1);
  close(fd);
}

void DropPrivileges() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) Fail("no_new_privs");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    Fail("ambient capabilities");
  }
  for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0;
       ++cap) {
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) Fail("bounding set");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) Fail("capset");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) Fail("dumpable");
}

void MakeParents(int folder, char* path) {
  for (char* slash = strchr(path, '/'); slash != nullptr;
       slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdirat(folder, path, 0755) != 0 && errno != EEXIST) Fail(path);
    *slash = '/';
  }
}

void PlaceFiles(SpecReader& spec, std::uint32_t count) {
  const int work = open(kWork, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (work < 0) Fail(kWork);
  for (std::uint32_t i = 0; i < count; ++i) {
    InitFile file;
    memcpy(&file, spec.Bytes(sizeof(file)), sizeof(file));
    char path[kMaxPath];
    const char* const given = spec.Bytes(file.path_size);
    snprintf(path, sizeof(path), "%s", given);
    MakeParents(work, path);
    const int fd = openat(work, path,
                          O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                          file.executable != 0 ? 0755 : 0644);
    if (fd < 0) Fail(path);
    const char* content = spec.Bytes(file.size);
    for (std::size_t left = file.size; left > 0;) {
      const ssize_t written = write(fd, content, left);
      if (written <= 0) Fail(path);
      content += written;
      left -= static_cast<std::size_t>(written);
    }
    close(fd);
  }
  close(work);
}

// The next packet's type, or kFailed when the sandbox is gone.
InitPacket Receive() {
  InitHeader header;
  ssize_t size;
  do {
    size = recv(kControlFd, &header, sizeof(header), 0);
  } while (size < 0 && errno == EINTR);
  return size == sizeof(header) ? header.type : InitPacket::kFailed;
}

// -------------------------------------------------------------- the program

// What the program's process says before it is the program's.
struct Launch {
  std::int64_t at = 0;
  int error = 0;
  char step[24] = {};
};

[[noreturn]] void GiveUp(int fd, const char* step) {
  Launch launch;
  launch.error = errno;
  snprintf(launch.step, sizeof(launch.step), "%s", step);
  [[maybe_unused]] const ssize_t written = write(fd, &launch, sizeof(launch));
  _exit(126);
}

void Limit(int launch_fd, __rlimit_resource resource, rlim_t soft,
           rlim_t hard) {
  rlimit now;
  getrlimit(resource, &now);
  // Ours cannot exceed what the service itself may have.
  if (soft > now.rlim_max) soft = now.rlim_max;
  if (hard > now.rlim_max) hard = now.rlim_max;
  const rlimit limit{soft, hard};
  if (setrlimit(resource, &limit) != 0) GiveUp(launch_fd, "rlimit");
}

void Limit(int launch_fd, __rlimit_resource resource, rlim_t value) {
  Limit(launch_fd, resource, value, value);
}

[[noreturn]] void BecomeProgram(const InitSpec& spec, char** argv,
                                char** environment, const sock_filter* filter,
                                int launch_fd, int init_oom_fd) {
  // Init's, whoever writes to it. Not by init itself: until it had its turn,
  // the two would be equally fit to be killed for their memory.
  if (init_oom_fd >= 0) {
    [[maybe_unused]] const ssize_t written = write(init_oom_fd, "0", 1);
  }
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) {
      struct sigaction action {};
      action.sa_handler = SIG_DFL;
      sigaction(signal, &action, nullptr);  // fails for those glibc keeps
    }
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);

  if (setsid() < 0) GiveUp(launch_fd, "setsid");
  if (chdir(kWork) != 0) GiveUp(launch_fd, kWork);
  if (dup2(kInputFd, 0) < 0 || dup2(kOutputFd, 1) < 0 ||
      dup2(kErrorFd, 2) < 0) {
    GiveUp(launch_fd, "dup2");
  }
  // Nothing but these three, whatever anyone above forgot to close.
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    GiveUp(launch_fd, "close_range");
  }

  Limit(launch_fd, RLIMIT_CORE, 0);
  Limit(launch_fd, RLIMIT_CPU, spec.cpu_seconds, spec.cpu_seconds + 1);
  Limit(launch_fd, RLIMIT_FSIZE, spec.file_bytes);
  Limit(launch_fd, RLIMIT_NOFILE, spec.open_files);
  Limit(launch_fd, RLIMIT_STACK, spec.stack_bytes);
  Limit(launch_fd, RLIMIT_MEMLOCK, 64 << 10);
  Limit(launch_fd, RLIMIT_MSGQUEUE, 0);
  Limit(launch_fd, RLIMIT_SIGPENDING, 1024);
  Limit(launch_fd, RLIMIT_NICE, 0);
  Limit(launch_fd, RLIMIT_RTPRIO, 0);
  if (spec.data_bytes != 0) Limit(launch_fd, RLIMIT_DATA, spec.data_bytes);
  if (spec.processes != 0) Limit(launch_fd, RLIMIT_NPROC, spec.processes);

  const sock_fprog program{static_cast<unsigned short>(spec.filter),
                           const_cast<sock_filter*>(filter)};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    GiveUp(launch_fd, "seccomp");
  }

  Launch launch;
  launch.at = Now();
  if (write(launch_fd, &launch, sizeof(launch)) != sizeof(launch)) _exit(126);
  // A process that is about to start another may for a moment hold open a file
  // that was just written: it will be over soon.
  for (int attempt = 0; attempt < 200; ++attempt) {
    execve(argv[0], argv, environment);
    if (errno != ETXTBSY) break;
    const timespec moment{0, 1'000'000};
    nanosleep(&moment, nullptr);
  }
  GiveUp(launch_fd, "");
}

// ------------------------------------------------------ limits without cgroup

struct Usage {
  std::int64_t cpu_ns = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t processes = 0;
};

// Reads a file of /proc; returns an empty string if it is gone.
const char* ReadProc(const char* pid, const char* name, char* buffer,
                     std::size_t size) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
  buffer[0] = '\0';
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return buffer;
  const ssize_t got = read(fd, buffer, size - 1);
  close(fd);
  buffer[got > 0 ? got : 0] = '\0';
  return buffer;
}

std::int64_t FieldOf(const char* text, const char* name) {
  const char* const at = strstr(text, name);
  return at == nullptr ? 0 : strtoll(at + strlen(name), nullptr, 10);
}

// Of all processes but this one. `exact` divides pages among those that share
// them, which costs a walk over each page.
Usage Measure(bool exact) {
  static const std::int64_t kNanosecondsPerTick =
      1'000'000'000 / sysconf(_SC_CLK_TCK);
  Usage usage;
  std::int64_t shared = 0;
  DIR* const proc = opendir("/proc");
  if (proc == nullptr) return usage;
  while (const dirent* const entry = readdir(proc)) {
    const char* const pid = entry->d_name;
    if (pid[0] < '1' || pid[0] > '9') continue;
    char buffer[4096];
    const char* fields = strrchr(ReadProc(pid, "stat", buffer, sizeof(buffer)),
                                 ')');  // the name before it may hold anything
    if (fields == nullptr) continue;
    unsigned long long ticks[4] = {};  // own user and system, then children's
    // The kernel wrote them.  NOLINTNEXTLINE(cert-err34-c)
    sscanf(fields + 1,
           " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu",
           &ticks[0], &ticks[1], &ticks[2], &ticks[3]);
    usage.cpu_ns +=
        static_cast<std::int64_t>(ticks[2] + ticks[3]) * kNanosecondsPerTick;
    if (strcmp(pid, "1") == 0) continue;
    usage.cpu_ns +=
        static_cast<std::int64_t>(ticks[0] + ticks[1]) * kNanosecondsPerTick;

    ReadProc(pid, "status", buffer, sizeof(buffer));
    usage.processes += FieldOf(buffer, "\nThreads:");
    std::int64_t own = FieldOf(buffer, "\nRssAnon:");
    std::int64_t common = FieldOf(buffer, "\nRssShmem:");
    if (exact &&
        *ReadProc(pid, "smaps_rollup", buffer, sizeof(buffer)) != '\0') {
      own = FieldOf(buffer, "\nPss_Anon:");
      common = FieldOf(buffer, "\nPss_Shmem:");
    }
    usage.memory_bytes += own * 1024;
    shared += common * 1024;
  }
  closedir(proc);
  // A file in memory that is mapped would otherwise count twice.
  struct statfs disk {};
  statfs(kWork, &disk);
  const std::int64_t written =
      static_cast<std::int64_t>(disk.f_blocks - disk.f_bfree) * disk.f_bsize;
  usage.memory_bytes += written > shared ? written : shared;
  return usage;
}

InitLimit CheckLimits(const InitSpec& spec, InitEnd* end) {
  Usage usage = Measure(false);
  if (usage.cpu_ns > end->cpu_ns) end->cpu_ns = usage.cpu_ns;
  const auto over = [](std::int64_t value, std::uint64_t limit) {
    return limit != 0 && value > static_cast<std::int64_t>(limit);
  };
  if (over(usage.processes, spec.polled_processes)) {
    return InitLimit::kProcesses;
  }
  if (over(usage.cpu_ns, spec.polled_cpu_ns)) return InitLimit::kCpu;
  if (usage.processes > 1) {
    // Of a process that ends, the others have its part of what they shared: it
    // counts twice if one of them was looked at before. That is over at the
    // next look, where an excess is not.
    for (int look = 0;
         look < 3 && over(usage.memory_bytes, spec.polled_memory_bytes);
         ++look) {
      usage = Measure(true);
    }
  }
  if (usage.memory_bytes > end->peak_bytes)
    end->peak_bytes = usage.memory_bytes;
  return over(usage.memory_bytes, spec.polled_memory_bytes) ? InitLimit::kMemory
                                                            : InitLimit::kNone;
}

// ---------------------------------------------------------------- kept files

// Everything of the program is dead by now, so nothing moves under our feet;
// what it left may still be anything.
void Keep(int parent, const char* name, char* path, std::size_t length,
          int depth) {
  const std::size_t size = strlen(name);
  if (length + size + 2 > kMaxPath || depth > kMaxDepth) return;
  if (strcmp(name, ".") != 0) {
    if (length > 0) path[length++] = '/';
    memcpy(path + length, name, size + 1);
    length += size;
  }
  // A FIFO would block, and a link leads elsewhere.
  const int fd =
      openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  struct stat info;
  if (fstat(fd, &info) != 0) {
    close(fd);
    return;
  }
  if (S_ISDIR(info.st_mode)) {
    if (DIR* const folder = fdopendir(fd); folder != nullptr) {
      while (const dirent* const entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0) {
          Keep(dirfd(folder), entry->d_name, path, length, depth + 1);
        }
      }
      closedir(folder);
      return;
    }
  } else if (S_ISREG(info.st_mode)) {
    Send(InitPacket::kFile, (info.st_mode & 0111) != 0, path, length);
    static char buffer[kMaxPacketBytes - sizeof(InitHeader)];
    ssize_t got;
    while ((got = read(fd, buffer, sizeof(buffer))) > 0) {
      Send(InitPacket::kData, 0, buffer, static_cast<std::size_t>(got));
    }
  }
  close(fd);
}

// A path as the caller gave it, part by part, so that no link is followed.
void KeepPath(int work, char* given) {
  char path[kMaxPath] = {};
  int folder = dup(work);
  std::size_t length = 0;
  char* part = given;
  while (char* const slash = strchr(part, '/')) {
    *slash = '\0';
    const int next =
        openat(folder, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    close(folder);
    if (next < 0) return;
    folder = next;
    length +=
        static_cast<std::size_t>(snprintf(path + length, sizeof(path) - length,
                                          "%s%s", length > 0 ? "/" : "", part));
    part = slash + 1;
  }
  Keep(folder, part, path, length, 0);
  close(folder);
}

// --------------------------------------------------------------------- wait

struct Program {
  pid_t pid = 0;
  bool ended = false;
  int status = 0;
  std::int64_t ended_ns = 0;
};

void Reap(Program& program, int options) {
  for (;;) {
    int status;
    const pid_t pid = waitpid(-1, &status, options | __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    if (pid == program.pid) {
      program.ended = true;
      program.status = status;
      program.ended_ns = Now();
    }
  }
}

// Until the program ends, goes over a limit or is to be stopped.
InitLimit Await(const InitSpec& spec, Program& program, int signals,
                InitEnd* end) {
  const bool polls = spec.poll_interval_ns != 0;
  std::int64_t next = Now();
  for (;;) {
    pollfd events[] = {{kControlFd, POLLIN, 0}, {signals, POLLIN, 0}};
    timespec timeout{};
    if (polls) {
      const std::int64_t left = next - Now();
      timeout.tv_nsec = left > 0 ? left % 1'000'000'000 : 0;
      timeout.tv_sec = left > 0 ? left / 1'000'000'000 : 0;
    }
    ppoll(events, 2, polls ? &timeout : nullptr, nullptr);
    if (events[0].revents != 0) {
      if (Receive() != InitPacket::kStop) _exit(1);
      return InitLimit::kNone;
    }
    if (events[1].revents != 0) {
      signalfd_siginfo info[8];
      [[maybe_unused]] const ssize_t got = read(signals, info, sizeof(info));
      Reap(program, WNOHANG);
      if (program.ended) {
        // It may have gone over one since the last look, and left the evidence.
        return polls ? CheckLimits(spec, end) : InitLimit::kNone;
      }
    }
    if (polls && Now() >= next) {
      const InitLimit limit = CheckLimits(spec, end);
      if (limit != InitLimit::kNone) return limit;
      next = Now() + static_cast<std::int64_t>(spec.poll_interval_ns);
    }
  }
}

// Whether the caller named a file that can be run at all: what execve says
// after that is about the file's content.
bool IsRunnable(const char* path) {
  struct stat info;
  if (stat(path, &info) != 0) return false;
  if (!S_ISREG(info.st_mode)) {
    errno = EACCES;
    return false;
  }
  return access(path, X_OK) == 0;
}

int Init() {
  // Or what we kill in the end would be other people's.
  if (getpid() != 1) {
    errno = EINVAL;
    Fail("no pid namespace");
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // If memory runs out, the program is to go before us: it inherits the 1000,
  // and undoes it for us by the same file before it does anything else.
  const int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (oom >= 0) {
    [[maybe_unused]] const ssize_t written = write(oom, "1000", 4);
  }

  InitSpec spec;
  if (pread(kSpecFd, &spec, sizeof(spec), 0) != sizeof(spec)) Fail("spec");
  void* const mapped =
      mmap(nullptr, spec.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, kSpecFd, 0);
  if (mapped == MAP_FAILED) Fail("spec");
  SpecReader reader(static_cast<const char*>(mapped) + sizeof(spec));
  char** const argv = reader.Strings(spec.argv);
  char** const environment = reader.Strings(spec.environment);
  char** const keep = reader.Strings(spec.keep);
  if (argv[0] == nullptr) Fail("spec");

  MountWritable(spec);
  ForbidUserNamespaces();
  DropPrivileges();
  PlaceFiles(reader, spec.files);
  const std::size_t filter_bytes = spec.filter * sizeof(sock_filter);
  auto* const filter = static_cast<sock_filter*>(malloc(filter_bytes));
  if (filter == nullptr) Fail("cannot allocate");
  memcpy(filter, reader.Bytes(filter_bytes), filter_bytes);
  if (!IsRunnable(argv[0])) Fail(argv[0]);

  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_SETMASK, &child, nullptr);
  const int signals = signalfd(-1, &child, SFD_CLOEXEC);
  if (signals < 0) Fail("signalfd");
  int launch_pipe[2];
  if (pipe2(launch_pipe, O_CLOEXEC) != 0) Fail("pipe");

  Send(InitPacket::kHello, 0, nullptr, 0);
  // With the process goes what it has allocated.
  // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
  if (Receive() != InitPacket::kGo) return 1;

  const std::int64_t init_cpu = CpuOf(RUSAGE_SELF);
  Program program;
  program.pid = fork();
  if (program.pid < 0) Fail("fork");
  if (program.pid == 0) {
    BecomeProgram(spec, argv, environment, filter, launch_pipe[1], oom);
  }
  for (const int fd :
       {launch_pipe[1], kSpecFd, kInputFd, kOutputFd, kErrorFd}) {
    close(fd);
  }
  if (oom >= 0) close(oom);

  // One word before execve, and another only if that fails.
  Launch launch;
  ssize_t got = read(launch_pipe[0], &launch, sizeof(launch));
  if (got == sizeof(launch) && launch.error == 0) {
    Send(InitPacket::kStarted, 0, &launch.at, sizeof(launch.at));
    Launch failure;
    got = read(launch_pipe[0], &failure, sizeof(failure));
    if (got == sizeof(failure)) {
      const char* const why = strerror(failure.error);
      Send(InitPacket::kRefused, 0, why, strlen(why));
    }
  } else if (got == sizeof(launch)) {
    errno = launch.error;
    Fail(launch.step);
  } else {
    Reap(program, 0);
    char text[64];
    const int size =
        snprintf(text, sizeof(text), "the program's process was lost: %s %d",
                 WIFSIGNALED(program.status) ? "signal" : "code",
                 WIFSIGNALED(program.status) ? WTERMSIG(program.status)
                                             : WEXITSTATUS(program.status));
    Send(InitPacket::kFailed, 0, text, static_cast<std::size_t>(size));
    return 1;
  }
  close(launch_pipe[0]);

  InitEnd end{};
  end.limit = Await(spec, program, signals, &end);
  kill(-1, SIGKILL);
  Reap(program, 0);
  end.status = program.status;
  end.ended_ns = program.ended ? program.ended_ns : Now();
  std::int64_t largest;
  // Those that nobody waited for are not in it, but were perhaps seen.
  const std::int64_t cpu = CpuOf(RUSAGE_CHILDREN, &largest);
  if (cpu > end.cpu_ns) end.cpu_ns = cpu;
  if (largest > end.peak_bytes) end.peak_bytes = largest;
  end.init_cpu_ns = CpuOf(RUSAGE_SELF) - init_cpu;

  if (end.limit == InitLimit::kNone && WIFEXITED(end.status) &&
      WEXITSTATUS(end.status) == 0) {
    if (const int work = open(kWork, O_PATH | O_DIRECTORY | O_CLOEXEC);
        work >= 0) {
      for (char** path = keep; *path != nullptr; ++path) KeepPath(work, *path);
    }
  }
  Send(InitPacket::kEnd, 0, &end, sizeof(end));
  return 0;
}

}  // namespace
}  // namespace platform::execution

int main(int argc, char** argv) {
  if (argc > 1) return platform::execution::Attack(argc - 1, argv + 1);
  return platform::execution::Init();
}
