// SPDX-License-Identifier: Apache-2.0
#include "services/execution/executions.h"

#include <cctype>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/execution/fake_sandbox.h"

namespace platform::execution {
namespace {

using grpccommon::testing::FakeClock;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr char kId[] = "0191b2c3-0000-7000-8000-000000000001";
constexpr char kProblem[] = "0191b2c3-0000-7000-8000-0000000000aa";

const Caller kAda = {.id = "ada"};
const Caller kBob = {.id = "bob"};
const Caller kAdmin = {.id = "root", .trusted = true};

class Listener final : public ExecutionListener {
 public:
  void OnUpdate(const v1::ExecutionUpdate& update) override {
    updates.push_back(update);
  }
  void OnAccepted(const v1::Execution& execution) override {
    accepted.push_back(execution);
  }
  void OnEnd(const absl::Status& status) override { ends.push_back(status); }

  // "queued", "compiling", "running 1", "done".
  std::vector<std::string> Steps() const {
    std::vector<std::string> steps;
    for (const v1::ExecutionUpdate& update : updates) {
      switch (update.state()) {
        case v1::EXECUTION_STATE_QUEUED:
          steps.push_back("queued " + std::to_string(update.queue_position()));
          break;
        case v1::EXECUTION_STATE_COMPILING:
          steps.emplace_back("compiling");
          break;
        case v1::EXECUTION_STATE_RUNNING:
          steps.push_back("running " + std::to_string(update.test()) + " of " +
                          std::to_string(update.test_count()));
          break;
        case v1::EXECUTION_STATE_DONE:
          steps.emplace_back("done");
          break;
        case v1::EXECUTION_STATE_CANCELLED:
          steps.emplace_back("cancelled");
          break;
        default:
          steps.emplace_back("?");
      }
    }
    return steps;
  }
  const v1::Execution& last() const { return updates.back().execution(); }

  std::vector<v1::ExecutionUpdate> updates;
  std::vector<v1::Execution> accepted;
  std::vector<absl::Status> ends;
};

// Answers at once, or when told to.
class FakeProblems final : public ProblemSource {
 public:
  void GetProblem(
      const std::string& id,
      std::function<void(absl::StatusOr<problem::v1::Problem>)> done) override {
    asked.push_back(id);
    const auto answer = [this, done = std::move(done)] {
      if (!status.ok()) return done(status);
      done(problem);
    };
    if (hold) {
      held.emplace_back(answer);
    } else {
      answer();
    }
  }
  void ListTestCases(
      const std::string& /*id*/,
      std::function<void(absl::StatusOr<std::vector<problem::v1::TestCase>>)>
          done) override {
    std::vector<problem::v1::TestCase> cases(2);
    for (problem::v1::TestCase& test : cases) {
      test.set_input("hidden");
      test.set_expected_output("hidden");
      test.set_tests_version(7);
    }
    done(cases);
  }

  void Release() {
    for (const auto& answer : std::exchange(held, {})) answer();
  }

  absl::Status status;
  problem::v1::Problem problem;
  std::vector<std::string> asked;
  bool hold = false;
  std::vector<std::function<void()>> held;
};

class ExecutionsTest : public ::testing::Test {
 protected:
  ExecutionsTest() { Make({}, {.parallel = 1}); }
  ~ExecutionsTest() override {
    executions_->Drain();
    problems_.Release();
    // Shutdown waits for the sandbox, which this test's thread is.
    sandbox_.PumpByItself();
    executions_.reset();
  }

  void Make(const ExecutionsOptions& options, const RunQueueOptions& queue) {
    executions_.reset();
    queue_ = *RunQueue::Create(queue, clock_);
    registry_ = std::make_unique<grpccommon::MetricsRegistry>();
    metrics_ = *ExecutionMetrics::Create(*registry_);
    programs_ = std::make_unique<ProgramCache>(sandbox_, ProgramCacheOptions(),
                                               *metrics_, grpccommon::Logger());
    tests_ = *ProblemTests::Create(problems_, {}, *metrics_, clock_);
    executions_ = MakeOn(sandbox_, *programs_, options);
  }
  std::unique_ptr<Executions> MakeOn(testing::FakeSandbox& sandbox,
                                     ProgramCache& programs,
                                     const ExecutionsOptions& options = {}) {
    return *Executions::Create(
        {languages_, *queue_, *tests_, {sandbox, programs, *metrics_, {}}},
        options, *registry_, clock_);
  }

  static v1::ExecuteRequest Request(const std::string& source,
                                    const std::string& id = kId) {
    v1::ExecuteRequest request;
    request.set_execution_id(id);
    request.set_language("cpp");
    request.set_source(source);
    auto& test = *request.mutable_test_set()->add_test_cases();
    test.set_input("1");
    test.set_expected_output("1");
    return request;
  }
  static v1::ExecuteRequest RequestOfTwoTests() {
    v1::ExecuteRequest request = Request("echo");
    *request.mutable_test_set()->add_test_cases() =
        request.test_set().test_cases(0);
    return request;
  }
  static v1::ExecuteRequest ProblemRequest(const std::string& source) {
    v1::ExecuteRequest request = Request(source);
    request.mutable_problem()->set_problem_id(kProblem);
    return request;
  }
  struct Submitted {
    std::shared_ptr<Listener> listener = std::make_shared<Listener>();
    std::function<void()> leave;
  };
  Submitted Submit(const v1::ExecuteRequest& request,
                   const Caller& caller = kAda) {
    Submitted submitted;
    submitted.leave = executions_->Submit(caller, request, submitted.listener);
    return submitted;
  }
  static std::string Id(int n) {
    return "0191b2c3-0000-7000-8000-00000001" + std::to_string(1000 + n);
  }

  FakeClock clock_;
  const Languages languages_ = testing::FakeLanguages();
  testing::FakeSandbox sandbox_{testing::Interpret};
  FakeProblems problems_;
  std::unique_ptr<grpccommon::MetricsRegistry> registry_;
  std::unique_ptr<ExecutionMetrics> metrics_;
  std::unique_ptr<RunQueue> queue_;
  std::unique_ptr<ProgramCache> programs_;
  std::unique_ptr<ProblemTests> tests_;
  std::unique_ptr<Executions> executions_;
};

TEST_F(ExecutionsTest, TellsEachStepInOrder) {
  v1::ExecuteRequest request = RequestOfTwoTests();
  const auto [listener, leave] = Submit(request);
  EXPECT_THAT(listener->Steps(), ElementsAre("queued 0", "compiling"));
  sandbox_.Pump();
  EXPECT_THAT(listener->Steps(),
              ElementsAre("queued 0", "compiling", "running 1 of 2",
                          "running 2 of 2", "done"));
  EXPECT_THAT(listener->ends, ElementsAre(IsOk()));
  for (std::size_t i = 0; i < listener->updates.size(); ++i) {
    EXPECT_EQ(listener->updates[i].sequence(), static_cast<int>(i) + 1);
    EXPECT_EQ(listener->updates[i].execution_id(), kId);
    EXPECT_TRUE(listener->updates[i].has_at());
    EXPECT_EQ(listener->updates[i].has_execution(),
              i + 1 == listener->updates.size());
  }
  // A test's result comes with the next step.
  EXPECT_EQ(listener->updates[3].test_result().test(), 1);
  EXPECT_EQ(listener->updates[4].test_result().test(), 2);
  const v1::Execution& execution = listener->last();
  EXPECT_EQ(execution.id(), kId);
  EXPECT_EQ(execution.state(), v1::EXECUTION_STATE_DONE);
  EXPECT_EQ(execution.verdict(), v1::VERDICT_ACCEPTED);
  EXPECT_EQ(execution.language(), "cpp");
  EXPECT_THAT(execution.tests(), SizeIs(2));
  EXPECT_EQ(execution.test_count(), 2);
  EXPECT_EQ(execution.passed_count(), 2);
  EXPECT_EQ(execution.usage().memory_bytes(), 1 << 20);
  EXPECT_TRUE(execution.has_created_at());
  EXPECT_TRUE(execution.has_started_at());
  EXPECT_TRUE(execution.has_finished_at());
}

TEST_F(ExecutionsTest, UsageIsTheMostThatATestTook) {
  int run = 0;
  testing::FakeSandbox sandbox([&run](const SandboxRequest& request) {
    SandboxResult result = *testing::Interpret(request);
    if (request.keep.empty()) {
      ++run;
      result.cpu_time = run == 1 ? 1500ms : 20ms;
      result.wall_time = run == 2 ? 3s : 1s;
      result.peak_memory_bytes = run == 1 ? 10 : 20;
    }
    return std::optional(result);
  });
  ProgramCache programs(sandbox, {}, *metrics_, {});
  const auto executions = MakeOn(sandbox, programs);
  v1::ExecuteRequest request = RequestOfTwoTests();
  const auto listener = std::make_shared<Listener>();
  (void)executions->Submit(kAda, request, listener);
  sandbox.Pump();
  const v1::Usage& usage = listener->last().usage();
  EXPECT_EQ(usage.cpu_time().seconds(), 1);
  EXPECT_EQ(usage.cpu_time().nanos(), 500'000'000);
  EXPECT_EQ(usage.wall_time().seconds(), 3);
  EXPECT_EQ(usage.memory_bytes(), 20);
}

TEST_F(ExecutionsTest, ATestSetHasTwoMinutesAndAProblemsTestsHaveTheirLimits) {
  std::vector<std::chrono::nanoseconds> limits;
  testing::FakeSandbox sandbox([&limits](const SandboxRequest& request) {
    SandboxResult result = *testing::Interpret(request);
    if (request.keep.empty()) {
      limits.push_back(request.limits.wall_time);
      result.wall_time = 119s;
    }
    return std::optional(result);
  });
  ProgramCache programs(sandbox, {}, *metrics_, {});
  const auto executions = MakeOn(sandbox, programs);
  v1::ExecuteRequest request = RequestOfTwoTests();
  (void)executions->Submit(kAda, request, std::make_shared<Listener>());
  sandbox.Pump();
  EXPECT_THAT(limits, ElementsAre(8s, 1s));
  limits.clear();
  request = ProblemRequest("echo");
  request.set_execution_id(Id(1));
  (void)executions->Submit(kAdmin, request, std::make_shared<Listener>());
  sandbox.Pump();
  EXPECT_THAT(limits, ElementsAre(8s, 8s));
}

TEST_F(ExecutionsTest, RefusesWhatItCannotRun) {
  v1::ExecuteRequest request = Request("echo");
  request.set_language("cobol");
  EXPECT_THAT(Submit(request).listener->ends,
              ElementsAre(AllOf(
                  StatusIs(absl::StatusCode::kInvalidArgument),
                  grpccommon::testing::MessageIs(HasSubstr("language")))));
  EXPECT_THAT(executions_->Get(kAda, kId),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ExecutionsTest, AnIdIsUsedOnce) {
  Submit(Request("echo"));
  sandbox_.Pump();
  for (const Caller& caller : {kAda, kBob}) {
    const auto second = Submit(Request("echo"), caller);
    EXPECT_THAT(second.listener->ends,
                ElementsAre(AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                                  HasReason("EXECUTION_EXISTS"))));
    EXPECT_THAT(second.listener->updates, IsEmpty());
  }
  EXPECT_EQ(sandbox_.runs(), 1);
}

TEST_F(ExecutionsTest, AnIdIsTheSameInEitherCase) {
  const auto shouted = [](const char* id) {
    std::string upper = id;
    for (char& c : upper) c = static_cast<char>(std::toupper(c));
    return upper;
  };
  v1::ExecuteRequest request = ProblemRequest("echo");
  request.set_execution_id(shouted(kId));
  request.mutable_problem()->set_problem_id(shouted(kProblem));
  request.mutable_metadata()->set_idempotency_key("k1");
  const auto first = Submit(request, kAdmin);
  EXPECT_EQ(first.listener->updates.at(0).execution_id(), kId);
  EXPECT_EQ(problems_.asked, std::vector<std::string>({kProblem}));
  EXPECT_THAT(Submit(Request("echo")).listener->ends,
              ElementsAre(HasReason("EXECUTION_EXISTS")));
  // The same request but for the case of its ids joins.
  request.set_execution_id(kId);
  request.mutable_problem()->set_problem_id(kProblem);
  const auto second = Submit(request, kAdmin);
  sandbox_.Pump();
  EXPECT_EQ(second.listener->last().id(), kId);
  EXPECT_EQ(sandbox_.runs(), 2) << "two tests, once";
  EXPECT_THAT(executions_->Get(kAdmin, shouted(kId)), IsOk());
  executions_->Cancel(kAdmin, shouted(kId),
                      [](const absl::StatusOr<v1::Execution>& execution) {
                        EXPECT_THAT(execution, IsOk());
                      });
}

TEST_F(ExecutionsTest, ChoosesAnIdForWhoeverHasNone) {
  const auto [listener, leave] = Submit(Request("echo", ""));
  const auto other = Submit(Request("echo", ""));
  EXPECT_THAT(listener->updates.at(0).execution_id(), SizeIs(36));
  EXPECT_NE(listener->updates.at(0).execution_id(),
            other.listener->updates.at(0).execution_id());
}

TEST_F(ExecutionsTest, OneKeyIsOneExecution) {
  v1::ExecuteRequest request = Request("echo", "");
  request.mutable_metadata()->set_idempotency_key("k1");
  const auto first = Submit(request);
  const auto second = Submit(request);  // joins
  EXPECT_THAT(second.listener->Steps(), ElementsAre("compiling"));
  sandbox_.Pump();
  EXPECT_EQ(first.listener->last().id(), second.listener->last().id());
  EXPECT_THAT(second.listener->ends, ElementsAre(IsOk()));
  const auto third = Submit(request);  // after the end
  EXPECT_THAT(third.listener->Steps(), ElementsAre("done"));
  EXPECT_EQ(third.listener->last().id(), first.listener->last().id());
  EXPECT_THAT(third.listener->ends, ElementsAre(IsOk()));
  EXPECT_EQ(sandbox_.runs(), 1);

  request.set_source("print 2");
  EXPECT_THAT(Submit(request).listener->ends,
              ElementsAre(AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                                HasReason("IDEMPOTENCY_KEY_REUSED"))));
  // Another caller's key is another key.
  EXPECT_THAT(Submit(request, kBob).listener->ends, IsEmpty());
}

TEST_F(ExecutionsTest, OnlyTheTrustedUseAProblemsTests) {
  EXPECT_THAT(Submit(ProblemRequest("echo")).listener->ends,
              ElementsAre(StatusIs(absl::StatusCode::kPermissionDenied)));
  const auto [listener, leave] = Submit(ProblemRequest("echo"), kAdmin);
  sandbox_.Pump();
  const v1::Execution& execution = listener->last();
  EXPECT_EQ(execution.verdict(), v1::VERDICT_ACCEPTED);
  EXPECT_EQ(execution.tests_version(), 7);
  EXPECT_EQ(execution.test_count(), 2);
  for (const v1::ExecutionUpdate& update : listener->updates) {
    EXPECT_EQ(update.SerializeAsString().find("hidden"), std::string::npos);
  }
}

TEST_F(ExecutionsTest, TellsTheFirstStepBeforeTheTestsAreThere) {
  problems_.hold = true;
  const auto [listener, leave] = Submit(ProblemRequest("echo"), kAdmin);
  EXPECT_THAT(listener->Steps(), ElementsAre("queued 0"));
  EXPECT_THAT(listener->accepted, IsEmpty());
  problems_.Release();
  EXPECT_THAT(listener->accepted, SizeIs(1));
  sandbox_.Pump();
  EXPECT_EQ(listener->last().verdict(), v1::VERDICT_ACCEPTED);
}

TEST_F(ExecutionsTest, WhatCannotBeBegunIsForgotten) {
  problems_.status = absl::NotFoundError("");
  const auto refused = Submit(ProblemRequest("echo"), kAdmin);
  EXPECT_THAT(refused.listener->Steps(), ElementsAre("queued 0"));
  EXPECT_THAT(refused.listener->ends,
              ElementsAre(StatusIs(absl::StatusCode::kNotFound)));
  EXPECT_EQ(queue_->waiting(), 0u);
  problems_.status = absl::OkStatus();
  const auto again = Submit(ProblemRequest("echo"), kAdmin);  // the same id
  sandbox_.Pump();
  EXPECT_THAT(again.listener->ends, ElementsAre(IsOk()));
}

TEST_F(ExecutionsTest, AProblemMayAllowSomeLanguagesOnly) {
  problems_.problem.add_languages("java");
  EXPECT_THAT(Submit(ProblemRequest("echo"), kAdmin).listener->ends,
              ElementsAre(StatusIs(absl::StatusCode::kInvalidArgument)));
}

TEST_F(ExecutionsTest, QueuesWhatDoesNotFit) {
  const auto running = Submit(Request("spin", Id(0)));
  const auto second = Submit(Request("echo", Id(1)));
  const auto third = Submit(Request("echo", Id(2)));
  sandbox_.Pump();
  EXPECT_THAT(second.listener->Steps(), ElementsAre("queued 0"));
  EXPECT_THAT(third.listener->Steps(), ElementsAre("queued 1"));
  executions_->ReportPositions();
  EXPECT_THAT(third.listener->Steps(), ElementsAre("queued 1"));  // as before
  executions_->Cancel(kAda, Id(1), [](const auto&) {});
  executions_->ReportPositions();
  EXPECT_THAT(third.listener->Steps(), ElementsAre("queued 1", "queued 0"));
  running.leave();
  sandbox_.Pump();
  EXPECT_EQ(third.listener->Steps().back(), "done");
}

TEST_F(ExecutionsTest, TellsWhoeverFindsTheQueueFull) {
  Make({}, {.parallel = 1, .max_waiting = 1, .max_waiting_per_caller = 1});
  Submit(Request("spin", Id(0)));
  Submit(Request("echo", Id(1)));
  const auto refused = Submit(Request("echo", Id(2)), kBob);
  EXPECT_THAT(refused.listener->ends,
              ElementsAre(AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                                HasReason("QUEUE_FULL"))));
  EXPECT_THAT(executions_->Get(kBob, Id(2)),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ExecutionsTest, EndsWithItsClient) {
  const auto running = Submit(Request("spin", Id(0)));
  const auto queued = Submit(Request("echo", Id(1)));
  sandbox_.Pump();
  ASSERT_EQ(sandbox_.held(), 1u);
  queued.leave();
  running.leave();
  sandbox_.Pump();
  EXPECT_EQ(sandbox_.held(), 0u);
  EXPECT_EQ(sandbox_.runs(), 1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(executions_->Get(kAda, Id(i))->state(),
              v1::EXECUTION_STATE_CANCELLED);
  }
  // Nobody is told who does not listen any more.
  EXPECT_THAT(running.listener->ends, IsEmpty());
  EXPECT_EQ(metrics_->cancelled->Value(), 2u);
}

TEST_F(ExecutionsTest, EndsWithItsClientWhileTestsAreFetched) {
  problems_.hold = true;
  const auto submitted = Submit(ProblemRequest("echo"), kAdmin);
  submitted.leave();
  EXPECT_EQ(executions_->Get(kAdmin, kId)->state(),
            v1::EXECUTION_STATE_CANCELLED);
  EXPECT_EQ(queue_->waiting(), 0u);
  problems_.Release();
  sandbox_.Pump();
  EXPECT_EQ(sandbox_.builds(), 0);
}

TEST_F(ExecutionsTest, ADetachedOneGoesOnWithoutItsClient) {
  v1::ExecuteRequest request = Request("echo");
  request.set_detached(true);
  Submit(request).leave();
  sandbox_.Pump();
  EXPECT_EQ(executions_->Get(kAda, kId)->verdict(), v1::VERDICT_ACCEPTED);
}

TEST_F(ExecutionsTest, GoesOnWhileAnotherListens) {
  v1::ExecuteRequest request = Request("echo", "");
  request.mutable_metadata()->set_idempotency_key("k1");
  const auto first = Submit(request);
  const auto second = Submit(request);
  first.leave();
  sandbox_.Pump();
  EXPECT_EQ(second.listener->Steps().back(), "done");
}

TEST_F(ExecutionsTest, ShowsOthersNothing) {
  Submit(Request("spin"));
  sandbox_.Pump();
  EXPECT_THAT(executions_->Get(kBob, kId),
              StatusIs(absl::StatusCode::kNotFound));
  std::vector<absl::Status> answers;
  executions_->Cancel(kBob, kId, [&](const auto& execution) {
    answers.push_back(execution.status());
  });
  EXPECT_THAT(answers, ElementsAre(StatusIs(absl::StatusCode::kNotFound)));
  EXPECT_EQ(executions_->Get(kAda, kId)->state(), v1::EXECUTION_STATE_RUNNING);
  EXPECT_EQ(executions_->Get(kAdmin, kId)->state(),
            v1::EXECUTION_STATE_RUNNING);
}

TEST_F(ExecutionsTest, CancelAnswersWhenNothingRunsAnyMore) {
  const auto [listener, leave] = Submit(Request("spin"));
  sandbox_.Pump();
  std::vector<v1::Execution> answers;
  const auto note = [&](absl::StatusOr<v1::Execution> execution) {
    answers.push_back(*std::move(execution));
  };
  executions_->Cancel(kAda, kId, note);
  EXPECT_THAT(answers, IsEmpty());
  sandbox_.Pump();
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].state(), v1::EXECUTION_STATE_CANCELLED);
  EXPECT_EQ(answers[0].verdict(), v1::VERDICT_UNSPECIFIED);
  // The client that waits for it gets an answer, too.
  EXPECT_EQ(listener->Steps().back(), "cancelled");
  EXPECT_THAT(listener->ends, ElementsAre(IsOk()));
  executions_->Cancel(kAda, kId, note);  // stays as it is
  EXPECT_THAT(answers, SizeIs(2));
  EXPECT_EQ(queue_->running(), 0u);
}

TEST_F(ExecutionsTest, CancelDoesNotUndoAVerdict) {
  Submit(Request("echo"));
  sandbox_.Pump();
  v1::ExecutionState state = v1::EXECUTION_STATE_UNSPECIFIED;
  executions_->Cancel(
      kAdmin, kId, [&](const auto& execution) { state = execution->state(); });
  EXPECT_EQ(state, v1::EXECUTION_STATE_DONE);
}

TEST_F(ExecutionsTest, RemembersTheLastOnes) {
  Make({.max_kept = 2}, {.parallel = 1});
  for (int i = 0; i < 3; ++i) Submit(Request("echo", Id(i)));
  sandbox_.Pump();
  EXPECT_THAT(executions_->Get(kAda, Id(0)),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(executions_->Get(kAda, Id(1)), IsOk());
  EXPECT_THAT(executions_->Get(kAda, Id(2)), IsOk());
}

TEST_F(ExecutionsTest, RemembersForAWhile) {
  Make({.kept_for = 1min}, {.parallel = 1});
  v1::ExecuteRequest request = Request("echo");
  request.mutable_metadata()->set_idempotency_key("k1");
  Submit(request);
  sandbox_.Pump();
  clock_.Advance(1min);
  EXPECT_THAT(executions_->Get(kAda, kId), IsOk());
  clock_.Advance(1ns);
  EXPECT_THAT(executions_->Get(kAda, kId),
              StatusIs(absl::StatusCode::kNotFound));
  Submit(request);  // id and key are free again
  sandbox_.Pump();
  EXPECT_EQ(sandbox_.runs(), 2);
}

TEST_F(ExecutionsTest, RemembersSoManyBytes) {
  Make({.max_kept_bytes = 1000}, {.parallel = 1});
  for (int i = 0; i < 20; ++i) Submit(Request("echo", Id(i)));
  sandbox_.Pump();
  int kept = 0;
  for (int i = 0; i < 20; ++i) kept += executions_->Get(kAda, Id(i)).ok();
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, 10);
}

TEST_F(ExecutionsTest, DrainingEndsWhatWaitsAndLetsTheRestFinish) {
  const auto running = Submit(Request("echo", Id(0)));
  const auto queued = Submit(Request("echo", Id(1)));
  problems_.hold = true;
  v1::ExecuteRequest fetching = ProblemRequest("echo");
  const auto fetched = Submit(fetching, kAdmin);
  executions_->Drain();
  for (const auto& ended : {queued, fetched}) {
    EXPECT_THAT(ended.listener->ends,
                ElementsAre(StatusIs(absl::StatusCode::kUnavailable)));
  }
  EXPECT_THAT(running.listener->ends, IsEmpty());
  EXPECT_THAT(Submit(Request("echo", Id(2))).listener->ends,
              ElementsAre(StatusIs(absl::StatusCode::kUnavailable)));
  sandbox_.Pump();
  EXPECT_EQ(running.listener->Steps().back(), "done");
  problems_.Release();
  EXPECT_EQ(sandbox_.runs(), 1);
}

TEST_F(ExecutionsTest, ShutdownEndsWhatRuns) {
  const auto running = Submit(Request("spin"));
  sandbox_.Pump();
  sandbox_.PumpByItself();
  executions_->Shutdown();
  EXPECT_EQ(running.listener->Steps().back(), "cancelled");
}

TEST_F(ExecutionsTest, CountsVerdicts) {
  Submit(Request("echo", Id(0)));
  Submit(Request("print 2", Id(1)));
  Submit(Request("nonsense", Id(2)));
  sandbox_.Pump();
  const std::string text = registry_->Expose();
  for (const char* verdict : {"accepted", "wrong_answer", "compile_error"}) {
    EXPECT_THAT(text, HasSubstr("grpccommon_execution_judged_total{language="
                                "\"cpp\",verdict=\"" +
                                std::string(verdict) + "\"} 1"));
  }
  EXPECT_THAT(text, HasSubstr("grpccommon_execution_waiting 0"));
  EXPECT_THAT(text, HasSubstr("grpccommon_execution_kept 3"));
}

TEST_F(ExecutionsTest, RunsFromManyThreads) {
  Make({.max_kept = 10'000}, {.parallel = 4});
  sandbox_.PumpByItself();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      const Caller caller = {.id = "caller" + std::to_string(t)};
      for (int i = 0; i < 100; ++i) {
        const std::string id = Id(t * 100 + i);
        const auto leave = executions_->Submit(
            caller, Request(i % 3 == 0 ? "spin" : "echo", id),
            std::make_shared<Listener>());
        if (i % 3 == 0) {
          if (i % 2 == 0) {
            leave();
          } else {
            executions_->Cancel(caller, id, [](const auto&) {});
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  while (queue_->running() + queue_->waiting() > 0) std::this_thread::yield();
  for (int i = 0; i < 400; ++i) {
    const auto execution = executions_->Get(kAdmin, Id(i));
    ASSERT_TRUE(execution.ok()) << i;
    if (i % 100 % 3 != 0) {
      EXPECT_EQ(execution->verdict(), v1::VERDICT_ACCEPTED);
    }
  }
}

}  // namespace
}  // namespace platform::execution
