// SPDX-License-Identifier: Apache-2.0
// Makes a server refuse one call in seven and hold back one in five, to see
// what its callers do. For tests and staging: it is part of
// grpccommon::testing.

#include <chrono>
#include <iostream>
#include <memory>

#include "examples/greeter/v1/greeter_service.grpc.pb.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/server.h"
#include "grpccommon/testing/fault_interceptor.h"

namespace greeter = examples::greeter::v1;
using namespace std::chrono_literals;

class GreeterService final : public greeter::GreeterService::Service {
  grpc::Status SayHello(grpc::ServerContext* /*context*/,
                        const greeter::SayHelloRequest* request,
                        greeter::SayHelloResponse* response) override {
    response->set_greeting("Hello, " + request->name() + "!");
    return grpc::Status::OK;
  }
};

int main() {
  const auto scheduler = grpccommon::CreateScheduler();
  const std::shared_ptr<grpccommon::Registry> registry =
      grpccommon::CreateMemoryRegistry(*scheduler);
  const auto faults = std::make_shared<grpccommon::testing::FaultInterceptor>(
      grpccommon::testing::Fault{
          .delay_share = 0.2, .delay = 20ms, .abort_share = 0.15},
      *scheduler);

  GreeterService service;
  auto server = grpccommon::Server::Create({.name = "greeter",
                                            .grpc_address = "127.0.0.1:0",
                                            .drain_delay = {},
                                            .announce = {registry}});
  if (!server.ok()) return grpccommon::ExitWith(server.status());
  (*server)->Use(faults, grpccommon::Selector::Service(
                             greeter::GreeterService::service_full_name()));
  (*server)->Add<greeter::GreeterService>(service);
  if (absl::Status started = (*server)->Start(); !started.ok()) {
    return grpccommon::ExitWith(started);
  }

  auto manager = grpccommon::ClientManager::Create({.registry = registry});
  if (!manager.ok()) return grpccommon::ExitWith(manager.status());
  const auto client = (*manager)->Get<greeter::GreeterService>();
  if (!client.ok()) return grpccommon::ExitWith(client.status());
  greeter::SayHelloRequest request;
  request.set_name("world");
  for (const bool retry : {false, true}) {
    int failed = 0;
    for (int i = 0; i < 40; ++i) {
      const auto response = (*client)->Call(
          &greeter::GreeterService::Stub::SayHello, request, {.retry = retry});
      if (!response.ok()) ++failed;
    }
    std::cout << (retry ? "with retries: " : "one attempt each: ") << failed
              << " of 40 calls failed\n";
  }
  std::cout << "refused on purpose: " << faults->aborted()
            << ", held back: " << faults->delayed() << '\n';
  return faults->aborted() > 0 ? 0 : 1;
}
