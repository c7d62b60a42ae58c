// SPDX-License-Identifier: Apache-2.0
// What the contest service knows of others, and for how long it believes it.
#include "services/contest/backends.h"

#include <future>
#include <memory>
#include <thread>

#include "grpccommon/testing/fake_clock.h"
#include "services/contest/contest_environment.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;

class BackendsTest : public ::testing::Test {
 protected:
  BackendsTest() {
    manager_ =
        *grpccommon::ClientManager::Create(TestClients(environment_.registry));
    backends_.emplace(*manager_->Get<problem::v1::ProblemService>(),
                      *manager_->Get<execution::v1::ExecutionService>(),
                      BackendsOptions{.max_age = 30s, .timeout = 2s}, clock_);
    any_.problem_id = environment_.problem_a;
    some_.problem_id = environment_.problem_b;
    some_.languages = {"c", "cpp"};
  }
  ~BackendsTest() override { backends_.reset(); }

  absl::Status Check(const ContestProblem& problem,
                     const std::string& language) {
    std::promise<absl::Status> checked;
    backends_->CheckLanguage(
        problem, language,
        [&](const absl::Status& status) { checked.set_value(status); });
    return checked.get_future().get();
  }
  // Begins to judge a program that does not end; what comes of it.
  std::future<absl::StatusOr<Judgement>> JudgeHanging() {
    const auto judged =
        std::make_shared<std::promise<absl::StatusOr<Judgement>>>();
    backends_->RunTests(
        {.problem_id = environment_.problem_a,
         .language = "c",
         .source = "hang"},
        [](const JudgeProgress&) {},
        [judged](absl::StatusOr<Judgement> judgement) {
          judged->set_value(std::move(judgement));
        });
    environment_.backends.executions.WaitForHanging(1);
    return judged->get_future();
  }
  // As its author changes it.
  void SetLanguages(const std::string& problem_id,
                    const std::vector<std::string>& languages) {
    problem::v1::Problem problem;
    problem.set_id(problem_id);
    problem.set_published(true);
    problem.mutable_languages()->Add(languages.begin(), languages.end());
    environment_.backends.problems.Put(problem);
  }
  int gets() const { return environment_.backends.problems.gets(); }
  void WaitForGets(int count) {
    while (gets() < count) std::this_thread::yield();
  }

  ContestEnvironment environment_;
  grpccommon::testing::FakeClock clock_;
  std::unique_ptr<grpccommon::ClientManager> manager_;
  std::optional<Backends> backends_;
  ContestProblem any_;
  ContestProblem some_;
};

TEST_F(BackendsTest, TakesTheLanguagesOfTheProblem) {
  EXPECT_THAT(Check(some_, "cpp"), IsOk());
  EXPECT_THAT(Check(any_, "python"), IsOk());
  EXPECT_THAT(Check(some_, "python"), HasReason("LANGUAGE_NOT_ALLOWED"));
  EXPECT_THAT(Check(any_, "cobol"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Check(some_, "cobol"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(BackendsTest, AsksAgainAfterAWhileAndKeepsNobodyWaiting) {
  EXPECT_THAT(Check(some_, "c"), IsOk());
  EXPECT_EQ(gets(), 1);
  SetLanguages(some_.problem_id, {"python"});
  clock_.Advance(30s - 1ns);
  EXPECT_THAT(Check(some_, "c"), IsOk());
  EXPECT_EQ(gets(), 1);
  clock_.Advance(1ns);
  EXPECT_THAT(Check(some_, "c"), IsOk()) << "as it was known";
  WaitForGets(2);
  while (!Check(some_, "python").ok()) std::this_thread::yield();
  EXPECT_THAT(Check(some_, "c"), HasReason("LANGUAGE_NOT_ALLOWED"));
  EXPECT_EQ(gets(), 2);
}

TEST_F(BackendsTest, WithoutTheProblemServiceItTakesTheContestsWord) {
  environment_.backends.problems.FailNext(1'000'000);
  EXPECT_THAT(Check(some_, "c"), IsOk());
  const int asked = gets();  // with retries
  EXPECT_THAT(Check(some_, "cpp"), IsOk());
  EXPECT_THAT(Check(some_, "python"), HasReason("LANGUAGE_NOT_ALLOWED"));
  EXPECT_EQ(gets(), asked) << "it has just failed";
  environment_.backends.problems.FailNext(0);
  SetLanguages(some_.problem_id, {"python"});
  clock_.Advance(5s);
  EXPECT_THAT(Check(some_, "python"), IsOk());
}

TEST_F(BackendsTest, WithoutTheExecutionServiceOnlyWhatAProblemNamesIsKnown) {
  environment_.backends.executions.FailLanguages(true);
  EXPECT_THAT(Check(some_, "c"), IsOk());
  EXPECT_THAT(Check(some_, "cobol"), HasReason("LANGUAGE_NOT_ALLOWED"));
  EXPECT_THAT(Check(any_, "c"), HasReason("BACKEND_UNAVAILABLE"));
  environment_.backends.executions.FailLanguages(false);
  clock_.Advance(5s);
  EXPECT_THAT(Check(any_, "c"), IsOk());
  // Once known they stay so.
  environment_.backends.executions.FailLanguages(true);
  clock_.Advance(1h);
  EXPECT_THAT(Check(any_, "c"), IsOk());
}

TEST_F(BackendsTest, CalledOffItEndsWhatRuns) {
  auto judged = JudgeHanging();
  backends_->Cancel();
  EXPECT_THAT(judged.get(), StatusIs(absl::StatusCode::kCancelled));
}

// A program that keeps just within the limits of a problem's tests takes up to
// 37 minutes of the wall clock, and may have waited for its turn.
TEST_F(BackendsTest, WaitsForTheSlowestProgramThatIsWithinItsLimits) {
  const auto begun = std::chrono::system_clock::now();
  auto judged = JudgeHanging();
  EXPECT_GT(environment_.backends.executions.deadline() - begun, 45min);
  environment_.backends.executions.Release();
  EXPECT_THAT(judged.get(), IsOk());
}

// As of a problem that was deleted, or a database that was restored.
TEST_F(BackendsTest, RunningTestsItLooksForTheVersionThereIsNow) {
  const auto run = [&] {
    std::promise<void> ended;
    backends_->RunTests(
        {.problem_id = environment_.problem_a,
         .language = "c",
         .source = "accept"},
        [](const JudgeProgress&) {}, [&](const auto&) { ended.set_value(); });
    ended.get_future().wait();
    return environment_.backends.executions.requests()
        .back()
        .problem()
        .min_tests_version();
  };
  EXPECT_EQ(run(), 0) << "unknown";
  EXPECT_EQ(gets(), 0);
  EXPECT_THAT(Check(any_, "c"), IsOk());
  EXPECT_EQ(run(), 7);
  problem::v1::Problem restored;
  restored.set_id(environment_.problem_a);
  restored.set_tests_version(5);
  environment_.backends.problems.Put(restored);
  clock_.Advance(30s);
  while (run() == 7) std::this_thread::yield();
  EXPECT_EQ(run(), 5);
  EXPECT_EQ(gets(), 2);
}

TEST_F(BackendsTest, NeedsNoProblemToCompleteNone) {
  std::promise<absl::Status> done;
  backends_->Complete(nullptr, {}, [&](const auto& complete) {
    done.set_value(complete.status());
  });
  EXPECT_THAT(done.get_future().get(), IsOk());
}

}  // namespace
}  // namespace platform::contest
