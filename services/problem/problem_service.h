// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/validate/updatable_fields.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "platform/problem/v1/problem_service.grpc.pb.h"
#include "services/common/store_queue.h"
#include "services/problem/problem_store.h"

namespace platform::problem {

using StoreQueue = common::StoreQueue<ProblemStore>;

struct ProblemServiceOptions {
  /// Samples beyond this many bytes are left to ListTestCases.
  std::int64_t max_sample_bytes = 1 << 20;
  /// What is read at a time for a stream of test cases, and waits for its
  /// client: so many, of at most so many bytes (but one at least).
  std::size_t test_cases_at_a_time = 64;
  std::int64_t test_bytes_at_a_time = 1 << 20;
};

/// platform.problem.v1.ProblemService: translates, asks the store, translates
/// back.
class ProblemService final : public v1::ProblemService::CallbackService {
 public:
  /// `store` is borrowed and must outlive the service.
  explicit ProblemService(StoreQueue& store,
                          ProblemServiceOptions options = {});
  ~ProblemService() override;

  grpc::ServerUnaryReactor* CreateProblem(
      grpc::CallbackServerContext* context,
      const v1::CreateProblemRequest* request,
      v1::CreateProblemResponse* response) override;
  grpc::ServerUnaryReactor* GetProblem(
      grpc::CallbackServerContext* context,
      const v1::GetProblemRequest* request,
      v1::GetProblemResponse* response) override;
  grpc::ServerUnaryReactor* UpdateProblem(
      grpc::CallbackServerContext* context,
      const v1::UpdateProblemRequest* request,
      v1::UpdateProblemResponse* response) override;
  grpc::ServerUnaryReactor* DeleteProblem(
      grpc::CallbackServerContext* context,
      const v1::DeleteProblemRequest* request,
      v1::DeleteProblemResponse* response) override;
  grpc::ServerUnaryReactor* ListProblems(
      grpc::CallbackServerContext* context,
      const v1::ListProblemsRequest* request,
      v1::ListProblemsResponse* response) override;
  grpc::ServerUnaryReactor* AddTestCases(
      grpc::CallbackServerContext* context,
      const v1::AddTestCasesRequest* request,
      v1::AddTestCasesResponse* response) override;
  grpc::ServerUnaryReactor* DeleteTestCase(
      grpc::CallbackServerContext* context,
      const v1::DeleteTestCaseRequest* request,
      v1::DeleteTestCaseResponse* response) override;
  grpc::ServerWriteReactor<v1::TestCase>* ListTestCases(
      grpc::CallbackServerContext* context,
      const v1::ListTestCasesRequest* request) override;
  grpc::ServerUnaryReactor* LikeProblem(
      grpc::CallbackServerContext* context,
      const v1::LikeProblemRequest* request,
      v1::LikeProblemResponse* response) override;
  grpc::ServerUnaryReactor* BookmarkProblem(
      grpc::CallbackServerContext* context,
      const v1::BookmarkProblemRequest* request,
      v1::BookmarkProblemResponse* response) override;
  grpc::ServerUnaryReactor* GetProblemStats(
      grpc::CallbackServerContext* context,
      const v1::GetProblemStatsRequest* request,
      v1::GetProblemStatsResponse* response) override;
  grpc::ServerUnaryReactor* RecordVerdict(
      grpc::CallbackServerContext* context,
      const v1::RecordVerdictRequest* request,
      v1::RecordVerdictResponse* response) override;

 private:
  // As ReadAndAnswer and WriteAndAnswer, whose jobs also get the caller.
  template <typename Read, typename Answer>
  grpc::ServerUnaryReactor* ReadFor(grpc::CallbackServerContext& context,
                                    Read read, Answer answer);
  template <typename Write, typename Answer>
  grpc::ServerUnaryReactor* WriteFor(grpc::CallbackServerContext& context,
                                     Write write, Answer answer);

  StoreQueue& store_;
  const ProblemServiceOptions options_;
  const grpccommon::UpdatableFields updatable_;
};

}  // namespace platform::problem
