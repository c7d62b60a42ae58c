// SPDX-License-Identifier: Apache-2.0
// What becomes of submissions when others fail: the execution service, the
// problem service, the database.
#include <set>
#include <thread>

#include "services/common/test_database.h"
#include "services/contest/contest_environment.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using grpccommon::testing::IsOk;
using ::testing::ElementsAre;

class ContestFaultsTest : public common::DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (IsSkipped()) return;
    process_.emplace(TestApp(url()), environment_.registry);
    client_.emplace(process_->stub());
    contest_ = *client_->Create(environment_.NewContest());
    ASSERT_THAT(client_->Register(contest_.id(), "bob"), IsOk());
  }

  std::string Submit(const std::string& source,
                     const std::string& label = "A") {
    const auto taken = client_->Submit(contest_.id(), "bob", source, label);
    EXPECT_THAT(taken, IsOk());
    return taken->id();
  }
  execution::v1::Verdict VerdictOf(const std::string& id) {
    const auto updates = client_->Judged(id, "bob");
    EXPECT_THAT(updates, IsOk());
    return updates->back().submission().verdict();
  }
  // Stored scores are those of the submissions.
  void ExpectScoresOfSubmissions() {
    const auto store = ContestStore::Open({.database = url()}, true);
    ASSERT_THAT(store, IsOk());
    const auto board = (*store)->ReadBoard(contest_.id(), 0);
    const auto recomputed = (*store)->RecomputeScores(board->contest);
    ASSERT_EQ(board->cells.size(), recomputed->size());
    for (const CellChange& cell : board->cells) {
      for (const CellChange& other : *recomputed) {
        if (cell.user_id == other.user_id && cell.label == other.label) {
          EXPECT_EQ(cell.full, other.full);
          EXPECT_EQ(cell.shown, other.shown);
        }
      }
    }
  }

  ContestEnvironment environment_;
  std::optional<ContestProcess> process_;
  std::optional<ContestClient> client_;
  v1::Contest contest_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(ContestFaultsTest);

TEST_P(ContestFaultsTest, NoVerdictComesOfAnExecutionThatFails) {
  std::map<std::string, int> expected;
  std::vector<std::string> ids;
  for (const std::string how : {"refuse 3", "die 3", "internal 3"}) {
    for (const std::string number : {"#1", "#2", "#3"}) {
      ids.push_back(Submit(how + number));
      expected[how + number] = 4;
    }
  }
  for (const std::string& id : ids) {
    EXPECT_EQ(VerdictOf(id), execution::v1::VERDICT_ACCEPTED);
  }
  EXPECT_EQ(environment_.backends.executions.executions(), expected);
  environment_.backends.problems.WaitForReports(ids.size());
  EXPECT_THAT(Lines(client_->Board(contest_.id())->rows()),
              ElementsAre("1 bob 1:10 | *10/0/0 -/0/0"));
  ExpectScoresOfSubmissions();
}

TEST_P(ContestFaultsTest, WhatCannotBeJudgedEndsAndCountsNothing) {
  EXPECT_EQ(VerdictOf(Submit("wrong")), execution::v1::VERDICT_WRONG_ANSWER);
  const auto before = Lines(client_->Board(contest_.id())->rows());
  const std::map<std::string, v1::NotJudgedReason> reasons = {
      {"gone", v1::NOT_JUDGED_REASON_PROBLEM_NOT_FOUND},
      {"reject", v1::NOT_JUDGED_REASON_REFUSED},
      {"internal 1000", v1::NOT_JUDGED_REASON_EXECUTION_FAILED}};
  std::map<std::string, std::string> ids;
  for (const auto& [how, reason] : reasons) ids[how] = Submit(how);
  for (const auto& [how, reason] : reasons) {
    const auto updates = client_->Judged(ids[how], "bob");
    ASSERT_THAT(updates, IsOk()) << how;
    const v1::Submission& last = updates->back().submission();
    EXPECT_EQ(last.state(), v1::SUBMISSION_STATE_JUDGED);
    EXPECT_EQ(last.verdict(), execution::v1::VERDICT_INTERNAL);
    EXPECT_EQ(last.not_judged_reason(), reason) << how;
    const auto read = client_->GetSubmission(ids[how], "bob");
    EXPECT_EQ(read->not_judged_reason(), reason) << how;
  }
  EXPECT_EQ(environment_.backends.executions.executions().at("gone"), 8);
  EXPECT_EQ(environment_.backends.executions.executions().at("internal 1000"),
            50);
  EXPECT_EQ(Lines(client_->Board(contest_.id())->rows()), before);
  ExpectScoresOfSubmissions();
  // Only what is later submitted and judged is reported besides the first.
  const std::string accepted = Submit("accept");
  EXPECT_EQ(VerdictOf(accepted), execution::v1::VERDICT_ACCEPTED);
  environment_.backends.problems.WaitForReports(2);
  EXPECT_TRUE(environment_.backends.problems.reports().contains(accepted));
}

TEST_P(ContestFaultsTest, WaitsForAnExecutionServiceThatGoesAndComesBack) {
  const std::string hanging = Submit("hang");
  environment_.backends.executions.WaitForHanging(1);
  environment_.backends.Stop();
  const std::string while_away = Submit("wrong", "B");
  environment_.backends.executions.Release();  // from here on
  environment_.backends.Start();
  EXPECT_EQ(VerdictOf(hanging), execution::v1::VERDICT_ACCEPTED);
  EXPECT_EQ(VerdictOf(while_away), execution::v1::VERDICT_WRONG_ANSWER);
  EXPECT_EQ(environment_.backends.executions.executions().at("hang"), 2);
  ExpectScoresOfSubmissions();
}

TEST_P(ContestFaultsTest, ASlowOneHoldsUpNoOther) {
  const std::string slow = Submit("hang");
  environment_.backends.executions.WaitForHanging(1);
  EXPECT_EQ(VerdictOf(Submit("wrong")), execution::v1::VERDICT_WRONG_ANSWER);
  EXPECT_THAT(Lines(client_->Board(contest_.id())->rows()),
              ElementsAre("1 bob 0:0 | -/1/1 -/0/0"));
  environment_.backends.executions.Release();
  EXPECT_EQ(VerdictOf(slow), execution::v1::VERDICT_ACCEPTED);
  EXPECT_THAT(Lines(client_->Board(contest_.id())->rows()),
              ElementsAre("1 bob 1:10 | *10/0/0 -/0/0"))
      << "the wrong one came after the accepted one";
}

TEST_P(ContestFaultsTest, NoMoreRunAtATimeThanAreAllowed) {
  process_.reset();
  ContestAppOptions options = TestApp(url());
  options.judging.max_running = 3;
  process_.emplace(options, environment_.registry);
  client_.emplace(process_->stub());
  std::vector<std::string> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(Submit("hang"));
  environment_.backends.executions.WaitForHanging(3);
  EXPECT_EQ(process_->app().judging().running(), 3u);
  EXPECT_EQ(environment_.backends.executions.executions().at("hang"), 3);
  environment_.backends.executions.Release();
  for (const std::string& id : ids) {
    EXPECT_EQ(VerdictOf(id), execution::v1::VERDICT_ACCEPTED);
  }
  EXPECT_EQ(environment_.backends.executions.executions().at("hang"), 8);
}

TEST_P(ContestFaultsTest, ReportsUntilTheProblemServiceHasHeard) {
  const std::string first = Submit("accept");
  environment_.backends.problems.WaitForReports(1);
  environment_.backends.problems.FailNext(20);
  const std::string second = Submit("wrong");
  environment_.backends.problems.WaitForReports(2);
  const auto reports = environment_.backends.problems.reports();
  EXPECT_EQ(reports.at(first).second, true);
  EXPECT_EQ(reports.at(second).second, false);
}

TEST_P(ContestFaultsTest, ARestartJudgesWhatWasLeft) {
  const std::string id = Submit("hang");
  environment_.backends.executions.WaitForHanging(1);
  process_.reset();  // gives it back
  process_.emplace(TestApp(url()), environment_.registry);
  client_.emplace(process_->stub());
  environment_.backends.executions.WaitForHanging(2);
  environment_.backends.executions.Release();
  EXPECT_EQ(VerdictOf(id), execution::v1::VERDICT_ACCEPTED);
}

TEST_P(ContestFaultsTest, TwoProcessesJudgeEachSubmissionOnce) {
  ContestAppOptions options = TestApp(url());
  options.judging.name = "other";
  options.judging.max_running = 2;
  ContestProcess other(options, environment_.registry);
  ContestClient there(other.stub());
  std::map<std::string, int> expected;
  std::vector<std::string> ids;
  for (int i = 0; i < 40; ++i) {
    const std::string source = "wrong #" + std::to_string(i);
    expected[source] = 1;
    ContestClient& client = i % 2 == 0 ? *client_ : there;
    const auto taken = client.Submit(contest_.id(), "bob", source);
    ASSERT_THAT(taken, IsOk());
    ids.push_back(taken->id());
  }
  for (const std::string& id : ids) {
    EXPECT_EQ(VerdictOf(id), execution::v1::VERDICT_WRONG_ANSWER);
  }
  EXPECT_EQ(environment_.backends.executions.executions(), expected);
  EXPECT_THAT(Lines(there.Board(contest_.id())->rows()),
              ElementsAre("1 bob 0:0 | -/40/0 -/0/0"));
  ExpectScoresOfSubmissions();
}

TEST_P(ContestFaultsTest, KeepsAVerdictUntilTheDatabaseIsBack) {
  if (!on_postgresql()) GTEST_SKIP() << "SQLite is no process";
  const std::string id = Submit("hang");
  environment_.backends.executions.WaitForHanging(1);
  auto& postgres = grpccommon::test::PostgresProcess::Shared();
  postgres.Kill();
  environment_.backends.executions.Release();
  EXPECT_TRUE(process_->log().WaitForLines(
      "msg", "a verdict was not stored and will be tried again", 1));
  EXPECT_FALSE(client_->Submit(contest_.id(), "bob", "accept").ok());
  postgres.Start();
  EXPECT_EQ(VerdictOf(id), execution::v1::VERDICT_ACCEPTED);
  EXPECT_EQ(environment_.backends.executions.executions().at("hang"), 1);
  ExpectScoresOfSubmissions();
}

}  // namespace
}  // namespace platform::contest
