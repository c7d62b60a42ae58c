// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "grpcpp/impl/rpc_service_method.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/support/interceptor.h"

/// What the call path needs of gRPC C++ beyond its documented interface, in one
/// place: everything here was checked against the headers of gRPC 1.51 and of
/// current releases, and each function has a test that fails if a release
/// changes what it relies on.
namespace grpccommon::internal {

using ServiceMethods =
    std::vector<std::unique_ptr<grpc::internal::RpcServiceMethod>>;

/// The methods of a service with their handlers and API styles, which
/// grpc::Service keeps to itself. A null entry is a method marked generic.
const ServiceMethods& MethodsOf(const grpc::Service& service);

/// Makes the read that `methods` is about fail, as if the peer had closed its
/// side: a synchronous Read returns false, OnReadDone gets false.
///
/// Requires a POST_RECV_MESSAGE hook of a streaming read, that is one without
/// POST_RECV_INITIAL_METADATA.
void FailRead(grpc::experimental::InterceptorBatchMethods& methods);

/// Drops the message of the batch that `methods` is about, serialised or not.
/// Requires a PRE_SEND_MESSAGE hook.
void DropMessage(grpc::experimental::InterceptorBatchMethods& methods);

}  // namespace grpccommon::internal
