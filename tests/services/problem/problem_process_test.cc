// SPDX-License-Identifier: Apache-2.0
// The problem service as it is deployed: the built program, its whole chain,
// and what becomes of its data when it is killed or its disk is full.
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
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
#include "services/common/service_process.h"
#include "services/common/test_database.h"

namespace platform::problem {
namespace {

using common::CallWith;
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
    service_.Set("APP_DATABASE", url());
    author_ = common::DevToken(folder_ / "", "--subject ada --role author");
    judge_ = common::DevToken(folder_ / "", "--subject judge --role service");
  }
  void Start() { stub_ = v1::ProblemService::NewStub(service_.Start()); }

  absl::StatusOr<std::string> Create(const std::string& slug) {
    v1::CreateProblemRequest request;
    request.mutable_problem()->set_slug(slug);
    request.mutable_problem()->set_title(slug);
    request.mutable_problem()->set_published(true);
    v1::CreateProblemResponse response;
    const grpc::Status status =
        stub_->CreateProblem(CallWith(author_).get(), request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response.problem().id();
  }
  absl::Status AddTest(const std::string& id, const std::string& input) {
    v1::AddTestCasesRequest request;
    request.set_problem_id(id);
    request.add_test_cases()->set_input(input);
    v1::AddTestCasesResponse response;
    return FromGrpcStatus(
        stub_->AddTestCases(CallWith(author_).get(), request, &response));
  }
  absl::Status Record(const std::string& id, const std::string& submission) {
    v1::RecordVerdictRequest request;
    request.set_problem_id(id);
    request.set_submission_id(submission);
    request.set_user_id("eve");
    request.set_accepted(true);
    v1::RecordVerdictResponse response;
    return FromGrpcStatus(
        stub_->RecordVerdict(CallWith(judge_).get(), request, &response));
  }
  std::vector<std::string> Inputs(const std::string& id) {
    v1::ListTestCasesRequest request;
    request.set_problem_id(id);
    request.set_include_hidden(true);
    const auto context = CallWith(judge_);
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
    EXPECT_THAT(FromGrpcStatus(stub_->GetProblemStats(CallWith(judge_).get(),
                                                      request, &response)),
                IsOk());
    return response;
  }

  std::string author_;
  std::string judge_;
  common::ServiceProcess service_{PROBLEM_SERVICE, folder_ / ""};
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
    EXPECT_EQ(service_.Kill(SIGKILL), -SIGKILL);
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
  EXPECT_EQ(service_.Kill(SIGTERM), 0) << service_.Log();
  Start();
  EXPECT_THAT(Inputs(id), SizeIs(1));
}

TEST_P(ProblemProcessTest, AFullDiskRefusesWritesLosesNothingAndTellsNothing) {
  if (on_postgresql()) GTEST_SKIP() << "whose disk is the server's";
  const std::string secret = "hidden-4711-";
  service_.LimitFiles(1'000'000);
  Start();
  service_.LimitFiles(std::nullopt);
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
  EXPECT_EQ(service_.Kill(SIGTERM), 0) << service_.Log();
  Start();
  EXPECT_EQ(Inputs(id), acknowledged);
  EXPECT_THAT(AddTest(id, "more"), IsOk());
  // Of the database's complaints, no value; of the calls, no content.
  EXPECT_THAT(service_.Log(), HasSubstr("the database failed"));
  EXPECT_THAT(service_.Log(), Not(HasSubstr(secret)));
  EXPECT_THAT(
      service_.Log(),
      Not(HasSubstr(grpccommon::Base64UrlEncode(secret).substr(0, 12))));
  EXPECT_THAT(std::string(refused.message()), Not(HasSubstr(secret)));
}

TEST_P(ProblemProcessTest, DoesNotStartWithoutADatabaseThatItCanWrite) {
  service_.Set("APP_DATABASE", on_postgresql() ? "postgresql://127.0.0.1:1/none"
                                               : "/proc/problems.db");
  service_.Launch();
  EXPECT_EQ(service_.WaitForExit(), 69);
  EXPECT_THAT(service_.Log(), HasSubstr(on_postgresql() ? "127.0.0.1:1/none"
                                                        : "/proc/problems.db"));
}

}  // namespace
}  // namespace platform::problem
