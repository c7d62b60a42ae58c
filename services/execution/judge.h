// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/log/logger.h"
#include "platform/execution/v1/execution_service.pb.h"
#include "services/execution/execution_metrics.h"
#include "services/execution/program_cache.h"
#include "services/execution/sandbox/sandbox.h"
#include "services/execution/test_suite.h"

namespace platform::execution {

/// Learns how a program is judged. Called by one thread at a time, in this
/// order: compiling, what the compiler said (if it did), running each test, and
/// the end, once.
class JudgeObserver {
 public:
  virtual ~JudgeObserver() = default;

  virtual void OnCompiling() = 0;
  /// UTF-8.
  virtual void OnCompilerOutput(const std::string& text) = 0;
  /// Test `test`, from 1, begins; `ended` is the one before it.
  virtual void OnRunning(int test,
                         const std::optional<v1::TestResult>& ended) = 0;
  /// Nothing of the program runs any more. Without a verdict, it was cancelled.
  virtual void OnEnd(std::optional<v1::Verdict> verdict,
                     const std::optional<v1::TestResult>& ended) = 0;
};

/// What a judge needs besides the program. Borrowed; outlives it.
struct JudgeTools {
  Sandbox& sandbox;
  ProgramCache& programs;
  const ExecutionMetrics& metrics;
  grpccommon::Logger logger;
};

struct JudgeRequest {
  /// Borrowed; outlives the judge.
  const Language* language = nullptr;
  std::string source;
  std::shared_ptr<const TestSuite> suite;
  /// Go on after the first test that fails.
  bool run_all_tests = false;
};

/// Of what a program wrote, callers see this much for a test, and for all tests
/// of an execution.
inline constexpr std::size_t kShownBytesPerTest = 8 << 10;
inline constexpr std::size_t kShownBytes = 128 << 10;

/// Builds one program and runs it against its tests, one after the other.
/// Without tests it runs once. A run that the sandbox failed is made once more.
///
/// Goes from callback to callback, on the threads of the sandbox, and keeps
/// itself alive until OnEnd.
class Judge : public std::enable_shared_from_this<Judge> {
 public:
  /// `observer` is shared until OnEnd was called.
  static std::shared_ptr<Judge> Create(JudgeTools tools, JudgeRequest request,
                                       std::shared_ptr<JudgeObserver> observer);

  /// Once. OnCompiling is called before it returns; all the rest, maybe.
  void Start();

  /// Ends the program and everything it started; OnEnd follows. Does nothing
  /// when it was called or the program has its verdict.
  void Cancel();

 private:
  Judge(JudgeTools tools, JudgeRequest request,
        std::shared_ptr<JudgeObserver> observer);

  void OnProgram(absl::StatusOr<std::shared_ptr<const Program>> program);
  void RunTest(const std::optional<v1::TestResult>& ended);
  void StartRun();
  void OnResult(const SandboxResult& result);
  v1::Verdict VerdictOf(const SandboxResult& result) const;
  v1::TestResult ResultOf(const SandboxResult& result);
  void End(std::optional<v1::Verdict> verdict,
           const std::optional<v1::TestResult>& ended = std::nullopt);
  bool cancelled() const;
  std::size_t test_count() const;

  const JudgeTools tools_;
  const JudgeRequest request_;
  std::shared_ptr<JudgeObserver> observer_;

  // One step follows the other.
  std::shared_ptr<const Program> program_;
  std::size_t test_ = 0;
  bool run_again_ = false;
  std::size_t shown_bytes_ = 0;
  std::chrono::nanoseconds taken_{0};  // by the wall clock
  v1::Verdict verdict_ = v1::VERDICT_ACCEPTED;

  mutable grpccommon::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  // What there is to cancel; numbers are never used twice, so that one that is
  // over does no harm. The run is the `runs_`-th, and 0 until it is known.
  ProgramCache::RequestId build_ ABSL_GUARDED_BY(mutex_) = 0;
  int runs_ ABSL_GUARDED_BY(mutex_) = 0;
  Sandbox::RunId run_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace platform::execution
