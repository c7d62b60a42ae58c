// SPDX-License-Identifier: Apache-2.0
// A service and its client in one program, built outside the project: greets,
// and reads the contract of its own proto through the installed library.

#include <grpcpp/grpcpp.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "greeter.grpc.pb.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"

namespace greeter = outside::greeter::v1;

namespace {

class GreeterService final : public greeter::GreeterService::Service {
  grpc::Status SayHello(grpc::ServerContext* /*context*/,
                        const greeter::SayHelloRequest* request,
                        greeter::SayHelloResponse* response) override {
    response->set_greeting("Hello, " + request->name());
    return grpc::Status::OK;
  }

  grpc::Status SaySecret(grpc::ServerContext* /*context*/,
                         const greeter::SaySecretRequest* /*request*/,
                         greeter::SaySecretResponse* /*response*/) override {
    return grpccommon::ToGrpcStatus(
        absl::PermissionDeniedError("needs role greeter"));
  }
};

void Require(bool condition, const std::string& what) {
  if (condition) return;
  std::cerr << "failed: " << what << '\n';
  std::exit(1);
}

}  // namespace

int main() {
  const auto* service =
      greeter::SayHelloRequest::descriptor()->file()->service(0);
  const auto policy = grpccommon::CompilePolicy(*service->method(1));
  Require(policy.ok(), policy.status().ToString());
  Require(policy->access.roles == std::vector<std::string>{"greeter"},
          "SaySecret's contract names the role");

  GreeterService implementation;
  grpc::ServerBuilder builder;
  builder.RegisterService(&implementation);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub =
      greeter::GreeterService::NewStub(server->InProcessChannel({}));

  greeter::SayHelloRequest request;
  request.set_name("world");
  greeter::SayHelloResponse response;
  grpc::ClientContext greeting;
  const grpc::Status greeted = stub->SayHello(&greeting, request, &response);
  Require(greeted.ok(), greeted.error_message());
  Require(response.greeting() == "Hello, world", response.greeting());

  greeter::SaySecretResponse secret;
  grpc::ClientContext refused_context;
  const absl::Status refused = grpccommon::FromGrpcStatus(
      stub->SaySecret(&refused_context, {}, &secret));
  Require(absl::IsPermissionDenied(refused), refused.ToString());

  server->Shutdown();
  std::cout << response.greeting() << '\n';
}
