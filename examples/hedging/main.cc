// SPDX-License-Identifier: Apache-2.0
// One call in ten takes long for no reason of its own. A second attempt, sent
// when the first has taken longer than nearly all others do, cuts that tail.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "examples/greeter/v1/greeter_service.grpc.pb.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/server.h"

namespace greeter = examples::greeter::v1;
using namespace std::chrono_literals;

class StutteringGreeter final : public greeter::GreeterService::Service {
 public:
  std::atomic<int> calls{0};

 private:
  grpc::Status SayHello(grpc::ServerContext* /*context*/,
                        const greeter::SayHelloRequest* /*request*/,
                        greeter::SayHelloResponse* /*response*/) override {
    if (++calls % 10 == 0) std::this_thread::sleep_for(200ms);
    return grpc::Status::OK;
  }
};

int main() {
  const auto scheduler = grpccommon::CreateScheduler();
  const std::shared_ptr<grpccommon::Registry> registry =
      grpccommon::CreateMemoryRegistry(*scheduler);
  StutteringGreeter service;
  auto server = grpccommon::Server::Create({.name = "greeter",
                                            .grpc_address = "127.0.0.1:0",
                                            .drain_delay = {},
                                            .announce = {registry}});
  if (!server.ok()) return grpccommon::ExitWith(server.status());
  (*server)->Add<greeter::GreeterService>(service);
  if (absl::Status started = (*server)->Start(); !started.ok()) {
    return grpccommon::ExitWith(started);
  }

  // Only methods whose contract says that they are idempotent can be hedged.
  grpccommon::ClientManagerOptions options{.registry = registry};
  options.defaults.methods.push_back(
      {.hedging = grpccommon::HedgingPolicy{.delay = 20ms, .max_extra = 0.5}});
  auto manager = grpccommon::ClientManager::Create(std::move(options));
  if (!manager.ok()) return grpccommon::ExitWith(manager.status());
  const auto client = (*manager)->Get<greeter::GreeterService>();
  if (!client.ok()) return grpccommon::ExitWith(client.status());

  greeter::SayHelloRequest request;
  request.set_name("world");
  for (const bool hedged : {false, true}) {
    std::vector<std::chrono::nanoseconds> took;
    int attempts = 0;
    for (int i = 0; i < 50; ++i) {
      grpccommon::CallInfo info;
      // `retry = false` means one attempt, whatever the policy.
      const auto response =
          (*client)->Call(&greeter::GreeterService::Stub::SayHello, request,
                          {.retry = hedged, .info = &info});
      if (!response.ok()) return grpccommon::ExitWith(response.status());
      took.push_back(info.duration);
      attempts += info.attempts;
    }
    std::sort(took.begin(), took.end());
    std::cout << (hedged ? "hedged: " : "one attempt: ") << "slowest "
              << took.back() / 1ms << " ms, " << attempts
              << " attempts for 50 calls\n";
    if (hedged == (took.back() > 150ms)) return 1;
  }
}
