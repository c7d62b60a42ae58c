// SPDX-License-Identifier: Apache-2.0
// The contest service as it is deployed: the built program, its whole chain,
// and what becomes of submissions when it is killed.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

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
class Program {
 public:
  Program(const std::string& folder, std::string name,
          std::vector<std::string> environment)
      : address_("unix:" + folder + name), log_(folder + name + ".log") {
    environment.push_back("GRPCCOMMON_GRPC_ADDRESS=" + address_);
    environment.push_back("GRPCCOMMON_HTTP_ADDRESS=127.0.0.1:0");
    environment.push_back("GRPCCOMMON_DRAIN_DELAY=0s");
    environment.push_back("GRPCCOMMON_RATE_LIMIT=false");
    environment_ = std::move(environment);
    Start();
  }
  ~Program() { Kill(SIGKILL); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void Start() {
    std::vector<char*> variables;
    for (const std::string& variable : environment_) {
      variables.push_back(const_cast<char*>(variable.c_str()));
    }
    variables.push_back(nullptr);
    char* const arguments[] = {const_cast<char*>(CONTEST_SERVICE), nullptr};
    child_ = fork();
    if (child_ == 0) {
      const int file = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(file, STDERR_FILENO);
      execve(CONTEST_SERVICE, arguments, variables.data());
      _exit(127);
    }
    channel_ =
        grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
    ASSERT_TRUE(channel_->WaitForConnected(std::chrono::system_clock::now() +
                                           std::chrono::seconds(30)))
        << Log();
    stub_ = v1::ContestService::NewStub(channel_);
  }
  // Returns the exit code, or minus the signal.
  int Kill(int signal) {
    if (child_ <= 0) return 0;
    kill(child_, signal);
    int result = 0;
    EXPECT_EQ(waitpid(child_, &result, 0), child_);
    child_ = 0;
    return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
  }
  v1::ContestService::Stub& stub() { return *stub_; }
  std::string Log() const {
    std::ostringstream log;
    log << std::ifstream(log_).rdbuf();
    return log.str();
  }

 private:
  const std::string address_;
  const std::string log_;
  std::vector<std::string> environment_;
  pid_t child_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ContestService::Stub> stub_;
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

  // What the development tool prints: a token of the key that the service
  // trusts.
  std::string TokenOf(const std::string& arguments) {
    const std::string command =
        std::string(DEV_TOKEN) + " " + (folder_ / "") + " " + arguments;
    FILE* const pipe = popen(command.c_str(), "r");
    std::string token = "Bearer ";
    for (int c = fgetc(pipe); c != EOF && c != '\n'; c = fgetc(pipe)) {
      token.push_back(static_cast<char>(c));
    }
    EXPECT_EQ(pclose(pipe), 0);
    return token;
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
    return std::make_unique<Program>(
        folder_ / "", name,
        std::vector<std::string>{
            "GRPCCOMMON_AUTH__JWKS_FILE=" + (folder_ / "dev_jwks.json"),
            "GRPCCOMMON_AUTH__ISSUER=grpccommon-dev",
            "GRPCCOMMON_AUTH__AUDIENCES=grpccommon-dev",
            "GRPCCOMMON_CLIENTS__REGISTRY=file:" + (folder_ / "registry.json"),
            "GRPCCOMMON_CLIENTS__TOKEN_FILE=" + (folder_ / "token"),
            "GRPCCOMMON_CLIENTS__TOKEN_IN_PLAINTEXT=true",
            "GRPCCOMMON_APP_DATABASE=" + url(),
            "GRPCCOMMON_APP_JUDGE_LEASE=1s"});
  }
  ContestClient Client() { return ContestClient(program_->stub()); }
  std::string Submit(const std::string& source) {
    const auto taken = Client().Submit(contest_.id(), bob_, source);
    EXPECT_THAT(taken, IsOk()) << program_->Log();
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
  EXPECT_EQ(program_->Kill(SIGTERM), 0) << program_->Log();
  EXPECT_THAT(program_->Log(), Not(HasSubstr(bob_.substr(10))));
}

TEST_P(ContestProcessTest, WhatWasAcknowledgedIsJudgedAfterAKill) {
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(Submit("hang"));
  environment_.backends.executions.WaitForHanging(10);
  program_->Kill(SIGKILL);
  environment_.backends.executions.Release();
  program_->Start();
  for (const std::string& id : ids) {
    const auto updates = Client().Judged(id, bob_);
    ASSERT_THAT(updates, IsOk()) << program_->Log();
    EXPECT_EQ(updates->back().submission().verdict(),
              execution::v1::VERDICT_ACCEPTED);
  }
  ExpectAllJudged(ids.size());
}

TEST_P(ContestProcessTest, VerdictsAreReportedAfterAKill) {
  environment_.backends.problems.FailNext(1'000'000);
  const std::string id = Submit("accept");
  ASSERT_THAT(Client().Judged(id, bob_), IsOk());
  program_->Kill(SIGKILL);
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
  program_->Kill(SIGKILL);
  environment_.backends.executions.Release();
  ContestClient there(other->stub());
  for (const std::string& id : ids) {
    EXPECT_THAT(there.Judged(id, bob_), IsOk()) << other->Log();
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
  const std::string address = "unix:" + (folder_ / "one");
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
    program_->Kill(SIGKILL);
    program_->Start();
  }
  for (std::thread& client : clients) client.join();
  environment_.backends.problems.WaitForReports(kClients * kEach);
  ExpectAllJudged(kClients * kEach);
  EXPECT_EQ(environment_.backends.problems.reports().size(),
            static_cast<std::size_t>(kClients * kEach));
}

}  // namespace
}  // namespace platform::contest
