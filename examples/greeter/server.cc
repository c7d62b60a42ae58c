// SPDX-License-Identifier: Apache-2.0
// A stock gRPC service, served the way production wants it.

#include "grpccommon/server/server.h"

#include <string>

#include "examples/greeter/v1/greeter_service.grpc.pb.h"
#include "grpccommon/server/config.h"

namespace greeter = examples::greeter::v1;

class GreeterService final : public greeter::GreeterService::Service {
  grpc::Status SayHello(grpc::ServerContext* /*context*/,
                        const greeter::SayHelloRequest* request,
                        greeter::SayHelloResponse* response) override {
    response->set_greeting("Hello, " + request->name() + "!");
    return grpc::Status::OK;
  }
};

int main() {
  GreeterService service;
  auto options =
      grpccommon::LoadServerOptions({.name = "greeter",
                                     .grpc_address = "0.0.0.0:50051",
                                     .http_address = "0.0.0.0:8051"});
  if (!options.ok()) return grpccommon::ExitWith(options.status());
  auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return grpccommon::ExitWith(server.status());
  (*server)->Add<greeter::GreeterService>(service);
  return (*server)->Run();  // serves until SIGTERM or SIGINT, then drains
}
