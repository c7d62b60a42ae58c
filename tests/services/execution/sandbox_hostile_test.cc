// SPDX-License-Identifier: Apache-2.0
// Programs that mean harm, in each language that is here. What each gets is
// tested; that nothing of it is left on the machine, SandboxFixture::TearDown
// tests after each.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "services/execution/sandbox/unique_fd.h"
#include "services/execution/sandbox_fixture.h"

namespace platform::execution {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class SandboxHostileTest : public SandboxFixture {
 protected:
  static constexpr SandboxLimits kSmall = {
      .cpu_time = 2s,
      .wall_time = 20s,
      .memory_bytes = std::int64_t{64} << 20,
      .processes = 16,
      .output_bytes = 10'000,
      .file_bytes = std::int64_t{1} << 20,
      .disk_bytes = std::int64_t{4} << 20,
      .files = 100};
};

// ---------------------------------------------------------------- fork bombs

TEST_F(SandboxHostileTest, StopsAForkBombInC) {
  EXPECT_THAT(Run(Compiled("#include <unistd.h>\n"
                           "int main(void) { for (;;) fork(); }",
                           kSmall)),
              EndedBy(SandboxOutcome::kProcessLimit));
}

TEST_F(SandboxHostileTest, StopsAForkBombInShell) {
  SandboxLimits limits = kSmall;
  limits.wall_time = 2s;
  // It ends by itself once it is refused, sooner than one looks perhaps.
  EXPECT_THAT(Run(Sh("b() { b | b & }; b; sleep 100", limits)),
              AnyOf(EndedBy(SandboxOutcome::kProcessLimit),
                    EndedBy(IsExact() ? SandboxOutcome::kProcessLimit
                                      : SandboxOutcome::kWallTimeLimit)));
}

TEST_F(SandboxHostileTest, StopsAForkBombInPython) {
  EXPECT_THAT(Run(Python("import os\nwhile True:\n"
                         "  try: os.fork()\n"
                         "  except OSError: pass",
                         kSmall)),
              AnyOf(EndedBy(SandboxOutcome::kProcessLimit),
                    // Sixteen interpreters are large.
                    EndedBy(SandboxOutcome::kMemoryLimit)));
}

TEST_F(SandboxHostileTest, StopsAForkBombInJavaScript) {
  REQUIRE_PROGRAM("/usr/bin/node");
  SandboxLimits limits = kSmall;
  limits.memory_bytes = std::int64_t{512} << 20;
  limits.processes = 40;
  EXPECT_THAT(
      Run(Node("const {spawn} = require('child_process');"
               "for (;;) spawn('/bin/sleep', ['100']).on('error', () => {});",
               limits)),
      EndedBy(SandboxOutcome::kProcessLimit));
}

TEST_F(SandboxHostileTest, StopsABombOfThreadsInCpp) {
  EXPECT_THAT(
      Run(Compiled("#include <thread>\n#include <vector>\n#include <unistd.h>\n"
                   "int main() { std::vector<std::thread> all; for (;;)"
                   " try { all.emplace_back([] { pause(); }); }"
                   " catch (...) {} }",
                   kSmall, "g++")),
      EndedBy(SandboxOutcome::kProcessLimit));
}

TEST_F(SandboxHostileTest, CountsProcessesThatWereOrphaned) {
  EXPECT_THAT(Run(Sh("for i in $(seq 100); do (setsid sleep 100 &); done; "
                     "sleep 100",
                     kSmall)),
              EndedBy(SandboxOutcome::kProcessLimit));
}

// --------------------------------------------------------------- memory hogs

TEST_F(SandboxHostileTest, StopsAMemoryHogInC) {
  EXPECT_THAT(Run(Compiled("#include <stdlib.h>\n#include <string.h>\n"
                           "int main(void) { for (;;)"
                           " memset(malloc(1 << 20), 1, 1 << 20); }",
                           kSmall)),
              AnyOf(EndedBy(SandboxOutcome::kMemoryLimit)));
}

TEST_F(SandboxHostileTest, StopsAMemoryHogInCpp) {
  EXPECT_THAT(Run(Compiled("#include <vector>\n"
                           "int main() { std::vector<long> v;"
                           " for (;;) v.push_back(1); }",
                           kSmall, "g++")),
              EndedBy(SandboxOutcome::kMemoryLimit));
}

TEST_F(SandboxHostileTest, StopsAMemoryHogInPython) {
  EXPECT_THAT(
      Run(Python("a = []\nwhile True: a.append(bytearray(1 << 20))", kSmall)),
      EndedBy(SandboxOutcome::kMemoryLimit));
}

TEST_F(SandboxHostileTest, StopsAMemoryHogInJavaScript) {
  REQUIRE_PROGRAM("/usr/bin/node");
  SandboxLimits limits = kSmall;
  limits.memory_bytes = std::int64_t{128} << 20;
  EXPECT_THAT(Run(Node("const a = []; for (;;) a.push_back = "
                       "a.push(Buffer.alloc(1 << 20, 1));",
                       limits)),
              EndedBy(SandboxOutcome::kMemoryLimit));
}

TEST_F(SandboxHostileTest, SumsTheMemoryOfAllProcesses) {
  // None of them is over the limit by itself.
  EXPECT_THAT(
      Run(Compiled("#include <stdlib.h>\n#include <string.h>\n"
                   "#include <unistd.h>\n"
                   "int main(void) { for (int i = 0; i < 7; ++i) if (!fork()) {"
                   " memset(malloc(16 << 20), 1, 16 << 20); pause(); }"
                   " pause(); }",
                   kSmall)),
      EndedBy(SandboxOutcome::kMemoryLimit));
}

TEST_F(SandboxHostileTest, CountsMemoryThatIsSharedOrInFiles) {
  EXPECT_THAT(
      Run(Compiled("#include <sys/mman.h>\n#include <string.h>\n"
                   "int main(void) { for (;;) memset(mmap(0, 1 << 20, 3,"
                   " MAP_SHARED | MAP_ANONYMOUS, -1, 0), 1, 1 << 20); }",
                   kSmall)),
      EndedBy(SandboxOutcome::kMemoryLimit));
  SandboxLimits limits = kSmall;
  limits.disk_bytes = std::int64_t{1} << 30;
  limits.file_bytes = std::int64_t{1} << 30;
  EXPECT_THAT(Run(Sh("cat /dev/zero >/tmp/x", limits)),
              EndedBy(SandboxOutcome::kMemoryLimit));
  EXPECT_THAT(Run(Sh("cat /dev/zero >/dev/shm/x", limits)),
              EndedBy(SandboxOutcome::kMemoryLimit));
}

TEST_F(SandboxHostileTest, LeavesNoMemoryThatNobodyCounts) {
  // A file in memory without a name, written but not mapped; and System V's.
  EXPECT_THAT(
      Run(Compiled("#define _GNU_SOURCE\n#include <sys/mman.h>\n"
                   "#include <unistd.h>\n#include <sys/shm.h>\n"
                   "#include <string.h>\nstatic char b[1 << 16];\n"
                   "int main(void) { for (int n = 0; n < 200; ++n) {"
                   " int fd = memfd_create(\"x\", 0); if (fd < 0) break;"
                   " for (int i = 0; i < 16; ++i) write(fd, b, sizeof b); }"
                   " for (int n = 0; n < 200; ++n) {"
                   " int id = shmget(IPC_PRIVATE, 1 << 20, 0600);"
                   " if (id < 0) return 9;"
                   " void* p = shmat(id, 0, 0); memset(p, 1, 1 << 20);"
                   " shmdt(p); } return 0; }",
                   kSmall)),
      AnyOf(EndedBy(SandboxOutcome::kMemoryLimit), ExitedWith(9)));
}

// --------------------------------------------------------------------- disk

TEST_F(SandboxHostileTest, IsTheFirstToGoWhenMemoryRunsOut) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(Run(Sh("cat /proc/1/oom_score_adj /proc/self/oom_score_adj")),
                Said("0\n1000\n"));
  }
}

TEST_F(SandboxHostileTest, FillsItsOwnDiskOnly) {
  const SandboxResult result =
      Run(Sh("i=0; while head -c 500000 /dev/zero >f$i; do i=$((i+1)); done; "
             "echo full at $i >&2; cat f* | wc -c; exit 3",
             kSmall));
  EXPECT_THAT(result, ExitedWith(3));
  EXPECT_THAT(result.error, HasSubstr("No space left on device"));
  EXPECT_LE(std::stol(result.output), kSmall.disk_bytes);
  EXPECT_GE(std::stol(result.output), kSmall.disk_bytes / 2);
}

TEST_F(SandboxHostileTest, MakesSoManyFilesOnly) {
  const SandboxResult result =
      Run(Python("import os\nn = 0\ntry:\n"
                 "  while True: os.mkdir('/tmp/%d' % n); n += 1\n"
                 "except OSError as e: print(n, e.strerror)",
                 kSmall));
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_THAT(result.output, HasSubstr("No space left on device"));
  EXPECT_LE(std::stoi(result.output), kSmall.files);
  EXPECT_GE(std::stoi(result.output), kSmall.files - 10);
}

TEST_F(SandboxHostileTest, EndsAProgramWhoseFileGrowsTooLarge) {
  EXPECT_THAT(Run(Compiled("#include <fcntl.h>\n#include <unistd.h>\n"
                           "int main(void) { static char b[65536];"
                           " int fd = open(\"x\", O_CREAT | O_WRONLY, 0600);"
                           " for (;;) write(fd, b, sizeof b); }",
                           kSmall)),
              EndedBy(SandboxOutcome::kOutputLimit));
}

// ------------------------------------------------------------ endless output

TEST_F(SandboxHostileTest, CutsOffEndlessOutputInEachLanguage) {
  std::vector<SandboxRequest> requests = {
      Sh("while :; do echo spam; done", kSmall),
      Sh("while :; do echo spam >&2; done", kSmall),
      Sh("cat /dev/zero", kSmall),
      Python("while True: print('spam')", kSmall),
      Python("import sys\nwhile True: sys.stderr.write('spam')", kSmall),
      Compiled(
          "#include <stdio.h>\nint main(void) { for (;;) puts(\"spam\"); }",
          kSmall),
      Compiled("#include <iostream>\n"
               "int main() { for (;;) std::cerr << \"spam\"; }",
               kSmall, "g++"),
  };
  if (access("/usr/bin/node", X_OK) == 0) {
    SandboxLimits limits = kSmall;
    limits.memory_bytes = std::int64_t{512} << 20;
    requests.push_back(Node(
        "const fs = require('fs'); for (;;) fs.writeSync(1, 'spam')", limits));
  }
  for (SandboxRequest& request : requests) {
    const SandboxResult result = Run(std::move(request));
    EXPECT_THAT(result, EndedBy(SandboxOutcome::kOutputLimit));
    EXPECT_EQ(std::max(result.output.size(), result.error.size()), 10'000U);
  }
}

TEST_F(SandboxHostileTest, AllowsExactlyTheOutputLimit) {
  const SandboxResult result = Run(Sh("head -c 10000 /dev/zero", kSmall));
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_EQ(result.output.size(), 10'000U);
  EXPECT_THAT(Run(Sh("head -c 10001 /dev/zero", kSmall)),
              EndedBy(SandboxOutcome::kOutputLimit));
}

// --------------------------------------------------------------------- time

TEST_F(SandboxHostileTest, StopsASpinInEachLanguage) {
  SandboxLimits limits = kSmall;
  limits.cpu_time = 300ms;
  std::vector<SandboxRequest> requests = {
      Sh("while :; do :; done", limits),
      Python("while True: pass", limits),
      Compiled("int main(void) { for (;;) __asm__(\"\"); }", limits),
      Compiled("#include <thread>\nint main() { auto f = [] { for (;;) "
               "asm(\"\"); }; std::thread a(f), b(f); f(); }",
               limits, "g++"),
      // Children that are waited for, and that are not.
      Compiled("#include <unistd.h>\n#include <signal.h>\n"
               "int main(void) { signal(SIGCHLD, SIG_IGN); fork(); fork();"
               " for (;;) __asm__(\"\"); }",
               limits),
  };
  if (access("/usr/bin/node", X_OK) == 0) {
    limits.memory_bytes = std::int64_t{512} << 20;
    requests.push_back(Node("for (;;);", limits));
  }
  for (SandboxRequest& request : requests) {
    const SandboxResult result = Run(std::move(request));
    EXPECT_THAT(result, EndedBy(SandboxOutcome::kCpuTimeLimit));
    EXPECT_GE(result.cpu_time, 270ms);
    EXPECT_LE(result.cpu_time, 900ms);
  }
}

TEST_F(SandboxHostileTest, StopsASleepInEachLanguage) {
  SandboxLimits limits = kSmall;
  limits.wall_time = 700ms;
  std::vector<SandboxRequest> requests = {
      Sh("sleep 1000", limits),
      Sh("trap '' TERM INT HUP; while :; do sleep 1000; done", limits),
      Sh("kill -STOP $$", limits),
      Python("import time\ntime.sleep(1000)", limits),
      Compiled("#include <unistd.h>\nint main(void) { for (;;) pause(); }",
               limits),
  };
  if (access("/usr/bin/node", X_OK) == 0) {
    limits.memory_bytes = std::int64_t{512} << 20;
    requests.push_back(Node("setInterval(() => {}, 1000)", limits));
  }
  for (SandboxRequest& request : requests) {
    const SandboxResult result = Run(std::move(request));
    EXPECT_THAT(result, EndedBy(SandboxOutcome::kWallTimeLimit));
    EXPECT_GE(result.wall_time, 700ms);
    EXPECT_LE(result.cpu_time, 500ms);
  }
}

// ---------------------------------------------------------- what is not there

TEST_F(SandboxHostileTest, ReadsNothingOfTheService) {
  setenv("SANDBOX_TEST_SECRET", "do-not-tell", 1);
  const std::string secret = folder_->path() + "/secret";
  std::ofstream(secret) << "do-not-tell";
  std::filesystem::permissions(secret, std::filesystem::perms(0644));
  SandboxRequest request = Python(R"(
import os, sys
found = []
for path in sys.argv[1:] + ['/etc/shadow', '/root', '/home', '/var', '/run',
        '/sys', '/mnt', '/srv', '/boot', '/media', '/opt', '/etc/ssh',
        '/var/run/docker.sock', '/proc/1/environ', '/proc/1/root', '/proc/1/cwd',
        '/proc/1/mem', '/proc/1/maps', '/proc/1/fd', '/proc/kcore',
        '/proc/sysrq-trigger', '/dev/mem', '/dev/kmsg', '/dev/vda', '/dev/sda',
        '/dev/kvm', '/dev/fuse', '/dev/tty', '/dev/ptmx', '/dev/pts']:
    try:
        os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1)
        found.append(path)
    except OSError: pass
for pid in os.listdir('/proc'):
    if not pid.isdigit(): continue
    for name in ('environ', 'cmdline', 'maps'):
        try:
            if pid == str(os.getpid()) and name == 'cmdline': continue
            if b'do-not-tell' in open('/proc/%s/%s' % (pid, name), 'rb').read():
                found.append(pid + name)
        except OSError: pass
    if pid not in ('1', str(os.getpid())): found.append('process ' + pid)
print(found)
)");
  request.argv.push_back(secret);
  request.argv.push_back(folder_->path());
  request.argv.push_back("/proc/" + std::to_string(getpid()));
  EXPECT_THAT(Run(std::move(request)), Said("[]\n"));
  unsetenv("SANDBOX_TEST_SECRET");
}

// Listens where a program would come if it could leave.
class Listener {
 public:
  Listener() {
    sockaddr_in tcp{};
    tcp.sin_family = AF_INET;
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(tcp);
    EXPECT_EQ(bind(tcp_.get(), reinterpret_cast<sockaddr*>(&tcp), size), 0);
    EXPECT_EQ(listen(tcp_.get(), 8), 0);
    getsockname(tcp_.get(), reinterpret_cast<sockaddr*>(&tcp), &size);
    port_ = ntohs(tcp.sin_port);
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    name_ = "sandbox-test-" + std::to_string(port_);
    name_.copy(local.sun_path + 1, sizeof(local.sun_path) - 2);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 +
                                  name_.size());
    EXPECT_EQ(bind(local_.get(), reinterpret_cast<sockaddr*>(&local), size), 0);
    EXPECT_EQ(listen(local_.get(), 8), 0);
  }
  std::string port() const { return std::to_string(port_); }
  const std::string& name() const { return name_; }
  bool HeardSomething() const {
    pollfd events[] = {{tcp_.get(), POLLIN, 0}, {local_.get(), POLLIN, 0}};
    return poll(events, 2, 0) != 0;
  }

 private:
  UniqueFd tcp_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  UniqueFd local_{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  int port_ = 0;
  std::string name_;
};

TEST_F(SandboxHostileTest, ReachesNoNetwork) {
  const Listener listener;
  SandboxRequest request = Python(R"(
import socket, sys
reached = []
def attempt(what, f):
    try:
        f()
        reached.append(what)
    except OSError: pass
attempt('tcp', lambda: socket.create_connection(('127.0.0.1', int(sys.argv[1])), 1))
attempt('tcp6', lambda: socket.create_connection(('::1', int(sys.argv[1])), 1))
attempt('outside', lambda: socket.create_connection(('1.1.1.1', 53), 1))
attempt('udp', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', int(sys.argv[1]))))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt('netlink', lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt('vsock', lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
attempt('alg', lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET))
attempt('abstract', lambda: socket.socket(socket.AF_UNIX).connect('\0' + sys.argv[2]))
attempt('dns', lambda: socket.getaddrinfo('example.com', 80))
print(reached)
)");
  request.argv.push_back(listener.port());
  request.argv.push_back(listener.name());
  EXPECT_THAT(Run(std::move(request)), Said("[]\n"));
  if (access("/usr/bin/node", X_OK) == 0) {
    SandboxRequest node =
        Node("require('net').connect(" + listener.port() +
             ", '127.0.0.1').on('error', e => console.log('refused'))"
             ".on('connect', () => console.log('reached'))");
    node.limits.memory_bytes = std::int64_t{512} << 20;
    EXPECT_THAT(Run(std::move(node)), Said("refused\n"));
  }
  EXPECT_FALSE(listener.HeardSomething());
}

TEST_F(SandboxHostileTest, StillHasUnixSocketsOfItsOwn) {
  EXPECT_THAT(Run(Python("import socket\n"
                         "s = socket.socket(socket.AF_UNIX)\n"
                         "s.bind('/tmp/s'); s.listen()\n"
                         "c = socket.socket(socket.AF_UNIX)\n"
                         "c.connect('/tmp/s')\nprint('connected')")),
              Said("connected\n"));
}

TEST_F(SandboxHostileTest, InheritsNoFiles) {
  // Such as a library opens without a thought for programs to come.
  const UniqueFd plain(open("/etc/hostname", O_RDONLY));
  const UniqueFd high(fcntl(plain.get(), F_DUPFD, 900));
  ASSERT_TRUE(plain);
  EXPECT_THAT(Run(Python("import os\n"
                         "print(sorted(os.readlink('/proc/self/fd/' + f)[:5] "
                         "for f in os.listdir('/proc/self/fd') if f not in "
                         "'012' and os.path.exists('/proc/self/fd/' + f)))")),
              Said("[]\n"));
}

TEST_F(SandboxHostileTest, CannotChangeItsInput) {
  SandboxRequest request = Python(R"(
import os
try:
    fd = os.open('/proc/self/fd/0', os.O_RDWR)
    os.write(fd, b'x')
    print('changed')
except OSError: print('refused')
print(open(0).read())
)");
  request.input = "input";
  EXPECT_THAT(Run(std::move(request)), Said("refused\ninput\n"));
}

// ----------------------------------------------------------- other processes

TEST_F(SandboxHostileTest, SignalsNobodyElse) {
  EXPECT_THAT(Run(Python("import os, signal\n"
                         "for pid in (1, os.getppid()):\n"
                         "  for s in (signal.SIGKILL, signal.SIGSTOP, "
                         "signal.SIGTERM, signal.SIGCHLD):\n"
                         "    os.kill(pid, s)\n"
                         "try: os.kill(" +
                         std::to_string(getpid()) +
                         ", 9); print('killed it')\n"
                         "except OSError: print('no such process')\n"
                         "try: os.kill(-1, 9)\n"
                         "except OSError: pass\n"
                         "print('still here')")),
              Said("no such process\nstill here\n"));
}

TEST_F(SandboxHostileTest, EndsDaemonsWithTheProgram) {
  const auto start = std::chrono::steady_clock::now();
  const SandboxResult result = Run(
      Compiled("#include <unistd.h>\n#include <signal.h>\n#include <stdio.h>\n"
               "int main(void) { for (int i = 0; i < 5; ++i) if (!fork()) {"
               " setsid(); if (fork()) _exit(0);"
               " for (int s = 1; s < 65; ++s) signal(s, SIG_IGN);"
               " for (;;) pause(); }"
               " puts(\"done\"); return 0; }"));
  EXPECT_THAT(result, Said("done\n"));
  // Though they hold stdout open.
  EXPECT_LT(std::chrono::steady_clock::now() - start, 60s);
  EXPECT_LT(result.wall_time, 10s);
}

TEST_F(SandboxHostileTest, CannotBotherInit) {
  const SandboxResult result = Run(Compiled(R"(
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
static void tell(const char* what, long result) {
  if (result >= 0) printf("%s worked\n", what);
}
int main(void) {
  struct rlimit none = {0, 0};
  tell("prlimit", prlimit(1, RLIMIT_CPU, &none, 0));
  cpu_set_t cpus; CPU_ZERO(&cpus); CPU_SET(0, &cpus);
  tell("affinity", sched_setaffinity(1, sizeof cpus, &cpus));
  struct sched_param p = {0};
  tell("scheduler", sched_setscheduler(1, SCHED_IDLE, &p));
  tell("priority", setpriority(PRIO_PROCESS, 1, 19));
  tell("user priority", setpriority(PRIO_USER, getuid(), 19));
  tell("attach", ptrace(PTRACE_ATTACH, 1, 0, 0));
  tell("seize", ptrace(PTRACE_SEIZE, 1, 0, 0));
  char b[8]; struct iovec v = {b, 8}, r = {(void*)0x400000, 8};
  tell("readv", process_vm_readv(1, &v, 1, &r, 1, 0));
  int fd = syscall(SYS_pidfd_open, 1, 0);
  tell("getfd", syscall(SYS_pidfd_getfd, fd, 3, 0));
  tell("mem", open("/proc/1/mem", O_RDWR));
  tell("exe for writing", open("/proc/1/exe", O_WRONLY));
  tell("init for writing", open("/init", O_WRONLY));
  tell("self exe for writing", open("/proc/self/exe", O_WRONLY));
  tell("fd 3", open("/proc/1/fd/3", O_RDWR));
  tell("oom", open("/proc/1/oom_score_adj", O_WRONLY));
  tell("unlink init", unlink("/init"));
  tell("rename init", rename("/init", "init"));
  puts("end");
  return 0;
}
)"));
  EXPECT_THAT(result, Said("end\n"));
}

// ------------------------------------------------------------- the kernel

TEST_F(SandboxHostileTest, IsRefusedTheCallsThatLeadOut) {
  const SandboxResult result = Run(Compiled(R"(
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>
static int failures;
static void refused(const char* what, long result) {
  if (result >= 0) printf("%s worked\n", what);
  else if (errno != ENOSYS && errno != EPERM && errno != EAFNOSUPPORT)
    printf("%s: %s\n", what, strerror(errno));
}
#define CALL(name, ...) refused(#name, syscall(SYS_##name, ##__VA_ARGS__))
int main(void) {
  char buffer[4096] = {0};
  CALL(ptrace, PTRACE_TRACEME, 0, 0, 0);
  CALL(process_vm_readv, getpid(), 0, 0, 0, 0, 0);
  CALL(process_vm_writev, getpid(), 0, 0, 0, 0, 0);
  CALL(kcmp, getpid(), getpid(), 0, 0, 0);
  CALL(mount, "none", "/tmp", "tmpfs", 0, 0);
  CALL(mount, "proc", "/tmp", "proc", 0, 0);
  CALL(mount, "cgroup", "/tmp", "cgroup", 0, "memory");
  CALL(mount, "none", "/tmp", "cgroup2", 0, 0);
  CALL(umount2, "/work", MNT_DETACH);
  CALL(mount, 0, "/usr", 0, MS_REMOUNT | MS_BIND, 0);
  CALL(pivot_root, "/tmp", "/tmp");
  CALL(chroot, "/tmp");
  CALL(open_tree, -100, "/", 0);
  CALL(move_mount, -1, "", -1, "", 0);
  CALL(fsopen, "tmpfs", 0);
  CALL(unshare, CLONE_NEWUSER);
  CALL(unshare, CLONE_NEWNS);
  CALL(setns, 0, 0);
  CALL(clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  CALL(clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
  CALL(clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
  CALL(clone3, buffer, 88);
  CALL(keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
  CALL(add_key, "user", "x", "y", 1, -4);
  CALL(request_key, "user", "x", "y", -4);
  CALL(bpf, 0, buffer, 64);
  CALL(perf_event_open, buffer, 0, -1, -1, 0);
  CALL(userfaultfd, 0);
  CALL(io_uring_setup, 1, buffer);
  CALL(kexec_load, 0, 0, 0, 0);
  CALL(init_module, buffer, 1, "");
  CALL(finit_module, 0, "", 0);
  CALL(delete_module, "x", 0);
  CALL(reboot, 0xfee1dead, 672274793, 0x4321fedc, 0);
  CALL(swapon, "/tmp/x", 0);
  CALL(sethostname, "x", 1);
  CALL(settimeofday, buffer, 0);
  CALL(clock_settime, 0, buffer);
  CALL(adjtimex, buffer);
  CALL(quotactl, 0, "", 0, 0);
  CALL(acct, "/tmp/x");
  CALL(syslog, 3, buffer, 10);
  CALL(open_by_handle_at, 0, buffer, 0);
  CALL(name_to_handle_at, -100, "/", buffer, buffer, 0);
  CALL(fanotify_init, 0, 0);
  CALL(memfd_secret, 0);
  CALL(vmsplice, 1, 0, 0, 0);
  CALL(mbind, 0, 0, 0, 0, 0, 0);
  CALL(move_pages, 0, 0, 0, 0, 0, 0);
  CALL(lookup_dcookie, 0, buffer, 1);
  CALL(seccomp, 0, 0, 0);
  CALL(setxattr, "/work", "user.x", "y", 1, 0);
  CALL(mq_open, "/x", O_CREAT, 0600, 0);
  CALL(msgget, 1, 01000);
#ifdef __x86_64__
  CALL(iopl, 3);
  CALL(ioperm, 0, 1, 1);
  CALL(modify_ldt, 0, buffer, 1);
#endif
  refused("unknown", syscall(1000000));
  refused("personality", personality(READ_IMPLIES_EXEC));
  refused("prctl mm", prctl(PR_SET_MM, 1, 0, 0, 0));
  refused("tiocsti", ioctl(0, TIOCSTI, "x"));
  refused("tiocsti, high bits", syscall(SYS_ioctl, 0, 0x100000000UL | TIOCSTI, "x"));
  refused("dangling", setuid(0) == 0 ? 0 : (errno = EPERM, -1));
  puts("end");
  return 0;
}
)"));
  EXPECT_THAT(result, Said("end\n"));
}

#ifdef __x86_64__
TEST_F(SandboxHostileTest, DiesOfSystemCallsOfAnotherKind) {
  // Those of i386 and x32 have other numbers, so the filter's would not do.
  for (const char* const call :
       {"int main(void) { long r; __asm__ volatile(\"int $0x80\" : \"=a\"(r) :"
        " \"a\"(20)); return 0; }",
        "#include <unistd.h>\n#include <sys/syscall.h>\nint main(void) {"
        " syscall(0x40000000 + 39); return 0; }"}) {
    const SandboxResult result = Run(Compiled(call));
    EXPECT_THAT(result, EndedBy(SandboxOutcome::kSignalled));
    EXPECT_EQ(result.signal, SIGSYS);
  }
}
#endif

TEST_F(SandboxHostileTest, GainsNothingFromSetuidPrograms) {
  const SandboxResult result = Run(Python(
      R"py(
import os, subprocess
setuid = []
for folder in ('/usr/bin', '/usr/sbin', '/usr/lib/openssh'):
    if not os.path.isdir(folder): continue
    for name in os.listdir(folder):
        path = folder + '/' + name
        try: mode = os.stat(path).st_mode
        except OSError: continue
        if mode & 0o6000 and os.access(path, os.X_OK): setuid.append(path)
for path in setuid:
    try: subprocess.run([path, '--help'], capture_output=True,
                        stdin=subprocess.DEVNULL, timeout=1)
    except subprocess.TimeoutExpired: pass
# A copy of a shell, setuid for whoever owns it here.
open('sh', 'wb').write(open('/bin/sh', 'rb').read())
os.chmod('sh', 0o6755)
out = subprocess.run(
    [os.path.abspath('sh'), '-c',
     'grep -E "^(Uid|CapEff|NoNewPrivs)" /proc/self/status'],
    capture_output=True, text=True).stdout
print(out.split())
try:
    os.setuid(0)
    print('root')
except OSError: print('refused')
)py",
      {.cpu_time = 20s, .wall_time = 60s}));
  EXPECT_THAT(result,
              Said("['Uid:', '1000', '1000', '1000', '1000', 'CapEff:', "
                   "'0000000000000000', 'NoNewPrivs:', '1']\nrefused\n"));
}

TEST_F(SandboxHostileTest, WritesToNoPartOfTheSystem) {
  const SandboxResult result =
      Run(Python(R"(
import os
written = []
for folder, _, _ in os.walk('/'):
    if folder.startswith(('/proc', '/work', '/tmp', '/dev/shm')): continue
    try:
        os.close(os.open(folder + '/x', os.O_CREAT | os.O_WRONLY))
        written.append(folder)
    except OSError: pass
for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname',
             '/proc/sysrq-trigger', '/proc/self/oom_score_adj.', '/etc/passwd',
             '/proc/self/uid_map', '/proc/self/gid_map', '/proc/self/setgroups',
             '/proc/sys/user/max_user_namespaces'):
    try:
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, b'1')
        written.append(path)
    except OSError: pass
print(written)
)",
                 // All folders of the machine, while others use it.
                 {.cpu_time = 90s, .wall_time = 10min}));
  EXPECT_THAT(result, Said("[]\n"));
}

TEST_F(SandboxHostileTest, SeesNoCgroups) {
  EXPECT_THAT(Run(Sh("ls /sys/fs/cgroup 2>/dev/null; grep -c cgroup "
                     "/proc/self/mounts; cut -d: -f3 /proc/self/cgroup | sort "
                     "-u")),
              AnyOf(Said("0\n/\n"),
                    // Those that were not unshared, of which it is told a path.
                    Said("0\n")));
}

TEST_F(SandboxHostileTest, HasNoTerminal) {
  EXPECT_THAT(Run(Compiled("#include <sys/ioctl.h>\n#include <fcntl.h>\n"
                           "#include <stdio.h>\nint main(void) {"
                           " printf(\"%d\\n\", open(\"/dev/tty\", O_RDWR));"
                           " for (int i = 0; i < 3; ++i)"
                           " printf(\"%d\\n\", ioctl(i, TIOCSTI, \"x\"));"
                           " return 0; }")),
              Said("-1\n-1\n-1\n-1\n"));
}

// ----------------------------------------------------------- the workspace

TEST_F(SandboxHostileTest, CannotChangeTheProgramThatIsRun) {
  const std::shared_ptr<SandboxWorkspace> workspace =
      *sandbox_->CreateWorkspace();
  ASSERT_TRUE(
      workspace->Add({.path = "answer", .content = "42\n", .executable = true})
          .ok());
  SandboxRequest request = Sh(
      "echo 43 >/program/answer; echo 1 >/program/new; rm -f /program/answer; "
      "chmod 777 /program /program/answer; mv /program/answer /tmp; "
      "ln /program/answer /tmp/link && echo 43 >/tmp/link; "
      "exec 5</program/answer; echo 43 >/proc/self/fd/5; "
      "cat /program/answer; ls -A /program");
  request.workspace = workspace;
  const SandboxResult result = Run(request);
  EXPECT_THAT(result, Said("42\nanswer\n"));
  std::ifstream file(workspace->folder() + "/answer");
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "42");
}

TEST_F(SandboxHostileTest, KeepsNoLinksAndNothingFromOutside) {
  const std::shared_ptr<SandboxWorkspace> workspace =
      *sandbox_->CreateWorkspace();
  SandboxRequest request = Sh(
      "ln -s /etc/passwd link; ln -s / root; ln -s .. up; mkfifo fifo; "
      "ln /etc/passwd hard 2>/dev/null; mkdir d; ln -s /etc d/etc; "
      "ln -s /proc/self/environ env; echo ok >d/good; "
      "printf x >'strange\nname'; printf x >'a b'; python3 -c \"import socket; "
      "socket.socket(socket.AF_UNIX).bind('sock')\"; true");
  request.workspace = workspace;
  request.keep = {
      ".", "link", "root/etc/passwd", "up/etc/passwd", "d/etc/passwd", "fifo"};
  EXPECT_THAT(Run(request), ExitedWith(0));
  std::vector<std::string> kept;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(workspace->folder())) {
    EXPECT_FALSE(entry.is_symlink());
    if (entry.is_regular_file()) {
      kept.push_back(
          std::filesystem::relative(entry.path(), workspace->folder()));
    }
  }
  EXPECT_THAT(kept, testing::ElementsAre("d/good"));
}

TEST_F(SandboxHostileTest, BoundsWhatIsKept) {
  for (const char* const script :
       {// Larger than the disk, since there is nothing in it.
        "truncate -s 1M big; for i in $(seq 20); do cp --sparse=always big "
        "b$i || exit 1; done",
        // Deeper than anyone needs.
        "for i in $(seq 50); do mkdir d && cd d || exit 1; done; echo x >deep",
        "for i in $(seq 90); do echo >f$i; done"}) {
    const std::shared_ptr<SandboxWorkspace> workspace =
        *sandbox_->CreateWorkspace();
    SandboxRequest request = Sh(script, kSmall);
    request.workspace = workspace;
    request.keep = {"."};
    EXPECT_THAT(Run(request),
                AnyOf(ExitedWith(0), EndedBy(SandboxOutcome::kOutputLimit)));
    std::int64_t bytes = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(workspace->folder())) {
      if (entry.is_regular_file()) {
        bytes += static_cast<std::int64_t>(entry.file_size());
      }
    }
    EXPECT_LE(bytes, kSmall.disk_bytes);
  }
}

TEST_F(SandboxHostileTest, CannotFeedTheNextRun) {
  EXPECT_THAT(Run(Sh("echo x >/tmp/a; echo x >/dev/shm/b; echo x >c")),
              ExitedWith(0));
  EXPECT_THAT(Run(Sh("ls -A /tmp /dev/shm . | grep -v :")), Not(Said("a\n")));
  EXPECT_THAT(Run(Sh("cat /tmp/a /dev/shm/b c 2>/dev/null; true")), Said(""));
}

// --------------------------------------------------------------- compilers

TEST_F(SandboxHostileTest, CompilesNoBomb) {
  const std::string big =
      "template <int N> struct A { A<N + 1> a; A<N + 2> b; "
      "static const int v = A<N + 1>::v + A<N + 3>::v; };"
      "int main() { return A<0>::v; }";
  const struct {
    const char* name;
    std::string source;
    std::vector<std::string> flags;
  } bombs[] = {
      {"endless include", "#include \"/dev/zero\"\nint main() {}", {}},
      {"endless randomness", "#include \"/dev/urandom\"\nint main() {}", {}},
      {"itself", "#include \"main.cc\"\n#include \"main.cc\"\n", {}},
      {"a secret", "#include \"/etc/shadow\"\nint main() {}", {}},
      {"recursion", big, {"-ftemplate-depth=100000"}},
      {"constant evaluation",
       "constexpr long f(long n) { return n == 0 ? 0 : f(n - 1) + f(n - 1); }"
       "constexpr long x = f(200); int main() { return x; }",
       {"-fconstexpr-ops-limit=100000000000"}},
      {"large data", "int a[1 << 28] = {1}; int main() { return a[5]; }", {}},
      {"assembled data",
       "asm(\".data\\n.fill 2000000000, 1, 65\\n\"); int main() {}",
       {}},
      {"included data",
       "asm(\".data\\n.incbin \\\"/dev/zero\\\"\\n\"); int main() {}",
       {}},
      {"macros",
       "#define A(x) x x x x x x x x x x\n#define B(x) A(A(A(A(x))))\n"
       "#define C(x) B(B(B(x)))\nC(int;) int main() {}",
       {}},
  };
  for (const auto& bomb : bombs) {
    const std::shared_ptr<SandboxWorkspace> workspace =
        *sandbox_->CreateWorkspace();
    ASSERT_TRUE(
        workspace->Add({.path = "main.cc", .content = bomb.source}).ok());
    SandboxRequest request{.argv = {"/usr/bin/g++", "-o", "main"},
                           .workspace = workspace,
                           .keep = {"main"},
                           .limits = {.cpu_time = 1s,
                                      .wall_time = 30s,
                                      .memory_bytes = std::int64_t{256} << 20,
                                      .output_bytes = 100'000,
                                      .disk_bytes = std::int64_t{64} << 20}};
    request.argv.insert(request.argv.end(), bomb.flags.begin(),
                        bomb.flags.end());
    request.argv.emplace_back("/program/main.cc");
    const SandboxResult result = Run(std::move(request));
    EXPECT_NE(result.outcome, SandboxOutcome::kSandboxFailure)
        << bomb.name << ": " << result.message;
    EXPECT_FALSE(result.outcome == SandboxOutcome::kExited &&
                 result.exit_code == 0)
        << bomb.name;
    EXPECT_FALSE(std::filesystem::exists(workspace->folder() + "/main"));
    EXPECT_LE(result.error.size(), 100'000U);
  }
}

TEST_F(SandboxHostileTest, BlamesAProgramThatIsTooLargeToLoad) {
  // The compiler does not mind: it takes no place in the file.
  const SandboxResult result =
      Run(Compiled("static char a[1L << 40]; int main(int c, char** v) {"
                   " a[c * 1000] = 1; return a[c]; }\n"
                   "#pragma GCC optimize(\"O0\")\n",
                   kSmall));
  EXPECT_NE(result.outcome, SandboxOutcome::kSandboxFailure);
  EXPECT_FALSE(result.outcome == SandboxOutcome::kExited &&
               result.exit_code == 0);
}

}  // namespace
}  // namespace platform::execution
