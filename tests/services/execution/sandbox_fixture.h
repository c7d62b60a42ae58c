// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/execution/sandbox/cgroup.h"
#include "services/execution/sandbox/sandbox.h"

namespace platform::execution {

using namespace std::chrono_literals;

struct SandboxMode {
  bool cgroups = true;
  // Of this test process's own.
  std::uint32_t first_uid = 0;
};
SandboxMode& Mode();

inline void PrintTo(SandboxOutcome outcome, std::ostream* os) {
  *os << SandboxOutcomeName(outcome);
}

inline void PrintTo(const SandboxResult& result, std::ostream* os) {
  *os << SandboxOutcomeName(result.outcome) << ", exit code "
      << result.exit_code << ", signal " << result.signal << ", cpu "
      << result.cpu_time.count() / 1'000'000 << " ms, wall "
      << result.wall_time.count() / 1'000'000 << " ms, memory "
      << result.peak_memory_bytes / 1024 << " KiB, \"" << result.message
      << "\"\nstdout: " << result.output.substr(0, 2000)
      << "\nstderr: " << result.error.substr(0, 2000);
}

MATCHER_P(EndedBy, outcome, "") { return arg.outcome == outcome; }
MATCHER_P(ExitedWith, code, "") {
  return arg.outcome == SandboxOutcome::kExited && arg.exit_code == code;
}
MATCHER_P(Said, output, "") {
  return arg.outcome == SandboxOutcome::kExited && arg.exit_code == 0 &&
         arg.output == output;
}

// A folder that every user may pass through, gone at the end.
class StateFolderForTest {
 public:
  StateFolderForTest() {
    char name[] = "/tmp/sandbox-test-XXXXXX";
    path_ = mkdtemp(name);
    chmod(path_.c_str(), 0711);
  }
  ~StateFolderForTest() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline SandboxOptions TestOptions(const std::string& folder) {
  return {.state_folder = folder,
          .max_runs = 4,
          .use_cgroups = Mode().cgroups,
          .first_uid = Mode().first_uid};
}

// Processes other than this one of the users that programs run as, or below
// this one: there must be none after a run.
inline std::vector<std::string> Strays() {
  std::vector<std::string> strays;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename().string();
    if (pid[0] < '1' || pid[0] > '9' || pid == std::to_string(getpid())) {
      continue;
    }
    struct stat info;
    if (stat(entry.path().c_str(), &info) != 0) continue;
    // Reading what has just gone fails, without an exception here.
    std::ostringstream contents;
    contents << std::ifstream(entry.path() / "stat").rdbuf();
    const std::string text = contents.str();
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) continue;
    std::istringstream fields(text.substr(name_end + 1));
    char state;
    int parent;
    fields >> state >> parent;
    const bool is_ours =
        info.st_uid >= Mode().first_uid && info.st_uid < Mode().first_uid + 16;
    // A dead one whose parent died waits for the machine's first process.
    if (parent == getpid() || (is_ours && state != 'Z')) {
      strays.push_back(text);
    }
  }
  return strays;
}

// A program for each run that a test needs, all in one sandbox.
class SandboxFixture : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<StateFolderForTest>();
    absl::StatusOr<std::unique_ptr<Sandbox>> sandbox =
        Sandbox::Create(TestOptions(folder_->path()));
    if (sandbox.ok()) {
      sandbox_ = *std::move(sandbox);
    } else {
      status_ = sandbox.status();
    }
  }
  static void TearDownTestSuite() {
    sandbox_.reset();
    folder_.reset();
  }

  void SetUp() override {
    // Anything else that Create says is a bug.
    if (access("/usr/bin/bwrap", X_OK) != 0) {
      GTEST_SKIP() << "no bubblewrap on this machine";
    }
    ASSERT_TRUE(status_.ok()) << status_;
  }

  // Nothing of any run may be left on the machine.
  void TearDown() override {
    if (sandbox_ == nullptr) return;
    EXPECT_THAT(Strays(), testing::IsEmpty());
    for (const auto& instance :
         std::filesystem::directory_iterator(folder_->path())) {
      if (!instance.is_directory()) continue;
      const std::string name = instance.path().filename().string();
      for (const auto& entry : std::filesystem::directory_iterator(instance)) {
        EXPECT_THAT(entry.path().filename().string(),
                    testing::AnyOf("lock", "cgroups", "root"));
      }
      std::ifstream cgroups(instance.path() / "cgroups");
      for (std::string folder; std::getline(cgroups, folder);) {
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
          EXPECT_NE(entry.path().filename().string().rfind(name, 0), 0U)
              << entry.path();
        }
      }
    }
  }

  static SandboxResult Run(SandboxRequest request) {
    absl::StatusOr<SandboxResult> result = sandbox_->Run(std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : SandboxResult{};
  }

  // Whether cgroups hold the limits, which see everything at once.
  static bool IsExact() {
    for (const SandboxProtection& each : sandbox_->protections()) {
      if (each.name == "exact_accounting") return each.in_force;
    }
    return false;
  }

  static SandboxRequest Sh(std::string script, SandboxLimits limits = {}) {
    return {.argv = {"/bin/sh", "-c", std::move(script)}, .limits = limits};
  }
  static SandboxRequest Python(std::string code, SandboxLimits limits = {}) {
    return {.argv = {"/usr/bin/python3", "-c", std::move(code)},
            .limits = limits};
  }
  static SandboxRequest Node(std::string code, SandboxLimits limits = {}) {
    return {.argv = {"/usr/bin/node", "-e", std::move(code)}, .limits = limits};
  }
  // Compiles in the sandbox, as the service does.
  static std::shared_ptr<SandboxWorkspace> Compile(
      const std::string& source, const std::string& compiler = "gcc") {
    std::shared_ptr<SandboxWorkspace> workspace = *sandbox_->CreateWorkspace();
    const std::string name = compiler == "gcc" ? "main.c" : "main.cc";
    EXPECT_TRUE(workspace->Add({.path = name, .content = source}).ok());
    const SandboxResult result =
        Run({.argv = {"/usr/bin/" + compiler, "-O1", "-pthread", "-w", "-o",
                      "main", "/program/" + name},
             .workspace = workspace,
             .keep = {"main"},
             .limits = {.cpu_time = 60s,
                        .wall_time = 120s,
                        .memory_bytes = std::int64_t{1} << 30}});
    EXPECT_THAT(result, ExitedWith(0));
    return workspace;
  }
  static SandboxRequest Compiled(const std::string& source,
                                 SandboxLimits limits = {},
                                 const std::string& compiler = "gcc") {
    return {.argv = {"/program/main"},
            .workspace = Compile(source, compiler),
            .limits = limits};
  }

  static inline std::unique_ptr<StateFolderForTest> folder_;
  static inline std::unique_ptr<Sandbox> sandbox_;
  static inline absl::Status status_;
};

#define REQUIRE_PROGRAM(path) \
  if (access(path, X_OK) != 0) GTEST_SKIP() << "no " path " on this machine"

}  // namespace platform::execution
