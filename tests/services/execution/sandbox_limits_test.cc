// SPDX-License-Identifier: Apache-2.0
// What is measured and what is allowed, with programs of known use.

#include <cstdint>

#include "services/execution/sandbox_fixture.h"

namespace platform::execution {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

constexpr std::int64_t kMebibyte = std::int64_t{1} << 20;

// The beginning of the programs here.
const char kTools[] = R"(
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static void spin(double seconds) {
  struct timespec t;
  do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  while (t.tv_sec + t.tv_nsec / 1e9 < seconds);
}
/* Uses memory for long enough to be seen by one who looks now and then. */
static char* use(long mebibytes) {
  char* p = malloc(mebibytes << 20);
  memset(p, 1, mebibytes << 20);
  __asm__ volatile("" : : "r"(p) : "memory"); /* or the compiler sees through */
  usleep(100000);
  return p;
}
)";

class SandboxLimitsTest : public SandboxFixture {
 protected:
  static SandboxResult RunC(const std::string& code,
                            SandboxLimits limits = {}) {
    return Run(Compiled(
        std::string(kTools) + "int main(void) { " + code + " return 0; }",
        limits));
  }
};

TEST_F(SandboxLimitsTest, MeasuresTheTimeOfTheProgram) {
  const SandboxResult result = RunC("spin(0.25);");
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_THAT(result.cpu_time, AllOf(Ge(245ms), Le(330ms)));
  EXPECT_GE(result.wall_time, result.cpu_time - 5ms);
}

TEST_F(SandboxLimitsTest, MeasuresTheTimeOfAllDescendants) {
  const SandboxResult result = RunC(
      "for (int i = 0; i < 3; ++i) if (!fork()) { spin(0.1); _exit(0); }"
      "while (wait(0) > 0) {} ");
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_THAT(result.cpu_time, AllOf(Ge(290ms), Le(420ms)));
}

TEST_F(SandboxLimitsTest, MeasuresTheTimeOfThoseThatNobodyWaitsFor) {
  if (!IsExact()) {
    GTEST_SKIP() << "no cgroup on this machine, and their time is only seen "
                    "while they live";
  }
  const SandboxResult result = RunC(
      "signal(SIGCHLD, SIG_IGN); int ends[2]; pipe(ends);"
      "for (int i = 0; i < 3; ++i) if (!fork()) { spin(0.1); _exit(0); }"
      "close(ends[1]); char c; read(ends[0], &c, 1);");
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_THAT(result.cpu_time, AllOf(Ge(290ms), Le(420ms)));
}

TEST_F(SandboxLimitsTest, CountsNoTimeForSleeping) {
  const SandboxResult result = RunC("usleep(300000);");
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_GE(result.wall_time, 300ms);
  EXPECT_LE(result.cpu_time, 50ms);
}

TEST_F(SandboxLimitsTest, MeasuresLittleForAProgramThatDoesNothing) {
  const SandboxResult result = RunC("");
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_LE(result.cpu_time, 30ms);
  EXPECT_LE(result.peak_memory_bytes, 4 * kMebibyte);
}

TEST_F(SandboxLimitsTest, MeasuresThePeakOfMemory) {
  const SandboxResult result = RunC("free(use(50)); use(10);");
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_THAT(result.peak_memory_bytes,
              AllOf(Ge(49 * kMebibyte), Le(56 * kMebibyte)));
}

TEST_F(SandboxLimitsTest, MeasuresTheMemoryOfAllProcessesTogether) {
  const SandboxResult result = RunC(
      "for (int i = 0; i < 3; ++i) if (!fork()) { use(20); usleep(300000);"
      " _exit(0); } while (wait(0) > 0) {} ");
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_THAT(result.peak_memory_bytes,
              AllOf(Ge(58 * kMebibyte), Le(70 * kMebibyte)));
}

TEST_F(SandboxLimitsTest, CountsMemoryOnceThatForksShare) {
  const SandboxResult result = RunC(
      "use(40); for (int i = 0; i < 3; ++i) if (!fork()) { usleep(200000);"
      " _exit(0); } while (wait(0) > 0) {} ",
      {.memory_bytes = 64 * kMebibyte});
  EXPECT_THAT(result, ExitedWith(0));
}

TEST_F(SandboxLimitsTest, CountsFilesThatAreWritten) {
  const SandboxResult result =
      Run(Sh("head -c 20000000 /dev/zero >x; sleep 0.1"));
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_THAT(result.peak_memory_bytes, AllOf(Ge(20'000'000), Le(28'000'000)));
}

TEST_F(SandboxLimitsTest, DoesNotCountTheSystemsFilesThatAreRead) {
  const SandboxResult result =
      Run(Sh("cat /usr/lib/gcc/*/*/cc1plus /usr/bin/gdb /usr/bin/node "
             ">/dev/null 2>&1; true"));
  EXPECT_THAT(result, ExitedWith(0));
  EXPECT_LE(result.peak_memory_bytes, 8 * kMebibyte);
}

TEST_F(SandboxLimitsTest, AllowsWhatIsJustWithinTheLimits) {
  EXPECT_THAT(RunC("use(56);", {.memory_bytes = 64 * kMebibyte}),
              ExitedWith(0));
  EXPECT_THAT(RunC("spin(0.2);", {.cpu_time = 300ms}), ExitedWith(0));
  EXPECT_THAT(RunC("for (int i = 0; i < 7; ++i) if (!fork()) {"
                   " usleep(200000); _exit(0); } while (wait(0) > 0) {} ",
                   {.processes = 8}),
              ExitedWith(0));
}

TEST_F(SandboxLimitsTest, RefusesWhatIsJustBeyondThem) {
  EXPECT_THAT(RunC("use(72);", {.memory_bytes = 64 * kMebibyte}),
              EndedBy(SandboxOutcome::kMemoryLimit));
  EXPECT_THAT(RunC("spin(0.4);", {.cpu_time = 300ms}),
              EndedBy(SandboxOutcome::kCpuTimeLimit));
  EXPECT_THAT(RunC("usleep(600000);", {.wall_time = 400ms}),
              EndedBy(SandboxOutcome::kWallTimeLimit));
  EXPECT_THAT(RunC("for (int i = 0; i < 8; ++i) if (!fork()) {"
                   " usleep(500000); _exit(0); } while (wait(0) > 0) {} ",
                   {.processes = 8}),
              EndedBy(SandboxOutcome::kProcessLimit));
}

TEST_F(SandboxLimitsTest, LimitsOpenFilesAndStackAndCores) {
  EXPECT_THAT(RunC("int n = 0; while (open(\"/dev/null\", O_RDONLY) >= 0) ++n;"
                   "printf(\"%d\\n\", n);",
                   {.open_files = 20}),
              Said("17\n"));
  const std::string deep =
      std::string(kTools) +
      "static int f(int n) { volatile char b[4096]; b[n % 4096] = 1;"
      " return n == 0 ? 0 : f(n - 1) + b[n % 4096]; }"
      "int main(void) { return f(5000) == 0; }";  // some 20 MiB
  EXPECT_THAT(Run(Compiled(deep, {.stack_bytes = 64 * kMebibyte})),
              ExitedWith(0));
  const SandboxResult result =
      Run(Compiled(deep, {.stack_bytes = 8 * kMebibyte}));
  EXPECT_THAT(result, EndedBy(SandboxOutcome::kSignalled));
  EXPECT_EQ(result.signal, SIGSEGV);
  EXPECT_THAT(Run(Sh("ulimit -c; ulimit -c unlimited 2>/dev/null || echo no")),
              Said("0\nno\n"));
}

TEST_F(SandboxLimitsTest, RunsAJavaScriptRuntimeWithItsThreads) {
  REQUIRE_PROGRAM("/usr/bin/node");
  EXPECT_THAT(Run(Node("require('fs').readFile('/etc/passwd', () => "
                       "console.log('read'))",
                       {.memory_bytes = 256 * kMebibyte})),
              Said("read\n"));
}

}  // namespace
}  // namespace platform::execution
