// SPDX-License-Identifier: Apache-2.0
// A service that is unavailable every other time: retries hide it. Then it is
// down for good: the breaker opens, and calls fail at once instead of trying.

#include <atomic>
#include <iostream>
#include <memory>

#include "examples/greeter/v1/greeter_service.grpc.pb.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/details.h"

namespace greeter = examples::greeter::v1;

class MoodyGreeter final : public greeter::GreeterService::Service {
 public:
  std::atomic<int> calls{0};
  std::atomic<bool> down{false};

 private:
  grpc::Status SayHello(grpc::ServerContext* /*context*/,
                        const greeter::SayHelloRequest* request,
                        greeter::SayHelloResponse* response) override {
    if (++calls % 2 == 1 || down) {
      return {grpc::StatusCode::UNAVAILABLE, "not in the mood"};
    }
    response->set_greeting("Hello, " + request->name() + "!");
    return grpc::Status::OK;
  }
};

int main() {
  const auto scheduler = grpccommon::CreateScheduler();
  const std::shared_ptr<grpccommon::Registry> registry =
      grpccommon::CreateMemoryRegistry(*scheduler);
  MoodyGreeter service;
  auto server = grpccommon::Server::Create({.name = "greeter",
                                            .grpc_address = "127.0.0.1:0",
                                            .drain_delay = {},
                                            .announce = {registry}});
  if (!server.ok()) return grpccommon::ExitWith(server.status());
  (*server)->Add<greeter::GreeterService>(service);
  if (absl::Status started = (*server)->Start(); !started.ok()) {
    return grpccommon::ExitWith(started);
  }

  grpccommon::ClientManagerOptions options{.registry = registry};
  // The service's moods are no reason to leave it while they can be ridden out.
  options.defaults.breaker->breaker =
      grpccommon::SlidingWindowBreakerOptions{.failure_rate = 0.8};
  auto manager = grpccommon::ClientManager::Create(std::move(options));
  if (!manager.ok()) return grpccommon::ExitWith(manager.status());
  const auto client = (*manager)->Get<greeter::GreeterService>();
  if (!client.ok()) return grpccommon::ExitWith(client.status());

  greeter::SayHelloRequest request;
  request.set_name("world");
  grpccommon::CallInfo info;
  const auto call = [&] {
    return (*client)
        ->Call(&greeter::GreeterService::Stub::SayHello, request,
               {.info = &info})
        .status();
  };
  int failed = 0;
  for (int i = 0; i < 10; ++i) failed += call().ok() ? 0 : 1;
  std::cout << "every other time: " << failed << " of 10 calls failed, "
            << service.calls << " attempts\n";

  service.down = true;
  absl::Status status;
  int tries = 0;
  do {
    status = call();
    ++tries;
  } while (grpccommon::ReasonOf(status) != "CIRCUIT_OPEN" && tries < 200);
  std::cout << "down: after " << tries << " calls " << status.message() << '\n';
  std::cout << "attempts of the last call: " << info.attempts << '\n';
  return failed == 0 && info.attempts == 0 ? 0 : 1;
}
