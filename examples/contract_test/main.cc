// SPDX-License-Identifier: Apache-2.0
// Derives from the greeter's contract every refusal that it promises, and
// checks that a server keeps them. Of the service's own code, nothing runs.

#include <algorithm>
#include <iostream>
#include <memory>

#include "examples/greeter/v1/greeter_service.grpc.pb.h"
#include "grpccommon/testing/contract_cases.h"
#include "grpccommon/testing/contract_check.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/test_server.h"

namespace greeter = examples::greeter::v1;
namespace testing = grpccommon::testing;

int main() {
  const auto cases = testing::DeriveContractCases(
      *greeter::SayHelloRequest::descriptor()->file()->service(0));
  if (!cases.ok()) {
    std::cerr << cases.status() << '\n';
    return 1;
  }

  // The rate limit is checked in no time: the server's clock is the test's.
  testing::FakeClock clock;
  grpccommon::ServerOptions options;
  options.clock = &clock;
  // Every method of the generated class answers UNIMPLEMENTED, if it is
  // reached.
  greeter::GreeterService::Service handlers;
  const auto admitted = std::make_shared<testing::AdmittedCalls>();
  const auto server = testing::TestServer<greeter::GreeterService>::Start(
      handlers, options,
      [&](grpccommon::Server& set_up) { set_up.Use(admitted); });
  if (!server.ok()) {
    std::cerr << server.status() << '\n';
    return 1;
  }

  const auto results = testing::CheckContract(
      (*server)->channel(), cases->cases,
      {.authenticate = [](const testing::ContractCaller&,
                          grpc::ClientContext&) {},  // all may call
       .clock = &clock,
       .admitted = admitted.get()});
  std::cout << testing::ContractTable(results);
  const auto broken =
      std::count_if(results.begin(), results.end(),
                    [](const auto& result) { return !result.kept; });
  std::cout << results.size() << " promises, " << broken << " broken\n";
  return broken == 0 ? 0 : 1;
}
