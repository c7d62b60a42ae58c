// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/server/server.h"

namespace grpccommon {

/// The clients of a process that also serves, configured with its server
/// (ServerOptions::clients, GRPCCOMMON_CLIENTS__REGISTRY and so on):
///
///   auto server = Server::Create(*options);
///   auto clients = CreateClients(**server);
///   if (!clients.ok()) return ExitWith(clients.status());
///   const auto users = (*clients)->Get<UserService>();
///
/// They look up where the server announces itself, unless told otherwise, show
/// the process's token on every call, and share the server's log, metrics,
/// tracer and timers. Within a handler a call with `.parent =
/// ServerCall::Of(…)` belongs to the caller's trace and deadline.
///
/// `options` has what code decides, such as time limits for one service; what
/// it leaves empty is filled in: registry, metrics, tracer, logger, scheduler,
/// TLS of `defaults` and `services`. The server is borrowed: the manager goes
/// before it.
/// Errors: kInvalidArgument, naming the option; what a token file that cannot
/// be read gives.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<ClientManager>> CreateClients(
    Server& server, ClientManagerOptions options = {});

}  // namespace grpccommon
