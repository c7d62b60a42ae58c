// SPDX-License-Identifier: Apache-2.0
// Every refusal that the contract of every method of the platform promises, one
// by one, over the wire, against a server that enforces it as all of them do.
// The handlers are never reached: stand-ins that would say UNIMPLEMENTED.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/registry/v1/registry_service.grpc.pb.h"
#include "grpccommon/server/server.h"
#include "grpccommon/testing/contract_cases.h"
#include "grpccommon/testing/contract_check.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "platform/contest/v1/contest_service.grpc.pb.h"
#include "platform/execution/v1/execution_service.grpc.pb.h"
#include "platform/problem/v1/problem_service.grpc.pb.h"
#include "platform/user/v1/user_service.grpc.pb.h"
#include "support/believer.h"
#include "taskservice/task_service.grpc.pb.h"

namespace grpccommon::testing {
namespace {

using google::protobuf::ServiceDescriptor;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The messages of its client streams are checked as they are read.
class ReadingTaskService final : public taskservice::TaskService::Service {
 public:
  grpc::Status BulkCreateTasks(
      grpc::ServerContext* /*context*/,
      grpc::ServerReader<taskservice::CreateTaskRequest>* reader,
      taskservice::BulkCreateResponse* /*response*/) override {
    taskservice::CreateTaskRequest request;
    while (reader->Read(&request)) {
    }
    return grpc::Status::OK;
  }
  grpc::Status ProcessTaskStream(
      grpc::ServerContext* /*context*/,
      grpc::ServerReaderWriter<taskservice::TaskResult,
                               taskservice::TaskCommand>* stream) override {
    taskservice::TaskCommand command;
    while (stream->Read(&command)) {
    }
    return grpc::Status::OK;
  }
};

struct PlatformService {
  std::string name;
  const ServiceDescriptor* descriptor;
  /// Adds a stand-in, which the result owns.
  std::function<std::shared_ptr<grpc::Service>(Server&)> add;
};

template <typename ServiceType,
          typename StandIn = typename ServiceType::Service>
PlatformService Of(std::string name,
                   const google::protobuf::Descriptor& a_request) {
  return {.name = std::move(name),
          .descriptor = a_request.file()->service(0),
          .add = [](Server& server) -> std::shared_ptr<grpc::Service> {
            auto stand_in = std::make_shared<StandIn>();
            server.Add<ServiceType>(*stand_in);
            return stand_in;
          }};
}

std::vector<PlatformService> PlatformServices() {
  return {
      Of<platform::user::v1::UserService>(
          "user", *platform::user::v1::LoginRequest::descriptor()),
      Of<platform::problem::v1::ProblemService>(
          "problem", *platform::problem::v1::GetProblemRequest::descriptor()),
      Of<platform::execution::v1::ExecutionService>(
          "execution", *platform::execution::v1::ExecuteRequest::descriptor()),
      Of<platform::contest::v1::ContestService>(
          "contest", *platform::contest::v1::GetContestRequest::descriptor()),
      Of<taskservice::TaskService, ReadingTaskService>(
          "task", *taskservice::GetTaskRequest::descriptor()),
      Of<registry::v1::RegistryService>(
          "registry", *registry::v1::RegisterRequest::descriptor())};
}

class PlatformContractTest : public ::testing::TestWithParam<PlatformService> {
 protected:
  std::vector<ContractResult> Check(const std::vector<ContractCase>& cases,
                                    bool validation) {
    FakeClock clock;
    const auto admitted = std::make_shared<AdmittedCalls>();
    ServerOptions options{.name = GetParam().name,
                          .grpc_address = "127.0.0.1:0",
                          .drain_delay = std::chrono::seconds(0)};
    options.validation = validation;
    options.clock = &clock;
    options.log_sink = std::make_shared<RecordingLogSink>();
    options.auth.make_authenticator = [](Scheduler&, const Logger&) {
      return std::make_unique<test::Believer>();
    };
    auto server = *Server::Create(std::move(options));
    const std::shared_ptr<grpc::Service> stand_in = GetParam().add(*server);
    server->Use(admitted);
    EXPECT_EQ(server->Start(), absl::OkStatus());
    auto results = CheckContract(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(server->grpc_port()),
                            grpc::InsecureChannelCredentials()),
        cases,
        {.authenticate =
             [](const ContractCaller& caller, grpc::ClientContext& context) {
               test::SayWho(caller.subject, caller.roles, caller.scopes,
                            context);
             },
         .clock = &clock,
         .admitted = admitted.get()});
    server.reset();
    return results;
  }

  static std::vector<ContractResult> Broken(
      std::vector<ContractResult> results) {
    std::erase_if(results,
                  [](const ContractResult& result) { return result.kept; });
    return results;
  }

  std::size_t CountOf(ContractCase::Kind kind) const {
    return static_cast<std::size_t>(std::count_if(
        derived_.cases.begin(), derived_.cases.end(),
        [kind](const ContractCase& one) { return one.kind == kind; }));
  }

  const ContractCases derived_ = *DeriveContractCases(*GetParam().descriptor);
};

TEST_P(PlatformContractTest, EveryPromisedRefusalIsKept) {
  const std::vector<ContractResult> results = Check(derived_.cases, true);
  std::cout << ContractTable(results);
  for (const std::string& rule : derived_.left_out) {
    std::cout << "left out  " << rule << '\n';
  }
  EXPECT_THAT(results, SizeIs(derived_.cases.size()));
  EXPECT_THAT(Broken(results), IsEmpty()) << ContractTable(Broken(results));
}

// Else a contract would pass that promises nothing.
TEST_P(PlatformContractTest, EveryMethodHasItsPromises) {
  using Kind = ContractCase::Kind;
  const auto methods =
      static_cast<std::size_t>(GetParam().descriptor->method_count());
  EXPECT_GE(CountOf(Kind::kValid), methods);
  EXPECT_EQ(CountOf(Kind::kTooMany), methods)
      << "a method without a rate limit";
  EXPECT_GT(CountOf(Kind::kField), methods);
  for (const ContractCase& one : derived_.cases) {
    EXPECT_NE(one.method.policy.access.kind, AccessRule::Kind::kDefault);
  }
}

TEST_P(PlatformContractTest, WithoutValidationTheTableShowsIt) {
  std::vector<ContractCase> fields = derived_.cases;
  std::erase_if(fields, [](const ContractCase& one) {
    return one.kind != ContractCase::Kind::kField;
  });
  const std::vector<ContractResult> broken = Broken(Check(fields, false));
  EXPECT_THAT(broken, SizeIs(fields.size()));
  for (const ContractResult& result : broken) {
    EXPECT_THAT(result.got, ::testing::HasSubstr("by the handler"))
        << ContractTable({result});
  }
}

INSTANTIATE_TEST_SUITE_P(
    Platform, PlatformContractTest, ::testing::ValuesIn(PlatformServices()),
    [](const ::testing::TestParamInfo<PlatformService>& service) {
      return service.param.name;
    });

}  // namespace
}  // namespace grpccommon::testing
