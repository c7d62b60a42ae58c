// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/process/clients.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/auth/credentials_interceptor.h"
#include "grpccommon/auth/token_provider.h"
#include "grpccommon/registry/registry_uri.h"

namespace grpccommon {
namespace {

using Token = std::shared_ptr<TokenProvider>;

// Null where no file is given.
absl::StatusOr<Token> TokenOf(const std::string& file, Server& server) {
  if (file.empty()) return Token();
  return CreateTokenFile(file, server.scheduler(), {}, server.logger());
}

absl::StatusOr<std::shared_ptr<Registry>> OpenRegistry(const std::string& uri,
                                                       const Token& token,
                                                       bool in_plaintext,
                                                       Server& server) {
  RegistryUriOptions options;
  if (token != nullptr) {
    options.remote.authorization = [token] {
      const auto current = token->Token();
      return current.ok() ? absl::StrCat("Bearer ", **current) : std::string();
    };
    options.remote.authorization_in_plaintext = in_plaintext;
  }
  absl::StatusOr<std::unique_ptr<Registry>> registry =
      CreateRegistry(uri, server.scheduler(), options, server.logger());
  if (!registry.ok()) return registry.status();
  return std::shared_ptr<Registry>(*std::move(registry));
}

// Where others are found: where we are told to look, else where we announce
// ourselves, with the token of whichever that is.
absl::StatusOr<std::shared_ptr<Registry>> FindRegistry(const Token& token,
                                                       Server& server) {
  const ClientsOptions& clients = server.options().clients;
  const AnnounceOptions& announce = server.options().announce;
  if (!clients.registry.empty()) {
    return OpenRegistry(clients.registry, token, clients.token_in_plaintext,
                        server);
  }
  if (announce.registry != nullptr) return announce.registry;
  if (announce.uri.empty()) {
    return absl::InvalidArgumentError(
        "clients.registry must say where other services are found");
  }
  const absl::StatusOr<Token> announcing = TokenOf(announce.token_file, server);
  if (!announcing.ok()) return announcing.status();
  return OpenRegistry(announce.uri, *announcing, announce.token_in_plaintext,
                      server);
}

absl::Status CheckTls(const ClientsOptions& clients) {
  if (clients.tls ||
      (clients.ca_file.empty() && clients.certificate_file.empty() &&
       clients.private_key_file.empty())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "clients.ca_file, clients.certificate_file and clients.private_key_file "
      "go with clients.tls");
}

}  // namespace

absl::StatusOr<std::unique_ptr<ClientManager>> CreateClients(
    Server& server, ClientManagerOptions options) {
  const ClientsOptions& clients = server.options().clients;
  if (absl::Status valid = CheckTls(clients); !valid.ok()) return valid;
  const absl::StatusOr<Token> token = TokenOf(clients.token_file, server);
  if (!token.ok()) return token.status();
  if (options.registry == nullptr) {
    absl::StatusOr<std::shared_ptr<Registry>> registry =
        FindRegistry(*token, server);
    if (!registry.ok()) return registry.status();
    options.registry = *std::move(registry);
  }
  const auto use_tls = [&clients](ClientOptions& client) {
    std::optional<ChannelTlsOptions>& tls = client.discovery.channel.tls;
    if (!clients.tls || tls.has_value()) return;
    tls = ChannelTlsOptions{.ca_file = clients.ca_file,
                            .certificate_file = clients.certificate_file,
                            .private_key_file = clients.private_key_file};
  };
  use_tls(options.defaults);
  for (auto& [name, client] : options.services) use_tls(client);
  options.interceptors.push_back(std::make_shared<CredentialsInterceptor>(
      *token, CredentialsInterceptorOptions{.allow_plaintext =
                                                clients.token_in_plaintext}));
  if (options.metrics == nullptr) options.metrics = &server.metrics();
  if (options.tracer == nullptr) options.tracer = server.tracer();
  if (options.logger.sink() == nullptr) options.logger = server.logger();
  if (options.scheduler == nullptr) options.scheduler = &server.scheduler();
  return ClientManager::Create(std::move(options));
}

}  // namespace grpccommon
