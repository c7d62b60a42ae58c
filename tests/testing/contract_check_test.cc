// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/contract_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "grpccommon/auth/authenticator.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/testing/test_server.h"
#include "support/believer.h"
#include "testing/contracts.grpc.pb.h"

namespace grpccommon::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing_test::v1::ContractService;
using testing_test::v1::NameRequest;
using testing_test::v1::OpenRequest;
using testing_test::v1::Reply;
using testing_test::v1::RulesRequest;
using Kind = ContractCase::Kind;

// Reads what it is sent, as handlers do, and answers that all is well.
class Handler final : public ContractService::Service {
 public:
  grpc::Status Rules(grpc::ServerContext* /*context*/,
                     const RulesRequest* /*request*/,
                     Reply* /*reply*/) override {
    return grpc::Status::OK;
  }
  grpc::Status Open(grpc::ServerContext* /*context*/,
                    const OpenRequest* /*request*/, Reply* /*reply*/) override {
    return grpc::Status::OK;
  }
  grpc::Status Roles(grpc::ServerContext* /*context*/,
                     const OpenRequest* /*request*/,
                     grpc::ServerWriter<Reply>* writer) override {
    while (writer->Write(Reply())) {
    }
    return grpc::Status::OK;
  }
  grpc::Status Upload(grpc::ServerContext* /*context*/,
                      grpc::ServerReader<NameRequest>* reader,
                      Reply* /*reply*/) override {
    NameRequest request;
    while (reader->Read(&request)) {
    }
    return grpc::Status::OK;
  }
  grpc::Status Talk(
      grpc::ServerContext* /*context*/,
      grpc::ServerReaderWriter<Reply, NameRequest>* stream) override {
    NameRequest request;
    while (stream->Read(&request)) stream->Write(Reply());
    return grpc::Status::OK;
  }
  grpc::Status Lenient(grpc::ServerContext* context,
                       grpc::ServerReader<NameRequest>* reader,
                       Reply* reply) override {
    return Upload(context, reader, reply);
  }
  grpc::Status Large(grpc::ServerContext* /*context*/,
                     const OpenRequest* /*request*/,
                     Reply* /*reply*/) override {
    return grpc::Status::OK;
  }
  grpc::Status Empty(grpc::ServerContext* /*context*/,
                     const OpenRequest* /*request*/,
                     Reply* /*reply*/) override {
    return grpc::Status::OK;
  }
};

class ContractCheckTest : public ::testing::Test {
 protected:
  // The results on a server with the whole chain, or with what `change` leaves
  // of it.
  std::vector<ContractResult> Check(
      const std::function<void(ServerOptions&)>& change = {}) {
    ServerOptions options;
    options.grpc_address = "127.0.0.1:0";
    options.clock = &clock_;
    options.auth.make_authenticator = [](Scheduler&, const Logger&) {
      return std::make_unique<test::Believer>();
    };
    if (change) change(options);
    server_ = *TestServer<ContractService>::Start(
        handler_, options, [this](Server& server) { server.Use(admitted_); });
    return CheckContract(server_->channel(), cases_.cases, options_);
  }

  static std::vector<std::string> Broken(
      const std::vector<ContractResult>& results) {
    std::vector<std::string> broken;
    for (const ContractResult& result : results) {
      if (result.kept) continue;
      broken.push_back(result.method.substr(result.method.rfind('/') + 1) +
                       " " + result.name + " -> " + result.got);
    }
    return broken;
  }

  int CountOf(Kind kind) const {
    int count = 0;
    for (const ContractCase& one : cases_.cases) count += one.kind == kind;
    return count;
  }

  FakeClock clock_;
  Handler handler_;
  const std::shared_ptr<AdmittedCalls> admitted_ =
      std::make_shared<AdmittedCalls>();
  const ContractCases cases_ = *DeriveContractCases(
      *google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
          "grpccommon.testing_test.v1.ContractService"));
  ContractCheckOptions options_ = {
      .authenticate =
          [](const ContractCaller& caller, grpc::ClientContext& context) {
            test::SayWho(caller.subject, caller.roles, caller.scopes, context);
          },
      .clock = &clock_,
      .admitted = admitted_.get()};
  std::unique_ptr<TestServer<ContractService>> server_;
};

TEST_F(ContractCheckTest, AServerWithTheWholeChainKeepsEveryPromise) {
  const std::vector<ContractResult> results = Check();
  EXPECT_THAT(results, SizeIs(cases_.cases.size()));
  EXPECT_THAT(Broken(results), IsEmpty()) << ContractTable(results);
}

TEST_F(ContractCheckTest, FindsAServerThatDoesNotValidate) {
  const std::vector<std::string> broken =
      Broken(Check([](ServerOptions& options) { options.validation = false; }));
  // All but what gRPC itself refuses.
  EXPECT_THAT(broken,
              SizeIs(CountOf(Kind::kField) + CountOf(Kind::kTooLarge) - 1));
  EXPECT_THAT(broken, ::testing::Contains(
                          "Rules texts: missing -> OK, by the handler"));
  EXPECT_THAT(broken,
              ::testing::Contains("Talk name: missing -> OK, by the handler"));
}

TEST_F(ContractCheckTest, FindsAServerThatDoesNotLimitRates) {
  const std::vector<std::string> broken =
      Broken(Check([](ServerOptions& options) { options.rate_limit.reset(); }));
  EXPECT_THAT(broken, SizeIs(CountOf(Kind::kTooMany)));
  EXPECT_THAT(broken.back(), HasSubstr("Empty too many -> OK after 3 calls"));
}

TEST_F(ContractCheckTest, FindsALimitThatIsNotTheContracts) {
  const std::vector<std::string> broken =
      Broken(Check([](ServerOptions& options) {
        options.rate_limit->overrides.push_back(
            {.methods = Selector::Path(
                 "/grpccommon.testing_test.v1.ContractService/Empty"),
             .rule = RateLimitRule{.rate = 1, .burst = 2}});
      }));
  EXPECT_THAT(broken, ElementsAre(HasSubstr(
                          "Empty too many -> RESOURCE_EXHAUSTED RATE_LIMITED "
                          "after 2 calls")));
}

TEST_F(ContractCheckTest, FindsAServerThatLetsEverybodyIn) {
  const std::vector<std::string> broken =
      Broken(Check([](ServerOptions& options) {
        // A policy file of the operator's may open what the contract closes.
        options.auth.make_authenticator = [](Scheduler&, const Logger&) {
          class Anybody final : public Authenticator {
           public:
            absl::StatusOr<std::shared_ptr<const Principal>> Authenticate(
                ServerCall& call) override {
              auto principal = std::make_shared<Principal>();
              principal->subject =
                  call.metadata("authorization").empty()
                      ? "somebody"
                      : std::string(call.metadata("authorization"));
              principal->roles = {"author", "admin"};
              principal->scopes = {"things.write"};
              return principal;
            }
            std::string hint() const override { return ""; }
          };
          return std::make_unique<Anybody>();
        };
      }));
  EXPECT_THAT(broken,
              SizeIs(CountOf(Kind::kAnonymous) + CountOf(Kind::kWrongRole)));
}

TEST_F(ContractCheckTest, FindsAServerThatRefusesWhatItShouldNot) {
  const std::vector<std::string> broken =
      Broken(Check([](ServerOptions& options) {
        options.auth.make_authenticator = [](Scheduler&, const Logger&) {
          class Nobody final : public Authenticator {
           public:
            absl::StatusOr<std::shared_ptr<const Principal>> Authenticate(
                ServerCall& /*call*/) override {
              return nullptr;
            }
            std::string hint() const override { return "give up"; }
          };
          return std::make_unique<Nobody>();
        };
      }));
  EXPECT_THAT(broken, ::testing::Contains(
                          "Empty valid -> UNAUTHENTICATED CREDENTIAL_MISSING"));
}

// As a user does it who checks a service with its own handlers.
TEST_F(ContractCheckTest, LeavesHandlersAndClocksAloneWithoutAWordAboutThem) {
  options_.admitted = nullptr;
  options_.clock = nullptr;
  const std::vector<ContractResult> results = Check();
  EXPECT_THAT(results,
              SizeIs(CountOf(Kind::kAnonymous) + CountOf(Kind::kWrongRole) +
                     CountOf(Kind::kField) + CountOf(Kind::kTooLarge)));
  for (const ContractResult& result : results) {
    EXPECT_NE(result.expected, "admitted");
  }
  EXPECT_EQ(admitted_->messages(), 0);
}

TEST(ContractTableTest, LinesUpItsColumns) {
  EXPECT_EQ(ContractTable({{"/a.B/C", "valid", "admitted", "admitted", true},
                           {"/a.B/Longer", "x: missing", "NO", "OK", false}}),
            "        method       case        expected  got\n"
            "kept    /a.B/C       valid       admitted  admitted\n"
            "BROKEN  /a.B/Longer  x: missing  NO        OK\n");
}

}  // namespace
}  // namespace grpccommon::testing
