// SPDX-License-Identifier: Apache-2.0
// An instance of the echo service in a process of its own, for tests that do
// bad things to it:
//
//   fault_instance <registry address> <journal> <service time in µs>
//                  <every n-th request pauses, or 0> <pause in µs>
//
// Each request that a handler got is a line in the journal. Prints its address
// once it is registered.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "echo/v1/echo_service.grpc.pb.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/registry/registry_uri.h"
#include "grpccommon/server/server.h"
#include "support/number.h"

namespace {

using echo::v1::EchoRequest;
using echo::v1::EchoResponse;
using grpccommon::test::ParseNumber;
using namespace std::chrono_literals;

struct Behaviour {
  std::chrono::microseconds service_time;
  int pause_every;
  std::chrono::microseconds pause;
};

class Echo : public echo::v1::EchoService::CallbackService {
 public:
  Echo(grpccommon::Scheduler& scheduler, const Behaviour& behaviour,
       int journal)
      : scheduler_(scheduler), behaviour_(behaviour), journal_(journal) {}

  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const EchoRequest* request,
                                  EchoResponse* response) override {
    const std::string line = request->text() + "\n";
    // One write to a file opened for appending: lines of processes never mix.
    if (write(journal_, line.data(), line.size()) != ssize_t(line.size())) {
      std::abort();
    }
    response->set_text(request->text());
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    std::chrono::microseconds wait = behaviour_.service_time;
    if (behaviour_.pause_every > 0 &&
        requests_.fetch_add(1) % behaviour_.pause_every == 0) {
      wait += behaviour_.pause;
    }
    if (wait == 0us) {
      reactor->Finish(grpc::Status::OK);
    } else {
      scheduler_.RunAfter(wait,
                          [reactor] { reactor->Finish(grpc::Status::OK); });
    }
    return reactor;
  }

 private:
  grpccommon::Scheduler& scheduler_;
  const Behaviour behaviour_;
  const int journal_;
  std::atomic<int> requests_{0};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 64;
  const auto service_time = ParseNumber(argv[3]);
  const auto pause_every = ParseNumber(argv[4]);
  const auto pause = ParseNumber(argv[5]);
  if (!service_time || !pause_every || !pause) return 64;
  const int journal = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (journal < 0) return 73;
  const auto scheduler = grpccommon::CreateScheduler();
  grpccommon::RegistryUriOptions registries;
  registries.remote.authorization = [] { return std::string("node instance"); };
  registries.remote.authorization_in_plaintext = true;
  auto registry = grpccommon::CreateRegistry(argv[1], *scheduler, registries);
  if (!registry.ok()) return grpccommon::ExitWith(registry.status());
  Echo echo(*scheduler,
            {.service_time = std::chrono::microseconds(*service_time),
             .pause_every = *pause_every,
             .pause = std::chrono::microseconds(*pause)},
            journal);

  grpccommon::ServerOptions options;
  options.name = "echo";
  options.grpc_address = "127.0.0.1:0";
  options.announce = {.registry = *std::move(registry),
                      .services = {"echo"},
                      .lease = {.ttl = 3s}};
  options.drain_delay = 500ms;
  options.log_level = grpccommon::LogLevel::kError;
  options.access_log.reset();
  auto server = grpccommon::Server::Create(std::move(options));
  if (!server.ok()) return grpccommon::ExitWith(server.status());
  (*server)->Add<echo::v1::EchoService>(echo);
  std::thread said([&server] {
    while ((*server)->phase() == grpccommon::ServerPhase::kCreated) {
      std::this_thread::yield();
    }
    std::cout << "127.0.0.1:" << (*server)->grpc_port() << std::endl;
  });
  const int code = (*server)->Run();
  said.join();
  return code;
}
