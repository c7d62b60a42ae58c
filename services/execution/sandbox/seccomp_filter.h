// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>

#include <vector>

namespace platform::execution {

struct SeccompOptions {
  /// Allows memory that belongs to no process (memfd, System V): only where a
  /// cgroup counts it.
  bool allow_shared_memory = false;
};

/// The filter that programs run under: a list of the system calls that language
/// runtimes need, by which every other one, also those that kernels are yet to
/// get, is "not implemented" (ENOSYS, at which C libraries fall back to older
/// ones). So there is no ptrace, mount, bpf, io_uring, keyctl, userfaultfd,
/// perf, unshare, setns, clone3 and so on. Of those allowed,
/// - clone makes no namespaces,
/// - socket makes Unix sockets only,
/// - ioctl puts no characters into a terminal,
/// - prctl and personality change nothing that hardening rests on,
/// - process 1, init, is out of reach for those that change another process.
/// Calls of a foreign architecture (i386, x32) kill the process.
///
/// Source: classic BPF as in seccomp(2); the list follows what container
/// runtimes allow by default, less what a program that is judged has no use
/// for.
std::vector<sock_filter> MakeSeccompFilter(const SeccompOptions& options);

}  // namespace platform::execution
