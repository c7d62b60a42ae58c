// SPDX-License-Identifier: Apache-2.0
// The contest service as it is deployed: the built program, its whole chain,
// and what becomes of submissions when it is killed.
#include <signal.h>

#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "services/common/service_process.h"
#include "services/common/test_database.h"
#include "services/contest/contest_environment.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

// One process of the built program.
struct Program {
  Program(const std::string& folder, const std::string& name)
      : process{CONTEST_SERVICE, folder, name} {}
  void Start() { stub = v1::ContestService::NewStub(process.Start()); }

  common::ServiceProcess process;
  std::unique_ptr<v1::ContestService::Stub> stub;
};

class ContestProcessTest : public common::DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (IsSkipped()) return;
    bob_ = TokenOf("--subject bob --role user");
    ada_ = TokenOf("--subject ada --role author");
    WriteRegistry();
    std::ofstream(folder_ / "token") << "service\n";
    program_ = Launch("one");
    const auto made = Client().Create(environment_.NewContest(), ada_);
    ASSERT_THAT(made, IsOk());
    contest_ = *made;
    ASSERT_THAT(Client().Register(contest_.id(), bob_, "Bob"), IsOk());
  }

  std::string TokenOf(const std::string& arguments) {
    return "Bearer " + common::DevToken(folder_ / "", arguments);
  }
  void WriteRegistry() {
    const std::string instances =
        "[{\"address\": \"" + environment_.backends.address() + "\"}]";
    std::ofstream(folder_ / "registry.json")
        << "{\"services\": {\"platform.problem.v1.ProblemService\": "
        << instances
        << ", \"platform.execution.v1.ExecutionService\": " << instances
        << "}}";
  }
  std::unique_ptr<Program> Launch(const std::string& name) {
    auto program = std::make_unique<Program>(folder_ / "", name);
    const auto set = [&](const std::string& setting, const std::string& value) {
      program->process.Set(setting, value);
    };
    set("CLIENTS__REGISTRY", "file:" + (folder_ / "registry.json"));
    set("CLIENTS__TOKEN_FILE", folder_ / "token");
    set("CLIENTS__TOKEN_IN_PLAINTEXT", "true");
    set("APP_DATABASE", url());
    set("APP_JUDGE_LEASE", "1s");
    // All of bob's at once, whose turn it always is here.
    set("APP_MAX_JUDGING_PER_USER", "16");
    program->Start();
    return program;
  }
  ContestClient Client() { return ContestClient(*program_->stub); }
  std::string Submit(const std::string& source) {
    const auto taken = Client().Submit(contest_.id(), bob_, source);
    EXPECT_THAT(taken, IsOk()) << program_->process.Log();
    return taken->id();
  }

  // Each submission has one verdict, and the scores are theirs.
  void ExpectAllJudged(std::size_t submissions) {
    const auto store = ContestStore::Open({.database = url()}, true);
    ASSERT_THAT(store, IsOk());
    const auto all = (*store)->ListSubmissions({.contest_id = contest_.id()},
                                               std::nullopt, 10'000);
    EXPECT_EQ(all->size(), submissions);
    for (const Submission& submission : *all) {
      EXPECT_TRUE(submission.judgement.has_value()) << submission.id;
    }
    const auto board = (*store)->ReadBoard(contest_.id(), 0);
    const auto recomputed = (*store)->RecomputeScores(board->contest);
    ASSERT_EQ(board->cells.size(), recomputed->size());
    for (const CellChange& cell : board->cells) {
      for (const CellChange& other : *recomputed) {
        if (cell.user_id == other.user_id && cell.label == other.label) {
          EXPECT_EQ(cell.full, other.full);
        }
      }
    }
  }

  // It knows its callers by name only, not by token.
  ContestEnvironment environment_{/*with_draft=*/false};
  std::string bob_;
  std::string ada_;
  std::unique_ptr<Program> program_;
  v1::Contest contest_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(ContestProcessTest);

TEST_P(ContestProcessTest, ServesBehindItsWholeChain) {
  EXPECT_THAT(Client().Board(contest_.id(), ""),
              StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(Client().Create(environment_.NewContest(), bob_),
              StatusIs(absl::StatusCode::kPermissionDenied));
  const auto updates = Client().Judged(Submit("wrong"), bob_);
  ASSERT_THAT(updates, IsOk());
  EXPECT_EQ(updates->back().submission().verdict(),
            execution::v1::VERDICT_WRONG_ANSWER);
  EXPECT_EQ(updates->back().submission().team_name(), "Bob");
  EXPECT_EQ(program_->process.Kill(SIGTERM), 0) << program_->process.Log();
  EXPECT_THAT(program_->process.Log(), Not(HasSubstr(bob_.substr(10))));
}

TEST_P(ContestProcessTest, WhatWasAcknowledgedIsJudgedAfterAKill) {
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(Submit("hang"));
  environment_.backends.executions.WaitForHanging(10);
  program_->process.Kill(SIGKILL);
  environment_.backends.executions.Release();
  program_->Start();
  for (const std::string& id : ids) {
    const auto updates = Client().Judged(id, bob_);
    ASSERT_THAT(updates, IsOk()) << program_->process.Log();
    EXPECT_EQ(updates->back().submission().verdict(),
              execution::v1::VERDICT_ACCEPTED);
  }
  ExpectAllJudged(ids.size());
}

TEST_P(ContestProcessTest, VerdictsAreReportedAfterAKill) {
  environment_.backends.problems.FailNext(1'000'000);
  const std::string id = Submit("accept");
  ASSERT_THAT(Client().Judged(id, bob_), IsOk());
  program_->process.Kill(SIGKILL);
  EXPECT_TRUE(environment_.backends.problems.reports().empty());
  environment_.backends.problems.FailNext(0);
  program_->Start();
  environment_.backends.problems.WaitForReports(1);
  EXPECT_TRUE(environment_.backends.problems.reports().at(id).second);
  ExpectAllJudged(1);
}

TEST_P(ContestProcessTest, AnotherTakesOverWhatAKilledOneWasJudging) {
  if (!on_postgresql()) GTEST_SKIP() << "several processes share PostgreSQL";
  const auto other = Launch("two");
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(Submit("hang"));
  environment_.backends.executions.WaitForHanging(10);
  program_->process.Kill(SIGKILL);
  environment_.backends.executions.Release();
  ContestClient there(*other->stub);
  for (const std::string& id : ids) {
    EXPECT_THAT(there.Judged(id, bob_), IsOk()) << other->process.Log();
  }
  ExpectAllJudged(ids.size());
}

// Killed again and again while clients submit, each solution under a key until
// it is acknowledged: in the end each key is one submission with one verdict.
TEST_P(ContestProcessTest, NothingIsLostOrCountedTwiceHoweverOftenItIsKilled) {
  constexpr int kClients = 3;
  constexpr int kEach = 15;
  constexpr int kKills = 4;
  std::atomic<int> acknowledged = 0;
  std::vector<std::thread> clients;
  const std::string address = program_->process.address();
  for (int client = 0; client < kClients; ++client) {
    clients.emplace_back([&, client] {
      const auto stub = v1::ContestService::NewStub(
          grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
      for (int i = 0; i < kEach; ++i) {
        v1::SubmitSolutionRequest request;
        request.set_contest_id(contest_.id());
        request.set_problem_label("A");
        request.set_language("c");
        request.set_source(i % 2 == 0 ? "wrong" : "internal 1");
        request.mutable_metadata()->set_idempotency_key(
            std::to_string(client) + "." + std::to_string(i));
        v1::SubmitSolutionResponse response;
        grpc::Status status;
        do {
          const auto context = ContestClient::As(bob_, 10s);
          context->set_wait_for_ready(true);
          status = stub->SubmitSolution(context.get(), request, &response);
        } while (!status.ok());
        ++acknowledged;
      }
    });
  }
  for (int kill = 1; kill <= kKills; ++kill) {
    while (acknowledged < kill * kClients * kEach / (kKills + 1)) {
      std::this_thread::yield();
    }
    program_->process.Kill(SIGKILL);
    program_->Start();
  }
  for (std::thread& client : clients) client.join();
  constexpr std::size_t kAll = std::size_t{kClients} * kEach;
  environment_.backends.problems.WaitForReports(kAll);
  ExpectAllJudged(kAll);
  EXPECT_EQ(environment_.backends.problems.reports().size(), kAll);
}

}  // namespace
}  // namespace platform::contest
