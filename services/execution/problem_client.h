// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/client/client.h"
#include "platform/problem/v1/problem_service.grpc.pb.h"
#include "services/execution/problem_tests.h"

namespace platform::execution {

/// Problems of the problem service, which must know us as role "service".
class ProblemClient final : public ProblemSource {
 public:
  explicit ProblemClient(
      std::shared_ptr<grpccommon::Client<problem::v1::ProblemService>> problems)
      : problems_(std::move(problems)) {}

  void GetProblem(
      const std::string& id,
      std::function<void(absl::StatusOr<problem::v1::Problem>)> done) override;
  void ListTestCases(
      const std::string& id,
      std::function<void(absl::StatusOr<std::vector<problem::v1::TestCase>>)>
          done) override;

 private:
  const std::shared_ptr<grpccommon::Client<problem::v1::ProblemService>>
      problems_;
};

}  // namespace platform::execution
