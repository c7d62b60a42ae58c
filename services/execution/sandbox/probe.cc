// SPDX-License-Identifier: Apache-2.0
#include "services/execution/sandbox/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/random.h"
#include "services/execution/sandbox/protocol.h"
#include "services/execution/sandbox/unique_fd.h"

namespace platform::execution {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 6> kEssential = {
    "file_system",   "pid_namespace", "no_network",
    "process_limit", "memory_limit",  "seccomp"};

// What the program that looks around reports on.
constexpr std::array<std::string_view, 17> kLookedAt = {
    "file_system",       "pid_namespace",      "no_network",
    "seccomp",           "no_new_privileges",  "no_capabilities",
    "unprivileged_user", "no_user_namespaces", "no_inherited_files",
    "clean_environment", "no_terminal",        "init_closed",
    "private_ipc",       "private_host_name",  "private_cgroup",
    "file_count_limit",  "disk_limit"};

bool IsEssential(std::string_view name) {
  return std::find(kEssential.begin(), kEssential.end(), name) !=
         kEssential.end();
}

std::string NamespaceOf(const char* kind) {
  char target[64];
  const ssize_t size = readlink(absl::StrCat("/proc/self/ns/", kind).c_str(),
                                target, sizeof(target));
  return size > 0 ? std::string(target, static_cast<std::size_t>(size)) : "-";
}

// Listens where no program in the sandbox may come. A machine without loopback
// has no port to be reached at, so a failure is port 0.
UniqueFd ListenOnLoopback(int* port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  *port = 0;
  if (fd && bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      listen(fd.get(), 1) == 0 &&
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) ==
          0) {
    *port = ntohs(address.sin_port);
  }
  return fd;
}

UniqueFd ListenOnAbstract(const std::string& name) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, sizeof(address.sun_path) - 2);
  if (fd && bind(fd.get(), reinterpret_cast<sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 +
                                        name.size())) == 0) {
    listen(fd.get(), 1);
  }
  return fd;
}

SandboxRequest Request(std::vector<std::string> arguments) {
  SandboxRequest request;
  request.argv = std::move(arguments);
  request.argv.insert(request.argv.begin(), kInitPath);
  request.environment = {{"A", "B"}};
  request.limits = {.cpu_time = 5s,
                    .wall_time = 10s,
                    .memory_bytes = std::int64_t{64} << 20,
                    .processes = 8,
                    .disk_bytes = std::int64_t{1} << 20,
                    .files = 64};
  return request;
}

// What a run came to, for a protection that was to end it otherwise.
std::string Describe(const SandboxResult& result) {
  std::string text =
      absl::StrCat("the program ended with ",
                   std::string(SandboxOutcomeName(result.outcome)));
  if (!result.message.empty()) absl::StrAppend(&text, ": ", result.message);
  return text;
}

}  // namespace

absl::StatusOr<std::vector<SandboxProtection>> ProbeSandbox(
    Sandbox& sandbox, const std::string& secret) {
  int port = 0;
  const UniqueFd tcp = ListenOnLoopback(&port);
  const std::string name =
      absl::StrCat("sandbox-probe-", absl::Hex(grpccommon::RandomBits()));
  const UniqueFd local = ListenOnAbstract(name);

  absl::StatusOr<SandboxResult> looked = sandbox.Run(
      Request({"look", secret, std::to_string(getpid()), std::to_string(port),
               name, NamespaceOf("pid"), NamespaceOf("net"), NamespaceOf("ipc"),
               NamespaceOf("uts"), NamespaceOf("cgroup")}));
  if (!looked.ok()) return looked.status();
  if (looked->outcome != SandboxOutcome::kExited || looked->exit_code != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("no sandbox works here: ", Describe(*looked)));
  }
  std::vector<SandboxProtection> protections;
  protections.reserve(kLookedAt.size());
  for (const std::string_view each : kLookedAt) {
    protections.push_back({.name = std::string(each),
                           .essential = IsEssential(each),
                           .in_force = false,
                           .detail = "not seen to work"});
  }
  std::istringstream lines(looked->output);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string what;
    std::string held;
    words >> what >> held >> std::ws;
    for (SandboxProtection& protection : protections) {
      if (protection.name != what) continue;
      protection.in_force = held == "held";
      std::getline(words, protection.detail);
    }
  }

  const auto expect = [&](const char* what, const char* program,
                          SandboxOutcome outcome, SandboxLimits limits,
                          const char* by) -> absl::Status {
    SandboxRequest request = Request({program});
    request.limits = limits;
    absl::StatusOr<SandboxResult> result = sandbox.Run(std::move(request));
    if (!result.ok()) return result.status();
    const bool held = result->outcome == outcome;
    protections.push_back({.name = what,
                           .essential = IsEssential(what),
                           .in_force = held,
                           .detail = held ? by : Describe(*result)});
    return absl::OkStatus();
  };
  // A busy machine takes its time over what ends by itself.
  absl::Status status =
      expect("process_limit", "processes", SandboxOutcome::kProcessLimit,
             {.cpu_time = 10s, .wall_time = 10s, .processes = 8},
             "more than 8 were refused");
  status.Update(expect("memory_limit", "memory", SandboxOutcome::kMemoryLimit,
                       {.cpu_time = 10s,
                        .wall_time = 10s,
                        .memory_bytes = std::int64_t{16} << 20},
                       "more than 16 MiB were refused"));
  status.Update(expect("cpu_time_limit", "cpu", SandboxOutcome::kCpuTimeLimit,
                       {.cpu_time = 50ms}, "ended after 50 ms"));
  status.Update(expect("wall_time_limit", "sleep",
                       SandboxOutcome::kWallTimeLimit, {.wall_time = 50ms},
                       "ended after 50 ms"));
  if (!status.ok()) return status;
  return protections;
}

absl::Status CheckEssential(const std::vector<SandboxProtection>& protections,
                            const std::vector<std::string>& allowed) {
  std::string missing;
  for (const SandboxProtection& protection : protections) {
    if (!protection.essential || protection.in_force ||
        std::find(allowed.begin(), allowed.end(), protection.name) !=
            allowed.end()) {
      continue;
    }
    absl::StrAppend(&missing, missing.empty() ? "" : "; ", protection.name,
                    " (", protection.detail, ")");
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("essential protections are not in force: ", missing));
}

}  // namespace platform::execution
