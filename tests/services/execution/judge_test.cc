// SPDX-License-Identifier: Apache-2.0
#include "services/execution/judge.h"

#include <chrono>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "gtest/gtest.h"
#include "services/execution/fake_sandbox.h"

namespace platform::execution {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using namespace std::chrono_literals;

// Notes what it hears.
class Recorder final : public JudgeObserver {
 public:
  void OnCompiling() override { steps.emplace_back("compiling"); }
  void OnCompilerOutput(const std::string& text) override {
    compiler_output = text;
  }
  void OnRunning(int test,
                 const std::optional<v1::TestResult>& result) override {
    steps.push_back("running " + std::to_string(test));
    if (result.has_value()) results.push_back(*result);
  }
  void OnEnd(std::optional<v1::Verdict> given,
             const std::optional<v1::TestResult>& result) override {
    steps.emplace_back("end");
    verdict = given;
    if (result.has_value()) results.push_back(*result);
  }

  std::vector<std::string> steps;
  std::string compiler_output;
  std::vector<v1::TestResult> results;
  std::optional<v1::Verdict> verdict;
};

class JudgeTest : public ::testing::Test {
 protected:
  // A judge of a suite where test n has input n and expects n.
  std::shared_ptr<Judge> Make(const std::string& source, int tests,
                              bool run_all_tests = false) {
    suite_ = std::make_shared<TestSuite>();
    for (int i = 1; i <= tests; ++i) {
      suite_->tests.push_back(
          {.input = std::to_string(i), .expected_output = std::to_string(i)});
    }
    suite_->limits = ToRunLimits({});
    suite_->show_output = show_output_;
    suite_->check_output = tests > 0;
    recorder_ = std::make_shared<Recorder>();
    return Judge::Create({sandbox_, programs_, *metrics_, {}},
                         {.language = languages_.Find(language_),
                          .source = source,
                          .suite = suite_,
                          .run_all_tests = run_all_tests},
                         recorder_);
  }
  void Run(const std::string& source, int tests, bool run_all_tests = false) {
    Make(source, tests, run_all_tests)->Start();
    sandbox_.Pump();
    ASSERT_EQ(recorder_->steps.back(), "end");
  }

  const Languages languages_ = testing::FakeLanguages();
  std::string language_ = "cpp";
  bool show_output_ = true;
  testing::FakeSandbox::Respond respond_ = testing::Interpret;
  testing::FakeSandbox sandbox_{
      [this](const SandboxRequest& request) { return respond_(request); }};
  grpccommon::MetricsRegistry registry_;
  std::unique_ptr<ExecutionMetrics> metrics_ =
      *ExecutionMetrics::Create(registry_);
  ProgramCache programs_{sandbox_, {}, *metrics_, {}};
  std::shared_ptr<TestSuite> suite_;
  std::shared_ptr<Recorder> recorder_;
};

TEST_F(JudgeTest, RunsOneTestAfterTheOther) {
  Run("echo", 3);
  EXPECT_THAT(recorder_->steps, ElementsAre("compiling", "running 1",
                                            "running 2", "running 3", "end"));
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_ACCEPTED);
  ASSERT_THAT(recorder_->results, SizeIs(3));
  const v1::TestResult& last = recorder_->results[2];
  EXPECT_EQ(last.test(), 3);
  EXPECT_EQ(last.verdict(), v1::VERDICT_ACCEPTED);
  EXPECT_EQ(last.output(), "3");
  EXPECT_EQ(last.usage().cpu_time().nanos(), 5'000'000);
  EXPECT_EQ(last.usage().wall_time().nanos(), 7'000'000);
  EXPECT_EQ(last.usage().memory_bytes(), 1 << 20);
}

TEST_F(JudgeTest, StopsAtTheFirstTestThatFails) {
  Run("print 1", 3);
  EXPECT_THAT(recorder_->steps,
              ElementsAre("compiling", "running 1", "running 2", "end"));
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_WRONG_ANSWER);
}

TEST_F(JudgeTest, AllTestsOfASetShareTheirTime) {
  std::vector<std::chrono::nanoseconds> limits;
  respond_ = [&limits](const SandboxRequest& request) {
    auto result = testing::Interpret(request);
    if (request.keep.empty()) {
      limits.push_back(request.limits.wall_time);
      result->wall_time = 3s;
    }
    return result;
  };
  const auto judge = Make("echo", 5);
  suite_->max_time = 9500ms;
  judge->Start();
  sandbox_.Pump();
  EXPECT_THAT(limits, ElementsAre(8s, 6500ms, 3500ms, 500ms, 1ms));
}

TEST_F(JudgeTest, GoesOnIfToldTo) {
  Run("print 2", 3, /*run_all_tests=*/true);
  ASSERT_THAT(recorder_->results, SizeIs(3));
  EXPECT_EQ(recorder_->results[0].verdict(), v1::VERDICT_WRONG_ANSWER);
  EXPECT_EQ(recorder_->results[1].verdict(), v1::VERDICT_ACCEPTED);
  EXPECT_EQ(recorder_->results[2].verdict(), v1::VERDICT_WRONG_ANSWER);
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_WRONG_ANSWER);
}

TEST_F(JudgeTest, TheVerdictIsOfTheFirstTestThatFailed) {
  respond_ = [](const SandboxRequest& request) {
    if (!request.keep.empty()) return testing::Interpret(request);
    SandboxResult result = testing::Exited("x");
    if (request.input == "2") result.outcome = SandboxOutcome::kMemoryLimit;
    if (request.input == "1") result.outcome = SandboxOutcome::kCpuTimeLimit;
    return std::optional(result);
  };
  Run("any", 3, /*run_all_tests=*/true);
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_TIME_LIMIT);
}

TEST_F(JudgeTest, WithoutTestsItRunsOnceAndExpectsNothing) {
  Run("print anything", 0);
  EXPECT_THAT(recorder_->steps, ElementsAre("compiling", "running 1", "end"));
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_ACCEPTED);
  EXPECT_EQ(recorder_->results.at(0).output(), "anything");
}

TEST_F(JudgeTest, GivesEachOutcomeItsVerdict) {
  const auto verdict_of = [this](const std::string& source) {
    Run(source, 1);
    return *recorder_->verdict;
  };
  EXPECT_EQ(verdict_of("signalled"), v1::VERDICT_RUNTIME_ERROR);
  EXPECT_EQ(recorder_->results.at(0).signal(), 11);
  EXPECT_EQ(verdict_of("process_limit"), v1::VERDICT_RUNTIME_ERROR);
  EXPECT_EQ(verdict_of("cpu_time_limit"), v1::VERDICT_TIME_LIMIT);
  EXPECT_EQ(verdict_of("wall_time_limit"), v1::VERDICT_TIME_LIMIT);
  EXPECT_EQ(verdict_of("memory_limit"), v1::VERDICT_MEMORY_LIMIT);
  EXPECT_EQ(verdict_of("output_limit"), v1::VERDICT_OUTPUT_LIMIT);
  EXPECT_EQ(verdict_of("sandbox_failure"), v1::VERDICT_INTERNAL);
  EXPECT_EQ(verdict_of("exit 3"), v1::VERDICT_RUNTIME_ERROR);
  EXPECT_EQ(recorder_->results.at(0).exit_code(), 3);
  EXPECT_EQ(verdict_of("print 2"), v1::VERDICT_WRONG_ANSWER);
  EXPECT_EQ(verdict_of("print 1"), v1::VERDICT_ACCEPTED);
}

TEST_F(JudgeTest, AnExitCodeMayMeanThatMemoryRanOut) {
  language_ = "java";
  Run("exit 3", 1);
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_MEMORY_LIMIT);
  Run("exit 1", 1);
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_RUNTIME_ERROR);
}

TEST_F(JudgeTest, WhatDoesNotCompileIsNotRun) {
  Run("nonsense", 2);
  EXPECT_THAT(recorder_->steps, ElementsAre("compiling", "end"));
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_COMPILE_ERROR);
  EXPECT_THAT(recorder_->compiler_output, HasSubstr("error: 'nonsense'"));
}

TEST_F(JudgeTest, AFailureOfTheSandboxEndsIt) {
  Run("sandbox_failure", 3, /*run_all_tests=*/true);
  EXPECT_THAT(recorder_->results, SizeIs(1));
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_INTERNAL);
  const auto judge = Make("echo", 1);
  sandbox_.Refuse(absl::ResourceExhaustedError("max_runs"));
  judge->Start();
  sandbox_.Pump();
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_INTERNAL);
}

TEST_F(JudgeTest, ARunThatTheSandboxFailedIsMadeOnceMore) {
  int failures = 1;
  respond_ = [&failures](const SandboxRequest& request) {
    SandboxResult result = *testing::Interpret(request);
    if (request.keep.empty() && failures-- > 0) {
      result.outcome = SandboxOutcome::kSandboxFailure;
    }
    return std::optional(result);
  };
  Run("echo", 2);
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_ACCEPTED);
  EXPECT_THAT(recorder_->steps,
              ElementsAre("compiling", "running 1", "running 2", "end"));
  EXPECT_EQ(sandbox_.runs(), 3);
  EXPECT_EQ(metrics_->sandbox_failures->Value(), 1U);
  failures = 2;
  Run("echo", 2);
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_INTERNAL);
  EXPECT_EQ(metrics_->sandbox_failures->Value(), 3U);
}

TEST_F(JudgeTest, GivesTheProgramItsLimits) {
  std::vector<SandboxRequest> requests;
  respond_ = [&](const SandboxRequest& request) {
    requests.push_back(request);
    return testing::Interpret(request);
  };
  language_ = "java";
  Run("echo", 1);
  ASSERT_THAT(requests, SizeIs(2));
  EXPECT_THAT(requests[0].argv, ElementsAre("/usr/bin/javac", "Main.java"));
  EXPECT_THAT(requests[1].argv, ElementsAre("/usr/bin/java", "-Xmx256m"));
  EXPECT_EQ(requests[1].limits.cpu_time, std::chrono::seconds(2));
  EXPECT_EQ(requests[1].limits.wall_time, std::chrono::seconds(8));
  EXPECT_EQ(requests[1].limits.memory_bytes, (256 + 128) << 20);
  EXPECT_EQ(requests[1].limits.output_bytes, 1 << 20);
  EXPECT_EQ(requests[1].limits.processes, 64);
}

TEST_F(JudgeTest, ShowsTheBeginningOfOutputs) {
  respond_ = [](const SandboxRequest& request) {
    if (!request.keep.empty()) return testing::Interpret(request);
    SandboxResult result = testing::Exited(std::string(100'000, 'o'));
    result.error = std::string(100'000, 'e');
    return std::optional(result);
  };
  Run("any", 20, /*run_all_tests=*/true);
  std::size_t shown = 0;
  for (const v1::TestResult& result : recorder_->results) {
    EXPECT_LE(result.output().size(), kShownBytesPerTest);
    shown += result.output().size() + result.error_output().size();
  }
  EXPECT_EQ(recorder_->results[0].output().size(), kShownBytesPerTest);
  EXPECT_EQ(recorder_->results[0].error_output().size(), kShownBytesPerTest);
  EXPECT_EQ(shown, kShownBytes);
}

TEST_F(JudgeTest, HidesOutputsOfHiddenTests) {
  show_output_ = false;
  Run("echo", 2);
  for (const v1::TestResult& result : recorder_->results) {
    EXPECT_EQ(result.output(), "");
    EXPECT_EQ(result.error_output(), "");
  }
}

TEST_F(JudgeTest, IsCancelledWhileItCompiles) {
  const auto judge = Make("forever-compiling", 1);
  judge->Start();
  sandbox_.Pump();
  ASSERT_EQ(sandbox_.held(), 1u);
  judge->Cancel();
  EXPECT_THAT(recorder_->steps, ElementsAre("compiling"));
  sandbox_.Pump();
  EXPECT_THAT(recorder_->steps, ElementsAre("compiling", "end"));
  EXPECT_FALSE(recorder_->verdict.has_value());
  EXPECT_EQ(sandbox_.held(), 0u);
}

TEST_F(JudgeTest, IsCancelledWhileItRuns) {
  const auto judge = Make("spin", 1);
  judge->Start();
  sandbox_.Pump();
  ASSERT_EQ(sandbox_.held(), 1u);
  judge->Cancel();
  judge->Cancel();
  sandbox_.Pump();
  EXPECT_THAT(recorder_->steps, ElementsAre("compiling", "running 1", "end"));
  EXPECT_FALSE(recorder_->verdict.has_value());
}

TEST_F(JudgeTest, IsCancelledBeforeItStarts) {
  const auto judge = Make("echo", 1);
  judge->Cancel();
  judge->Start();
  EXPECT_EQ(recorder_->steps.back(), "end");
  EXPECT_FALSE(recorder_->verdict.has_value());
  EXPECT_EQ(sandbox_.builds(), 0);
}

TEST_F(JudgeTest, AVerdictStaysWhenItIsCancelledLater) {
  const auto judge = Make("echo", 1);
  judge->Start();
  sandbox_.Pump();
  judge->Cancel();
  sandbox_.Pump();
  EXPECT_EQ(recorder_->verdict, v1::VERDICT_ACCEPTED);
}

}  // namespace
}  // namespace platform::execution
