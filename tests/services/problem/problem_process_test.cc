// SPDX-License-Identifier: Apache-2.0
// The problem service as it is deployed: the built program, its whole chain,
// and what becomes of its data when it is killed or its disk is full.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "platform/problem/v1/problem_service.grpc.pb.h"
#include "services/common/test_database.h"

namespace platform::problem {
namespace {

using grpccommon::FromGrpcStatus;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class ProblemProcessTest : public common::DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (IsSkipped()) return;
    author_ = TokenOf("--subject ada --role author");
    judge_ = TokenOf("--subject judge --role service");
  }
  void TearDown() override { Kill(SIGKILL); }

  // What the development tool prints: a token of the key that the service
  // trusts.
  std::string TokenOf(const std::string& arguments) {
    const std::string command =
        std::string(DEV_TOKEN) + " " + (folder_ / "") + " " + arguments;
    FILE* const pipe = popen(command.c_str(), "r");
    std::string token;
    for (int c = fgetc(pipe); c != EOF && c != '\n'; c = fgetc(pipe)) {
      token.push_back(static_cast<char>(c));
    }
    EXPECT_EQ(pclose(pipe), 0);
    return token;
  }

  void Launch(const std::string& database,
              std::optional<rlim_t> largest_file = std::nullopt) {
    const std::vector<std::string> environment = {
        "GRPCCOMMON_GRPC_ADDRESS=" + Address(),
        "GRPCCOMMON_HTTP_ADDRESS=127.0.0.1:0",
        "GRPCCOMMON_AUTH__JWKS_FILE=" + (folder_ / "dev_jwks.json"),
        "GRPCCOMMON_AUTH__ISSUER=grpccommon-dev",
        "GRPCCOMMON_AUTH__AUDIENCES=grpccommon-dev",
        "GRPCCOMMON_DRAIN_DELAY=0s",
        "GRPCCOMMON_RATE_LIMIT=false",
        "GRPCCOMMON_APP_DATABASE=" + database};
    std::vector<char*> variables;
    for (const std::string& variable : environment) {
      variables.push_back(const_cast<char*>(variable.c_str()));
    }
    variables.push_back(nullptr);
    char* const arguments[] = {const_cast<char*>(PROBLEM_SERVICE), nullptr};
    const std::string log = folder_ / "log";
    child_ = fork();
    if (child_ == 0) {
      const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(file, STDERR_FILENO);
      if (largest_file.has_value()) {
        signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{*largest_file, *largest_file};
        setrlimit(RLIMIT_FSIZE, &limit);
      }
      execve(PROBLEM_SERVICE, arguments, variables.data());
      _exit(127);
    }
  }
  void Start(std::optional<rlim_t> largest_file = std::nullopt) {
    Launch(url(), largest_file);
    const auto channel =
        grpc::CreateChannel(Address(), grpc::InsecureChannelCredentials());
    ASSERT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() +
                                          std::chrono::seconds(30)))
        << Log();
    stub_ = v1::ProblemService::NewStub(channel);
  }
  // Returns the exit code, or minus the signal.
  int Kill(int signal) {
    if (child_ <= 0) return 0;
    kill(child_, signal);
    return WaitForExit();
  }
  int WaitForExit() {
    int result = 0;
    EXPECT_EQ(waitpid(child_, &result, 0), child_);
    child_ = 0;
    return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
  }

  std::string Address() const { return "unix:" + (folder_ / "socket"); }
  std::string Log() const {
    std::ostringstream log;
    log << std::ifstream(folder_ / "log").rdbuf();
    return log.str();
  }

  static std::unique_ptr<grpc::ClientContext> With(const std::string& token) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(60));
    context->AddMetadata("authorization", "Bearer " + token);
    return context;
  }
  absl::StatusOr<std::string> Create(const std::string& slug) {
    v1::CreateProblemRequest request;
    request.mutable_problem()->set_slug(slug);
    request.mutable_problem()->set_title(slug);
    request.mutable_problem()->set_published(true);
    v1::CreateProblemResponse response;
    const grpc::Status status =
        stub_->CreateProblem(With(author_).get(), request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response.problem().id();
  }
  absl::Status AddTest(const std::string& id, const std::string& input) {
    v1::AddTestCasesRequest request;
    request.set_problem_id(id);
    request.add_test_cases()->set_input(input);
    v1::AddTestCasesResponse response;
    return FromGrpcStatus(
        stub_->AddTestCases(With(author_).get(), request, &response));
  }
  absl::Status Record(const std::string& id, const std::string& submission) {
    v1::RecordVerdictRequest request;
    request.set_problem_id(id);
    request.set_submission_id(submission);
    request.set_user_id("eve");
    request.set_accepted(true);
    v1::RecordVerdictResponse response;
    return FromGrpcStatus(
        stub_->RecordVerdict(With(judge_).get(), request, &response));
  }
  std::vector<std::string> Inputs(const std::string& id) {
    v1::ListTestCasesRequest request;
    request.set_problem_id(id);
    request.set_include_hidden(true);
    const auto context = With(judge_);
    const auto reader = stub_->ListTestCases(context.get(), request);
    std::vector<std::string> inputs;
    for (v1::TestCase test; reader->Read(&test);) {
      inputs.push_back(test.input());
    }
    EXPECT_THAT(FromGrpcStatus(reader->Finish()), IsOk());
    return inputs;
  }
  v1::GetProblemStatsResponse StatsOf(const std::string& id) {
    v1::GetProblemStatsRequest request;
    request.set_problem_id(id);
    v1::GetProblemStatsResponse response;
    EXPECT_THAT(FromGrpcStatus(stub_->GetProblemStats(With(judge_).get(),
                                                      request, &response)),
                IsOk());
    return response;
  }

  std::string author_;
  std::string judge_;
  pid_t child_ = 0;
  std::unique_ptr<v1::ProblemService::Stub> stub_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(ProblemProcessTest);

// Problems, test cases and verdicts from several clients, killed in mid-write;
// a verdict whose answer was lost is sent again, and counts once.
TEST_P(ProblemProcessTest, KeepsEverythingAcknowledgedWhenKilled) {
  Start();
  const std::string counted = *Create("counted");
  std::mutex mutex;
  std::map<std::string, std::vector<std::string>> problems;  // test cases by id
  std::set<std::string> submissions;
  for (int round = 0; round < 3; ++round) {
    if (round > 0) Start();
    std::atomic<int> count = 0;
    std::vector<std::thread> clients;
    for (int t = 0; t < 4; ++t) {
      clients.emplace_back([&, t] {
        for (int i = 0;; ++i) {
          const std::string name = "problem-" + std::to_string(round) + "-" +
                                   std::to_string(t) + "-" + std::to_string(i);
          const absl::StatusOr<std::string> id = Create(name);
          if (!id.ok()) return;
          const bool with_test = AddTest(*id, name).ok();
          const std::string submission = grpccommon::UuidV7();
          const bool recorded = Record(counted, submission).ok();
          const std::lock_guard lock(mutex);
          problems[*id];
          if (with_test) problems[*id].push_back(name);
          submissions.insert(submission);
          ++count;
          if (!with_test || !recorded) return;
        }
      });
    }
    while (count < 40) std::this_thread::yield();
    EXPECT_EQ(Kill(SIGKILL), -SIGKILL);
    for (std::thread& client : clients) client.join();
  }
  Start();
  for (const auto& [id, inputs] : problems) {
    const std::vector<std::string> kept = Inputs(id);
    for (const std::string& input : inputs) {
      EXPECT_THAT(kept, ::testing::Contains(input)) << id;
    }
    EXPECT_LE(kept.size(), 1u);
  }
  EXPECT_GE(problems.size(), 120u);
  for (const std::string& submission : submissions) {
    EXPECT_THAT(Record(counted, submission), IsOk());
  }
  EXPECT_EQ(StatsOf(counted).submissions(),
            static_cast<std::int64_t>(submissions.size()));
  EXPECT_EQ(StatsOf(counted).solvers(), 1);
}

TEST_P(ProblemProcessTest, StopsOnASignalAndKeepsItsData) {
  Start();
  const std::string id = *Create("two-sum");
  ASSERT_THAT(AddTest(id, "1"), IsOk());
  EXPECT_EQ(Kill(SIGTERM), 0) << Log();
  Start();
  EXPECT_THAT(Inputs(id), SizeIs(1));
}

TEST_P(ProblemProcessTest, AFullDiskRefusesWritesLosesNothingAndTellsNothing) {
  if (on_postgresql()) GTEST_SKIP() << "whose disk is the server's";
  const std::string secret = "hidden-4711-";
  Start(/*largest_file=*/1'000'000);
  const std::string id = *Create("two-sum");
  std::vector<std::string> acknowledged;
  absl::Status refused;
  while (acknowledged.size() < 199) {
    const std::string input =
        secret + std::to_string(acknowledged.size()) + std::string(9'000, 'x');
    refused = AddTest(id, input);
    if (!refused.ok()) break;
    acknowledged.push_back(input);
  }
  EXPECT_THAT(refused, AnyOf(StatusIs(absl::StatusCode::kResourceExhausted),
                             StatusIs(absl::StatusCode::kUnavailable)));
  EXPECT_EQ(Inputs(id), acknowledged);
  EXPECT_EQ(Kill(SIGTERM), 0) << Log();
  Start();
  EXPECT_EQ(Inputs(id), acknowledged);
  EXPECT_THAT(AddTest(id, "more"), IsOk());
  // Of the database's complaints, no value; of the calls, no content.
  EXPECT_THAT(Log(), HasSubstr("the database failed"));
  EXPECT_THAT(Log(), Not(HasSubstr(secret)));
  EXPECT_THAT(
      Log(), Not(HasSubstr(grpccommon::Base64UrlEncode(secret).substr(0, 12))));
  EXPECT_THAT(std::string(refused.message()), Not(HasSubstr(secret)));
}

TEST_P(ProblemProcessTest, DoesNotStartWithoutADatabaseThatItCanWrite) {
  Launch(on_postgresql() ? "postgresql://127.0.0.1:1/none"
                         : "/proc/problems.db");
  EXPECT_EQ(WaitForExit(), 69);
  EXPECT_THAT(Log(), HasSubstr(on_postgresql() ? "127.0.0.1:1/none"
                                               : "/proc/problems.db"));
}

}  // namespace
}  // namespace platform::problem
