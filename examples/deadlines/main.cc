// SPDX-License-Identifier: Apache-2.0
// A handler calls on: the outgoing call inherits request id, trace and time,
// less a reserve for the handler's own answer, and ends with its caller.

#include <chrono>
#include <iostream>
#include <memory>

#include "examples/greeter/v1/greeter_service.grpc.pb.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"

namespace greeter = examples::greeter::v1;
using grpccommon::ServerCall;
using namespace std::chrono_literals;

// Says how much time it was given.
class Back final : public greeter::GreeterService::Service {
  grpc::Status SayHello(grpc::ServerContext* context,
                        const greeter::SayHelloRequest* /*request*/,
                        greeter::SayHelloResponse* response) override {
    const auto left = ServerCall::Of(*context)->remaining();
    response->set_greeting("the back end got " + std::to_string(left / 1ms) +
                           " ms");
    return grpc::Status::OK;
  }
};

// Asks the other one.
class Front final : public greeter::GreeterService::Service {
 public:
  std::shared_ptr<grpccommon::Client<greeter::GreeterService>> back;

 private:
  grpc::Status SayHello(grpc::ServerContext* context,
                        const greeter::SayHelloRequest* request,
                        greeter::SayHelloResponse* response) override {
    auto answer = back->Call(&greeter::GreeterService::Stub::SayHello, *request,
                             {.parent = ServerCall::Of(*context)});
    if (!answer.ok()) return grpccommon::ToGrpcStatus(answer.status());
    *response = *std::move(answer);
    return grpc::Status::OK;
  }
};

int main() {
  const auto scheduler = grpccommon::CreateScheduler();
  const std::shared_ptr<grpccommon::Registry> registry =
      grpccommon::CreateMemoryRegistry(*scheduler);
  auto manager = grpccommon::ClientManager::Create({.registry = registry});
  if (!manager.ok()) return grpccommon::ExitWith(manager.status());

  Back back;
  Front front;
  front.back = *(*manager)->Get<greeter::GreeterService>("back");
  std::unique_ptr<grpccommon::Server> servers[2];
  grpc::Service* const services[2] = {&back, &front};
  for (int i = 0; i < 2; ++i) {
    const std::string name = i == 0 ? "back" : "front";
    auto server = grpccommon::Server::Create(
        {.name = name,
         .grpc_address = "127.0.0.1:0",
         .drain_delay = {},
         .announce = {.registry = registry, .services = {name}}});
    if (!server.ok()) return grpccommon::ExitWith(server.status());
    servers[i] = *std::move(server);
    servers[i]->Add<greeter::GreeterService>(
        static_cast<greeter::GreeterService::Service&>(*services[i]));
    if (absl::Status started = servers[i]->Start(); !started.ok()) {
      return grpccommon::ExitWith(started);
    }
  }

  greeter::SayHelloRequest request;
  request.set_name("world");
  const auto client = *(*manager)->Get<greeter::GreeterService>("front");
  for (const auto timeout : {500ms, 100ms, 1ms}) {
    const auto response = client->Call(&greeter::GreeterService::Stub::SayHello,
                                       request, {.timeout = timeout});
    std::cout << timeout / 1ms << " ms: "
              << (response.ok() ? response->greeting()
                                : std::string(response.status().message()))
              << '\n';
  }
  // The clients must go before the servers that they call.
  (*manager)->Shutdown();
}
