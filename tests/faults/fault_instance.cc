// SPDX-License-Identifier: Apache-2.0
// An instance of the echo service in a process of its own, for tests that do
// bad things to it:
//
//   fault_instance <registry address> <service time in µs> <journal>
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
#include "grpccommon/registry/remote_registry.h"
#include "grpccommon/server/server.h"

namespace {

using echo::v1::EchoRequest;
using echo::v1::EchoResponse;
using namespace std::chrono_literals;

class Echo : public echo::v1::EchoService::CallbackService {
 public:
  Echo(grpccommon::Scheduler& scheduler, std::chrono::nanoseconds service_time,
       int journal)
      : scheduler_(scheduler), service_time_(service_time), journal_(journal) {}

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
    if (service_time_ == 0ns) {
      reactor->Finish(grpc::Status::OK);
    } else {
      scheduler_.RunAfter(service_time_,
                          [reactor] { reactor->Finish(grpc::Status::OK); });
    }
    return reactor;
  }

 private:
  grpccommon::Scheduler& scheduler_;
  const std::chrono::nanoseconds service_time_;
  const int journal_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  const int journal = open(argv[3], O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (journal < 0) return 73;
  const auto scheduler = grpccommon::CreateScheduler();
  auto registry = grpccommon::RemoteRegistry::Create(
      {.connection = {.addresses = {argv[1]}},
       .authorization = [] { return std::string("node instance"); },
       .authorization_in_plaintext = true},
      *scheduler);
  if (!registry.ok()) return grpccommon::ExitWith(registry.status());
  Echo echo(*scheduler, std::chrono::microseconds(std::atoi(argv[2])), journal);

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
