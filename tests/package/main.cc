// SPDX-License-Identifier: Apache-2.0
// A service and its client in one program, built outside the project: a
// greeting is served, and a call that the contract keeps for greeters is
// refused before its handler, by an interceptor of the application's own.

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "greeter.grpc.pb.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"

namespace greeter = outside::greeter::v1;
using namespace std::chrono_literals;

namespace {

class GreeterService final : public greeter::GreeterService::CallbackService {
 public:
  int secrets_said() const { return secrets_said_; }

 private:
  grpc::ServerUnaryReactor* SayHello(
      grpc::CallbackServerContext* context,
      const greeter::SayHelloRequest* request,
      greeter::SayHelloResponse* response) override {
    response->set_greeting("Hello, " + request->name());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerUnaryReactor* SaySecret(
      grpc::CallbackServerContext* context,
      const greeter::SaySecretRequest* /*request*/,
      greeter::SaySecretResponse* /*response*/) override {
    ++secrets_said_;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  std::atomic<int> secrets_said_ = 0;
};

/// Refuses every call that the contract does not open to everyone.
class PublicOnly final : public grpccommon::ServerInterceptor {
  std::string_view name() const override { return "public_only"; }
  grpccommon::Stage stage() const override { return grpccommon::Stage::kUser; }
  absl::Status OnStart(grpccommon::ServerCall& call) override {
    const grpccommon::AccessRule& access = call.method().policy.access;
    if (access.kind == grpccommon::AccessRule::Kind::kPublic) {
      return absl::OkStatus();
    }
    return absl::PermissionDeniedError("needs role " + access.roles.front());
  }
};

void Require(bool condition, std::string_view what) {
  if (condition) return;
  std::cerr << "failed: " << what << '\n';
  std::exit(1);
}

}  // namespace

int main() {
  GreeterService service;
  auto server = grpccommon::Server::Create({.name = "greeter"});
  if (!server.ok()) return grpccommon::ExitWith(server.status());
  (*server)->Add<greeter::GreeterService>(service);
  (*server)->Use(std::make_shared<PublicOnly>());
  if (const absl::Status started = (*server)->Start(); !started.ok()) {
    return grpccommon::ExitWith(started);
  }
  const auto stub =
      greeter::GreeterService::NewStub((*server)->InProcessChannel());

  greeter::SayHelloRequest request;
  request.set_name("world");
  greeter::SayHelloResponse response;
  grpc::ClientContext greeting;
  const grpc::Status greeted = stub->SayHello(&greeting, request, &response);
  Require(greeted.ok(), greeted.error_message());
  Require(response.greeting() == "Hello, world", response.greeting());

  greeter::SaySecretResponse secret;
  grpc::ClientContext telling;
  const absl::Status refused = grpccommon::FromGrpcStatus(
      stub->SaySecret(&telling, greeter::SaySecretRequest(), &secret));
  Require(absl::IsPermissionDenied(refused), refused.ToString());
  Require(service.secrets_said() == 0, "the refused call reached its handler");

  (*server)->Shutdown(0s, 0s);
  std::cout << response.greeting() << '\n';
}
