// SPDX-License-Identifier: Apache-2.0
// Greets whom the command line names: client [target [name]].

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <memory>

#include "absl/status/status.h"
#include "examples/greeter/v1/greeter_service.grpc.pb.h"
#include "grpccommon/status/convert.h"

namespace greeter = examples::greeter::v1;
using namespace std::chrono_literals;

int main(int argc, char** argv) {
  const std::string target = argc > 1 ? argv[1] : "localhost:50051";
  const auto stub = greeter::GreeterService::NewStub(
      grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
  greeter::SayHelloRequest request;
  request.set_name(argc > 2 ? argv[2] : "world");
  greeter::SayHelloResponse response;

  grpc::ClientContext context;
  context.set_wait_for_ready(true);  // the server may still be starting
  context.set_deadline(std::chrono::system_clock::now() + 5s);
  const absl::Status status =
      grpccommon::FromGrpcStatus(stub->SayHello(&context, request, &response));
  if (!status.ok()) {
    std::cerr << status << '\n';
    return 1;
  }
  std::cout << response.greeting() << '\n';
}
