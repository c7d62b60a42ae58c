// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpccommon/log/logger.h"
#include "services/execution/sandbox/sandbox.h"

namespace platform::execution {

/// One language, as it is installed here. A program is one source file, which
/// is built once (compiled, or only checked where there is nothing to compile)
/// and then run as often as there are tests.
struct Language {
  /// As in requests: "cpp".
  std::string id;
  /// For people: "C++20".
  std::string name;
  /// What the tool says of itself, its first line.
  std::string version;
  bool compiled = false;
  /// How the source is called while it is built.
  std::string file_name;

  /// In /work, with the source there. Exit code 0: the program is good.
  std::vector<std::string> build;
  /// What of /work is then /program.
  std::vector<std::string> keep;
  /// "{program MiB}" stands for the memory limit of the program, "{all MiB}"
  /// for the same with what the runtime needs.
  std::vector<std::string> run;
  /// What the runtime needs besides the program; it is added to the program's
  /// limit.
  std::int64_t runtime_memory_bytes = 0;
  /// Processes and threads of a run together.
  int processes = 16;
  /// The exit code that says "out of memory"; 0: none.
  int out_of_memory_exit_code = 0;
  /// Beside the sandbox's own; of build and run.
  std::vector<std::pair<std::string, std::string>> environment;
};

/// What one test may take, none of them 0.
struct RunLimits {
  std::chrono::nanoseconds cpu_time;
  std::int64_t memory_bytes = 0;
  std::int64_t output_bytes = 0;
};

/// The languages whose tools work inside the sandbox.
///
/// Immutable, hence thread-safe.
class Languages {
 public:
  /// Asks each tool that is installed for its version, in the sandbox; a tool
  /// that does not run there is logged, and its language left out. Blocks.
  static Languages Detect(Sandbox& sandbox, const grpccommon::Logger& logger);

  explicit Languages(std::vector<Language> languages)
      : languages_(std::move(languages)) {}

  const std::vector<Language>& all() const { return languages_; }
  /// Null if there is no such language.
  const Language* Find(std::string_view id) const;

 private:
  std::vector<Language> languages_;
};

/// Builds `source`; the workspace gets the program.
SandboxRequest BuildRequest(const Language& language, const std::string& source,
                            std::shared_ptr<SandboxWorkspace> workspace);

/// Runs the program of a workspace on `input`. The program has three times its
/// CPU time, and two seconds, by the wall clock: it may wait for its turn on a
/// busy machine, but not sleep for ever.
SandboxRequest RunRequest(const Language& language,
                          std::shared_ptr<SandboxWorkspace> workspace,
                          std::string input, const RunLimits& limits);

}  // namespace platform::execution
