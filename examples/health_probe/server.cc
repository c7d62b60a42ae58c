// SPDX-License-Identifier: Apache-2.0
// A service that is ready only while what it depends on is: server <folder>.
// Whoever wants to know asks with grpccommon-probe, or GET /healthz/ready.

#include "grpccommon/server/server.h"

#include <filesystem>
#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "examples/greeter/v1/greeter_service.grpc.pb.h"
#include "grpccommon/server/config.h"

namespace greeter = examples::greeter::v1;
using namespace std::chrono_literals;

namespace {

class GreeterService final : public greeter::GreeterService::Service {
  grpc::Status SayHello(grpc::ServerContext* /*context*/,
                        const greeter::SayHelloRequest* request,
                        greeter::SayHelloResponse* response) override {
    response->set_greeting("Hello, " + request->name() + "!");
    return grpc::Status::OK;
  }
};

// Stands for a database's ping. It blocks, so it gets a thread of its own; what
// it returns is shown to anyone who reaches the HTTP port.
absl::Status CheckFolder(const std::string& folder) {
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return absl::OkStatus();
  return absl::UnavailableError("the data folder is not there");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: server <folder>\n";
    return 64;
  }
  const std::string folder = argv[1];
  auto options =
      grpccommon::LoadServerOptions({.name = "greeter",
                                     .grpc_address = "0.0.0.0:50051",
                                     .http_address = "0.0.0.0:8051"});
  if (!options.ok()) return grpccommon::ExitWith(options.status());

  GreeterService service;
  auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return grpccommon::ExitWith(server.status());
  (*server)->Add<greeter::GreeterService>(service).AddBlockingCheck(
      {.name = "data", .interval = 1s, .timeout = 500ms},
      [folder] { return CheckFolder(folder); });
  return (*server)->Run();
}
