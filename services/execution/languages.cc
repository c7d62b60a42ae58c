// SPDX-License-Identifier: Apache-2.0
#include "services/execution/languages.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "grpccommon/base/utf8.h"

namespace platform::execution {
namespace {

using std::chrono::seconds;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

constexpr std::size_t kMaxVersionBytes = 200;

// A compiler that is given a bomb must end, and one that is given a large
// program must not.
constexpr SandboxLimits kBuildLimits = {.cpu_time = seconds(30),
                                        .wall_time = seconds(60),
                                        .memory_bytes = 1024 * kMiB,
                                        .processes = 128,
                                        .output_bytes = 64 << 10,
                                        .file_bytes = 128 * kMiB,
                                        .disk_bytes = 512 * kMiB,
                                        .files = 20'000,
                                        .open_files = 1024};

// Where tools are looked for: what a sandbox shows of the system.
constexpr std::string_view kFolders[] = {"/usr/bin", "/usr/local/bin",
                                         "/usr/local/go/bin"};

struct Tool {
  /// Of `Language::build` and `run`, that the language cannot do without.
  std::string_view name;
  std::string_view version_option = "--version";
};

struct Candidate {
  Language language;
  /// The first one gives the version.
  std::vector<Tool> tools;
};

std::vector<Candidate> Candidates() {
  std::vector<Candidate> all;
  all.push_back({.language = {.id = "c",
                              .name = "C17",
                              .compiled = true,
                              .file_name = "main.c",
                              .build = {"/usr/bin/gcc", "-std=gnu17", "-O2",
                                        "-pipe", "-o", "main", "main.c", "-lm"},
                              .keep = {"main"},
                              .run = {"/program/main"}},
                 .tools = {{.name = "gcc"}}});
  all.push_back({.language = {.id = "cpp",
                              .name = "C++20",
                              .compiled = true,
                              .file_name = "main.cpp",
                              .build = {"/usr/bin/g++", "-std=c++20", "-O2",
                                        "-pipe", "-o", "main", "main.cpp"},
                              .keep = {"main"},
                              .run = {"/program/main"}},
                 .tools = {{.name = "g++"}}});
  // Compiling to byte code finds the errors of syntax; what it makes is not
  // used, for a script is always compiled anew.
  all.push_back({.language = {.id = "python",
                              .name = "Python 3",
                              .file_name = "main.py",
                              .build = {"/usr/bin/python3", "-m", "py_compile",
                                        "main.py"},
                              .keep = {"main.py"},
                              .run = {"/usr/bin/python3", "/program/main.py"},
                              .runtime_memory_bytes = 16 * kMiB},
                 .tools = {{.name = "python3"}}});
  // V8 has a dozen threads, and a heap that must not be full before the
  // sandbox's limit is reached, or it would call that an abort.
  all.push_back(
      {.language = {.id = "javascript",
                    .name = "JavaScript (Node.js)",
                    .file_name = "main.js",
                    .build = {"/usr/bin/node", "--check", "main.js"},
                    .keep = {"main.js"},
                    .run = {"/usr/bin/node", "--max-old-space-size={all MiB}",
                            "/program/main.js"},
                    .runtime_memory_bytes = 96 * kMiB,
                    .processes = 48},
       .tools = {{.name = "node"}}});
  // The heap is the program's limit; what the machine itself needs comes on
  // top.
  all.push_back(
      {.language = {.id = "java",
                    .name = "Java",
                    .compiled = true,
                    .file_name = "Main.java",
                    .build = {"/usr/bin/javac", "-J-Xmx512m",
                              "-J-XX:+UseSerialGC", "-J-XX:TieredStopAtLevel=1",
                              "-J-XX:-UsePerfData", "-encoding", "UTF-8", "-d",
                              ".", "Main.java"},
                    .keep = {"."},
                    .run = {"/usr/bin/java", "-XX:+UseSerialGC",
                            "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError",
                            "-Xss64m", "-Xmx{program MiB}m", "-cp", "/program",
                            "Main"},
                    .runtime_memory_bytes = 128 * kMiB,
                    .processes = 64,
                    .out_of_memory_exit_code = 3},
       .tools = {{.name = "javac"}, {.name = "java"}}});
  all.push_back(
      {.language = {.id = "go",
                    .name = "Go",
                    .compiled = true,
                    .file_name = "main.go",
                    .build = {"/usr/bin/go", "build", "-o", "main", "main.go"},
                    .keep = {"main"},
                    .run = {"/program/main"},
                    .runtime_memory_bytes = 32 * kMiB,
                    .processes = 48,
                    .environment = {{"GOCACHE", "/tmp/go"},
                                    {"GOPATH", "/tmp/gopath"},
                                    {"GO111MODULE", "off"},
                                    {"GOTELEMETRY", "off"},
                                    {"CGO_ENABLED", "0"}}},
       .tools = {{.name = "go", .version_option = "version"}}});
  all.push_back({.language = {.id = "rust",
                              .name = "Rust",
                              .compiled = true,
                              .file_name = "main.rs",
                              .build = {"/usr/bin/rustc", "-O", "--edition",
                                        "2021", "-o", "main", "main.rs"},
                              .keep = {"main"},
                              .run = {"/program/main"}},
                 .tools = {{.name = "rustc"}}});
  return all;
}

std::optional<std::string> FindTool(std::string_view name) {
  for (const std::string_view folder : kFolders) {
    std::string path(folder);
    path.append("/").append(name);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

void UsePath(std::vector<std::string>& argv, std::string_view name,
             const std::string& path) {
  const std::string first = std::string("/usr/bin/").append(name);
  if (!argv.empty() && argv.front() == first) argv.front() = path;
}

// The environment of a language is that of every program, and its own.
std::vector<std::pair<std::string, std::string>> EnvironmentOf(
    const Language& language) {
  if (language.environment.empty()) return {};
  auto environment = language.environment;
  environment.insert(environment.end(),
                     {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                      {"HOME", "/work"},
                      {"TMPDIR", "/tmp"},
                      {"LANG", "C.UTF-8"}});
  return environment;
}

absl::StatusOr<std::string> AskVersion(Sandbox& sandbox,
                                       const Language& language,
                                       const std::string& path,
                                       std::string_view option) {
  SandboxRequest request{.argv = {path, std::string(option)},
                         .environment = EnvironmentOf(language)};
  request.limits = kBuildLimits;
  const absl::StatusOr<SandboxResult> result = sandbox.Run(std::move(request));
  if (!result.ok()) return result.status();
  if (result->outcome != SandboxOutcome::kExited || result->exit_code != 0) {
    const std::string_view outcome = SandboxOutcomeName(result->outcome);
    return absl::UnavailableError(absl::StrCat(
        path, ": ", absl::string_view(outcome.data(), outcome.size()),
        ", exit code ", result->exit_code, " ", result->message,
        result->error.substr(0, kMaxVersionBytes)));
  }
  // Some print it to stderr.
  const std::string& text =
      result->output.empty() ? result->error : result->output;
  return std::string(grpccommon::TruncateUtf8(
      grpccommon::RepairUtf8(text.substr(0, text.find('\n'))),
      kMaxVersionBytes));
}

// False if the language is not installed, or does not work.
bool Install(Candidate& candidate, Sandbox& sandbox,
             const grpccommon::Logger& logger) {
  for (const Tool& tool : candidate.tools) {
    const std::optional<std::string> path = FindTool(tool.name);
    if (!path.has_value()) return false;
    Language& language = candidate.language;
    UsePath(language.build, tool.name, *path);
    UsePath(language.run, tool.name, *path);
    const absl::StatusOr<std::string> version =
        AskVersion(sandbox, language, *path, tool.version_option);
    if (!version.ok()) {
      logger.Warning("a language does not work in the sandbox",
                     {{"language", language.id},
                      {"error", std::string(version.status().message())}});
      return false;
    }
    if (language.version.empty()) language.version = *version;
  }
  return true;
}

std::int64_t AtLeastOneMiB(std::int64_t bytes) {
  return std::max<std::int64_t>(bytes / kMiB, 1);
}

}  // namespace

Languages Languages::Detect(Sandbox& sandbox,
                            const grpccommon::Logger& logger) {
  std::vector<Language> installed;
  for (Candidate& candidate : Candidates()) {
    if (Install(candidate, sandbox, logger)) {
      installed.push_back(std::move(candidate.language));
    }
  }
  return Languages(std::move(installed));
}

const Language* Languages::Find(std::string_view id) const {
  const auto found = std::find_if(
      languages_.begin(), languages_.end(),
      [id](const Language& language) { return language.id == id; });
  return found != languages_.end() ? &*found : nullptr;
}

SandboxRequest BuildRequest(const Language& language, const std::string& source,
                            std::shared_ptr<SandboxWorkspace> workspace) {
  return {.argv = language.build,
          .environment = EnvironmentOf(language),
          .files = {{.path = language.file_name, .content = source}},
          .workspace = std::move(workspace),
          .keep = language.keep,
          .limits = kBuildLimits};
}

SandboxRequest RunRequest(const Language& language,
                          std::shared_ptr<SandboxWorkspace> workspace,
                          std::string input, const RunLimits& limits) {
  SandboxRequest request{.argv = language.run,
                         .environment = EnvironmentOf(language),
                         .input = std::move(input),
                         .workspace = std::move(workspace)};
  const std::int64_t memory =
      limits.memory_bytes + language.runtime_memory_bytes;
  for (std::string& argument : request.argv) {
    absl::StrReplaceAll(
        {{"{program MiB}", absl::StrCat(AtLeastOneMiB(limits.memory_bytes))},
         {"{all MiB}", absl::StrCat(AtLeastOneMiB(memory))}},
        &argument);
  }
  request.limits.cpu_time = limits.cpu_time;
  request.limits.wall_time = 3 * limits.cpu_time + seconds(2);
  request.limits.memory_bytes = std::max(memory, kMiB);
  request.limits.output_bytes = limits.output_bytes;
  request.limits.processes = language.processes;
  return request;
}

}  // namespace platform::execution
