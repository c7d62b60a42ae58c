// SPDX-License-Identifier: Apache-2.0
// Many hostile programs at once, each meeting one of its limits at a moment of
// its own. Whatever the timing, the sandbox must say what became of each: a
// failure of its own is a bug, and is printed with all that it says of itself.
// SANDBOX_STRESS_RUNS asks for more runs, SANDBOX_STRESS_SEED for the same
// choice of programs again.

#include <atomic>
#include <cstdlib>
#include <future>
#include <map>
#include <mutex>
#include <random>

#include "services/execution/sandbox_fixture.h"
#include "support/number.h"

namespace platform::execution {
namespace {

using Outcome = SandboxOutcome;

// One program, so that compiling it takes no time from the runs.
constexpr char kSource[] = R"(
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void Hog(void) {
  for (;;) {
    char* const block = malloc(1 << 20);
    if (block == NULL) _exit(9);
    memset(block, 1, 1 << 20);
  }
}
static void* Sleep(void* unused) { sleep(1000); return unused; }

int main(int argc, char** argv) {
  const char* const what = argv[1];
  const int size = argc > 2 ? atoi(argv[2]) : 0;
  static char block[1 << 20];
  if (strcmp(what, "exit") == 0) return size;
  if (strcmp(what, "abort") == 0) abort();
  if (strcmp(what, "hog") == 0) Hog();
  if (strcmp(what, "hogs") == 0) {
    for (int i = 0; i < 6; ++i) if (fork() == 0) Hog();
    sleep(1000);
  }
  // As likely to be chosen when memory runs out as what set it up.
  if (strcmp(what, "modest") == 0) {
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    if (write(fd, "0", 1) != 1) return 8;
    for (int i = 0; i < 6; ++i) {
      if (fork() == 0) {
        for (int j = 0; j < 4; ++j) {
          memset(malloc(1 << 20), 1, 1 << 20);
          usleep(1000);
        }
        sleep(1000);
      }
    }
    sleep(1000);
  }
  // All memory is the kernel's, in sockets.
  if (strcmp(what, "sockets") == 0) {
    for (;;) {
      int ends[2];
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 7;
      fcntl(ends[0], F_SETFL, O_NONBLOCK);
      while (write(ends[0], block, sizeof(block)) > 0) {}
    }
  }
  if (strcmp(what, "bomb") == 0) for (;;) fork();
  if (strcmp(what, "threads") == 0) {
    for (;;) {
      pthread_t thread;
      if (pthread_create(&thread, NULL, Sleep, NULL) != 0) sleep(1000);
    }
  }
  // More than it may write, and gone before anybody has read it.
  if (strcmp(what, "flood") == 0) return write(1, block, (size_t)size) != size;
  if (strcmp(what, "stream") == 0) for (;;) {
    if (write(2, block, sizeof(block)) < 0) return 6;
  }
  if (strcmp(what, "disk") == 0) {
    const int fd = open("file", O_CREAT | O_WRONLY, 0600);
    while (write(fd, block, sizeof(block)) > 0) {}
    return 0;
  }
  if (strcmp(what, "spin") == 0) for (;;) {}
  if (strcmp(what, "sleep") == 0) sleep(1000);
  return 5;
}
)";

struct Program {
  std::vector<std::string> arguments;
  SandboxLimits limits;
  // One of these, whatever else goes on.
  std::vector<Outcome> outcomes;
};

std::vector<Program> Programs() {
  const SandboxLimits limits{.cpu_time = 10s,
                             .wall_time = 60s,
                             .memory_bytes = std::int64_t{16} << 20,
                             .processes = 16,
                             .output_bytes = 1000,
                             .disk_bytes = std::int64_t{4} << 20};
  SandboxLimits tiny = limits;
  tiny.memory_bytes = std::int64_t{1} << 20;
  SandboxLimits bombed = limits;
  bombed.wall_time = 1s;  // without cgroups it may just be refused
  // What is refused takes memory until a busy kernel gets round to freeing it.
  bombed.memory_bytes = std::int64_t{256} << 20;
  SandboxLimits short_of_cpu = limits;
  short_of_cpu.cpu_time = 5ms;
  SandboxLimits short_of_time = limits;
  short_of_time.wall_time = 5ms;
  SandboxLimits crowded = limits;
  crowded.memory_bytes = std::int64_t{3} << 20;
  const std::vector<Outcome> memory = {Outcome::kMemoryLimit};
  const std::vector<Outcome> bomb = {Outcome::kProcessLimit,
                                     Outcome::kWallTimeLimit};
  return {
      {{"exit", "0"}, limits, {Outcome::kExited}},
      {{"exit", "3"}, limits, {Outcome::kExited}},
      {{"abort"}, limits, {Outcome::kSignalled}},
      {{"hog"}, limits, memory},
      {{"hog"}, tiny, memory},
      {{"hogs"}, limits, memory},
      {{"modest"}, limits, memory},
      // Memory and processes run out together.
      {{"bomb"},
       crowded,
       {Outcome::kProcessLimit, Outcome::kMemoryLimit, Outcome::kCpuTimeLimit}},
      {{"sockets"}, limits, {Outcome::kMemoryLimit, Outcome::kExited}},
      {{"bomb"}, bombed, bomb},
      {{"threads"}, bombed, bomb},
      {{"flood", "1001"}, limits, {Outcome::kOutputLimit}},
      {{"flood", "60000"}, limits, {Outcome::kOutputLimit}},
      {{"stream"}, limits, {Outcome::kOutputLimit}},
      {{"disk"}, limits, {Outcome::kExited}},
      {{"spin"}, short_of_cpu, {Outcome::kCpuTimeLimit}},
      {{"sleep"}, short_of_time, {Outcome::kWallTimeLimit}},
  };
}

long FromEnvironment(const char* name, long otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise
                          : grpccommon::test::ParseNumber<long>(value).value();
}

class SandboxStressTest : public SandboxFixture {
 protected:
  static constexpr int kParallel = 12;

  void SetUp() override {
    SandboxFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    SandboxOptions options = TestOptions(state_.path());
    options.max_runs = kParallel;
    // Others may have the machine for a while.
    options.setup_timeout = 60s;
    auto sandbox = Sandbox::Create(options);
    ASSERT_TRUE(sandbox.ok()) << sandbox.status();
    crowd_ = *std::move(sandbox);
    workspace_ = Compile(kSource);
    const std::string built = workspace_->folder() + "/main";
    std::ifstream file(built, std::ios::binary);
    program_.assign(std::istreambuf_iterator<char>(file), {});
    workspace_ = *crowd_->CreateWorkspace();
    ASSERT_TRUE(
        workspace_
            ->Add({.path = "main", .content = program_, .executable = true})
            .ok());
  }
  void TearDown() override {
    workspace_.reset();
    crowd_.reset();
    SandboxFixture::TearDown();
  }

  SandboxResult RunInCrowd(const Program& program, bool cancel,
                           std::chrono::microseconds after) {
    SandboxRequest request{.argv = {"/program/main"},
                           .workspace = workspace_,
                           .limits = program.limits};
    request.argv.insert(request.argv.end(), program.arguments.begin(),
                        program.arguments.end());
    std::promise<SandboxResult> promise;
    const auto id =
        crowd_->Start(std::move(request), [&promise](SandboxResult result) {
          promise.set_value(std::move(result));
        });
    EXPECT_TRUE(id.ok()) << id.status();
    if (!id.ok()) return {};
    std::future<SandboxResult> result = promise.get_future();
    if (cancel && result.wait_for(after) == std::future_status::timeout) {
      crowd_->Cancel(*id);
    }
    return result.get();
  }

  StateFolderForTest state_;
  std::unique_ptr<Sandbox> crowd_;
  std::shared_ptr<SandboxWorkspace> workspace_;
  std::string program_;
};

TEST_F(SandboxStressTest, SaysOfEachRunWhatBecameOfIt) {
  const long runs = FromEnvironment("SANDBOX_STRESS_RUNS", 150);
  const long seed = FromEnvironment("SANDBOX_STRESS_SEED", 1);
  const std::vector<Program> programs = Programs();
  std::mutex mutex;
  std::map<std::string, int> seen;
  std::atomic<long> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kParallel; ++i) {
    threads.emplace_back([&] {
      for (long run; (run = next++) < runs;) {
        std::mt19937 random(static_cast<unsigned>(seed * 1'000'003 + run));
        const Program& program = programs[random() % programs.size()];
        const bool cancel = random() % 8 == 0;
        const std::chrono::microseconds after(random() % 40'000);
        const SandboxResult result = RunInCrowd(program, cancel, after);
        const std::lock_guard lock(mutex);
        ++seen[program.arguments[0] + " " +
               std::string(SandboxOutcomeName(result.outcome))];
        const bool expected =
            (cancel && result.outcome == Outcome::kCancelled) ||
            std::find(program.outcomes.begin(), program.outcomes.end(),
                      result.outcome) != program.outcomes.end();
        EXPECT_TRUE(expected) << "run " << run << " (" << program.arguments[0]
                              << (cancel ? ", cancelled): " : "): ")
                              << testing::PrintToString(result);
        // What init said last is heard, however busy everybody was.
        if (result.outcome == Outcome::kExited ||
            result.outcome == Outcome::kSignalled ||
            result.outcome == Outcome::kOutputLimit) {
          EXPECT_GT(result.cpu_time, 0ns) << program.arguments[0];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& [what, count] : seen) {
    std::cout << what << ": " << count << '\n';
  }
}

// Among them those that bwrap has not made a child for, or just now.
TEST_F(SandboxStressTest, LeavesNothingOfRunsThatAreCancelledInTheirSetUp) {
  const long runs = FromEnvironment("SANDBOX_STRESS_RUNS", 150) * 4;
  const Program sleep{.arguments = {"sleep"},
                      .limits = {.wall_time = 1h},
                      .outcomes = {Outcome::kCancelled}};
  std::atomic<long> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kParallel; ++i) {
    threads.emplace_back([&] {
      for (long run; (run = next++) < runs;) {
        const std::chrono::microseconds after(run * 101 % 20'000);
        EXPECT_EQ(RunInCrowd(sleep, true, after).outcome, Outcome::kCancelled);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace platform::execution
