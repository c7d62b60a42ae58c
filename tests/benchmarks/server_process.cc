// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/server_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "support/number.h"
#include "support/resident_memory.h"

namespace grpccommon::bench {
namespace {

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "benchmark: %s: %s\n", what.c_str(),
               std::strerror(errno));
  std::exit(1);
}

struct Pipe {
  int read_end;
  int write_end;
};

Pipe MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) Fail("cannot make a pipe");
  return {ends[0], ends[1]};
}

}  // namespace

ServerProcess::ServerProcess(const std::string& contestant,
                             const std::string& folder) {
  const Pipe in = MakePipe();
  const Pipe out = MakePipe();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read_end, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write_end, STDOUT_FILENO);
  std::string program = "/proc/self/exe";
  std::string role = "--role=server";
  std::string who = "--contestant=" + contestant;
  std::string where = "--folder=" + folder;
  const std::array<char*, 5> arguments = {program.data(), role.data(),
                                          who.data(), where.data(), nullptr};
  errno = posix_spawn(&pid_, program.c_str(), &actions, nullptr,
                      arguments.data(), environ);
  if (errno != 0) Fail("cannot start a server");
  posix_spawn_file_actions_destroy(&actions);
  close(in.read_end);
  close(out.write_end);
  questions_ = fdopen(in.write_end, "w");
  answers_ = fdopen(out.read_end, "r");
  port_ = test::ParseNumber(Ask("port")).value();
}

ServerProcess::~ServerProcess() {
  std::fclose(questions_);  // it ends when it has nobody left to answer
  waitpid(pid_, nullptr, 0);
  std::fclose(answers_);
}

std::chrono::nanoseconds ServerProcess::CpuTime() const {
  clockid_t clock;
  timespec time;
  if (errno = clock_getcpuclockid(pid_, &clock);
      errno != 0 || clock_gettime(clock, &time) != 0) {
    Fail("cannot read the server's CPU clock");
  }
  return std::chrono::seconds(time.tv_sec) +
         std::chrono::nanoseconds(time.tv_nsec);
}

std::uint64_t ServerProcess::ResidentBytes() const {
  const std::int64_t resident = test::ResidentBytes(pid_);
  if (resident == 0) Fail("cannot read the server's memory");
  return static_cast<std::uint64_t>(resident);
}

std::uint64_t ServerProcess::Allocations() {
  return std::strtoull(Ask("allocations").c_str(), nullptr, 10);
}

void ServerProcess::StopCountingAllocations() { Ask("stop counting"); }

std::string ServerProcess::Ask(const std::string& question) {
  char answer[64];
  if (std::fprintf(questions_, "%s\n", question.c_str()) < 0 ||
      std::fflush(questions_) != 0 ||
      std::fgets(answer, sizeof answer, answers_) == nullptr) {
    errno = ECHILD;
    Fail("a server has ended");
  }
  return std::string(answer, std::strcspn(answer, "\n"));
}

}  // namespace grpccommon::bench
