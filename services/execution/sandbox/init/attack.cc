// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "services/execution/sandbox/init/init.h"

namespace platform::execution {
namespace {

void Say(const char* name, bool held, const char* detail) {
  printf("%s %s %s\n", name, held ? "held" : "open", detail);
}

// "kind:inode", as readlink prints them, of a namespace of the service.
bool IsOwnNamespace(const char* kind, const char* outside) {
  char path[64];
  char inside[64];
  snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
  const ssize_t size = readlink(path, inside, sizeof(inside) - 1);
  if (size <= 0) return false;
  inside[size] = '\0';
  return strcmp(inside, outside) != 0;
}

bool CanOpen(const char* path, int flags) {
  const int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  close(fd);
  return true;
}

void LookAtFiles(const char* outside) {
  for (const char* const path :
       {outside, "/etc/shadow", "/root", "/home", "/sys", "/run", "/var",
        "/proc/1/root/", "/program/etc", "/program/usr"}) {
    if (CanOpen(path, O_RDONLY)) return Say("file_system", false, path);
  }
  for (const char* const path : {"/x", "/usr/x", "/etc/x", "/dev/x",
                                 "/program/x", "/usr/bin/x", "/init"}) {
    if (CanOpen(path, O_WRONLY | O_CREAT)) {
      return Say("file_system", false, path);
    }
  }
  Say("file_system", true, "read-only system, nothing else to be seen");
}

void LookAtProcesses(pid_t service, const char* outside) {
  if (!IsOwnNamespace("pid", outside)) {
    return Say("pid_namespace", false, "the service's own");
  }
  // Only init and this.
  int processes = 0;
  if (DIR* const proc = opendir("/proc"); proc != nullptr) {
    while (const dirent* const entry = readdir(proc)) {
      if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') ++processes;
    }
    closedir(proc);
  }
  if (processes != 2) {
    return Say("pid_namespace", false, "other processes in /proc");
  }
  if (service > 2 && kill(service, 0) == 0) {
    return Say("pid_namespace", false, "signals reach the service");
  }
  Say("pid_namespace", true, "of its own");
}

void LookAtNetwork(int port, const char* name, const char* outside) {
  if (!IsOwnNamespace("net", outside)) {
    return Say("no_network", false, "the service's own network");
  }
  sockaddr_in tcp{};
  tcp.sin_family = AF_INET;
  tcp.sin_port = htons(static_cast<std::uint16_t>(port));
  tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 &&
      connect(fd, reinterpret_cast<sockaddr*>(&tcp), sizeof(tcp)) == 0) {
    return Say("no_network", false, "reached the service's loopback");
  }
  if (fd >= 0) close(fd);
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  strncpy(local.sun_path + 1, name, sizeof(local.sun_path) - 2);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 +
                                           strlen(name));
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&local), size) == 0) {
    return Say("no_network", false, "reached an abstract socket outside");
  }
  if (fd >= 0) close(fd);
  Say("no_network", true, "an empty network of its own");
}

void LookAtPrivileges() {
  char text[8192];
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  const ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
  text[size > 0 ? size : 0] = '\0';
  close(fd);
  const bool filtered = strstr(text, "\nSeccomp:\t2") != nullptr;
  errno = 0;
  const bool traced = ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0;
  const bool unshared = unshare(CLONE_NEWUSER) == 0;
  Say("seccomp", filtered && !traced && !unshared,
      !filtered  ? "no filter"
      : traced   ? "ptrace works"
      : unshared ? "unshare works"
                 : "a list of system calls");
  Say("no_new_privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
      "setuid files give nothing");
  bool none = true;
  for (const char* const set : {"\nCapInh:\t", "\nCapPrm:\t", "\nCapEff:\t",
                                "\nCapBnd:\t", "\nCapAmb:\t"}) {
    const char* const at = strstr(text, set);
    none =
        none && at != nullptr && strtoull(at + strlen(set), nullptr, 16) == 0;
  }
  Say("no_capabilities", none, "not even within the sandbox");

  unsigned inside = 0;
  unsigned outside = 0;
  FILE* const map = fopen("/proc/self/uid_map", "re");
  const bool read_map = map != nullptr &&
                        // The kernel wrote them.  NOLINTNEXTLINE(cert-err34-c)
                        fscanf(map, "%u %u", &inside, &outside) == 2;
  if (map != nullptr) fclose(map);
  char detail[64];
  snprintf(detail, sizeof(detail), "user id %u outside", outside);
  Say("unprivileged_user", read_map && outside != 0 && getuid() != 0, detail);

  char count[16] = {};
  const int limit =
      open("/proc/sys/user/max_user_namespaces", O_RDONLY | O_CLOEXEC);
  if (limit >= 0) {
    [[maybe_unused]] const ssize_t got = read(limit, count, sizeof(count) - 1);
    close(limit);
  }
  Say("no_user_namespaces", strcmp(count, "0\n") == 0,
      "by the kernel's own limit, beside the filter");
}

void LookAtWhatIsInherited() {
  bool only = true;
  if (DIR* const open_files = opendir("/proc/self/fd"); open_files != nullptr) {
    while (const dirent* const entry = readdir(open_files)) {
      if (entry->d_name[0] == '.') continue;
      const auto fd = static_cast<int>(strtol(entry->d_name, nullptr, 10));
      only = only && (fd <= 2 || fd == dirfd(open_files));
    }
    closedir(open_files);
  }
  Say("no_inherited_files", only, "0, 1 and 2 only");
  // One variable was given.
  Say("clean_environment", environ[0] != nullptr && environ[1] == nullptr,
      "what the request gives only");
  Say("no_terminal", !CanOpen("/dev/tty", O_RDWR), "a session of its own");
  Say("init_closed",
      !CanOpen("/proc/1/mem", O_RDONLY) &&
          !CanOpen("/proc/1/environ", O_RDONLY) &&
          !CanOpen("/proc/1/exe", O_WRONLY) && opendir("/proc/1/fd") == nullptr,
      "the first process's memory and files");
}

// Last, since it fills the disk. The probe's limits are small.
void LookAtDisk() {
  static char block[64 << 10];
  int files = 0;
  for (; files < 1000; ++files) {
    char path[32];
    snprintf(path, sizeof(path), "/tmp/%d", files);
    if (!CanOpen(path, O_WRONLY | O_CREAT)) break;
  }
  Say("file_count_limit", files > 0 && files < 1000, "by the file system");
  for (int i = 0; i < files; ++i) {
    char path[32];
    snprintf(path, sizeof(path), "/tmp/%d", i);
    unlink(path);
  }
  long long written = 0;
  const int fd = open("/dev/shm/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  for (ssize_t got; written < (64 << 20); written += got) {
    if ((got = write(fd, block, sizeof(block))) <= 0) break;
  }
  const bool full = errno == ENOSPC;
  close(fd);
  Say("disk_limit", written > 0 && written < (64 << 20) && full,
      "by the size of the file system");
}

int Look(char** argv) {
  const char* const file = argv[0];
  const auto service = static_cast<pid_t>(strtol(argv[1], nullptr, 10));
  const auto port = static_cast<int>(strtol(argv[2], nullptr, 10));
  const char* const socket_name = argv[3];
  char** const namespaces = argv + 4;  // pid net ipc uts cgroup user mnt
  LookAtFiles(file);
  LookAtProcesses(service, namespaces[0]);
  LookAtNetwork(port, socket_name, namespaces[1]);
  LookAtPrivileges();
  LookAtWhatIsInherited();
  Say("private_ipc", IsOwnNamespace("ipc", namespaces[2]),
      "System V and message queues");
  Say("private_host_name", IsOwnNamespace("uts", namespaces[3]), "sandbox");
  Say("private_cgroup", IsOwnNamespace("cgroup", namespaces[4]),
      "its place is not to be seen");
  LookAtDisk();
  return 0;
}

[[noreturn]] void Pause() {
  for (;;) pause();
}

}  // namespace

int Attack(int argc, char** argv) {
  const char* const what = argv[0];
  if (strcmp(what, "look") == 0 && argc == 10) return Look(argv + 1);
  if (strcmp(what, "processes") == 0) {
    for (int i = 0; i < 64; ++i) {
      const pid_t pid = fork();
      if (pid < 0) break;
      if (pid == 0) Pause();
    }
    Pause();
  }
  if (strcmp(what, "memory") == 0) {
    // In pieces, and slowly enough for one who only looks now and then. Not by
    // malloc, which a compiler leaves out where it sees that nobody reads.
    constexpr std::size_t kPieceBytes = 1 << 20;
    for (int i = 0; i < 256; ++i) {
      void* const piece = mmap(nullptr, kPieceBytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (piece == MAP_FAILED) return 1;
      memset(piece, i + 1, kPieceBytes);
      usleep(500);
    }
    return 0;
  }
  if (strcmp(what, "cpu") == 0) {
    volatile unsigned long turns = 0;
    for (;;) turns = turns + 1;
  }
  if (strcmp(what, "sleep") == 0) Pause();
  return 2;
}

}  // namespace platform::execution
