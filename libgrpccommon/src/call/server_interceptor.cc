// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/server_interceptor.h"

#include <future>

#include "grpccommon/call/server_call.h"

namespace grpccommon {

std::string_view StageName(Stage stage) {
  switch (stage) {
    case Stage::kObserve:
      return "observe";
    case Stage::kProtect:
      return "protect";
    case Stage::kIdentify:
      return "identify";
    case Stage::kLimit:
      return "limit";
    case Stage::kCheck:
      return "check";
    case Stage::kUser:
      return "user";
  }
  return "unknown";
}

absl::StatusOr<Hooks> ServerInterceptor::Register(const Method& /*method*/) {
  return Hooks();
}

absl::Status ServerInterceptor::OnStart(ServerCall& /*call*/) {
  return absl::OkStatus();
}

absl::Status ServerInterceptor::OnReceived(
    ServerCall& /*call*/, const google::protobuf::Message* /*message*/) {
  return absl::OkStatus();
}

void ServerInterceptor::OnSent(ServerCall& /*call*/,
                               const google::protobuf::Message* /*message*/) {}

void ServerInterceptor::OnFinish(ServerCall& /*call*/,
                                 grpc::Status& /*status*/) {}

absl::Status AsyncServerInterceptor::OnStart(ServerCall& call) {
  // Shared with `done`, which may still be returning from set_value when this
  // thread goes on.
  const auto decision = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> decided = decision->get_future();
  OnStartAsync(call, [decision](absl::Status status) {
    decision->set_value(std::move(status));
  });
  return decided.get();
}

}  // namespace grpccommon
