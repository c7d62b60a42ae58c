// SPDX-License-Identifier: Apache-2.0
// Three instances announce themselves; a client finds them by name, spreads its
// calls, and does not notice when one goes. Here they share a process and a
// registry in memory; CreateRegistry("registry://…"), "etcd://…", "dns:…" or
// "file:…" make it many.

#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "examples/greeter/v1/greeter_service.grpc.pb.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/server.h"

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

  GreeterService service;
  std::vector<std::unique_ptr<grpccommon::Server>> servers;
  for (int i = 0; i < 3; ++i) {
    auto server = grpccommon::Server::Create({.name = "greeter",
                                              .grpc_address = "127.0.0.1:0",
                                              .drain_delay = 100ms,
                                              .announce = {registry}});
    if (!server.ok()) return grpccommon::ExitWith(server.status());
    (*server)->Add<greeter::GreeterService>(service);
    if (absl::Status started = (*server)->Start(); !started.ok()) {
      return grpccommon::ExitWith(started);
    }
    servers.push_back(*std::move(server));
  }

  auto manager = grpccommon::ClientManager::Create({.registry = registry});
  if (!manager.ok()) return grpccommon::ExitWith(manager.status());
  const auto client = (*manager)->Get<greeter::GreeterService>();
  if (!client.ok()) return grpccommon::ExitWith(client.status());

  greeter::SayHelloRequest request;
  request.set_name("world");
  std::map<std::string, int> answered_by;
  int failed = 0;
  for (int i = 0; i < 60; ++i) {
    if (i == 40) servers.pop_back();  // it drains; nobody gets an error
    grpccommon::CallInfo info;
    const auto response = (*client)->Call(
        &greeter::GreeterService::Stub::SayHello, request, {.info = &info});
    if (!response.ok()) ++failed;
    ++answered_by[info.endpoint];
  }
  for (const auto& [endpoint, calls] : answered_by) {
    std::cout << endpoint << " answered " << calls << " calls\n";
  }
  std::cout << answered_by.size() << " instances, " << failed << " failures\n";
  return failed == 0 ? 0 : 1;
}
