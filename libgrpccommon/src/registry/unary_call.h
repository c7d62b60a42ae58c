// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc_compat.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"
#include "registry/call_group.h"
#include "registry/endpoints.h"

// How gRPC writes protobuf messages.
#include GRPCCOMMON_GRPC_PROTO_UTILS_H

namespace grpccommon::internal {

/// Calls `method` ("/package.Service/Method") of whatever `endpoints` is
/// connected to, and `then` with the response or why there is none, exactly
/// once; at once if the group is closed, else on a thread of gRPC.
/// `prepare` may add metadata.
template <typename Request, typename Response>
void CallUnary(CallGroup& calls, Endpoints& endpoints, const char* method,
               Clock::Duration timeout,
               const std::function<void(grpc::ClientContext&)>& prepare,
               Request request,
               std::function<void(absl::StatusOr<Response*>)> then) {
  using Stub = grpc::TemplatedGenericStub<Request, Response>;
  struct Running {
    HandOver hand_over;
    Endpoints::Link link;
    std::unique_ptr<Stub> stub;
    grpc::ClientContext context;
    Request request;
    Response response;
    std::function<void(absl::StatusOr<Response*>)> then;
  };
  auto call = std::make_shared<Running>();
  Running& running = *call;
  running.request = std::move(request);
  running.then = std::move(then);
  if (!calls.Add(running.context)) {
    return running.then(
        absl::CancelledError("the registry's client is closed"));
  }
  prepare(running.context);
  running.context.set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::duration_cast<std::chrono::microseconds>(timeout));
  running.link = endpoints.Current();
  running.stub = std::make_unique<Stub>(running.link.channel);
  running.hand_over.Pass();
  running.stub->UnaryCall(&running.context, method, grpc::StubOptions(),
                          &running.request, &running.response,
                          [&calls, &endpoints, call = std::move(call)](
                              const grpc::Status& result) mutable {
                            call->hand_over.Take();
                            const absl::Status status = FromGrpcStatus(result);
                            endpoints.Report(call->link, status);
                            if (status.ok()) {
                              call->then(&call->response);
                            } else {
                              call->then(status);
                            }
                            calls.Ended(call->context);
                            call.reset();
                            calls.Leave();
                          });
}

}  // namespace grpccommon::internal
