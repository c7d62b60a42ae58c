// SPDX-License-Identifier: Apache-2.0
#include "services/execution/problem_client.h"

#include <chrono>

#include "grpccommon/status/convert.h"
#include "grpcpp/support/client_callback.h"

namespace platform::execution {
namespace {

using problem::v1::GetProblemRequest;
using problem::v1::GetProblemResponse;
using problem::v1::ListTestCasesRequest;
using problem::v1::Problem;
using problem::v1::ProblemService;
using problem::v1::TestCase;

// Somebody waits for their first update.
constexpr std::chrono::seconds kProblemTimeout(5);
constexpr std::chrono::seconds kTestCasesTimeout(20);

// Test cases that are changed while they are read are read again.
constexpr int kMaxAttempts = 3;

// Reads all test cases of a problem; deletes itself when gRPC is done with it.
class TestCaseReader final : public grpc::ClientReadReactor<TestCase> {
 public:
  using Done = std::function<void(absl::StatusOr<std::vector<TestCase>>)>;
  using Problems = std::shared_ptr<grpccommon::Client<ProblemService>>;

  static void Start(const Problems& problems, const std::string& id,
                    int attempt, Done done) {
    ListTestCasesRequest request;
    request.set_problem_id(id);
    request.set_include_hidden(true);
    auto* const reader =
        new TestCaseReader(problems, id, attempt, std::move(done));
    problems->Open(&ProblemService::Stub::ListTestCases, request,
                   {.timeout = kTestCasesTimeout}, reader);
    reader->StartRead(&reader->next_);
    reader->StartCall();
  }

 private:
  TestCaseReader(const Problems& problems, const std::string& id, int attempt,
                 Done done)
      : problems_(problems),
        id_(id),
        attempt_(attempt),
        done_(std::move(done)) {}

  void OnReadDone(bool ok) override {
    if (!ok) return;
    cases_.push_back(std::move(next_));
    next_.Clear();
    StartRead(&next_);
  }

  void OnDone(const grpc::Status& end) override {
    const absl::Status status = grpccommon::FromGrpcStatus(end);
    if (absl::IsAborted(status) && attempt_ < kMaxAttempts) {
      Start(problems_, id_, attempt_ + 1, std::move(done_));
    } else if (status.ok()) {
      done_(std::move(cases_));
    } else {
      done_(status);
    }
    delete this;
  }

  const Problems problems_;
  const std::string id_;
  const int attempt_;
  Done done_;
  TestCase next_;
  std::vector<TestCase> cases_;
};

}  // namespace

void ProblemClient::GetProblem(
    const std::string& id, std::function<void(absl::StatusOr<Problem>)> done) {
  GetProblemRequest request;
  request.set_problem_id(id);
  problems_->CallAsync(
      &ProblemService::Stub::GetProblem, std::move(request),
      {.timeout = kProblemTimeout},
      [done = std::move(done)](absl::StatusOr<GetProblemResponse> response) {
        if (!response.ok()) return done(response.status());
        done(std::move(*response->mutable_problem()));
      });
}

void ProblemClient::ListTestCases(
    const std::string& id,
    std::function<void(absl::StatusOr<std::vector<TestCase>>)> done) {
  TestCaseReader::Start(problems_, id, 1, std::move(done));
}

}  // namespace platform::execution
