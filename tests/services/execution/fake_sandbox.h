// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "services/execution/languages.h"
#include "services/execution/sandbox/sandbox.h"

namespace platform::execution::testing {

class FakeWorkspace final : public SandboxWorkspace {
 public:
  absl::Status Add(const SandboxFile& file) override {
    files_[file.path] = file.content;
    return absl::OkStatus();
  }
  const std::string& folder() const override { return folder_; }
  /// What was built: the tests' programs do what their source says.
  std::string source() const { return files_.at("source"); }

 private:
  std::map<std::string, std::string> files_;
  const std::string folder_ = "/nonexistent";
};

/// A sandbox that runs nothing. Runs wait until `Pump` has them answered, on
/// its caller's thread, or on one of the sandbox's own after `PumpByItself`.
///
/// A build (a run that keeps files) puts its source into the workspace.
class FakeSandbox final : public Sandbox {
 public:
  /// What comes of a run; nothing: it goes on until it is cancelled.
  using Respond =
      std::function<std::optional<SandboxResult>(const SandboxRequest&)>;

  explicit FakeSandbox(Respond respond) : respond_(std::move(respond)) {}
  ~FakeSandbox() override {
    if (!thread_.joinable()) return;
    {
      const grpccommon::MutexLock lock(mutex_);
      stopping_ = true;
    }
    changed_.NotifyAll();
    thread_.join();
  }

  void PumpByItself() {
    if (thread_.joinable()) return;
    thread_ = std::thread([this] {
      for (;;) {
        {
          const grpccommon::MutexLock lock(mutex_);
          while (!stopping_ && !HasWorkLocked()) changed_.Wait(mutex_);
          if (stopping_) return;
        }
        Pump();
      }
    });
  }

  /// Answers what there is to answer, and what comes meanwhile.
  void Pump() {
    for (;;) {
      std::optional<Run> next;
      bool cancelled;
      {
        const grpccommon::MutexLock lock(mutex_);
        if (!cancelled_.empty()) {
          next = std::move(cancelled_.front());
          cancelled_.pop_front();
          cancelled = true;
        } else if (!waiting_.empty()) {
          next = std::move(waiting_.front());
          waiting_.pop_front();
          cancelled = false;
        } else {
          return;
        }
      }
      if (cancelled) {
        next->done({.outcome = SandboxOutcome::kCancelled});
        continue;
      }
      std::optional<SandboxResult> result = respond_(next->request);
      if (!result.has_value()) {
        const grpccommon::MutexLock lock(mutex_);
        held_.push_back(*std::move(next));
        continue;
      }
      if (!next->request.keep.empty() &&
          result->outcome == SandboxOutcome::kExited &&
          result->exit_code == 0) {
        SandboxFile source = next->request.files.at(0);
        source.path = "source";
        (void)next->request.workspace->Add(source);
      }
      next->done(*std::move(result));
    }
  }

  const std::vector<SandboxProtection>& protections() const override {
    return protections_;
  }
  absl::StatusOr<std::shared_ptr<SandboxWorkspace>> CreateWorkspace() override {
    return std::make_shared<FakeWorkspace>();
  }
  absl::StatusOr<RunId> Start(SandboxRequest request, Done done) override {
    RunId id;
    {
      const grpccommon::MutexLock lock(mutex_);
      if (!refusal_.ok()) return refusal_;
      id = ++last_id_;
      ++(request.keep.empty() ? runs_ : builds_);
      waiting_.push_back(
          {.id = id, .request = std::move(request), .done = std::move(done)});
    }
    changed_.NotifyAll();
    return id;
  }
  void Cancel(RunId id) override {
    {
      const grpccommon::MutexLock lock(mutex_);
      TakeLocked(waiting_, id);
      TakeLocked(held_, id);
    }
    changed_.NotifyAll();
  }

  void Refuse(absl::Status status) {
    const grpccommon::MutexLock lock(mutex_);
    refusal_ = std::move(status);
  }
  int builds() const {
    const grpccommon::MutexLock lock(mutex_);
    return builds_;
  }
  int runs() const {
    const grpccommon::MutexLock lock(mutex_);
    return runs_;
  }
  /// Runs that go on until they are cancelled.
  std::size_t held() const {
    const grpccommon::MutexLock lock(mutex_);
    return held_.size();
  }

 private:
  struct Run {
    RunId id = 0;
    SandboxRequest request;
    Done done;
  };

  bool HasWorkLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !waiting_.empty() || !cancelled_.empty();
  }
  void TakeLocked(std::deque<Run>& runs, RunId id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto run = runs.begin(); run != runs.end(); ++run) {
      if (run->id != id) continue;
      cancelled_.push_back(std::move(*run));
      runs.erase(run);
      return;
    }
  }

  const Respond respond_;
  const std::vector<SandboxProtection> protections_;
  std::thread thread_;
  mutable grpccommon::Mutex mutex_;
  grpccommon::CondVar changed_;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  RunId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  int builds_ ABSL_GUARDED_BY(mutex_) = 0;
  int runs_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Run> waiting_ ABSL_GUARDED_BY(mutex_);
  std::deque<Run> held_ ABSL_GUARDED_BY(mutex_);
  std::deque<Run> cancelled_ ABSL_GUARDED_BY(mutex_);
};

inline SandboxResult Exited(std::string output, int exit_code = 0) {
  return {.outcome = SandboxOutcome::kExited,
          .exit_code = exit_code,
          .output = std::move(output),
          .cpu_time = std::chrono::milliseconds(5),
          .wall_time = std::chrono::milliseconds(7),
          .peak_memory_bytes = 1 << 20};
}

/// A compiled language and one that is not.
inline Languages FakeLanguages() {
  std::vector<Language> languages(2);
  languages[0] = {.id = "cpp",
                  .name = "C++20",
                  .version = "g++ 1.2",
                  .compiled = true,
                  .file_name = "main.cpp",
                  .build = {"/usr/bin/g++", "main.cpp"},
                  .keep = {"main"},
                  .run = {"/program/main"}};
  languages[1] = {.id = "java",
                  .name = "Java",
                  .version = "java 17",
                  .compiled = true,
                  .file_name = "Main.java",
                  .build = {"/usr/bin/javac", "Main.java"},
                  .keep = {"."},
                  .run = {"/usr/bin/java", "-Xmx{program MiB}m"},
                  .runtime_memory_bytes = 128 << 20,
                  .processes = 64,
                  .out_of_memory_exit_code = 3};
  return Languages(std::move(languages));
}

/// A program's source says what it does: "echo" writes its input; "print x"
/// writes x; "exit n"; "spin" goes on for ever; "nonsense" does not compile;
/// "forever-compiling"; or the name of an outcome. All answer at once.
inline std::optional<SandboxResult> Interpret(const SandboxRequest& request) {
  const bool build = !request.keep.empty();
  const std::string source =
      build ? request.files.at(0).content
            : dynamic_cast<const FakeWorkspace&>(*request.workspace).source();
  if (build) {
    if (source == "nonsense") {
      SandboxResult result = Exited("", 1);
      result.error = "main.cpp:1: error: 'nonsense'";
      return result;
    }
    if (source == "forever-compiling") return std::nullopt;
    return Exited("");
  }
  if (source == "echo") return Exited(request.input);
  if (source.starts_with("print ")) return Exited(source.substr(6));
  if (source.starts_with("exit "))
    return Exited("", std::stoi(source.substr(5)));
  if (source == "spin") return std::nullopt;
  for (const SandboxOutcome outcome :
       {SandboxOutcome::kSignalled, SandboxOutcome::kCpuTimeLimit,
        SandboxOutcome::kWallTimeLimit, SandboxOutcome::kMemoryLimit,
        SandboxOutcome::kOutputLimit, SandboxOutcome::kProcessLimit,
        SandboxOutcome::kSandboxFailure}) {
    if (source == SandboxOutcomeName(outcome)) {
      SandboxResult result = Exited("partial");
      result.outcome = outcome;
      result.signal = outcome == SandboxOutcome::kSignalled ? 11 : 0;
      return result;
    }
  }
  return Exited("");
}

}  // namespace platform::execution::testing
