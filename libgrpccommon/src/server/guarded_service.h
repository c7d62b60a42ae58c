// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>

#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/impl/service_type.h"
#include "server/call_state.h"

namespace grpccommon::internal {

/// A service in front of another: every call passes the chain of its method
/// before the handler of the service behind sees it, or never reaches it.
///
/// gRPC gives an interceptor no way to stop a call; what does stop it is the
/// handler that gRPC invokes. So this registers handlers of its own, which
/// admit and then delegate, or end the call themselves (refused_call.h). No
/// reply exists at that point, so none can leak.
class GuardedService : public grpc::Service {
 public:
  /// `inner` is borrowed; `methods[i]` is about its i-th method and must
  /// outlive the server. Requires handlers on all of them (no completion
  /// queues).
  GuardedService(const grpc::Service& inner,
                 const std::vector<const GuardedMethod*>& methods);
};

/// The same for a service that takes the calls that no other service knows.
class GuardedGenericService : public grpc::CallbackGenericService {
 public:
  /// Both are borrowed and must outlive the server. Requires a chain without
  /// asynchronous steps.
  GuardedGenericService(grpc::CallbackGenericService& inner,
                        const GuardedMethod& method)
      : inner_(inner), method_(method) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

 private:
  grpc::CallbackGenericService& inner_;
  const GuardedMethod& method_;
};

}  // namespace grpccommon::internal
