// SPDX-License-Identifier: Apache-2.0
#include "services/seed/clients.h"

#include <chrono>
#include <random>
#include <string_view>
#include <utility>

#include "absl/memory/memory.h"
#include "grpccommon/registry/registry_uri.h"

namespace platform::seed {

using namespace std::chrono_literals;

grpccommon::CallOptions Session::Call() const {
  return {.metadata = {{"authorization", "Bearer " + access_token}}};
}

absl::StatusOr<std::unique_ptr<Clients>> Clients::Connect(
    const std::string& registry_uri, const std::string& token) {
  auto clients = absl::WrapUnique(new Clients());
  clients->scheduler_ = grpccommon::CreateScheduler();
  auto registry = grpccommon::CreateRegistry(
      registry_uri, *clients->scheduler_,
      {.remote = {.authorization = [token] { return "Bearer " + token; },
                  .authorization_in_plaintext = true}});
  if (!registry.ok()) return registry.status();
  grpccommon::ClientManagerOptions options{.registry = *std::move(registry)};
  // A service that is started again is worth waiting for.
  options.defaults.discovery.max_wait = 10s;
  auto manager = grpccommon::ClientManager::Create(std::move(options));
  if (!manager.ok()) return manager.status();
  clients->manager_ = *std::move(manager);
  absl::Status status;
  const auto get = [&]<typename Service>(
                       std::shared_ptr<grpccommon::Client<Service>>& client) {
    auto got = clients->manager_->Get<Service>();
    status.Update(got.status());
    if (got.ok()) client = *std::move(got);
  };
  get(clients->users_);
  get(clients->problems_);
  get(clients->executions_);
  get(clients->contests_);
  if (!status.ok()) return status;
  return clients;
}

absl::StatusOr<Session> Clients::LogIn(const std::string& login,
                                       const std::string& password) {
  user::v1::LoginRequest request;
  request.set_login(login);
  request.set_password(password);
  auto response = users_->Call(&UserService::Stub::Login, request);
  if (!response.ok()) return response.status();
  return Session{.user_id = response->user().id(),
                 .username = response->user().username(),
                 .access_token = response->tokens().access_token()};
}

std::string RandomPassword() {
  constexpr std::string_view kLetters =
      "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
  std::random_device device;
  std::uniform_int_distribution<std::size_t> letter(0, kLetters.size() - 1);
  std::string password;
  // More than 110 bits, and a kind of each that a policy may ask for.
  for (int i = 0; i < 20; ++i) password.push_back(kLetters[letter(device)]);
  return password + "-aZ7";
}

}  // namespace platform::seed
