// SPDX-License-Identifier: Apache-2.0
// A service and its client in one program, built outside the project: a
// greeting is served; a call that the contract keeps for greeters is refused
// before its handler, and admitted with a token that says the role.

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "greeter.grpc.pb.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/call/server_call.h"
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

void Require(bool condition, std::string_view what) {
  if (condition) return;
  std::cerr << "failed: " << what << '\n';
  std::exit(1);
}

}  // namespace

int main() {
  const auto signer = grpccommon::JwtSigner::Generate(
      grpccommon::JwtAlgorithm::kEdDsa, "package");
  Require(signer.ok(), signer.status().ToString());
  const std::filesystem::path keys =
      std::filesystem::temp_directory_path() /
      ("grpccommon_package_" + std::to_string(getpid()) + ".json");
  std::ofstream(keys) << *signer->PublicJwks();

  GreeterService service;
  auto server = grpccommon::Server::Create(
      {.name = "greeter",
       .auth = {.jwks_file = keys.string(), .any_audience = true}});
  if (!server.ok()) return grpccommon::ExitWith(server.status());
  (*server)->Add<greeter::GreeterService>(service);
  const absl::Status started = (*server)->Start();
  std::filesystem::remove(keys);
  if (!started.ok()) return grpccommon::ExitWith(started);
  const auto stub =
      greeter::GreeterService::NewStub((*server)->InProcessChannel());

  greeter::SayHelloRequest request;
  request.set_name("world");
  greeter::SayHelloResponse response;
  grpc::ClientContext greeting;
  const grpc::Status greeted = stub->SayHello(&greeting, request, &response);
  Require(greeted.ok(), greeted.error_message());
  Require(response.greeting() == "Hello, world", response.greeting());

  request.set_name(std::string(21, 'x'));
  grpc::ClientContext shouting;
  const absl::Status invalid =
      grpccommon::FromGrpcStatus(stub->SayHello(&shouting, request, &response));
  google::rpc::BadRequest fields;
  Require(absl::IsInvalidArgument(invalid) &&
              grpccommon::GetDetail(invalid, fields) &&
              fields.field_violations(0).field() == "name",
          invalid.ToString());

  greeter::SaySecretResponse secret;
  grpc::ClientContext asking;
  const absl::Status refused = grpccommon::FromGrpcStatus(
      stub->SaySecret(&asking, greeter::SaySecretRequest(), &secret));
  Require(absl::IsUnauthenticated(refused), refused.ToString());
  Require(service.secrets_said() == 0, "the refused call reached its handler");

  const auto token =
      signer->Sign({.subject = "alice",
                    .expires_at = grpccommon::SteadyClock().WallNow() + 1min,
                    .roles = {"greeter"}});
  Require(token.ok(), token.status().ToString());
  grpc::ClientContext telling;
  telling.AddMetadata("authorization", "Bearer " + *token);
  const grpc::Status told =
      stub->SaySecret(&telling, greeter::SaySecretRequest(), &secret);
  Require(told.ok() && service.secrets_said() == 1, told.error_message());

  (*server)->Shutdown(0s, 0s);
  std::cout << "Hello, world\n";
}
