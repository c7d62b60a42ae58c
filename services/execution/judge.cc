// SPDX-License-Identifier: Apache-2.0
#include "services/execution/judge.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

namespace platform::execution {
namespace {

using grpccommon::MutexLock;
using namespace std::chrono_literals;

void SetDuration(std::chrono::nanoseconds value,
                 google::protobuf::Duration& duration) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(value);
  duration.set_seconds(seconds.count());
  duration.set_nanos(static_cast<int>((value - seconds).count()));
}

// Takes what is left of `budget` from the beginning of `text`.
std::string Show(std::string_view text, std::size_t& budget) {
  const std::size_t size = std::min({text.size(), kShownBytesPerTest, budget});
  budget -= size;
  return std::string(text.substr(0, size));
}

}  // namespace

std::shared_ptr<Judge> Judge::Create(JudgeTools tools, JudgeRequest request,
                                     std::shared_ptr<JudgeObserver> observer) {
  return std::shared_ptr<Judge>(
      new Judge(std::move(tools), std::move(request), std::move(observer)));
}

Judge::Judge(JudgeTools tools, JudgeRequest request,
             std::shared_ptr<JudgeObserver> observer)
    : tools_(std::move(tools)),
      request_(std::move(request)),
      observer_(std::move(observer)) {}

void Judge::Start() {
  observer_->OnCompiling();
  if (cancelled()) return End(std::nullopt);
  const ProgramCache::RequestId build = tools_.programs.Get(
      *request_.language, request_.source,
      [self = shared_from_this()](
          absl::StatusOr<std::shared_ptr<const Program>> program) {
        self->OnProgram(std::move(program));
      });
  bool cancel;
  {
    const MutexLock lock(mutex_);
    build_ = build;
    cancel = cancelled_;
  }
  if (cancel) tools_.programs.Cancel(build);
}

void Judge::OnProgram(absl::StatusOr<std::shared_ptr<const Program>> program) {
  if (cancelled()) return End(std::nullopt);
  if (!program.ok()) return End(v1::VERDICT_INTERNAL);
  program_ = *std::move(program);
  if (!program_->compiler_output.empty()) {
    observer_->OnCompilerOutput(program_->compiler_output);
  }
  if (program_->workspace == nullptr) return End(v1::VERDICT_COMPILE_ERROR);
  RunTest(std::nullopt);
}

std::size_t Judge::test_count() const {
  return std::max<std::size_t>(request_.suite->tests.size(), 1);
}

void Judge::RunTest(const std::optional<v1::TestResult>& ended) {
  observer_->OnRunning(static_cast<int>(test_) + 1, ended);
  run_again_ = true;
  StartRun();
}

void Judge::StartRun() {
  const TestSuite& suite = *request_.suite;
  // Once started, the run may be over and the next one begun at any time.
  int number;
  {
    const MutexLock lock(mutex_);
    number = ++runs_;
    run_ = 0;
  }
  SandboxRequest request = RunRequest(
      *request_.language, program_->workspace,
      test_ < suite.tests.size() ? suite.tests[test_].input : "", suite.limits);
  if (suite.max_time.has_value()) {
    // Time that is used up ends the run as soon as it begins.
    request.limits.wall_time = std::clamp<std::chrono::nanoseconds>(
        *suite.max_time - taken_, 1ms, request.limits.wall_time);
  }
  const auto run = tools_.sandbox.Start(
      std::move(request),
      [self = shared_from_this()](const SandboxResult& result) {
        self->OnResult(result);
      });
  if (!run.ok()) {
    tools_.logger.Error("a sandbox could not be started",
                        {{"error", std::string(run.status().message())}});
    return End(v1::VERDICT_INTERNAL);
  }
  bool cancel;
  {
    const MutexLock lock(mutex_);
    if (runs_ == number) run_ = *run;
    cancel = cancelled_;
  }
  if (cancel) tools_.sandbox.Cancel(*run);
}

void Judge::OnResult(const SandboxResult& result) {
  NoteRun(result, "run", tools_.metrics, tools_.logger);
  taken_ += result.wall_time;
  if (cancelled()) return End(std::nullopt);
  if (result.outcome == SandboxOutcome::kSandboxFailure &&
      std::exchange(run_again_, false)) {
    return StartRun();
  }
  const v1::TestResult ended = ResultOf(result);
  if (verdict_ == v1::VERDICT_ACCEPTED) verdict_ = ended.verdict();
  ++test_;
  const bool failed = ended.verdict() != v1::VERDICT_ACCEPTED;
  if (test_ == test_count() || ended.verdict() == v1::VERDICT_INTERNAL ||
      (failed && !request_.run_all_tests)) {
    return End(verdict_, ended);
  }
  RunTest(ended);
}

v1::Verdict Judge::VerdictOf(const SandboxResult& result) const {
  switch (result.outcome) {
    case SandboxOutcome::kExited:
      break;
    case SandboxOutcome::kSignalled:
    case SandboxOutcome::kProcessLimit:
      return v1::VERDICT_RUNTIME_ERROR;
    case SandboxOutcome::kCpuTimeLimit:
    case SandboxOutcome::kWallTimeLimit:
      return v1::VERDICT_TIME_LIMIT;
    case SandboxOutcome::kMemoryLimit:
      return v1::VERDICT_MEMORY_LIMIT;
    case SandboxOutcome::kOutputLimit:
      return v1::VERDICT_OUTPUT_LIMIT;
    case SandboxOutcome::kCancelled:  // by nobody here: the sandbox stops
    case SandboxOutcome::kSandboxFailure:
      return v1::VERDICT_INTERNAL;
  }
  const int memory_code = request_.language->out_of_memory_exit_code;
  if (memory_code != 0 && result.exit_code == memory_code) {
    return v1::VERDICT_MEMORY_LIMIT;
  }
  if (result.exit_code != 0) return v1::VERDICT_RUNTIME_ERROR;
  const TestSuite& suite = *request_.suite;
  if (!suite.check_output || test_ >= suite.tests.size()) {
    return v1::VERDICT_ACCEPTED;
  }
  return Matches(suite.checker, result.output,
                 suite.tests[test_].expected_output)
             ? v1::VERDICT_ACCEPTED
             : v1::VERDICT_WRONG_ANSWER;
}

v1::TestResult Judge::ResultOf(const SandboxResult& result) {
  v1::TestResult test;
  test.set_test(static_cast<int>(test_) + 1);
  test.set_verdict(VerdictOf(result));
  SetDuration(result.cpu_time, *test.mutable_usage()->mutable_cpu_time());
  SetDuration(result.wall_time, *test.mutable_usage()->mutable_wall_time());
  test.mutable_usage()->set_memory_bytes(result.peak_memory_bytes);
  test.set_exit_code(result.exit_code);
  test.set_signal(result.signal);
  if (request_.suite->show_output) {
    std::size_t budget = kShownBytes - shown_bytes_;
    test.set_output(Show(result.output, budget));
    test.set_error_output(Show(result.error, budget));
    shown_bytes_ = kShownBytes - budget;
  }
  return test;
}

void Judge::End(std::optional<v1::Verdict> verdict,
                const std::optional<v1::TestResult>& ended) {
  program_.reset();
  const std::shared_ptr<JudgeObserver> observer =
      std::exchange(observer_, nullptr);
  observer->OnEnd(verdict, ended);
}

void Judge::Cancel() {
  ProgramCache::RequestId build;
  Sandbox::RunId run;
  {
    const MutexLock lock(mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    build = build_;
    run = run_;
  }
  if (run != 0) {
    tools_.sandbox.Cancel(run);
  } else if (build != 0) {
    tools_.programs.Cancel(build);
  }
}

bool Judge::cancelled() const {
  const MutexLock lock(mutex_);
  return cancelled_;
}

}  // namespace platform::execution
