// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/client_interceptor.h"

namespace grpccommon {

absl::StatusOr<ClientHooks> ClientInterceptor::Register(
    const Method& /*method*/) {
  return ClientHooks();
}

absl::Status ClientInterceptor::OnStart(ClientCall& /*call*/) {
  return absl::OkStatus();
}

absl::Status ClientInterceptor::OnAttemptStart(ClientCall& /*call*/,
                                               ClientAttempt& /*attempt*/) {
  return absl::OkStatus();
}

void ClientInterceptor::OnAttemptEnd(ClientCall& /*call*/,
                                     ClientAttempt& /*attempt*/,
                                     const grpc::Status& /*status*/) {}

void ClientInterceptor::OnMessageSent(ClientCall& /*call*/) {}

void ClientInterceptor::OnMessageReceived(ClientCall& /*call*/) {}

void ClientInterceptor::OnFinish(ClientCall& /*call*/,
                                 grpc::Status& /*status*/) {}

}  // namespace grpccommon
