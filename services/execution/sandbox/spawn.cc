// SPDX-License-Identifier: Apache-2.0
#include "services/execution/sandbox/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <memory>

namespace platform::execution {
namespace {

// What the child needs, made before it exists: it shares our memory, so it must
// neither allocate nor take locks.
struct Child {
  const SpawnRequest* request;
  char** argv;
  const char* failed = nullptr;
  int error = 0;
};

constexpr int kMaxFiles = 16;

// ThreadSanitizer takes every clone() for a fork(), so there the child has
// memory of its own; which step failed then stays unsaid.
#if defined(__SANITIZE_THREAD__)
#define SANDBOX_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANDBOX_UNDER_TSAN 1
#endif
#endif
#ifdef SANDBOX_UNDER_TSAN
constexpr int kSharedMemory = 0;
#else
constexpr int kSharedMemory = CLONE_VM;
#endif

int RunChild(void* argument) {
  auto& child = *static_cast<Child*>(argument);
  const SpawnRequest& request = *child.request;
  const auto fail = [&child](const char* step) {
    child.failed = step;
    child.error = errno;
    _exit(127);
  };
  // What is ignored here would be there, too, such as the end of a child. The
  // table of handlers is a copy, unlike the memory.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    sigaction(signal, &action, nullptr);  // fails for those that stay
  }
  // First aside, since a file may lie where another is to go.
  const int count = static_cast<int>(request.files.size());
  int aside[kMaxFiles];
  for (int i = 0; i < count; ++i) {
    aside[i] = fcntl(request.files[static_cast<std::size_t>(i)],
                     F_DUPFD_CLOEXEC, kMaxFiles);
    if (aside[i] < 0) fail("dup");
  }
  for (const int entrance : request.entrances) {
    if (write(entrance, "0", 1) != 1) fail("entering the cgroup");
  }
  for (int i = 0; i < count; ++i) {
    if (dup2(aside[i], i) < 0) fail("dup2");
  }
  // Also what others in this process opened without a thought for us.
  if (syscall(SYS_close_range, count, ~0U, 0) != 0) fail("close_range");
  if (request.changes_user) {
    // The plain system calls: those of the C library have every thread of the
    // process do the same.
    if (syscall(SYS_setgroups, 0, nullptr) != 0) fail("setgroups");
    if (syscall(SYS_setresgid, request.group, request.group, request.group) !=
        0) {
      fail("setresgid");
    }
    if (syscall(SYS_setresuid, request.user, request.user, request.user) != 0) {
      fail("setresuid");
    }
  }
  char* const no_environment[] = {nullptr};
  execve(child.argv[0], child.argv, no_environment);
  fail("execve");
  return 127;
}

}  // namespace

absl::StatusOr<SpawnedProcess> Spawn(const SpawnRequest& request) {
  assert(request.files.size() <= kMaxFiles);
  std::vector<char*> argv;
  argv.reserve(request.argv.size() + 1);
  for (const std::string& argument : request.argv) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  Child child{.request = &request, .argv = argv.data()};

  // A signal's handler in the child would run on our memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // Not on our own stack, where AddressSanitizer would take what the child
  // leaves behind for ours.
  constexpr std::size_t kStackBytes = 64 << 10;
  const auto stack = std::make_unique_for_overwrite<char[]>(kStackBytes);
  int pidfd = -1;
  const pid_t pid = clone(RunChild, stack.get() + kStackBytes,
                          kSharedMemory | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                          &child, &pidfd);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    return absl::InternalError(std::string("clone: ") + std::strerror(error));
  }
  SpawnedProcess process{.pid = pid, .pidfd = UniqueFd(pidfd)};
  if (child.failed != nullptr) {
    siginfo_t info;
    waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | __WALL);
    return absl::InternalError(std::string(child.failed) + ": " +
                               std::strerror(child.error));
  }
  return process;
}

}  // namespace platform::execution
