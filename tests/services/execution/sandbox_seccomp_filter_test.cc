// SPDX-License-Identifier: Apache-2.0
#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "gtest/gtest.h"
#include "services/execution/sandbox/seccomp_filter.h"

namespace platform::execution {
namespace {

#ifdef __x86_64__
constexpr std::uint32_t kHere = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kHere = AUDIT_ARCH_AARCH64;
#endif

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kKill = SECCOMP_RET_KILL_PROCESS;
constexpr std::uint32_t Refused(int error) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
}

// What the kernel would do, for the instructions that the filter has.
class SeccompFilterTest : public ::testing::Test {
 protected:
  std::uint32_t Ask(int number, std::uint64_t first = 0,
                    std::uint64_t second = 0, std::uint32_t arch = kHere) {
    return Ask(MakeSeccompFilter({.allow_shared_memory = shared_}), number,
               first, second, arch);
  }
  static std::uint32_t Ask(const std::vector<sock_filter>& filter, int number,
                           std::uint64_t first, std::uint64_t second,
                           std::uint32_t arch) {
    seccomp_data data{};
    data.nr = number;
    data.arch = arch;
    data.args[0] = first;
    data.args[1] = second;
    std::uint32_t loaded = 0;
    for (std::size_t at = 0; at < filter.size(); ++at) {
      const sock_filter& step = filter[at];
      bool holds = false;
      switch (step.code) {
        case BPF_LD | BPF_W | BPF_ABS:
          std::memcpy(&loaded, reinterpret_cast<char*>(&data) + step.k, 4);
          continue;
        case BPF_RET | BPF_K:
          return step.k;
        case BPF_JMP | BPF_JEQ | BPF_K:
          holds = loaded == step.k;
          break;
        case BPF_JMP | BPF_JGE | BPF_K:
          holds = loaded >= step.k;
          break;
        case BPF_JMP | BPF_JGT | BPF_K:
          holds = loaded > step.k;
          break;
        case BPF_JMP | BPF_JSET | BPF_K:
          holds = (loaded & step.k) != 0;
          break;
        default:
          ADD_FAILURE() << "instruction " << step.code;
      }
      at += holds ? step.jt : step.jf;
    }
    ADD_FAILURE() << "ran off the end";
    return 0;
  }

  bool shared_ = true;
};

TEST_F(SeccompFilterTest, AllowsWhatRuntimesNeed) {
  for (const int number :
       {SYS_read, SYS_write, SYS_openat, SYS_mmap, SYS_mprotect, SYS_futex,
        SYS_execve, SYS_exit_group, SYS_wait4, SYS_newfstatat, SYS_statx,
        SYS_getrandom, SYS_rseq, SYS_epoll_pwait, SYS_sched_getaffinity}) {
    EXPECT_EQ(Ask(number), kAllow) << number;
  }
}

TEST_F(SeccompFilterTest, KnowsNothingElse) {
  for (const int number : {SYS_ptrace,
                           SYS_process_vm_readv,
                           SYS_process_vm_writev,
                           SYS_mount,
                           SYS_umount2,
                           SYS_unshare,
                           SYS_setns,
                           SYS_clone3,
                           SYS_keyctl,
                           SYS_add_key,
                           SYS_request_key,
                           SYS_bpf,
                           SYS_perf_event_open,
                           SYS_userfaultfd,
                           SYS_io_uring_setup,
                           SYS_io_uring_enter,
                           SYS_io_uring_register,
                           SYS_kexec_load,
                           SYS_init_module,
                           SYS_finit_module,
                           SYS_delete_module,
                           SYS_reboot,
                           SYS_pivot_root,
                           SYS_chroot,
                           SYS_pidfd_getfd,
                           SYS_kcmp,
                           SYS_seccomp,
                           SYS_syslog,
                           SYS_open_by_handle_at,
                           SYS_setgroups,
                           SYS_sethostname,
                           SYS_capset,
                           SYS_setxattr,
                           SYS_vmsplice,
                           SYS_process_madvise,
                           SYS_fanotify_init,
                           SYS_clock_settime}) {
    EXPECT_EQ(Ask(number), Refused(ENOSYS)) << number;
  }
  // Also those that are yet to come, and no others below the first.
  for (const int number : {500, 1000, 100'000, 0x3fffffff}) {
    EXPECT_EQ(Ask(number), Refused(ENOSYS)) << number;
  }
}

TEST_F(SeccompFilterTest, KillsWhoSpeaksAnotherTongue) {
  EXPECT_EQ(Ask(SYS_read, 0, 0, AUDIT_ARCH_I386), kKill);
  EXPECT_EQ(Ask(SYS_read, 0, 0, AUDIT_ARCH_ARM), kKill);
  EXPECT_EQ(Ask(0x40000000), kKill);
  EXPECT_EQ(Ask(0x40000000 | 39), kKill);
  EXPECT_EQ(Ask(-1), kKill);
}

TEST_F(SeccompFilterTest, RefusesNewNamespacesToClone) {
  EXPECT_EQ(Ask(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND), kAllow);
  for (const std::uint64_t flag :
       {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
        CLONE_NEWPID, CLONE_NEWNET}) {
    EXPECT_EQ(Ask(SYS_clone, flag | CLONE_VM), Refused(EPERM)) << flag;
  }
}

TEST_F(SeccompFilterTest, AllowsUnixSocketsOnly) {
  EXPECT_EQ(Ask(SYS_socket, AF_UNIX), kAllow);
  for (const std::uint64_t family :
       {AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK,
        AF_BLUETOOTH, AF_UNSPEC}) {
    EXPECT_EQ(Ask(SYS_socket, family), Refused(EAFNOSUPPORT)) << family;
  }
}

TEST_F(SeccompFilterTest, KeepsInitOutOfReach) {
  for (const int number :
       {SYS_prlimit64, SYS_sched_setaffinity, SYS_sched_setscheduler,
        SYS_sched_setparam, SYS_sched_setattr}) {
    EXPECT_EQ(Ask(number, 0), kAllow) << number;
    EXPECT_EQ(Ask(number, 2), kAllow) << number;
    EXPECT_EQ(Ask(number, 1), Refused(EPERM)) << number;
    // The kernel takes the lower half.
    EXPECT_EQ(Ask(number, (std::uint64_t{7} << 32) | 1), Refused(EPERM));
  }
  EXPECT_EQ(Ask(SYS_setpriority, PRIO_PROCESS, 0), kAllow);
  EXPECT_EQ(Ask(SYS_setpriority, PRIO_PROCESS, 1), Refused(EPERM));
  EXPECT_EQ(Ask(SYS_setpriority, PRIO_PGRP, 1), Refused(EPERM));
  EXPECT_EQ(Ask(SYS_setpriority, PRIO_USER, 0), Refused(EPERM));
}

TEST_F(SeccompFilterTest, RefusesSomeOfWhatIoctlPrctlAndPersonalityDo) {
  EXPECT_EQ(Ask(SYS_ioctl, 0, TCGETS), kAllow);
  EXPECT_EQ(Ask(SYS_ioctl, 0, TIOCSTI), Refused(EPERM));
  EXPECT_EQ(Ask(SYS_ioctl, 0, (std::uint64_t{1} << 32) | TIOCSTI),
            Refused(EPERM));
  EXPECT_EQ(Ask(SYS_ioctl, 0, TIOCLINUX), Refused(EPERM));
  EXPECT_EQ(Ask(SYS_prctl, PR_SET_NAME), kAllow);
  EXPECT_EQ(Ask(SYS_prctl, PR_SET_SECCOMP), Refused(EPERM));
  EXPECT_EQ(Ask(SYS_prctl, PR_SET_MM), Refused(EPERM));
  EXPECT_EQ(Ask(SYS_personality, 0), kAllow);
  EXPECT_EQ(Ask(SYS_personality, 0xffffffff), kAllow);
  EXPECT_EQ(Ask(SYS_personality, 0x0400000), Refused(EPERM));
}

TEST_F(SeccompFilterTest, AllowsMemoryOfNobodyOnlyIfItIsCounted) {
  EXPECT_EQ(Ask(SYS_memfd_create), kAllow);
  EXPECT_EQ(Ask(SYS_shmget), kAllow);
  shared_ = false;
  EXPECT_EQ(Ask(SYS_memfd_create), Refused(ENOSYS));
  EXPECT_EQ(Ask(SYS_shmget), Refused(ENOSYS));
}

TEST_F(SeccompFilterTest, FitsIntoTheKernelsLimit) {
  EXPECT_LE(MakeSeccompFilter({.allow_shared_memory = true}).size(),
            std::size_t{BPF_MAXINSNS});
}

}  // namespace
}  // namespace platform::execution
