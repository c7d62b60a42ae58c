// SPDX-License-Identifier: Apache-2.0
#include "services/execution/sandbox/seccomp_filter.h"

#include <linux/audit.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace platform::execution {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the seccomp filter knows x86_64 and aarch64"
#endif

// Calls of the x32 ABI share x86_64's architecture and have this bit.
constexpr std::uint32_t kX32 = 0x40000000;

constexpr std::uint32_t kNewNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

constexpr std::uint32_t kInitPid = 1;

// Allowed whatever the arguments. Those with a rule of their own are absent.
constexpr int kAllowed[] = {
    // Files.
    SYS_read,
    SYS_write,
    SYS_pread64,
    SYS_pwrite64,
    SYS_readv,
    SYS_writev,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_openat,
    SYS_openat2,
    SYS_close,
    SYS_close_range,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_ftruncate,
    SYS_truncate,
    SYS_fallocate,
    SYS_fsync,
    SYS_fdatasync,
    SYS_sync_file_range,
    SYS_fadvise64,
    SYS_readahead,
    SYS_flock,
    SYS_fcntl,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_getdents64,
    SYS_getcwd,
    SYS_chdir,
    SYS_fchdir,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_linkat,
    SYS_symlinkat,
    SYS_readlinkat,
    SYS_renameat2,
    SYS_mknodat,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_umask,
    SYS_copy_file_range,
    SYS_sendfile,
    SYS_splice,
    SYS_tee,
    SYS_getxattr,
    SYS_lgetxattr,
    SYS_fgetxattr,
    SYS_listxattr,
    SYS_llistxattr,
    SYS_flistxattr,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
    // Memory.
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_msync,
    SYS_mincore,
    SYS_mlock,
    SYS_mlock2,
    SYS_munlock,
    SYS_mlockall,
    SYS_munlockall,
    SYS_pkey_alloc,
    SYS_pkey_free,
    SYS_pkey_mprotect,
    SYS_membarrier,
    SYS_rseq,
    // Processes, threads and signals.
    SYS_execve,
    SYS_execveat,
    SYS_exit,
    SYS_exit_group,
    SYS_wait4,
    SYS_waitid,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_pidfd_open,
    SYS_pidfd_send_signal,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_getpgid,
    SYS_setpgid,
    SYS_getsid,
    SYS_setsid,
    SYS_set_tid_address,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_futex,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_sched_getattr,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_sched_rr_get_interval,
    SYS_getpriority,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigpending,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
    SYS_rt_sigreturn,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_getrlimit,
    SYS_setrlimit,
    SYS_getrusage,
    SYS_times,
    SYS_getcpu,
    SYS_capget,
    // Who one is; nobody can become another here.
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getgroups,
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    // Time and waiting.
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_getitimer,
    SYS_setitimer,
    SYS_timer_create,
    SYS_timer_settime,
    SYS_timer_gettime,
    SYS_timer_getoverrun,
    SYS_timer_delete,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_signalfd4,
    // Unix sockets.
    SYS_socketpair,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_connect,
    SYS_getsockname,
    SYS_getpeername,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_recvmmsg,
    SYS_setsockopt,
    SYS_getsockopt,
    SYS_shutdown,
    // The rest.
    SYS_uname,
    SYS_sysinfo,
    SYS_getrandom,
#ifdef SYS_futex_waitv
    SYS_futex_waitv,
#endif
#ifdef SYS_cachestat
    SYS_cachestat,
#endif
#ifdef __x86_64__
    SYS_open,
    SYS_creat,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_dup2,
    SYS_pipe,
    SYS_poll,
    SYS_select,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_eventfd,
    SYS_signalfd,
    SYS_inotify_init,
    SYS_getdents,
    SYS_mkdir,
    SYS_rmdir,
    SYS_unlink,
    SYS_link,
    SYS_symlink,
    SYS_readlink,
    SYS_rename,
    SYS_renameat,
    SYS_mknod,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_fork,
    SYS_vfork,
    SYS_getpgrp,
    SYS_alarm,
    SYS_pause,
    SYS_time,
    SYS_arch_prctl,
#endif
};

constexpr int kSharedMemory[] = {
    SYS_memfd_create, SYS_shmget, SYS_shmat,  SYS_shmdt,      SYS_shmctl,
    SYS_semget,       SYS_semop,  SYS_semctl, SYS_semtimedop,
};

constexpr std::uint32_t Refuse(int error) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
}

class Assembler {
 public:
  std::vector<sock_filter> Take() { return std::move(code_); }

  void Load(std::size_t offset) {
    code_.push_back(
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  void Return(std::uint32_t action) {
    code_.push_back(BPF_STMT(BPF_RET | BPF_K, action));
  }
  // Returns `action` if the loaded word compares so, else goes on.
  void ReturnIf(std::uint16_t comparison, std::uint32_t operand,
                std::uint32_t action) {
    code_.push_back(BPF_JUMP(BPF_JMP | comparison | BPF_K, operand, 0, 1));
    Return(action);
  }
  void ReturnUnless(std::uint16_t comparison, std::uint32_t operand,
                    std::uint32_t action) {
    code_.push_back(BPF_JUMP(BPF_JMP | comparison | BPF_K, operand, 1, 0));
    Return(action);
  }
  // For one system call: what `rule` appends, which must return.
  template <typename Rule>
  void On(int number, Rule rule) {
    const std::size_t jump = code_.size();
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                             static_cast<std::uint32_t>(number), 0, 0));
    rule();
    code_[jump].jf = static_cast<std::uint8_t>(code_.size() - jump - 1);
  }
  // The low half of an argument, which is all that the kernel reads of an int.
  void LoadArgument(int i) {
    Load(offsetof(seccomp_data, args) + 8 * static_cast<std::size_t>(i));
  }

 private:
  std::vector<sock_filter> code_;
};
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

}  // namespace

std::vector<sock_filter> MakeSeccompFilter(const SeccompOptions& options) {
  Assembler to;
  to.Load(offsetof(seccomp_data, arch));
  to.ReturnUnless(BPF_JEQ, kArchitecture, SECCOMP_RET_KILL_PROCESS);
  to.Load(offsetof(seccomp_data, nr));
  to.ReturnIf(BPF_JGE, kX32, SECCOMP_RET_KILL_PROCESS);

  to.On(SYS_clone, [&] {
    to.LoadArgument(0);
    to.ReturnIf(BPF_JSET, kNewNamespaces, Refuse(EPERM));
    to.Return(SECCOMP_RET_ALLOW);
  });
  to.On(SYS_socket, [&] {
    to.LoadArgument(0);
    to.ReturnIf(BPF_JEQ, AF_UNIX, SECCOMP_RET_ALLOW);
    to.Return(Refuse(EAFNOSUPPORT));
  });
  to.On(SYS_ioctl, [&] {
    to.LoadArgument(1);
    for (const std::uint32_t request : {TIOCSTI, TIOCLINUX, TIOCSETD}) {
      to.ReturnIf(BPF_JEQ, request, Refuse(EPERM));
    }
    to.Return(SECCOMP_RET_ALLOW);
  });
  to.On(SYS_prctl, [&] {
    to.LoadArgument(0);
    for (const std::uint32_t option :
         {PR_SET_SECCOMP, PR_SET_MM, PR_SET_PTRACER}) {
      to.ReturnIf(BPF_JEQ, option, Refuse(EPERM));
    }
    to.Return(SECCOMP_RET_ALLOW);
  });
  to.On(SYS_personality, [&] {
    to.LoadArgument(0);
    for (const std::uint32_t persona :
         {0U, static_cast<std::uint32_t>(ADDR_NO_RANDOMIZE), ~0U}) {
      to.ReturnIf(BPF_JEQ, persona, SECCOMP_RET_ALLOW);
    }
    to.Return(Refuse(EPERM));
  });
  for (const int number :
       {SYS_prlimit64, SYS_sched_setaffinity, SYS_sched_setscheduler,
        SYS_sched_setparam, SYS_sched_setattr}) {
    to.On(number, [&] {
      to.LoadArgument(0);
      to.ReturnIf(BPF_JEQ, kInitPid, Refuse(EPERM));
      to.Return(SECCOMP_RET_ALLOW);
    });
  }
  to.On(SYS_setpriority, [&] {
    to.LoadArgument(0);
    to.ReturnIf(BPF_JEQ, PRIO_USER, Refuse(EPERM));  // init is of our user
    to.LoadArgument(1);
    to.ReturnIf(BPF_JEQ, kInitPid, Refuse(EPERM));
    to.Return(SECCOMP_RET_ALLOW);
  });

  std::vector<int> allowed(std::begin(kAllowed), std::end(kAllowed));
  if (options.allow_shared_memory) {
    allowed.insert(allowed.end(), std::begin(kSharedMemory),
                   std::end(kSharedMemory));
  }
  std::sort(allowed.begin(), allowed.end());
  for (std::size_t i = 0; i < allowed.size();) {
    std::size_t last = i;
    while (last + 1 < allowed.size() &&
           allowed[last + 1] <= allowed[last] + 1) {
      ++last;
    }
    // Ranges ascend: what lies below this one lies in none.
    to.ReturnUnless(BPF_JGE, static_cast<std::uint32_t>(allowed[i]),
                    Refuse(ENOSYS));
    to.ReturnUnless(BPF_JGT, static_cast<std::uint32_t>(allowed[last]),
                    SECCOMP_RET_ALLOW);
    i = last + 1;
  }
  to.Return(Refuse(ENOSYS));
  return to.Take();
}

}  // namespace platform::execution
