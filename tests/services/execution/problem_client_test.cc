// SPDX-License-Identifier: Apache-2.0
// Problems and their tests, fetched from a problem service through the
// library's clients.
#include "services/execution/problem_client.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/file_registry.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/temp_folder.h"

namespace platform::execution {
namespace {

using grpccommon::testing::StatusIs;
using ::testing::SizeIs;

constexpr char kId[] = "0191b2c3-0000-7000-8000-0000000000aa";

class FakeProblemService final : public problem::v1::ProblemService::Service {
 public:
  grpc::Status GetProblem(grpc::ServerContext* /*context*/,
                          const problem::v1::GetProblemRequest* request,
                          problem::v1::GetProblemResponse* response) override {
    if (request->problem_id() != kId) {
      return {grpc::StatusCode::NOT_FOUND, "no such problem"};
    }
    response->mutable_problem()->set_version(3);
    return grpc::Status::OK;
  }
  grpc::Status ListTestCases(
      grpc::ServerContext* /*context*/,
      const problem::v1::ListTestCasesRequest* request,
      grpc::ServerWriter<problem::v1::TestCase>* writer) override {
    ++lists;
    EXPECT_TRUE(request->include_hidden());
    for (int i = 1; i <= 5; ++i) {
      // Changed in the middle.
      if (i == 3 && changes-- > 0) return {grpc::StatusCode::ABORTED, ""};
      problem::v1::TestCase test;
      test.set_position(i);
      test.set_input(std::string(100'000, static_cast<char>('0' + i)));
      writer->Write(test);
    }
    return grpc::Status::OK;
  }

  std::atomic<int> lists = 0;
  std::atomic<int> changes = 0;
};

class ProblemClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    const std::string path = folder_ / "registry.json";
    std::ofstream(path)
        << R"({"services": {"platform.problem.v1.ProblemService":
        [{"address": "127.0.0.1:)"
        << port << R"("}]}})";
    manager_ = *grpccommon::ClientManager::Create(
        {.registry = *grpccommon::CreateFileRegistry(path, *scheduler_),
         .scheduler = scheduler_.get()});
    client_ = std::make_unique<ProblemClient>(
        *manager_->Get<problem::v1::ProblemService>());
  }
  void TearDown() override {
    manager_->Shutdown(std::chrono::seconds(0));
    client_.reset();
    manager_.reset();
    server_->Shutdown();
  }

  absl::StatusOr<problem::v1::Problem> Get(const std::string& id) {
    std::promise<absl::StatusOr<problem::v1::Problem>> got;
    client_->GetProblem(
        id, [&](auto problem) { got.set_value(std::move(problem)); });
    return got.get_future().get();
  }
  absl::StatusOr<std::vector<problem::v1::TestCase>> List() {
    std::promise<absl::StatusOr<std::vector<problem::v1::TestCase>>> got;
    client_->ListTestCases(
        kId, [&](auto cases) { got.set_value(std::move(cases)); });
    return got.get_future().get();
  }

  common::TempFolder folder_;
  FakeProblemService service_;
  std::unique_ptr<grpc::Server> server_;
  const std::unique_ptr<grpccommon::Scheduler> scheduler_ =
      grpccommon::CreateScheduler();
  std::unique_ptr<grpccommon::ClientManager> manager_;
  std::unique_ptr<ProblemClient> client_;
};

TEST_F(ProblemClientTest, GetsAProblem) {
  const auto problem = Get(kId);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(problem->version(), 3);
  EXPECT_THAT(Get("another"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ProblemClientTest, ReadsAllTestCasesInTheirOrder) {
  const auto cases = List();
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_THAT(*cases, SizeIs(5));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ((*cases)[static_cast<std::size_t>(i)].position(), i + 1);
  }
}

TEST_F(ProblemClientTest, ReadsAgainWhatChangedMeanwhile) {
  service_.changes = 2;
  const auto cases = List();
  ASSERT_TRUE(cases.ok()) << cases.status();
  EXPECT_THAT(*cases, SizeIs(5));
  EXPECT_EQ(service_.lists, 3);
  service_.changes = 100;
  EXPECT_THAT(List(), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(service_.lists, 6);
}

TEST_F(ProblemClientTest, SaysThatTheProblemServiceIsAway) {
  server_->Shutdown();
  EXPECT_THAT(Get(kId), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(List(), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace platform::execution
